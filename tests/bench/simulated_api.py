"""The simulator in a process of its own, which keeps what was sent to it and when it answered.

Run by `rooms.py`: `python simulated_api.py DIRECTORY`. Says its base URL in one line; at SIGTERM it writes
`sessions.json` and the audio of each session (`<id>.pcm`, mono PCM16 at 24 kHz) into the directory.
Times are the monotonic clock, which all processes of a machine share.
"""

import asyncio
import base64
import json
import signal
import sys
from pathlib import Path
from typing import Any

from parley.simulator import Simulator, SimulatorOptions
from parley.simulator.translation import TranslationSession
from parley.simulator.wire import Event

_APPEND = "session.input_audio_buffer.append"
_DELTA = "session.output_audio.delta"


class _Kept:
    """One session: its audio in, and the times of both directions."""

    def __init__(self) -> None:
        self.pcm = bytearray()
        self.appends: list[tuple[float, int]] = []
        self.deltas: list[tuple[float, int]] = []


def _keep(kept: dict[str, _Kept]) -> None:
    """Makes every session of this process keep what passes through it."""
    receive, tick = TranslationSession.receive, TranslationSession.tick

    def receive_and_keep(self: TranslationSession, event: Event, now: float) -> list[Event]:
        if event.get("type") == _APPEND:
            pcm = base64.b64decode(event["audio"])
            session = kept.setdefault(self.record.id, _Kept())
            session.pcm += pcm
            session.appends.append((now, len(pcm) // 2))
        return receive(self, event, now)

    def tick_and_keep(self: TranslationSession, now: float) -> list[Event]:
        events = tick(self, now)
        deltas = [(now, event["elapsed_ms"]) for event in events if event["type"] == _DELTA]
        if deltas:
            kept.setdefault(self.record.id, _Kept()).deltas += deltas
        return events

    TranslationSession.receive = receive_and_keep  # type: ignore[method-assign]
    TranslationSession.tick = tick_and_keep  # type: ignore[method-assign]


async def main(directory: Path) -> None:
    """Serves until SIGTERM, then writes what was kept."""
    kept: dict[str, _Kept] = {}
    _keep(kept)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with Simulator(SimulatorOptions(records_kept=10_000)) as simulator:
        print(simulator.base_url, flush=True)
        await ended.wait()
        records = simulator.sessions
    sessions: list[dict[str, Any]] = []
    for record in records:
        session = kept.get(record.id)
        if session is not None:
            (directory / f"{record.id}.pcm").write_bytes(session.pcm)
            sessions.append(
                {
                    "id": record.id,
                    "language": record.language,
                    "appends": session.appends,
                    "deltas": session.deltas,
                    "refused": record.refused,
                }
            )
    (directory / "sessions.json").write_text(json.dumps(sessions))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
