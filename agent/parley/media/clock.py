"""The clock of what is played in frames."""

from collections.abc import Iterator

from .frames import FRAME_S

_EARLY_S = 1e-6
"""Sums of frames are not exact."""


class FrameClock:
    """When the next frame is due: one every 20 ms from `start` on, until `rest`."""

    def __init__(self) -> None:
        self.next_due: float | None = None
        """When the next frame is to be played; None while it rests."""

    @property
    def playing(self) -> bool:
        """Whether it ticks."""
        return self.next_due is not None

    def start(self, at: float | None) -> None:
        """The first frame is due at `at`; nothing changes while it ticks already."""
        if self.next_due is None:
            self.next_due = at

    def ticks(self, now: float) -> Iterator[float]:
        """The times of the frames that are due by now. Each is played when its time has been yielded."""
        while self.next_due is not None and self.next_due <= now + _EARLY_S:
            at = self.next_due
            self.next_due = at + FRAME_S
            yield at

    def postpone(self, until: float) -> None:
        """Nothing is due before `until`: what waits is played from then on."""
        if self.next_due is not None:
            self.next_due = max(self.next_due, until)

    def rest(self) -> None:
        """It ticks no more until it is started again."""
        self.next_due = None
