"""Parley beside the stock way, on the real livekit-server: CPU, memory, audio sent, words, latency.

    python tests/bench/rooms.py --sizes 2,6,10 --seconds 60 --repeat 3 --markdown

Workers take turns (parley, stock, floor, parley, …), one at a time, in rooms of the same people. Of each
size there is a stretch in which nobody speaks and one in which half of them do. Trust ratios inside one run.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import asdict
from pathlib import Path

import report
from result import log_directory, say, tell
from visit import Footprint, Visit, footprint, visit
from workers import KINDS

from parley.demo.livekit_server import livekit_server


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default="2,6,10", help="people in the room, half of whom speak")
    parser.add_argument("--seconds", type=float, default=60.0, help="of the stretch in which half speak")
    parser.add_argument("--silent-seconds", type=float, help="of the other one (half of that)")
    parser.add_argument("--repeat", type=int, default=1, help="runs of each; medians are shown")
    parser.add_argument("--workers", default=",".join(KINDS), help="which (%(default)s)")
    parser.add_argument("--no-captions", action="store_true", help="stock always writes; Parley if asked to")
    parser.add_argument("--no-memory", action="store_true", help="leave out the memory of idle rooms")
    parser.add_argument("--threads", action="store_true", help="show the CPU by thread")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    parser.add_argument("--logs", type=Path, help="keep the workers' logs in this directory")
    parser.add_argument("--markdown", action="store_true", help="tables for the README")
    return parser.parse_args()


async def measure(args: argparse.Namespace, logs: Path) -> tuple[list[Visit], list[Footprint]]:
    """All visits, in turn."""
    kinds = args.workers.split(",")
    silent_s = args.seconds / 2 if args.silent_seconds is None else args.silent_seconds
    visits: list[Visit] = []
    found: list[Footprint] = []
    async with livekit_server(report=say) as server:
        if not args.no_memory:
            for kind in kinds:
                say(f"{kind}: memory")
                found.append(await footprint(kind, server, logs=logs))
        for repetition in range(args.repeat):
            for size in map(int, args.sizes.split(",")):
                for kind in kinds:
                    say(f"{kind}: {size} people, run {repetition + 1} of {args.repeat}")
                    result = await visit(
                        kind,
                        server,
                        size,
                        seconds=args.seconds,
                        silent_s=silent_s,
                        captions=not args.no_captions,
                        logs=logs,
                    )
                    visits.append(result)
                    say(str(report.runs([result])))
    return visits, found


def main() -> int:
    """Measures, prints, writes."""
    args = arguments()
    with log_directory(args.logs) as logs:
        visits, found = asyncio.run(measure(args, logs))
    tables = [report.summary(visits), report.runs(visits)]
    if found:
        tables.insert(1, report.footprints(found))
    if args.threads:
        tables.append(report.threads(visits))
    measured = {"visits": [v.as_json() for v in visits], "memory": [asdict(f) for f in found]}
    tell(tables, markdown=args.markdown, path=args.json, measured=measured)
    return 0


if __name__ == "__main__":
    sys.exit(main())
