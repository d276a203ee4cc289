"""The engine's sense of time: which outputs are due, given what was consumed and when.

The engine consumes frames of 200 ms in order, no faster than `speed` times real time. A *line* holds what
will be said for each frame and lets it go once the engine has come to the item's step and the clock to its
time. Nothing here is bounded by itself: the session refuses audio that runs too far ahead, and that bounds
all of it.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

__all__ = ["FRAME_S", "Engine", "Item", "Line"]

FRAME_S = 0.2
_EARLY_S = 0.001

T = TypeVar("T")


class Engine:
    """Consumes frames at most at `speed` times real time."""

    def __init__(self, speed: float) -> None:
        self._step_s = FRAME_S / speed
        self._ready_at = float("-inf")
        self._arrivals: deque[float] = deque()
        self.consumed = 0
        self.free_running = False
        """After the input's end the engine steps on without input, to bring out what it still has to say."""

    def feed(self, now: float) -> None:
        """A frame arrived."""
        self._arrivals.append(now)

    @property
    def next_due(self) -> float | None:
        """When the next frame can be consumed, None while there is none."""
        if self._arrivals:
            return max(self._arrivals[0], self._ready_at)
        return self._ready_at if self.free_running else None

    def step(self, now: float) -> bool:
        """Consume one frame if it is time; returns whether it did."""
        due = self.next_due
        if due is None or due > now + _EARLY_S:
            return False
        if self._arrivals:
            self._arrivals.popleft()
        self._ready_at = (due if due > float("-inf") else now) + self._step_s
        self.consumed += 1
        return True

    def pace(self, now: float, place: int) -> float:
        """When the engine at full speed would come to the item at `place` of what waits."""
        return now + place * self._step_s


@dataclass(slots=True)
class Item(Generic[T]):
    """What is said at an engine step (counted from 0), but not before `at`."""

    step: int
    at: float
    what: T


@dataclass(slots=True)
class Line(Generic[T]):
    """Items in order; a later one never overtakes."""

    items: deque[Item[T]] = field(default_factory=deque)

    def release(self, consumed: int, now: float) -> list[T]:
        """Take out all that is due."""
        out = []
        while self.items and consumed > self.items[0].step and now + _EARLY_S >= self.items[0].at:
            out.append(self.items.popleft().what)
        return out

    def next_due(self, consumed: int) -> float | None:
        """When the head is due, if only the clock is missing."""
        return self.items[0].at if self.items and consumed > self.items[0].step else None

    def hurry(self, engine: Engine, now: float) -> None:
        """Nothing waits longer than the engine at full speed needs."""
        for place, item in enumerate(self.items):
            item.at = min(item.at, engine.pace(now, place))
