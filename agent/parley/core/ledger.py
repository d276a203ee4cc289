"""What one session was sent and has not answered, and how far its voice is behind the speaker's."""

from collections import deque
from dataclasses import dataclass

from .framing import FRAME_MS
from .spoken import Timeline

_ONSETS = 32
_ENGINE_MS = 3 * FRAME_MS
"""An `elapsed_ms` this far from its phrase, at the end of what was sent, is the model's own time."""

_FIRST_WORD_MS = 2 * FRAME_MS
"""How far into a phrase's frames its first word is: there is some audio from before it."""


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
    began_at: float | None = None
    """When its first sample was captured; None: a frame's length before the last one reached the worker."""

    @property
    def onset(self) -> bool:
        """Whether a phrase begins in it."""
        return self.onset_at is not None


class Ledger:
    """One session's frames, from sent to answered; at most `most_s` of them.

    `elapsed_ms` is where in the session's input the frame begins that an output answers. Should a session
    count the time of its own engine instead, which is ahead by the ear-voice span, its first answer tells.
    """

    def __init__(
        self, most_s: float, shift_ms: int | None = None, source_shift_ms: int | None = None
    ) -> None:
        self._most = int(most_s * 1000 / FRAME_MS)
        self._frames: deque[tuple[int, Frame]] = deque()
        self._onsets: deque[tuple[int, float]] = deque(maxlen=_ONSETS)
        self._timeline = Timeline(FRAME_MS / 1000)
        self._sent = 0
        self.shift_ms = shift_ms
        """What is taken off an `elapsed_ms` to have the input that it answers; None until a first answer."""
        self.source_shift_ms = source_shift_ms
        """The same of the speaker's own words, which are written sooner than they are translated."""
        self.lag_s: float | None = None
        """How long after it was said the last output is heard; None before any, or where nothing tells."""

    def sent(self, frame: Frame) -> None:
        """This frame went out."""
        began_at = frame.began_at
        self._timeline.sent(self._sent, frame.captured_at - FRAME_MS / 1000 if began_at is None else began_at)
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

    def spoken(self, elapsed_ms: int, *, source: bool) -> float | None:
        """When the frame began that a text with this `elapsed_ms` is about; None: it is not known any more.

        `source`: it is the speaker's own words.
        """
        if not source:
            shift_ms = self.shift_ms if self.shift_ms is not None else self._ahead_ms(elapsed_ms)
            return self._timeline.at((elapsed_ms - shift_ms) / 1000)
        if self.source_shift_ms is None:
            ahead_ms = self._ahead_ms(elapsed_ms) if self.shift_ms != 0 else 0
            self.source_shift_ms = max(0, ahead_ms - _FIRST_WORD_MS)
        shift_ms = 0 if self.shift_ms == 0 else self.source_shift_ms
        return self._timeline.at((elapsed_ms - shift_ms) / 1000)

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
            self.shift_ms = self._ahead_ms(elapsed_ms)
        return self.shift_ms or 0

    def _ahead_ms(self, elapsed_ms: int) -> int:
        """How far a first answer is ahead of its phrase, if it tells the time of the engine; else 0."""
        if not self._onsets:
            return 0
        ahead_ms = elapsed_ms - self._onsets[0][0] * FRAME_MS
        engine = ahead_ms > _ENGINE_MS and elapsed_ms >= (self._sent - 2) * FRAME_MS
        return ahead_ms if engine else 0
