"""When something was said: the places in a session's input, and the voice in a microphone, as times."""

from bisect import bisect_right
from collections import deque

_RUNS = 256
_JITTER_S = 0.06
"""Frames this far from where they follow each other are of another time."""
_ROUNDING = 1e-6
STRETCHES = 256
_JOINED_S = 0.25
"""Voice after less quiet than this goes on: the gap is between two words."""
_WORD_S = 0.5
"""Text about a place so long after voice began is its first word; so long before its end, its last."""


class Timeline:
    """Where a session's input was spoken: frames follow each other in it, although time passed between.

    At most `_RUNS` stretches of frames without a gap are remembered, the newest.
    """

    def __init__(self, frame_s: float) -> None:
        self._frame_s = frame_s
        self._runs: deque[tuple[int, float]] = deque(maxlen=_RUNS)

    def sent(self, position: int, began_at: float) -> None:
        """The frame at this place began at this time."""
        if self._runs:
            first, at = self._runs[-1]
            if abs(at + (position - first) * self._frame_s - began_at) <= _JITTER_S:
                return
        self._runs.append((position, began_at))

    def at(self, place_s: float) -> float | None:
        """When what is so many seconds into the input was spoken; None: it is not known any more."""
        if not self._runs:
            return None
        position = place_s / self._frame_s + _ROUNDING
        index = bisect_right(self._runs, position, key=lambda run: run[0]) - 1
        if index < 0:
            return None
        first, at = self._runs[index]
        return at + (position - first - _ROUNDING) * self._frame_s


class Voiced:
    """When there was voice: at most `STRETCHES` stretches, the newest."""

    def __init__(self) -> None:
        self._stretches: deque[tuple[float, float]] = deque(maxlen=STRETCHES)

    def add(self, start_s: float, end_s: float) -> None:
        """There was voice from here to there."""
        if self._stretches and start_s - self._stretches[-1][1] < _JOINED_S:
            start_s = min(start_s, self._stretches.pop()[0])
        self._stretches.append((start_s, end_s))

    def fit(self, start_s: float, end_s: float, after_s: float) -> tuple[float, float]:
        """The times of a text, with its beginning and end where the voice has them, if it has some near.

        `after_s`: what was said before it ended there.
        """
        begun = self._before(start_s + _JOINED_S)
        if begun is not None and begun[1] > start_s - _WORD_S and start_s - begun[0] <= _WORD_S:
            start_s = max(begun[0], min(after_s, start_s))
        last = self._before(end_s + _JOINED_S)
        if last is not None and last[1] > start_s and last[1] - end_s <= _WORD_S:
            end_s = last[1]
        return start_s, max(start_s, end_s)

    def _before(self, at: float) -> tuple[float, float] | None:
        """The last stretch that began before."""
        index = bisect_right(self._stretches, (at, at)) - 1
        return self._stretches[index] if index >= 0 else None
