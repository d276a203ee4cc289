"""What a session is fed: phrases with their pre-roll and tail, cut into frames, kept until acknowledged."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from .framing import BYTES_PER_S, FRAME_BYTES, FRAME_MS, Framer, seconds
from .tail import Tail, TailPolicy

MISSING_S = 0.3
"""A microphone that delivers nothing for this long within a phrase (muted, gone) counts as silent."""


@dataclass(frozen=True, slots=True)
class Frame:
    """200 ms to be sent."""

    pcm: bytes
    captured_at: float
    """When its last sample reached the worker."""
    speech: bool
    """Whether the microphone's gate was open in it."""
    onset: bool = False
    """Whether a phrase begins in it."""


@dataclass(frozen=True, slots=True)
class FeedPolicy:
    """Bounds of one session's feed."""

    buffer_s: float = 15.0
    """Audio that may wait for a session, or be kept for sending again; the oldest beyond it is dropped."""
    waiting_silence_s: float = 1.0
    """Silence that may wait behind speech: more of it is not worth catching up on."""
    tail: TailPolicy = field(default_factory=TailPolicy)


class Feed:
    """One bridge's side of a microphone. `hear` what comes in, `take` what goes out."""

    def __init__(self, policy: FeedPolicy | None = None) -> None:
        self._policy = policy or FeedPolicy()
        self._framer = Framer()
        self._waiting: deque[Frame] = deque()
        self._unanswered: deque[tuple[int, Frame]] = deque()
        self._sent = 0
        self._tail = Tail(self._policy.tail)
        self._speaking = False
        self._ended = False
        self._in_frame = False
        self._onset = False
        self._last_heard = 0.0
        self._silence_behind_s = 0.0
        self._speech_sent = False
        self.live = False
        """Whether a phrase or its tail is being fed."""
        self.dropped_s = 0.0
        """Speech dropped so far because the buffer was full."""

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that wait to be sent."""
        return len(self._waiting) * FRAME_MS / 1000 + seconds(self._framer.held_bytes)

    @property
    def span_s(self) -> float | None:
        """The session's ear-voice span as far as it is known."""
        return self._tail.span_s

    def hear(self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes]) -> bool:
        """Takes what the microphone delivered at `at`; returns whether there is something to send.

        `pre_roll` is what was captured just before `pcm`; it is used if a phrase begins.
        """
        if not self.live:
            if not speaking:
                return False
            self.live = True
            self._onset = True
            self._speaking = True
            for earlier in pre_roll:
                self._push(earlier, at, speaking=True)
        elif speaking and not self._speaking:
            self._onset = True
        self._speaking = speaking
        self._last_heard = at
        self._push(pcm, at, speaking=speaking)
        return bool(self._waiting)

    def tick(self, now: float) -> bool:
        """Lets time pass; returns whether a tail has just ended. Fills in for a silent microphone."""
        if not self.live:
            return False
        missing = now - self._last_heard
        if missing >= MISSING_S and not self._ended:
            self._speaking = False
            self._last_heard = now
            self._push(bytes(int(missing * BYTES_PER_S) // 2 * 2), now, speaking=False)
        if self._waiting or self._speaking or not self._tail.over(now):
            return False
        self.live = False
        self._framer.flush()
        self._in_frame = False
        if self._tail.span_s is not None:
            self._unanswered.clear()  # the tail was long enough for all of it to come out
        return True

    def take(self, now: float) -> Frame | None:
        """The next frame to send; it is kept until `answered`."""
        if not self._waiting:
            return None
        frame = self._waiting.popleft()
        if frame.speech:
            if frame.onset or not self._speech_sent:
                self._tail.phrase_began(now)
            self._speech_sent = True
        elif self._speech_sent:
            self._speech_sent = False
            self._tail.phrase_ended(now)
        self._unanswered.append((self._sent, frame))
        self._sent += 1
        while len(self._unanswered) * FRAME_MS / 1000 > self._policy.buffer_s:
            self._unanswered.popleft()
        return frame

    def answered(self, now: float, elapsed_ms: int | None) -> None:
        """Something was heard of the session.

        `elapsed_ms` is where in the session's input the frame begins that it is the answer to.
        """
        self._tail.output_heard(now)
        if elapsed_ms is None:
            return
        while self._unanswered and self._unanswered[0][0] * FRAME_MS <= elapsed_ms:
            self._unanswered.popleft()

    def cut_off(self) -> None:
        """The session is gone: what it has not answered is sent again to the next one.

        Silence at the end of that is not worth it.
        """
        again = [frame for _, frame in self._unanswered]
        while again and not again[-1].speech and not self._waiting:
            again.pop()
        self._waiting.extendleft(reversed(again))
        self.begin_session()
        self._bound()

    def begin_session(self) -> None:
        """A fresh session counts from zero and owes nothing."""
        self._unanswered.clear()
        self._sent = 0

    def forget(self, now: float) -> None:
        """Drops what has waited longer than the buffer is meant to hold: nobody follows it any more."""
        while self._waiting and now - self._waiting[0].captured_at > self._policy.buffer_s:
            if self._waiting.popleft().speech:
                self.dropped_s += FRAME_MS / 1000

    def end_input(self, now: float) -> None:
        """No more audio will come: what waits is made whole frames; the phrase has ended."""
        if (rest := self._framer.flush()) is not None and self.live:
            self._waiting.append(Frame(rest, now, self._in_frame, self._onset))
        self._ended = True
        self._speaking = False
        self._in_frame = False

    def _push(self, pcm: bytes, at: float, *, speaking: bool) -> None:
        if speaking:
            self._silence_behind_s = 0.0
        elif self._waiting and self._silence_behind_s >= self._policy.waiting_silence_s:
            return
        elif self._waiting:
            self._silence_behind_s += seconds(len(pcm))
        self._in_frame = self._in_frame or speaking
        for frame in self._framer.push(pcm):
            self._waiting.append(Frame(frame, at, self._in_frame, self._onset and self._in_frame))
            if self._in_frame:
                self._onset = False
            self._in_frame = speaking
        if not self._framer.held_bytes:
            self._in_frame = False
        self._bound()

    def _bound(self) -> None:
        while len(self._waiting) * FRAME_BYTES > self._policy.buffer_s * BYTES_PER_S:
            if self._waiting.popleft().speech:
                self.dropped_s += FRAME_MS / 1000
