"""A line: what one speaker says in one language, or one voice agent says, as it is played."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from time import monotonic
from typing import Protocol

from parley.media.ducked import DuckedPlayout
from parley.media.playout import Playout
from parley.metrics import Metrics

REST_S = 0.6
"""Silence that is still played before a track rests: the jitter buffers settle in it."""


class Queue(Protocol):
    """What is played: `Playout` and `DuckedPlayout` for translations, `SpeechPlayout` for voice agents."""

    @property
    def silent_s(self) -> float: ...
    @property
    def playing(self) -> bool: ...
    @property
    def waiting_s(self) -> float: ...
    def push(self, pcm: bytes, now: float) -> float: ...
    def flush(self, now: float) -> None: ...
    def due(self, now: float) -> list[bytes]: ...
    def postpone(self, until: float) -> None: ...
    def rest(self) -> None: ...


class Line(ABC):
    """A queue whose audio is expected, pushed, played and counted. Implements most of `AudioOut`.

    Whoever makes it audible says when it can be heard (`ready`) and sees to it that it is played (`wake`).
    """

    def __init__(self, queue: Queue, metrics: Metrics) -> None:
        self._queue = queue
        self._metrics = metrics
        self._expecting = False
        self._resting = asyncio.Event()
        self._resting.set()
        self._first_pushed_at: float | None = None
        self._recovered_s = (0.0, 0.0)
        self.on_dropped: Callable[[float], None] | None = None
        """Called with the seconds of speech that were given up to stay within the bound."""

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that wait to be played."""
        return self._queue.waiting_s

    @property
    def needed(self) -> bool:
        """Whether something is to be heard now or soon."""
        return self._expecting or self._queue.playing

    @abstractmethod
    def ready(self, now: float) -> float:
        """Wakes whatever makes the line audible; returns from when on it can be heard."""

    @abstractmethod
    def wake(self) -> None:
        """There is something to play that was not pushed just now."""

    def push(self, pcm: bytes) -> None:
        """See AudioOut."""
        now = monotonic()
        if self._queue.waiting_s == 0:
            self._first_pushed_at = now
        dropped = self._queue.push(pcm, self.ready(now))
        if dropped:
            self._metrics.dropped("playout", dropped)
            if self.on_dropped is not None:
                self.on_dropped(dropped)
        self.wake()

    def postpone(self, until: float) -> None:
        """Nothing is due before `until` (monotonic, s)."""
        self._queue.postpone(until)

    async def played(self) -> None:
        """See AudioOut."""
        await self._resting.wait()

    def _due(self, now: float) -> list[bytes]:
        """The frames that are due, counted."""
        frames = self._queue.due(now)
        if frames and self._first_pushed_at is not None:
            self._metrics.egress.observe(now - self._first_pushed_at)
            self._first_pushed_at = None
        playout = self._queue.translation if isinstance(self._queue, DuckedPlayout) else self._queue
        if isinstance(playout, Playout):
            recovered_s = playout.shortened_s, playout.hurried_s
            if recovered_s != self._recovered_s:
                before, self._recovered_s = self._recovered_s, recovered_s
                self._metrics.recovered(recovered_s[0] - before[0], recovered_s[1] - before[1])
        return frames

    def _has_ended(self) -> bool:
        """Whether nothing more is expected, and all was played, and the silence after it."""
        return not self._expecting and self._queue.waiting_s == 0 and self._queue.silent_s >= REST_S
