"""What was said, what of it was sent and is known: transcription across connections, without any I/O.

    heard ──► utterance ──► appended ──► committed ──► transcribed ──► final line
                   ▲                                         │
                   └──────── the connection was lost ────────┘

An utterance is one item of whatever session gets it. Its audio is kept until its words are known; when a
connection is lost, each utterance without a transcript is sent again on the next one, oldest first, each with
a commit of its own: nothing is lost, and nothing is said twice. A connection may be replaced at any time by
one more `Transcriber.begin`: what the old one has begun it finishes, and the rest goes to the new one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from .errors import ConnectionLost, RealtimeError
from .events import (
    Committed,
    ErrorReported,
    NotTranscribed,
    Transcribed,
    TranscriptionEvent,
    Words,
)
from .hearing import Hearing, TranscriberPolicy, seconds_to_bytes
from .spoken import BYTES_PER_S, Line, Spoken
from .transcription import COMMIT_EMPTY

_LEAST_COMMIT = BYTES_PER_S // 10
"""The API refuses a commit of less than 100 ms."""
_LEAST_PIECE = BYTES_PER_S * 40 // 1000
_MOST_PIECE = BYTES_PER_S * 50 // 1000
_CATCH_UP_PIECE = BYTES_PER_S // 2
_LATE = BYTES_PER_S // 5
"""So much waits, and larger pieces are sent."""
_KNOWN = 32
"""Items whose words are known that are remembered: what comes late for them belongs to no other."""


@dataclass(frozen=True, slots=True)
class Append:
    """Audio to append: int16[n] little endian, 24 kHz, mono."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class Commit:
    """Commit what was appended, under this event id."""

    event_id: str


TranscriberStep: TypeAlias = Append | Commit


