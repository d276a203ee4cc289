"""One utterance, from its first sample to its final words, on however many connections."""

from __future__ import annotations

from dataclasses import dataclass, field

from .errors import RealtimeError
from .options import SAMPLE_RATE_HZ

BYTES_PER_S = 2 * SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Line:
    """The words of an utterance: so far, or all of them."""

    id: str
    """The utterance's own, the same over reconnects."""
    text: str = field(repr=False)
    final: bool
    """There is one final line for each utterance that has words, in the order in which they were said."""
    started_at: float
    """When the speech began, on the clock of what was heard."""
    ended_at: float
    """When it ended; of a line that is not final, how far it goes."""
    confidence: float | None = None
    """0 to 1, of a final line, if the session was asked for it."""
    error: RealtimeError | None = None
    """Of a final line: why words of it, or all of them, will never be known."""


@dataclass(slots=True, eq=False)
class Spoken:
    """What is known of one utterance. Offsets are bytes of `pcm`."""

    id: str
    started_at: float
    ended_at: float
    pcm: bytearray
    """What is kept of it: all, until it is transcribed or a bound is reached."""
    over: bool = False
    """No more of it will be heard."""
    taken: bool = False
    """A connection has it: it is being sent, or its transcript is owed."""
    sent: int = 0
    appended: int = 0
    """Bytes sent on this connection, of `pcm` or not."""
    unkept: int = 0
    """Bytes sent on this connection that are not kept for another."""
    committed_at: float = 0.0
    words: str = ""
    """Said on this connection."""
    shown: str = ""
    """Told already, by whatever connection."""
    failures: int = 0
    text: str | None = None
    """The final words; None while they are to come."""
    confidence: float | None = None
    error: RealtimeError | None = None

    @property
    def heard_s(self) -> float:
        """Seconds of audio that are kept."""
        return len(self.pcm) / BYTES_PER_S

    def send(self, n_bytes: int) -> bytes:
        """The next of its audio."""
        piece = bytes(self.pcm[self.sent : self.sent + n_bytes])
        self.sent += len(piece)
        self.appended += len(piece)
        return piece

    def drop(self, n_bytes: int) -> int:
        """Keep less of its audio. Returns how much of that no connection has got."""
        del self.pcm[:n_bytes]
        already = min(n_bytes, self.sent)
        self.sent -= already
        self.unkept += already
        return n_bytes - already

    def again(self) -> int:
        """It has to be sent from the beginning. Returns how many bytes are not kept for that."""
        gone = self.unkept
        self.taken = False
        self.sent = self.appended = self.unkept = 0
        self.words = ""
        return gone

    def say(self, delta: str) -> Line | None:
        """More words; returns a line unless it would take back what was shown."""
        self.words += delta
        text = self.words.strip()
        if len(text) <= len(self.shown) or not _continues(text, self.shown):
            return None
        self.shown = text
        return Line(self.id, text, False, self.started_at, self.ended_at)

    def finish(self, text: str, confidence: float | None = None, error: RealtimeError | None = None) -> None:
        """There will be no other words; none at all, and what was shown stays. `error`: why."""
        self.text = text.strip() or self.shown or self.words.strip()
        self.confidence = confidence
        self.error = error
        self.over = True
        self.pcm.clear()

    def last_line(self) -> Line | None:
        """The final line; None if nothing was understood, and nothing went wrong."""
        if not self.text and self.error is None:
            return None
        text = self.text or ""
        return Line(self.id, text, True, self.started_at, self.ended_at, self.confidence, self.error)


def _continues(text: str, shown: str) -> bool:
    """Whether the letters shown are those that `text` begins with, however they are written."""
    return text.startswith(shown) or _letters(text).startswith(_letters(shown))


def _letters(text: str) -> str:
    return "".join(character for character in text.casefold() if character.isalnum())
