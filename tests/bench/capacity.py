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

import asyncio
import sys
from dataclasses import dataclass
from functools import partial

from in_process import Found, as_json, base_of, in_child, in_turn, parser_of
from report import Table, shown
from result import tell

MODES = ("base", "parley", "stock-50ms", "stock-10ms")


@dataclass(frozen=True, kw_only=True)
class Capacity(Found):
    """What `stand_in.py` says of one measurement."""

    translated: float | None
    """Seconds of audio that came back and were played."""


async def measure(mode: str, size: int, *, speaking: int, seconds: float) -> Capacity:
    """One mode in a process of its own."""
    said = await in_child("stand_in.py", mode, size, speaking, seconds)
    return Capacity(mode=mode, size=size, **said)  # type: ignore[arg-type]


def table(results: list[Capacity], speaking: int) -> Table:
    """What each mode used and how well it kept up."""
    head = ("subscribed / speaking", "", "CPU %", "less base %", "others %", "frames delivered %")
    more = ("translated s", "loop late p99 ms", "most ms", "> 50 ms")
    base = base_of(results)
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
    parser = parser_of(__doc__, "30,60,100", "subscribed microphones", 10.0, MODES)
    parser.add_argument("--speaking", type=int, default=5, help="of them that speak (%(default)s)")
    args = parser.parse_args()
    one = partial(measure, speaking=args.speaking, seconds=args.seconds)
    results = asyncio.run(in_turn(args, one))
    tables = [table(results, args.speaking)]
    tell(tables, markdown=args.markdown, path=args.json, measured=as_json(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
