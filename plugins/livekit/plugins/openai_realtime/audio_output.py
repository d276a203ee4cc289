"""What the model has said and nobody has played yet."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from livekit import rtc


class OutputAudio:
    """A bounded queue of frames with one reader; when it is full the oldest frame is dropped.

    It must not hold back the writer: the socket's reader answers pings, and the API delivers a tail several
    times faster than it is played.

    Attributes:
        dropped_s: seconds of audio dropped so far.
    """

    def __init__(self, max_s: float) -> None:
        self.dropped_s = 0.0
        self._max_s = max_s
        self._frames: deque[rtc.AudioFrame] = deque()
        self._buffered_s = 0.0
        self._closed = False
        self._changed = asyncio.Event()
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def buffered_s(self) -> float:
        """Seconds of audio waiting."""
        return self._buffered_s

    def push(self, frame: rtc.AudioFrame) -> bool:
        """Take one frame; returns whether older audio was dropped. Ignored after `close`."""
        if self._closed:
            return False
        self._frames.append(frame)
        self._buffered_s += frame.duration
        dropped = False
        while self._buffered_s > self._max_s and len(self._frames) > 1:
            self.dropped_s += self._take().duration
            dropped = True
        self._empty.clear()
        self._changed.set()
        return dropped

    def clear(self) -> None:
        """Drop all that waits."""
        while self._frames:
            self._take()

    def close(self) -> None:
        """End the iteration once what waits has been read."""
        self._closed = True
        self._changed.set()

    async def wait_empty(self) -> None:
        """Wait until everything has been read. Cancelled: nothing changes."""
        await self._empty.wait()

    def __aiter__(self) -> AsyncIterator[rtc.AudioFrame]:
        return self

    async def __anext__(self) -> rtc.AudioFrame:
        """The oldest frame. Cancelled: nothing is lost."""
        while not self._frames:
            if self._closed:
                raise StopAsyncIteration
            self._changed.clear()
            await self._changed.wait()
        return self._take()

    def _take(self) -> rtc.AudioFrame:
        frame = self._frames.popleft()
        self._buffered_s -= frame.duration
        if not self._frames:
            self._buffered_s = 0.0
            self._empty.set()
        return frame
