"""A microphone that runs by the wall clock: a faint noise all the time, and what is given to it to say, in
its time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

import numpy as np

from livekit import rtc

from .audio import Pcm, amplitude, to_pcm
from .speech import FLOOR_DBFS, SAMPLE_RATE_HZ

_FRAME = SAMPLE_RATE_HZ // 20
_AHEAD_S = 0.2
_QUEUE_MS = 400


@dataclass(frozen=True)
class Stall:
    """The microphone ran dry: when (monotonic, s), and for how long (s); what follows is later by that."""

    at_s: float
    lost_s: float


class Microphone:
    """Feeds a track 200 ms ahead of the clock. A run in which `stalls` is not empty proves nothing about
    others.

    All times are of `time.monotonic()`, in seconds.
    """

    def __init__(self) -> None:
        self.source = rtc.AudioSource(SAMPLE_RATE_HZ, 1, queue_size_ms=_QUEUE_MS)
        self.stalls: list[Stall] = []
        self._noise = np.random.default_rng(1)
        self._begun_s = time.monotonic()
        self._fed = 0
        self._pieces: list[tuple[int, Pcm]] = []
        self._quiet = asyncio.Event()
        self._quiet.set()

    def say(self, pcm: Pcm, at_s: float | None = None) -> float:
        """Put `int16[n]`, mono at 24 kHz, on the track; returns when its first sample is spoken.

        `at_s`: the moment it should be, None or the past for as soon as possible (200 ms from now, after
        what was said before). Pieces that overlap are mixed.
        """
        if at_s is None:
            begin = max([self._fed, *(start + len(piece) for start, piece in self._pieces)])
        else:
            begin = max(self._fed, round((at_s - self._begun_s) * SAMPLE_RATE_HZ))
        if len(pcm):
            self._pieces.append((begin, pcm))
            self._quiet.clear()
        return self._begun_s + begin / SAMPLE_RATE_HZ

    @property
    def speaking(self) -> bool:
        """Whether something given to `say` is on air now or waits for its time."""
        return not self._quiet.is_set()

    async def quiet(self) -> None:
        """Wait until everything given to `say` has been handed to the track."""
        await self._quiet.wait()

    async def run(self) -> None:
        """Feed the track until cancelled."""
        self._begun_s, self._fed = time.monotonic(), 0
        while True:
            now = time.monotonic()
            late = now - (self._begun_s + self._fed / SAMPLE_RATE_HZ)
            if self._fed and late > 0:
                self.stalls.append(Stall(now, late))
                self._begun_s += late
            while self._fed < (now - self._begun_s + _AHEAD_S) * SAMPLE_RATE_HZ:
                frame = self._next_frame()
                await self.source.capture_frame(
                    rtc.AudioFrame(frame.tobytes(), SAMPLE_RATE_HZ, 1, len(frame))
                )
            due = self._begun_s + (self._fed / SAMPLE_RATE_HZ) - _AHEAD_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    def _next_frame(self) -> Pcm:
        frame = self._noise.standard_normal(_FRAME, np.float32) * np.float32(amplitude(FLOOR_DBFS))
        end = self._fed + _FRAME
        for begin, piece in self._pieces:
            first, last = max(begin, self._fed), min(begin + len(piece), end)
            if first < last:
                frame[first - self._fed : last - self._fed] += piece[first - begin : last - begin]
        self._fed = end
        self._pieces = [(begin, piece) for begin, piece in self._pieces if begin + len(piece) > end]
        if not self._pieces:
            self._quiet.set()
        return to_pcm(frame)
