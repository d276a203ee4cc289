"""What one session was sent and has not answered, and how far its voice is behind the speaker's."""

from collections import deque
from dataclasses import dataclass

from .framing import FRAME_MS

_ONSETS = 32
_ENGINE_MS = 3 * FRAME_MS
"""An `elapsed_ms` this far from its phrase, at the end of what was sent, is the model's own time."""


@dataclass(frozen=True, slots=True)
class Frame:
    """200 ms to be sent."""

    pcm: bytes
    captured_at: float
    """When its last sample reached the worker."""
    speech: bool
    """Whether the microphone's gate was open in it."""
    onset_at: float | None = None
    """When the phrase began that begins in it."""

    @property
    def onset(self) -> bool:
        """Whether a phrase begins in it."""
        return self.onset_at is not None


class Ledger:
    """One session's frames, from sent to answered; at most `most_s` of them.

    `elapsed_ms` is where in the session's input the frame begins that an output answers. Should a session
    count the time of its own engine instead, which is ahead by the ear-voice span, its first answer tells.
    """

    def __init__(self, most_s: float, shift_ms: int | None = None) -> None:
        self._most = int(most_s * 1000 / FRAME_MS)
        self._frames: deque[tuple[int, Frame]] = deque()
        self._onsets: deque[tuple[int, float]] = deque(maxlen=_ONSETS)
        self._sent = 0
        self.shift_ms = shift_ms
        """What is taken off an `elapsed_ms` to have the input that it answers; None until a first answer."""
        self.lag_s: float | None = None
        """How long after it was said the last output is heard; None before any, or where nothing tells."""

    def sent(self, frame: Frame) -> None:
        """This frame went out."""
        self._frames.append((self._sent, frame))
        if frame.onset_at is not None:
            self._onsets.append((self._sent, frame.onset_at))
        self._sent += 1
        if len(self._frames) > self._most:
            self._frames.popleft()

    def heard(self, elapsed_ms: int | None, at: float) -> float | None:
        """Something audible came, to be heard at `at`.

        Returns the ear-voice span of the phrase, if this is the first that is heard of it.
        """
        if elapsed_ms is None:
            if not self._onsets:
                return None
            span_s = self.lag_s = at - self._onsets.popleft()[1]
            return span_s
        position = (elapsed_ms - self._shift(elapsed_ms)) // FRAME_MS
        begun: float | None = None
        while self._onsets and self._onsets[0][0] <= position:
            begun = self._onsets.popleft()[1]
        while self._frames and self._frames[0][0] <= position:
            self.lag_s = at - self._frames.popleft()[1].captured_at + FRAME_MS / 1000
        return at - begun if begun is not None else None

    def owed(self) -> list[Frame]:
        """What was sent and not answered, oldest first."""
        return [frame for _, frame in self._frames]

    @property
    def owes_speech(self) -> bool:
        """Whether speech was sent that has not been answered."""
        return any(frame.speech for _, frame in self._frames)

    def settle(self) -> None:
        """All of it has been answered, as far as anything ever will be."""
        self._frames.clear()
        self._onsets.clear()

    def _shift(self, elapsed_ms: int) -> int:
        if self.shift_ms is None and self._onsets:
            ahead_ms = elapsed_ms - self._onsets[0][0] * FRAME_MS
            engine = ahead_ms > _ENGINE_MS and elapsed_ms >= (self._sent - 2) * FRAME_MS
            self.shift_ms = ahead_ms if engine else 0
        return self.shift_ms or 0
