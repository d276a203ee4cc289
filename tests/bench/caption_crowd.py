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

import asyncio
import sys
from dataclasses import dataclass
from functools import partial

from in_process import Found, as_json, base_of, in_child, in_turn, parser_of
from report import Table, shown
from result import tell

MODES = ("base", "parley", "stock")


@dataclass(frozen=True, kw_only=True)
class Crowd(Found):
    """What `caption_stand_in.py` says of one measurement."""

    due: float
    """Words that were said, about."""
    words: int
    """Words of final lines."""
    lost: int
    wrong: int
    """Doubled, or never said."""


async def measure(mode: str, size: int, *, seconds: float) -> Crowd:
    """One mode in a process of its own."""
    env = {"BENCH_VOICES": "1", "OPENBLAS_NUM_THREADS": "1"}
    said = await in_child("caption_stand_in.py", mode, size, seconds, api="caption_api.py", **env)
    return Crowd(mode=mode, size=size, **said)  # type: ignore[arg-type]


def table(results: list[Crowd]) -> Table:
    """What each mode used and how well it kept up."""
    head = ("speak", "", "CPU %", "per speaker, less base %", "others %", "frames delivered %")
    more = ("words due", "written", "lost", "wrong", "loop late p99 ms", "most ms", "> 50 ms")
    base = base_of(results)
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
    args = parser_of(__doc__, "10,50", "people who speak", 20.0, MODES).parse_args()
    results = asyncio.run(in_turn(args, partial(measure, seconds=args.seconds)))
    tell([table(results)], markdown=args.markdown, path=args.json, measured=as_json(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
