"""How many microphones one process keeps up with, on in-process tracks: no server, no network, no codec.

    python tests/bench/capacity.py --sizes 30,60,100 --speaking 5 --seconds 10

A stand-in microphone is AudioSource (48 kHz) → LocalAudioTrack: its streams deliver true 10 ms native frames.
What the stand-ins cost by themselves is the row `base`. Everybody is subscribed, `--speaking` of them speak
all the time, each translated into two languages by sessions with the simulator on the loopback interface.

    parley       demultiplexer at 100 ms → VAD → gate → bridges → plugin → playout → source
    stock-50ms   AudioStream as RoomIO opens it (24 kHz, 50 ms); those who speak → TranslationModel → source
    stock-10ms   the same with AudioStream at its own defaults (48 kHz, 10 ms)

The stock rows are spared what the stock way costs on top: sessions for those who are silent, gain control.
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

MODES = ("base", "parley", "stock-50ms", "stock-10ms")
_CHILD_S = 120.0


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default="30,60,100", help="subscribed microphones")
    parser.add_argument("--speaking", type=int, default=5, help="of them that speak (%(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement (%(default)s)")
    parser.add_argument("--modes", default=",".join(MODES), help="which (%(default)s)")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    parser.add_argument("--markdown", action="store_true", help="a table for the README")
    return parser.parse_args()


@dataclass(frozen=True, kw_only=True)
class Found:
    """What `stand_in.py` says of one measurement."""

    mode: str
    size: int
    cpu: float
    """Of the process, in % of one core."""
    others: float
    """Of everything else on the machine."""
    delivered: float | None
    """Of the microphones' audio, in %."""
    translated: float | None
    """Seconds of audio that came back and were played."""
    lag_p99: float
    """By how much a timer was late, ms."""
    lag_most: float
    blocked: int
    """Times it was late by more than 50 ms."""


async def measure(mode: str, size: int, speaking: int, seconds: float) -> Found:
    """One mode in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as directory:
        async with simulated_api(Path(directory)) as simulator:
            numbers = [str(size), str(speaking), str(seconds)]
            argv = [sys.executable, str(HERE / "stand_in.py"), mode, *numbers, simulator.base_url]
            async with (
                asyncio.timeout(_CHILD_S + seconds),
                child_process(argv, stdout=asyncio.subprocess.PIPE) as process,
            ):
                output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{mode} with {size} microphones ended with status {process.returncode}")
    return Found(mode=mode, size=size, **json.loads(output.splitlines()[-1]))


async def measure_all(args: argparse.Namespace) -> list[Found]:
    """All modes in turn for each size."""
    results: list[Found] = []
    for size in map(int, args.sizes.split(",")):
        for mode in args.modes.split(","):
            found = await measure(mode, size, args.speaking, args.seconds)
            print(found, file=sys.stderr, flush=True)
            results.append(found)
    return results


def table(results: list[Found], speaking: int) -> Table:
    """What each mode used and how well it kept up."""
    head = ("subscribed / speaking", "", "CPU %", "less base %", "others %", "frames delivered %")
    more = ("translated s", "loop late p99 ms", "most ms", "> 50 ms")
    base = {r.size: r.cpu for r in results if r.mode == "base"}
    rows = [
        (
            f"{r.size} / {speaking}",
            r.mode,
            shown(r.cpu),
            shown(r.cpu - base[r.size] if r.size in base and r.mode != "base" else None),
            shown(r.others, 0),
            shown(r.delivered),
            shown(r.translated, 0),
            shown(r.lag_p99),
            shown(r.lag_most, 0),
            str(r.blocked),
        )
        for r in results
    ]
    return Table("One process, in-process tracks", head + more, rows)


def main() -> int:
    """Measures, prints, writes."""
    args = arguments()
    results = asyncio.run(measure_all(args))
    command = f"python tests/bench/capacity.py {' '.join(sys.argv[1:])}".strip()
    print(f"{machine()}\n{date.today()}: `{command}`\n")
    found = table(results, args.speaking)
    print(found.markdown() if args.markdown else found)
    if args.json is not None:
        args.json.write_text(
            json.dumps({"command": command, "machine": machine(), "results": [asdict(r) for r in results]})
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
