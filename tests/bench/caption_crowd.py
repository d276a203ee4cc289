"""How many captioned speakers one process keeps up with, on in-process tracks: no server, codec or reader.

    python tests/bench/caption_crowd.py --sizes 10,50 --seconds 20

A stand-in microphone is AudioSource (48 kHz) → LocalAudioTrack. What the stand-ins cost by themselves is the
row `base`. Everybody says five words in four seconds, for ever, to sessions with the simulator on the
loopback interface, which recognises them.

    parley   native streams at 50 ms → VAD → gate → captions bridge → plugin → lines
    stock    AudioStream as RoomIO opens it → `openai.STT` with the VAD that it makes itself → lines

The stock row is spared what the stock way costs on top: an `AgentSession` for each speaker, text to the room.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from processes import machine
from report import Table, shown
from workers import HERE, simulated_api

from parley.demo.child import child_process

MODES = ("base", "parley", "stock")
_CHILD_S = 120.0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default="10,50", help="people who speak (%(default)s)")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each measurement (%(default)s)")
    parser.add_argument("--modes", default=",".join(MODES), help="which (%(default)s)")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    parser.add_argument("--markdown", action="store_true", help="a table for the README")
    return parser.parse_args()


@dataclass(frozen=True, kw_only=True)
class Found:
    """What `caption_stand_in.py` says of one measurement."""

    mode: str
    size: int
    cpu: float
    """Of the process, in % of one core."""
    others: float
    """Of everything else on the machine, the simulator included."""
    delivered: float | None
    """Of the microphones' audio, in %."""
    due: float
    """Words that were said, about."""
    words: int
    """Words of final lines."""
    lost: int
    wrong: int
    """Doubled, or never said."""
    lag_p99: float
    """By how much a timer was late, ms."""
    lag_most: float
    blocked: int
    """Times it was late by more than 50 ms."""


async def measure(mode: str, size: int, seconds: float) -> Found:
    """One mode in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as directory:
        api = simulated_api(Path(directory), "caption_api.py", BENCH_VOICES="1", OPENBLAS_NUM_THREADS="1")
        async with api as simulator:
            argv = [sys.executable, str(HERE / "caption_stand_in.py"), mode, str(size), str(seconds)]
            async with (
                asyncio.timeout(_CHILD_S + seconds),
                child_process([*argv, simulator.base_url], stdout=asyncio.subprocess.PIPE) as process,
            ):
                output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{mode} with {size} speakers ended with status {process.returncode}")
    return Found(mode=mode, size=size, **json.loads(output.splitlines()[-1]))


async def measure_all(args: argparse.Namespace) -> list[Found]:
    """All modes in turn for each size."""
    results: list[Found] = []
    for size in map(int, args.sizes.split(",")):
        for mode in args.modes.split(","):
            found = await measure(mode, size, args.seconds)
            print(found, file=sys.stderr, flush=True)
            results.append(found)
    return results


def table(results: list[Found]) -> Table:
    """What each mode used and how well it kept up."""
    head = ("speak", "", "CPU %", "per speaker, less base %", "others %", "frames delivered %")
    more = ("words due", "written", "lost", "wrong", "loop late p99 ms", "most ms", "> 50 ms")
    base = {r.size: r.cpu for r in results if r.mode == "base"}
    rows = [
        (
            str(r.size),
            r.mode,
            shown(r.cpu),
            shown((r.cpu - base[r.size]) / r.size if r.size in base and r.mode != "base" else None, 2),
            shown(r.others, 0),
            shown(r.delivered),
            *(shown(n if r.mode != "base" else None, 0) for n in (r.due, r.words, r.lost, r.wrong)),
            shown(r.lag_p99),
            shown(r.lag_most, 0),
            str(r.blocked),
        )
        for r in results
    ]
    return Table("One process, in-process tracks, everybody captioned", head + more, rows)


def main() -> int:
    """Measures, prints, writes."""
    args = arguments()
    results = asyncio.run(measure_all(args))
    command = f"python tests/bench/caption_crowd.py {' '.join(sys.argv[1:])}".strip()
    print(f"{machine()}\n{date.today()}: `{command}`\n")
    found = table(results)
    print(found.markdown() if args.markdown else found)
    if args.json is not None:
        args.json.write_text(
            json.dumps({"command": command, "machine": machine(), "results": [asdict(r) for r in results]})
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
