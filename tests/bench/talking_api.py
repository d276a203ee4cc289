"""The simulator's conversations in a process of its own, at a distance, with replies of unbroken noise.

Run by `agents.py`: `python talking_api.py DIRECTORY`. Says its base URL in one line. Lines of JSON on the
socket `control` in the directory set `reply_s` (the length of replies) and `round_trip_s` (the distance).
At SIGTERM it writes `sessions.json` and what it heard first of each session (`<id>.pcm`, PCM16, 24 kHz).
Times are the monotonic clock, which all processes of a machine share.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import signal
import sys
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path

from distance import Distance

from parley.demo.audio import noise
from parley.demo.speech import SAMPLE_RATE_HZ
from parley.simulator import Context, Simulator, SimulatorOptions, Turn
from parley.simulator.conversation import ConversationSession
from parley.simulator.wire import Event

GREETING_S = 8.0
_KEPT_BYTES = 2 * SAMPLE_RATE_HZ * 45
_WORDS_PER_S = 2.5


_noise = lru_cache(maxsize=8)(noise)


class Replies:
    """What the simulated agents say: a greeting where nothing was heard yet, else noise of `reply_s`."""

    def __init__(self) -> None:
        self.reply_s = 2.5
        self._count = 0

    def __call__(self, context: Context) -> Turn:
        self._count += 1
        answers = any(line.role == "user" for line in context.lines)
        seconds = self.reply_s if answers else GREETING_S
        words = (f"r{self._count}w{i}" for i in range(max(1, round(seconds * _WORDS_PER_S))))
        return Turn(say=" ".join(words), say_audio=_noise(seconds, SAMPLE_RATE_HZ))


def _keep(kept: dict[str, bytearray]) -> None:
    """Makes every conversation of this process keep the first audio that it hears."""
    receive = ConversationSession.receive

    def receive_and_keep(self: ConversationSession, event: Event, now: float) -> list[Event]:
        if event.get("type") == "input_audio_buffer.append":
            heard = kept.setdefault(self.record.id, bytearray())
            if len(heard) < _KEPT_BYTES:
                heard += base64.b64decode(event["audio"])
        return receive(self, event, now)

    ConversationSession.receive = receive_and_keep  # type: ignore[method-assign]


async def main(directory: Path) -> None:
    """Serves until SIGTERM, then writes what was kept."""
    kept: dict[str, bytearray] = {}
    _keep(kept)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    replies = Replies()
    # What clients that are in use send: the stock model's nulls are refused by the published schema.
    options = SimulatorOptions(script=replies, records_kept=1000, nulls="tolerated")
    async with Simulator(options) as simulator:
        found = re.search(r":(\d+)", simulator.base_url)
        assert found is not None
        distance = Distance(int(found[1]))

        async def control(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            told = json.loads(await reader.readline())
            replies.reply_s = told.get("reply_s", replies.reply_s)
            distance.round_trip_s = told.get("round_trip_s", distance.round_trip_s)
            writer.write(b"ok\n")
            await writer.drain()
            writer.close()

        async with distance.open() as port, await asyncio.start_unix_server(control, directory / "control"):
            print(simulator.base_url.replace(found[0], f":{port}", 1), flush=True)
            await ended.wait()
        records = simulator.sessions
    sessions = []
    for record in records:
        (directory / f"{record.id}.pcm").write_bytes(kept.get(record.id, b""))
        sessions.append(
            {
                "id": record.id,
                "instructions": str(record.settings.get("instructions")),
                "opened_at": record.opened_at,
                "refused": record.refused,
                "items": [asdict(item) for item in record.items],
                "responses": [asdict(response) for response in record.responses],
            }
        )
    (directory / "sessions.json").write_text(json.dumps(sessions))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
