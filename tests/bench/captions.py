"""Captions of what people say in their own words, Parley beside the stock way, on the real livekit-server.

    python tests/bench/captions.py --sizes 1,6 --seconds 30 --repeat 3 --markdown

The stock way is LiveKit's example of a transcriber for several people: one `AgentSession` with `openai.STT`
and the text output of `RoomIO` for each speaker, in one job (`pip install livekit-plugins-openai`). Workers
take turns, one at a time, in rooms of the same people, against the same simulated API, which recognises the
words. Everybody talks at once, one person reads, and one wants no captions. Of each visit there is a stretch
of silence and one of talk; then the API drops all sessions in the middle of a phrase, and later lets them
expire. Trust ratios inside one run. Exits with 1 where a visit failed or nothing was read.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median

from caption_visit import KINDS, CaptionVisit, visit
from caption_words import Read
from report import Number, Table, percentile, ratio, shown
from result import log_directory, say, tell

from parley.demo.livekit_server import livekit_server

_VISIT_S = 240.0
Value = Callable[[CaptionVisit], Number]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default="1,6", help="people who speak (%(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, help="of talk (%(default)s)")
    parser.add_argument("--silent-seconds", type=float, default=10.0, help="without any (%(default)s)")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; medians are shown, words added")
    parser.add_argument("--workers", default=",".join(KINDS), help="which (%(default)s)")
    parser.add_argument("--no-faults", action="store_true", help="leave out the API's failures")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    parser.add_argument("--logs", type=Path, help="keep the workers' logs in this directory")
    parser.add_argument("--markdown", action="store_true", help="tables for the README")
    return parser.parse_args()


async def measure(args: argparse.Namespace, logs: Path) -> tuple[list[CaptionVisit], int]:
    """All visits, in turn, and how many of them failed."""
    visits: list[CaptionVisit] = []
    failed = 0
    async with livekit_server(report=say) as server:
        for repetition in range(args.repeat):
            for size in map(int, args.sizes.split(",")):
                for kind in args.workers.split(","):
                    say(f"{kind}: {size} speak, run {repetition + 1} of {args.repeat}")
                    try:
                        async with asyncio.timeout(_VISIT_S + args.seconds + args.silent_seconds):
                            result = await visit(
                                kind,
                                server,
                                size,
                                seconds=args.seconds,
                                silent_s=args.silent_seconds,
                                faults=not args.no_faults,
                                logs=logs,
                            )
                    except Exception:  # noqa: BLE001 - the other visits go on
                        traceback.print_exc()
                        failed += 1
                        continue
                    failed += not result.talk.lines
                    visits.append(result)
                    say(str(runs([result])))
    return visits, failed


def _ms(values: Callable[[CaptionVisit], Sequence[float]], share: float) -> Value:
    def value(visit: CaptionVisit) -> Number:
        found = percentile(values(visit), share)
        return None if found is None else 1000 * found

    return value


_MEASURED: list[tuple[str, Value, int]] = [
    ("word spoken → interim at the reader, p50, ms", _ms(lambda v: v.talk.interim_s, 0.5), 0),
    ("word spoken → interim at the reader, p95, ms", _ms(lambda v: v.talk.interim_s, 0.95), 0),
    ("phrase end → final line, p50, ms", _ms(lambda v: v.talk.final_s, 0.5), 0),
    ("phrase end → final line, p95, ms", _ms(lambda v: v.talk.final_s, 0.95), 0),
    ("CPU per speaker, job process, % of a core", lambda v: v.speaking.job / v.size, 2),
    ("CPU per speaker, whole worker, % of a core", lambda v: v.speaking.worker / v.size, 2),
    ("… while nobody speaks, job process", lambda v: v.silent.job / v.size, 2),
    ("audio sent for 60 s of talk, s", lambda v: 60 * v.speaking.sent_s / v.talk_s, 0),
    ("idle worker, MB PSS", lambda v: v.idle.pss, 0),
]


def _counted(faults: Iterable[str]) -> list[tuple[str, Value]]:
    lines: list[tuple[str, Value]] = [("lines that came to somebody with captions off", lambda v: v.unasked)]
    stretches: dict[str, Callable[[CaptionVisit], Read]] = {"in talk": lambda v: v.talk}
    stretches |= {f"after {fault}": lambda v, fault=fault: v.faults[fault] for fault in faults}  # type: ignore[misc]
    for name, read in stretches.items():
        lines += [
            (f"words {name}", lambda v, read=read: read(v).spoken),  # type: ignore[misc]
            ("… lost", lambda v, read=read: read(v).lost),  # type: ignore[misc]
            ("… doubled", lambda v, read=read: read(v).doubled),  # type: ignore[misc]
            ("… taken back", lambda v, read=read: read(v).taken_back),  # type: ignore[misc]
        ]
    return lines


def summary(visits: Sequence[CaptionVisit]) -> Table:
    """Parley beside the stock way: medians and sums over the runs that count, all if there is no such run."""
    head = ("speak", "", "Parley", "stock", "Parley ÷ stock")
    rows: list[tuple[str, ...]] = []
    for size in sorted({v.size for v in visits}):
        ours, theirs = (_kept(v for v in visits if (v.kind, v.size) == (kind, size)) for kind in KINDS)
        faults = list(dict.fromkeys(fault for v in visits for fault in v.faults))
        for name, value, digits in _MEASURED:
            a, b = _median(ours, value), _median(theirs, value)
            rows.append((str(size), name, shown(a, digits), shown(b, digits), ratio(a, b)))
        for name, value in _counted(faults):
            a, b = (sum(value(v) or 0 for v in kept) for kept in (ours, theirs))
            rows.append((str(size), name, shown(a, 0), shown(b, 0), "–"))
    return Table("Captions, side by side", head, rows)


def runs(visits: Sequence[CaptionVisit]) -> Table:
    """Every run by itself, with what ran beside the worker."""
    head = ("worker", "speak", "job %", "worker %", "clients %", "server %", "API %", "others %")
    more = ("interim p50", "p95 ms", "final p50", "lost", "taken back", "")
    rows: list[tuple[str, ...]] = []
    for v in visits:
        w = v.speaking
        times = (percentile(v.talk.interim_s, 0.5), percentile(v.talk.interim_s, 0.95))
        reads = (v.talk, *v.faults.values())
        rows.append(
            (
                *(v.kind, str(v.size)),
                *(shown(c) for c in (w.job, w.worker, w.clients, w.server, w.simulator, w.others)),
                *(
                    shown(None if t is None else 1000 * t, 0)
                    for t in (*times, percentile(v.talk.final_s, 0.5))
                ),
                " + ".join(str(read.lost) for read in reads),
                " + ".join(str(read.taken_back) for read in reads),
                "; ".join(_remarks(v)),
            )
        )
    return Table("Runs", head + more, rows)


def _remarks(visit: CaptionVisit) -> list[str]:
    remarks = []
    if visit.stalled_s:
        remarks.append(f"starved {visit.stalled_s:.2f} s: proves nothing")
    if visit.tracebacks:
        remarks.append(f"{visit.tracebacks} tracebacks in its log")
    if visit.refused:
        kinds = sorted(set(visit.refused))
        remarks.append(f"the API refused {len(visit.refused)}: {', '.join(kinds)}")
    if visit.talk.misnamed:
        remarks.append(f"{visit.talk.misnamed} lines in another name than the speaker's")
    return remarks


def _kept(visits: Iterable[CaptionVisit]) -> list[CaptionVisit]:
    """The runs that count: those in which no microphone starved, all if there is no such run."""
    found = list(visits)
    return [v for v in found if not v.stalled_s] or found


def _median(visits: Sequence[CaptionVisit], value: Value) -> Number:
    values = [number for v in visits if (number := value(v)) is not None]
    return median(values) if values else None


def main() -> int:
    """Measures, prints, writes."""
    args = arguments()
    with log_directory(args.logs) as logs:
        visits, failed = asyncio.run(measure(args, logs))
    measured = {"visits": [v.as_json() for v in visits]}
    tell((summary(visits), runs(visits)), markdown=args.markdown, path=args.json, measured=measured)
    if failed:
        say(f"{failed} visits failed or found nothing")
    return 1 if failed or not visits else 0


if __name__ == "__main__":
    sys.exit(main())
