"""What an agent hears: the frames of the room's one capture of a microphone, as LiveKit's audio input."""

import asyncio
from collections import deque

from livekit.agents.voice import io

from livekit import rtc
from parley.core.framing import RATE_HZ, seconds

MOST_S = 30.0
"""Audio that may wait while the session starts; beyond it the oldest is dropped and counted."""


class Ears(io.AudioInput):
    """PCM16 mono 24 kHz, pushed on the loop, taken by the AgentSession."""

    def __init__(self) -> None:
        super().__init__(label="parley microphone")
        self._frames: deque[bytes] = deque()
        self._waiting_s = 0.0
        self._arrived = asyncio.Event()
        self._closed = False
        self._dropped_s = 0.0

    @property
    def waiting_s(self) -> float:
        """Seconds that were not taken yet."""
        return self._waiting_s

    def take_dropped_s(self) -> float:
        """Seconds dropped since this was last asked, because nobody took them."""
        dropped_s, self._dropped_s = self._dropped_s, 0.0
        return dropped_s

    def push(self, pcm: bytes) -> None:
        """One frame from the microphone; never blocks."""
        if self._closed:
            return
        self._frames.append(pcm)
        self._waiting_s += seconds(len(pcm))
        while self._waiting_s > MOST_S:
            lost = seconds(len(self._frames.popleft()))
            self._waiting_s -= lost
            self._dropped_s += lost
        self._arrived.set()

    def close(self) -> None:
        """The microphone is gone: what waits is still taken."""
        self._closed = True
        self._arrived.set()

    async def __anext__(self) -> rtc.AudioFrame:
        """The next frame; ends when closed and empty."""
        while not self._frames:
            if self._closed:
                raise StopAsyncIteration
            self._arrived.clear()
            await self._arrived.wait()
        pcm = self._frames.popleft()
        self._waiting_s = max(0.0, self._waiting_s - seconds(len(pcm)))
        return rtc.AudioFrame(pcm, RATE_HZ, 1, len(pcm) // 2)
