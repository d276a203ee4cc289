"""Voice agents beside participants, Parley and the stock way, on the real livekit-server.

    python tests/bench/agents.py --sizes 1,3,6,10 --seconds 30 --interruptions 6 --repeat 3 --markdown
    python tests/bench/agents.py --one-core

The stock way is one `AgentSession` with `RoomIO` for each participant, in one job. Workers take turns, one at
a time, in rooms of the same people, against the same simulated API (server VAD, 500 ms of silence). In each
visit everybody talks over the first words of an agent of their own, then asks and gets answers, then
interrupts long answers, with the API near and at 150 ms. Replies are noise without a gap, so what is missing
at the ear is heard. Trust ratios inside one run. Exits with 1 where a visit failed or found nothing.

`--one-core`: the worker gets one core to itself, everybody else the others; ten people talk for a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median

from agent_visit import AgentVisit, Plan, visit
from agent_workers import KINDS
from report import Number, Table, percentile, ratio, shown
from result import log_directory, say, tell

from parley.demo.livekit_server import livekit_server

_ONE_CORE_SIZE = 10
_ONE_CORE_S = 60.0
_VISIT_S = 300.0
Value = Callable[[AgentVisit], Number]


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default="1,3,6,10", help="people, each with an agent (%(default)s)")
    parser.add_argument("--seconds", type=float, default=30.0, help="of asking and answering (%(default)s)")
    parser.add_argument(
        "--interruptions", type=int, default=6, help="of each person at each distance (%(default)s)"
    )
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; medians are shown")
    parser.add_argument("--workers", default=",".join(KINDS), help="which (%(default)s)")
    parser.add_argument("--one-core", action="store_true", help="ten people for 60 s, the worker on one core")
    parser.add_argument("--stalls", action="store_true", help="count stalls of the loops, for more CPU")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    parser.add_argument("--logs", type=Path, help="keep the workers' logs in this directory")
    parser.add_argument("--markdown", action="store_true", help="tables for the README")
    return parser.parse_args()


async def measure(args: argparse.Namespace, logs: Path) -> tuple[list[AgentVisit], int]:
    """All visits, in turn, and how many of them failed."""
    sizes = [int(size) for size in args.sizes.split(",")]
    plan = Plan(args.seconds, args.interruptions, watched=args.stalls)
    if args.one_core:
        sizes, plan = [_ONE_CORE_SIZE], Plan(_ONE_CORE_S, 0, core=_leave_a_core(), watched=args.stalls)
    visits: list[AgentVisit] = []
    failed = 0
    async with livekit_server(report=say) as server:
        for repetition in range(args.repeat):
            for size in sizes:
                for kind in args.workers.split(","):
                    say(f"{kind}: {size} people, run {repetition + 1} of {args.repeat}")
                    try:
                        async with asyncio.timeout(_VISIT_S + 2 * plan.seconds + 40 * plan.interruptions):
                            result = await visit(kind, server, size, plan, logs)
                    except Exception:  # noqa: BLE001 - the other visits go on
                        traceback.print_exc()
                        failed += 1
                        continue
                    failed += not result.found.answered
                    visits.append(result)
                    say(str(runs([result])))
    return visits, failed


def _leave_a_core() -> int:
    """Takes this process, and all that it starts, off one core; returns which."""
    first, *others = sorted(os.sched_getaffinity(0))
    if others:
        os.sched_setaffinity(0, others)
    return first


def _far(visit: AgentVisit, name: str) -> Sequence[float]:
    found: Sequence[float] = visit.found.barge_in_s.get(name, ())
    return found


def _ms(values: Callable[[AgentVisit], Sequence[float]], share: float) -> Value:
    def value(visit: AgentVisit) -> Number:
        found = percentile(values(visit), share)
        return None if found is None else 1000 * found

    return value


def _per_minute(visit: AgentVisit, seconds: float) -> Number:
    return 1000 * 60 * seconds / visit.found.replies_s if visit.found.replies_s else None


def _lines(round_trips: Iterable[str]) -> list[tuple[str, Value, int]]:
    lines: list[tuple[str, Value, int]] = [
        ("speech end → voice, p50, ms", _ms(lambda v: v.found.answer_s, 0.5), 0),
        ("speech end → voice, p95, ms", _ms(lambda v: v.found.answer_s, 0.95), 0),
        ("… speech end → turn over at the API, less 500 ms, p50", _ms(lambda v: v.found.in_s, 0.5), 0),
        ("… first audio sent → ear, p50", _ms(lambda v: v.found.out_s, 0.5), 0),
        ("… API at 150 ms, p50, ms", _ms(lambda v: v.found.answer_far_s, 0.5), 0),
        ("asked", lambda v: v.found.asked, 0),
        ("not answered", lambda v: v.found.asked - v.found.answered, 0),
    ]
    for name in round_trips:
        for share, label in ((0.5, "p50"), (0.95, "p95"), (1.0, "worst")):
            values = _ms(lambda v, name=name: _far(v, name), share)  # type: ignore[misc]
            lines.append((f"barge-in → silence, API at {name} ms, {label}, ms", values, 0))
    return [
        *lines,
        ("interruptions not obeyed", lambda v: v.found.not_interrupted, 0),
        ("truncated − heard, median, ms", _ms(lambda v: v.found.truncation_s, 0.5), 0),
        (
            "truncated − heard, absolute, p95, ms",
            _ms(lambda v: [abs(s) for s in v.found.truncation_s], 0.95),
            0,
        ),
        ("truncated, and nothing of it found at the ear", lambda v: v.found.not_found, 0),
        ("cut, but the API not told", lambda v: v.found.not_truncated, 0),
        ("words over the first 3 s of the agent", lambda v: v.found.early_words or None, 0),
        ("… that never came to the API", lambda v: v.found.early_words_lost, 0),
        ("interruptions in these 3 s", lambda v: v.found.early_interruptions or None, 0),
        ("… not obeyed", lambda v: v.found.early_interruptions_lost, 0),
        ("… first sample → silence, p50, ms", _ms(lambda v: v.found.early_stop_s, 0.5), 0),
        ("CPU per participant, job process, % of a core", lambda v: v.job / v.size, 2),
        ("CPU per participant, whole worker, % of a core", lambda v: v.worker / v.size, 2),
        ("idle worker PSS, MB", lambda v: v.idle.pss, 0),
        ("idle worker, processes", lambda v: v.idle.processes, 0),
        ("holes in replies, a minute", lambda v: _per_minute(v, len(v.found.holes_s) / 1000), 1),
        ("… ms a minute", lambda v: _per_minute(v, sum(v.found.holes_s)), 0),
        ("replies sent and not heard, ms a minute", lambda v: _per_minute(v, v.found.missing_s), 0),
        ("event loop stood still ≥ 50 ms, times", lambda v: v.blocked and v.blocked[0], 0),
        ("… with its own thread at work", lambda v: v.blocked and v.blocked[1], 0),
    ]


_COUNTED = ("asked", "not ", "words", "… that", "interruptions", "… not", "cut,", "processes", "truncated")
"""Lines without a ratio."""


def summary(visits: Sequence[AgentVisit]) -> Table:
    """Parley beside the stock way: medians over the runs that count, all if there is no such run."""
    head = ("people", "", "Parley", "stock", "Parley ÷ stock")
    round_trips = sorted({name for v in visits for name in v.found.barge_in_s}, key=int)
    rows: list[tuple[str, ...]] = []
    for size in sorted({v.size for v in visits}):
        label = str(size)
        for name, value, digits in _lines(round_trips):
            ours, theirs = (
                _median((v for v in visits if (v.kind, v.size) == (kind, size)), value) for kind in KINDS
            )
            if ours is None and theirs is None:
                continue
            counted = any(part in name for part in _COUNTED)
            compared = "–" if counted else ratio(ours, theirs)
            rows.append((label, name, shown(ours, digits), shown(theirs, digits), compared))
            label = ""
    return Table("Voice agents, side by side", head, rows)


def runs(visits: Sequence[AgentVisit]) -> Table:
    """Every run by itself, with what ran beside the worker."""
    head = ("worker", "people", "job %", "worker %", "clients %", "server %", "API %", "others %")
    more = ("answered", "voice p50 ms", "barge-in p50 ms", "")
    rows: list[tuple[str, ...]] = []
    for v in visits:
        cells = (v.job, v.worker, v.clients, v.server, v.simulator, v.others)
        barge_in = [s for values in v.found.barge_in_s.values() for s in values]
        times = (percentile(v.found.answer_s, 0.5), percentile(barge_in, 0.5))
        rows.append(
            (
                *(v.kind, str(v.size), *(shown(c) for c in cells)),
                f"{v.found.answered}/{v.found.asked}",
                *(shown(None if t is None else 1000 * t, 0) for t in times),
                "; ".join(_remarks(v)),
            )
        )
    return Table("Runs", head + more, rows)


def _remarks(visit: AgentVisit) -> list[str]:
    remarks = []
    if visit.found.spoilt:
        starved = f"microphones ran dry for {visit.stalled_s:.1f} s, {visit.found.spoilt} utterances left out"
        remarks.append(starved + (": proves nothing" if visit.starved else ""))
    if visit.foreign is not None:
        remarks.append(f"others used {visit.foreign:.0f} % of the worker's core")
    if visit.tracebacks:
        remarks.append(f"{visit.tracebacks} tracebacks in its log")
    if visit.found.refused:
        kinds = sorted(set(visit.found.refused))
        remarks.append(f"the API refused {len(visit.found.refused)}: {', '.join(kinds)}")
    return remarks


def _median(visits: Iterable[AgentVisit], value: Value) -> Number:
    kept = list(visits)
    kept = [v for v in kept if not v.starved] or kept
    values = [number for v in kept if (number := value(v)) is not None]
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
