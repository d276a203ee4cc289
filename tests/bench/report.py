"""From visits to tables: medians over repetitions, ratios, plain text or markdown."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from visit import Footprint, Visit

Number = float | None


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; `str()` is aligned, `markdown()` is for the README."""

    title: str
    head: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def __str__(self) -> str:
        lines = [self.head, *self.rows]
        widths = [max(len(line[i]) for line in lines) for i in range(len(self.head))]
        text = ["  ".join(cell.rjust(w) for cell, w in zip(line, widths, strict=True)) for line in lines]
        return "\n".join((self.title, *text))

    def markdown(self) -> str:
        """A markdown table under its title."""
        lines = [self.head, ("---:",) * len(self.head), *self.rows]
        return "\n".join((f"**{self.title}**", "", *("| " + " | ".join(line) + " |" for line in lines)))


def percentile(values: Sequence[float], share: float) -> Number:
    """The value below which `share` of the values lie; None of none."""
    return sorted(values)[min(len(values) - 1, int(share * len(values)))] if values else None


def shown(value: Number, digits: int = 1) -> str:
    """A number, or a dash where there is none."""
    return "–" if value is None else f"{value:.{digits}f}"


def ratio(ours: Number, theirs: Number) -> str:
    """Ours as a part of theirs."""
    return "–" if ours is None or not theirs else f"{ours / theirs:.2f}"


def _median(visits: Iterable[Visit], value: Callable[[Visit], Number]) -> Number:
    """Over the runs that count: those in which no microphone starved, all if there is no such run."""
    kept = list(visits)
    kept = [visit for visit in kept if not visit.stalled_s] or kept
    values = [v for visit in kept if (v := value(visit)) is not None]
    return median(values) if values else None


def _groups(visits: Sequence[Visit]) -> dict[int, dict[str, list[Visit]]]:
    groups: dict[int, dict[str, list[Visit]]] = {}
    for visit in visits:
        groups.setdefault(visit.size, {}).setdefault(visit.kind, []).append(visit)
    return groups


def _silent(visit: Visit) -> Number:
    return visit.silent.worker / visit.size


def _speaking(visit: Visit) -> Number:
    return visit.speaking.worker / visit.size if visit.speaking else None


def _blocked(visit: Visit) -> Number:
    return float(visit.speaking.blocked) if visit.speaking else None


def _blocked_by_work(visit: Visit) -> Number:
    return float(visit.speaking.blocked_by_work) if visit.speaking else None


def _sent_per_minute(visit: Visit) -> Number:
    return 60 * visit.speaking.sent_s / visit.talk_s if visit.speaking and visit.talk_s else None


def summary(visits: Sequence[Visit]) -> Table:
    """Parley beside the stock way and the floor: medians."""
    head = ("people", "", "Parley", "stock", "Parley ÷ stock", "floor")
    lines: list[tuple[str, Callable[[Visit], Number], int]] = [
        ("CPU per participant, nobody speaks, % of a core", _silent, 2),
        ("CPU per participant, half speak, % of a core", _speaking, 2),
        ("audio sent for 60 s of talk, s", _sent_per_minute, 0),
        ("audio sent while nobody speaks, s a minute", lambda v: 60 * v.silent.sent_s / v.silent.seconds, 0),
        ("words due", lambda v: float(v.words.due) or None, 0),
        ("words lost", lambda v: float(len(v.words.missing)) if v.words.due else None, 0),
        ("words doubled", lambda v: float(v.words.doubled) if v.words.due else None, 0),
        ("added at the ear, p50, ms", _percent(lambda v: v.words.added, 0.5), 0),
        ("added at the ear, p95, ms", _percent(lambda v: v.words.added, 0.95), 0),
        ("in → wire, p50, ms", _percent(lambda v: v.words.in_wire, 0.5), 0),
        ("in → wire, p95, ms", _percent(lambda v: v.words.in_wire, 0.95), 0),
        ("wire → track, p50, ms", _percent(lambda v: v.words.wire_track, 0.5), 0),
        ("wire → track, p95, ms", _percent(lambda v: v.words.wire_track, 0.95), 0),
        ("plain path, p50, ms", _percent(lambda v: v.words.plain, 0.5), 0),
        ("event loop stood still ≥ 50 ms, times", _blocked, 0),
        ("… with its own thread at work", _blocked_by_work, 0),
    ]
    rows = []
    for size, kinds in sorted(_groups(visits).items()):
        label = f"{size}, {size // 2} speak"
        for name, value, digits in lines:
            ours, theirs, floor = (_median(kinds.get(k, ()), value) for k in ("parley", "stock", "floor"))
            compared = ratio(ours, theirs) if "words" not in name else "–"
            cells = (shown(ours, digits), shown(theirs, digits), compared, shown(floor, digits))
            rows.append((label, name, *cells))
            label = ""
    return Table("Side by side", head, rows)


def runs(visits: Sequence[Visit]) -> Table:
    """Every run by itself, with what ran beside the worker."""
    head = (
        "worker",
        "people",
        "silent %",
        "speaking %",
        "clients %",
        "server %",
        "API %",
        "others %",
        "lost",
        "p95 ms",
        "",
    )
    rows = []
    for v in visits:
        w = v.speaking or v.silent
        speaking = v.speaking.worker if v.speaking else None
        cells = [v.silent.worker, speaking, w.clients, w.server, w.simulator, w.others]
        p95 = _percent(lambda x: x.words.added, 0.95)(v)
        lost = f"{len(v.words.missing)}/{v.words.due}" if v.words.due else "–"
        remark = f"starved {v.stalled_s:.2f} s: proves nothing" if v.stalled_s else ""
        rows.append((v.kind, str(v.size), *(shown(c) for c in cells), lost, shown(p95, 0), remark))
    return Table("Runs", head, rows)


def threads(visits: Sequence[Visit]) -> Table:
    """Where the workers' CPU goes, by thread name, in % of one core."""
    rows = []
    for v in visits:
        for state, window in (("silent", v.silent), ("speaking", v.speaking)):
            if window is not None:
                shares = ", ".join(f"{name} {share:.1f}" for name, share in list(window.threads.items())[:12])
                rows.append((v.kind, str(v.size), state, shown(window.worker), shares))
    return Table("Threads", ("worker", "people", "state", "%", "by thread"), rows)


def footprints(found: Sequence[Footprint]) -> Table:
    """Memory of the workers."""
    head = ("worker", "idle PSS", "idle RSS", "processes", "one room PSS", "per further room PSS")
    rows = [
        (
            f.kind,
            shown(f.idle.pss, 0),
            shown(f.idle.rss, 0),
            str(f.idle.processes),
            shown(f.one_room.pss, 0),
            shown(f.per_further_room, 0),
        )
        for f in found
    ]
    return Table("Memory, MB", head, rows)


def _percent(values: Callable[[Visit], Sequence[float]], share: float) -> Callable[[Visit], Number]:
    def value(visit: Visit) -> Number:
        found = percentile(values(visit), share)
        return None if found is None else 1000 * found

    return value