class Transcriber:
    """One speaker's utterances. Synchronous; the clock is the caller's.

    Attributes:
        dropped_s: seconds of audio that were given up because too much had to be kept.
    """

    def __init__(self, policy: TranscriberPolicy | None = None, *, prefix: str = "utterance_") -> None:
        """`prefix`: of the utterances' ids, which are numbered from 1."""
        self.dropped_s = 0.0
        self._policy = policy or TranscriberPolicy()
        self._prefix = prefix
        self._hearing = Hearing(self._policy, prefix)
        self._commits = 0
        self._spoken: deque[Spoken] = deque()
        self._feeding: Leg | None = None

    # -- what is said --

    @property
    def live(self) -> bool:
        """Whether an utterance is being heard."""
        return self._hearing.open is not None

    @property
    def owed(self) -> int:
        """Utterances whose final words are not known, with the one being heard."""
        return sum(spoken.text is None for spoken in self._spoken)

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that are not sent."""
        return self._waiting() / BYTES_PER_S

    @property
    def kept_s(self) -> float:
        """Seconds of audio kept until they are transcribed."""
        return sum(spoken.heard_s for spoken in self._spoken)

    def hear(self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes] = ()) -> bool:
        """Take what the microphone delivered at `at`; returns whether a connection has something to do.

        `speaking` is true from the onset of speech until the pause after it is long enough to end an
        utterance; `pre_roll` is what was captured just before `pcm`, and used if an utterance begins. A
        microphone that delivers nothing any more has to be followed by `end`.
        """
        if not speaking:
            return self.end()
        self._spoken.extend(self._hearing.hear(pcm, at, pre_roll))
        self._bound()
        return self._waiting() >= _LEAST_PIECE

    def end(self) -> bool:
        """The utterance being heard is over, if there is one. Returns like `hear`."""
        return self._hearing.end()

    def give_up(self, reason: RealtimeError) -> list[Line]:
        """Send nothing of what is kept, ever. Returns the final lines: what is known of it."""
        self.end()
        for spoken in self._spoken:
            if spoken.text is None:
                self.dropped_s += spoken.drop(len(spoken.pcm)) / BYTES_PER_S
                spoken.finish("", error=reason)
        return self.finals()

    def begin(self) -> Leg:
        """A connection is open: it gets everything that no other one has begun."""
        self._feeding = Leg(self)
        return self._feeding

    def finals(self) -> list[Line]:
        """The final lines that may be told now: those of the oldest utterances.

        They come with `Leg.take_event` and `Leg.lost`, too; ask when `dropped_s` has grown meanwhile.
        """
        lines = []
        while self._spoken and self._spoken[0].text is not None:
            line = self._spoken.popleft().last_line()
            if line is not None:
                lines.append(line)
        return lines

    # -- inside --

    def _bound(self) -> None:
        excess = sum(len(spoken.pcm) for spoken in self._spoken) - seconds_to_bytes(self._policy.kept_s)
        for spoken in self._spoken:
            if excess <= 0:
                return
            if spoken.text is not None:
                continue
            dropped = min(excess, len(spoken.pcm))
            self.dropped_s += spoken.drop(dropped) / BYTES_PER_S
            excess -= dropped
            if spoken.over and not spoken.pcm and not spoken.taken:
                self._give_up(spoken)

    def _waiting(self) -> int:
        return sum(len(spoken.pcm) - spoken.sent for spoken in self._spoken)

    def _next(self, leg: Leg) -> Spoken | None:
        """The next utterance for a connection."""
        if self._feeding is not leg:
            return None
        for spoken in self._spoken:
            if not spoken.taken and spoken.text is None:
                spoken.taken = True
                return spoken
        return None

    def _piece(self, spoken: Spoken) -> bytes:
        """The next of its audio to send, empty if it is not worth it yet."""
        ready = len(spoken.pcm)
        if not spoken.over:
            ready = min(ready, self._hearing.most_sent_bytes)
        ready -= spoken.sent
        if not spoken.over and ready < _LEAST_PIECE:
            return b""
        return spoken.send(min(ready, _CATCH_UP_PIECE if ready > _LATE else _MOST_PIECE))

    def _next_event_id(self) -> str:
        self._commits += 1
        return f"{self._prefix}commit_{self._commits}"

    def _send_again(self, spoken: Spoken) -> None:
        self.dropped_s += spoken.again() / BYTES_PER_S
        if spoken.over and not spoken.pcm:
            self._give_up(spoken)

    def _give_up(self, spoken: Spoken) -> None:
        spoken.finish("", error=ConnectionLost(reason="more was said than could be kept"))


class Leg:
    """What one connection was given, and owes. Made by `Transcriber.begin`.

    Attributes:
        sent_s: seconds of audio given to it.
        over: it was lost, or is done with.
    """

    def __init__(self, transcriber: Transcriber) -> None:
        self.sent_s = 0.0
        self.over = False
        self._transcriber = transcriber
        self._current: Spoken | None = None
        self._commits: deque[tuple[str, Spoken]] = deque()
        self._owed: list[Spoken] = []
        self._items: dict[str, Spoken] = {}
        self._known: deque[str] = deque(maxlen=_KNOWN)
        self._progress_at = 0.0

    @property
    def waiting_since(self) -> float | None:
        """Since when the oldest transcript that is owed has made no progress; None if none is owed."""
        return max(self._owed[0].committed_at, self._progress_at) if self._owed else None

    @property
    def done(self) -> bool:
        """Whether another connection has taken over, and this one owes nothing: it can be closed."""
        replaced = self._transcriber._feeding is not self
        return self.over or (replaced and self._current is None and not self._owed)

    def take(self, now: float) -> TranscriberStep | None:
        """What to send next; None if nothing is to be sent yet. What is taken counts as sent."""
        while not self.over:
            spoken = self._current = self._current or self._transcriber._next(self)
            if spoken is None:
                return None
            if pcm := self._transcriber._piece(spoken):
                return self._append(pcm)
            if not spoken.over:
                return None
            if not spoken.appended:
                self._current = None
                self._transcriber._give_up(spoken)
            elif spoken.appended < _LEAST_COMMIT:
                pcm = bytes(_LEAST_COMMIT - spoken.appended)
                spoken.appended += len(pcm)
                return self._append(pcm)
            else:
                return self._commit(spoken, now)
        return None

    def take_event(self, event: TranscriptionEvent, now: float) -> list[Line]:
        """What the server said; returns the lines that follow from it."""
        lines: list[Line] = []
        match event:
            case _ if self.over:
                return lines
            case Committed(item_id):
                self._on_committed(item_id, now)
            case Words(item_id, delta):
                if (spoken := self._saying(item_id)) is not None:
                    self._progress(spoken, now)
                    if (line := spoken.say(delta)) is not None:
                        lines.append(line)
            case Transcribed(item_id, transcript, confidence=confidence):
                if (spoken := self._settle(item_id, now)) is not None:
                    spoken.finish(transcript, confidence)
            case NotTranscribed(item_id, error):
                if (spoken := self._settle(item_id, now)) is not None:
                    self._fail(spoken, error)
            case ErrorReported(error) if error.code == COMMIT_EMPTY:
                if (spoken := self._refused(error.event_id)) is not None:
                    self._fail(spoken, error)
        return [*lines, *self._transcriber.finals()]

    def lost(self) -> list[Line]:
        """The connection is gone: what it owes is sent again on the next one.

        Returns the final lines of what cannot be sent again. A second time does nothing.
        """
        mine = [*self._owed, *([self._current] if self._current is not None else [])]
        self.over = True
        self._current = None
        self._owed.clear()
        self._items.clear()
        self._commits.clear()
        if self._transcriber._feeding is self:
            self._transcriber._feeding = None
        for spoken in mine:
            self._transcriber._send_again(spoken)
        return self._transcriber.finals()

    # -- inside --

    def _append(self, pcm: bytes) -> Append:
        self.sent_s += len(pcm) / BYTES_PER_S
        return Append(pcm)

    def _commit(self, spoken: Spoken, now: float) -> Commit:
        event_id = self._transcriber._next_event_id()
        spoken.committed_at = now
        self._current = None
        self._commits.append((event_id, spoken))
        self._owed.append(spoken)
        return Commit(event_id)

    def _on_committed(self, item_id: str, now: float) -> None:
        if self._commits:
            _, spoken = self._commits.popleft()
            self._items[item_id] = spoken
            self._progress(spoken, now)

    def _saying(self, item_id: str) -> Spoken | None:
        """Whose words these are: of a new item, of the oldest utterance here that has no item yet."""
        if item_id in self._known:
            return None
        if item_id not in self._items:
            named = self._items.values()
            sent = [*(spoken for _, spoken in self._commits), self._current]
            nameless = [spoken for spoken in sent if spoken is not None and spoken not in named]
            if not nameless:
                return None
            self._items[item_id] = nameless[0]
        return self._items[item_id]

    def _refused(self, event_id: str | None) -> Spoken | None:
        """The utterance of a commit that the server refused; of the oldest one, if it does not say which."""
        for commit in self._commits:
            if event_id in (None, commit[0]):
                self._commits.remove(commit)
                self._forget(commit[1])
                return commit[1]
        return None

    def _progress(self, spoken: Spoken, now: float) -> None:
        if self._owed and self._owed[0] is spoken:
            self._progress_at = now

    def _settle(self, item_id: str, now: float) -> Spoken | None:
        """No more words will come for an item. Returns whose it was, if it was committed."""
        spoken = self._items.get(item_id)
        if spoken is None or spoken not in self._owed:
            return None
        self._progress(spoken, now)
        self._known.append(item_id)
        self._forget(spoken)
        return spoken

    def _forget(self, spoken: Spoken) -> None:
        self._owed.remove(spoken)
        self._items = {item_id: other for item_id, other in self._items.items() if other is not spoken}

    def _fail(self, spoken: Spoken, error: RealtimeError) -> None:
        """No words for it: what was understood so far is all there is, else it is sent once more."""
        spoken.failures += 1
        if spoken.shown or spoken.words.strip() or spoken.failures >= self._transcriber._policy.attempts:
            spoken.finish("", error=error)
        else:
            self._transcriber._send_again(spoken)
