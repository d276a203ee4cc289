"""What a session is fed: phrases with their pre-roll and tail, cut into frames, kept until acknowledged."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from .framing import BYTES_PER_S, FRAME_BYTES, FRAME_MS, Framer, seconds
from .ledger import Frame, Ledger
from .spoken import Voiced
from .tail import Tail, TailPolicy

MISSING_S = 0.3
"""A microphone that delivers nothing for this long within a phrase (muted, gone) counts as silent."""


@dataclass(frozen=True, slots=True)
class FeedPolicy:
    """Bounds of one session's feed."""

    buffer_s: float = 15.0
    """Audio that may wait for a session, or be kept for sending again; the oldest beyond it is dropped."""
    waiting_silence_s: float = 1.0
    """Silence that may wait behind speech: more of it is not worth catching up on."""
    tail: TailPolicy = field(default_factory=TailPolicy)


class Feed:
    """One bridge's side of a microphone. `hear` what comes in, `take` what goes out.

    One session is fed at a time, the newest; those before it may still owe answers.
    """

    def __init__(self, policy: FeedPolicy | None = None) -> None:
        self._policy = policy or FeedPolicy()
        self._framer = Framer()
        self._waiting: deque[Frame] = deque()
        self._ledgers: list[Ledger] = []
        self._shift_ms: int | None = None
        self._source_shift_ms: int | None = None
        self._voiced = Voiced()
        self._tail = Tail(self._policy.tail)
        self._speaking = False
        self._ended = False
        self._in_frame = False
        self._onset_at: float | None = None
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
    def ledger(self) -> Ledger:
        """Of the session that is fed now."""
        return self._ledgers[-1] if self._ledgers else self.begin_session()

    @property
    def speaking(self) -> bool:
        """Whether the speaker is in the middle of a phrase."""
        return self.live and self._speaking

    @property
    def span_s(self) -> float | None:
        """The session's ear-voice span as far as it is known."""
        return self._tail.span_s

    def hear(
        self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float = 0.0
    ) -> bool:
        """Takes what the microphone delivered at `at`; returns whether there is something to send.

        `pre_roll` is what was captured just before `pcm`; it is used if a phrase begins. `voiced_s`: how
        much of `pcm` is voice.
        """
        if voiced_s > 0:
            self._voiced.add(at - seconds(len(pcm)), at)
        if not self.live:
            if not speaking:
                return False
            self.live = True
            self._onset_at = at - seconds(len(pcm))  # where in this piece is not known
            self._speaking = True
            before_s = seconds(sum(map(len, pre_roll)) + len(pcm))
            for earlier in pre_roll:
                before_s -= seconds(len(earlier))
                self._push(earlier, at, speaking=True, ended_at=at - before_s)
        elif speaking and not self._speaking:
            self._onset_at = at - seconds(len(pcm))
        self._speaking = speaking
        self._last_heard = at
        self._push(pcm, at, speaking=speaking)
        return bool(self._waiting)

    def tick(self, now: float) -> bool:
        """Lets time pass; returns whether a tail has just ended. Fills in for a silent microphone."""
        if not self.live:
            return False
        missing = min(now - self._last_heard, self._policy.waiting_silence_s)
        if missing >= MISSING_S and not self._ended:
            self._speaking = False
            self._last_heard = now
            self._push(bytes(int(missing * BYTES_PER_S) // 2 * 2), now, speaking=False)
        if self._waiting or self._speaking or not self._tail.over(now):
            return False
        self.live = False
        self._framer.flush()
        self._in_frame = False
        return True

    @property
    def doubtful(self) -> bool:
        """Whether the tail is over, and it is not sure that all of the phrase came out."""
        return not self.live and self.ledger.owes_speech

    def alive(self, ledger: Ledger) -> None:
        """A session gave a sign of life: if the tail is over, that was long enough for all to come out."""
        if not self.live and self._tail.span_s is not None and ledger is self.ledger:
            ledger.settle()

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
        self.ledger.sent(frame)
        return frame

    def answered(self, ledger: Ledger, now: float, elapsed_ms: int | None, heard_at: float) -> float | None:
        """A session was heard, audibly from `heard_at` on; see `Ledger.heard` for what it returns."""
        self._tail.output_heard(now)
        span_s = ledger.heard(elapsed_ms, heard_at)
        self._shift_ms = ledger.shift_ms
        return span_s

    def written(self, now: float) -> None:
        """Text came out of a session."""
        self._tail.output_heard(now)

    def spoken(self, ledger: Ledger, elapsed_ms: int | None, *, source: bool) -> tuple[float, float] | None:
        """From when to when the microphone heard what a text of a session is about, as far as it tells."""
        if elapsed_ms is None:
            return None
        start_s = ledger.spoken(elapsed_ms, source=source)
        self._source_shift_ms = ledger.source_shift_ms
        return None if start_s is None else (start_s, start_s + FRAME_MS / 1000)

    def fit(self, start_s: float, end_s: float, after_s: float) -> tuple[float, float]:
        """The times of a text, with its beginning and end where those of the voice are; see `Voiced.fit`."""
        return self._voiced.fit(start_s, end_s, after_s)

    def begin_session(self) -> Ledger:
        """A fresh session is fed from now on: it counts from zero and owes nothing."""
        self._ledgers.append(Ledger(self._policy.buffer_s, self._shift_ms, self._source_shift_ms))
        return self._ledgers[-1]

    def end_session(self, ledger: Ledger) -> None:
        """A session ended well: what it has not answered, it has nothing to say to."""
        self._ledgers.remove(ledger)

    def part(self) -> None:
        """What was heard so far is made whole frames: what comes now may go to another session."""
        held_s = seconds(self._framer.held_bytes)
        if (rest := self._framer.flush()) is not None:
            self._waiting.append(self._padded(rest, held_s, self._last_heard))
            self._onset_at = None
        self._in_frame = False

    def cut_off(self) -> None:
        """The sessions are gone: what they have not answered is sent again to the next one.

        Silence at the end of that is not worth it. A phrase whose tail is over lives again.
        """
        again = [frame for ledger in self._ledgers for frame in ledger.owed()]
        while again and not again[-1].speech and not self._waiting:
            again.pop()
        self.live = self.live or any(frame.speech for frame in again)
        self._waiting.extendleft(reversed(again))
        self._ledgers.clear()
        self._bound()

    def forget(self, now: float) -> None:
        """Drops what has waited longer than the buffer is meant to hold: nobody follows it any more."""
        while self._waiting and now - self._waiting[0].captured_at > self._policy.buffer_s:
            if self._waiting.popleft().speech:
                self.dropped_s += FRAME_MS / 1000

    def give_up(self) -> None:
        """Drops all that waits: no session can be had."""
        self.dropped_s += sum(frame.speech for frame in self._waiting) * FRAME_MS / 1000
        self._waiting.clear()

    def end_input(self, now: float) -> None:
        """No more audio will come: what waits is made whole frames; the phrase has ended."""
        held_s = seconds(self._framer.held_bytes)
        if (rest := self._framer.flush()) is not None and self.live:
            self._waiting.append(self._padded(rest, held_s, now))
            self._onset_at = None
        self._ended = True
        self._speaking = False
        self._in_frame = False

    def _padded(self, rest: bytes, held_s: float, at: float) -> Frame:
        """The frame in the making, of which so much is audio."""
        return Frame(rest, at, self._in_frame, self._onset_at, self._last_heard - held_s)

    def _push(self, pcm: bytes, at: float, *, speaking: bool, ended_at: float | None = None) -> None:
        """`ended_at`: when its last sample was captured, if that was long before `at`."""
        if speaking:
            self._silence_behind_s = 0.0
        elif self._waiting and self._silence_behind_s >= self._policy.waiting_silence_s:
            return
        elif self._waiting:
            self._silence_behind_s += seconds(len(pcm))
        self._in_frame = self._in_frame or speaking
        frames = self._framer.push(pcm)
        behind_s = seconds(self._framer.held_bytes + len(frames) * FRAME_BYTES)
        began_at = (at if ended_at is None else ended_at) - behind_s
        for n, frame in enumerate(frames):
            onset_at = self._onset_at if self._in_frame else None
            self._waiting.append(Frame(frame, at, self._in_frame, onset_at, began_at + n * FRAME_MS / 1000))
            if self._in_frame:
                self._onset_at = None
            self._in_frame = speaking
        if not self._framer.held_bytes:
            self._in_frame = False
        self._bound()

    def _bound(self) -> None:
        while len(self._waiting) * FRAME_BYTES > self._policy.buffer_s * BYTES_PER_S:
            if self._waiting.popleft().speech:
                self.dropped_s += FRAME_MS / 1000
