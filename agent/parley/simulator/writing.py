"""What is written in a transcription session, and when it is due.

    audio ─ word over ─ delay ─▶ .delta … ─ commit ─▶ the deltas left ─▶ .completed | .failed

A model that streams writes while it hears; the others write what was committed, as they complete it. A
committed piece waits `transcription_delay_s` at most for its last deltas. How fast the engine hears is
limited (`drain_speed`), so that audio sent in a burst is not written at once.

Known of the API: deltas come before the commit; each event names an item; clients join the deltas and the
final text of an item by that id (LiveKit Agents, OpenAI's own SDKs). Not documented and assumed: the deltas
before a commit carry the id that the commit then gives; `clear` gives up that id, and what was not said yet.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf

from .hearing import Heard
from .records import ItemRecord
from .voice import SAMPLE_RATE_HZ
from .wire import ApiError

__all__ = ["Delta", "Piece", "Writing"]

_MOST_HELD_S = 5.0
_MOST_PIECES = 256
_MOST_CHUNKS = 1024


@dataclass(slots=True, eq=False)
class Piece:
    """The audio from one commit to the next, and what is written of it."""

    item_id: str
    said: list[str] = field(default_factory=list)
    """The deltas."""
    record: ItemRecord | None = None
    samples: int = 0
    """How much was committed."""
    model: str = ""
    with_logprobs: bool = False
    failure: ApiError | None = None
    final_at: float = inf
    is_held: bool = False
    """Whether it is completed only after the next one is."""
    waiting: deque[tuple[float, str]] = field(default_factory=deque)
    appended: int = 0
    chunks: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_MOST_CHUNKS))
    """Of the last appends: where they end, and when the engine has heard them."""

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(self.said)


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of text that is due."""

    piece: Piece
    text: str


class Writing:
    """The pieces that are being written. Without I/O; `now` is a parameter."""

    def __init__(self, speed: float, commit_delay_s: float) -> None:
        self._speed, self._commit_delay_s = speed * SAMPLE_RATE_HZ, commit_delay_s
        self._pieces: deque[Piece] = deque()
        self._heard_at = -inf
        self._failures: deque[ApiError] = deque(maxlen=_MOST_PIECES)
        self._swaps = 0

    def fail_next(self, error: ApiError) -> None:
        """The next piece that is committed fails."""
        self._failures.append(error)

    def swap_next(self) -> None:
        """The next piece that is committed is completed after the one that follows it, or 5 s late."""
        self._swaps += 1

    def append(self, piece: Piece, samples: int, now: float) -> None:
        """Audio came for the piece that is open."""
        self._heard_at = max(self._heard_at, now) + samples / self._speed
        piece.appended += samples
        piece.chunks.append((piece.appended, self._heard_at))

    def write(self, piece: Piece, heard: Iterable[Heard], delay_s: float) -> None:
        """Say these words that long after their end was heard; a later word never comes first."""
        for one in heard:
            due = max(self._heard(piece, one.end) + delay_s, piece.waiting[-1][0] if piece.waiting else -inf)
            piece.waiting.extend((due, text) for text in one.texts)
        if piece.waiting:
            self._add(piece)

    def commit(self, piece: Piece, now: float, extra_s: float) -> None:
        """The piece is whole: it is completed once the engine has heard it."""
        piece.final_at = max(now, self._heard_at) + self._commit_delay_s + extra_s
        piece.waiting = deque((min(due, piece.final_at), text) for due, text in piece.waiting)
        if self._failures:
            piece.failure = self._failures.popleft()
        elif self._swaps and not any(other.is_held for other in self._pieces):
            self._swaps -= 1
            piece.is_held = True
        self._add(piece)

    def drop(self, piece: Piece) -> None:
        """The piece was cleared: nothing more is said of it."""
        if piece in self._pieces:
            self._pieces.remove(piece)

    def due(self, now: float) -> list[Delta | Piece]:
        """The deltas that are due, and the pieces that are to be completed, in the order in which they are
        said."""
        found: list[Delta | Piece] = []
        held: Piece | None = None
        for piece in list(self._pieces):
            while piece.waiting and piece.waiting[0][0] <= now:
                delta = Delta(piece, piece.waiting.popleft()[1])
                piece.said.append(delta.text)
                found.append(delta)
            if piece.final_at > now:
                continue
            if piece.is_held and now < piece.final_at + _MOST_HELD_S:
                held = piece
                continue
            found.append(piece)
            self._pieces.remove(piece)
            if held is not None:
                found.append(held)
                self._pieces.remove(held)
                held = None
        return found

    def next_due(self) -> float:
        """When something is due next; infinity if nothing waits for the clock."""
        ends = (self._ends_at(piece) for piece in self._pieces)
        deltas = (piece.waiting[0][0] for piece in self._pieces if piece.waiting)
        return min(min(ends, default=inf), min(deltas, default=inf))

    def _ends_at(self, piece: Piece) -> float:
        return piece.final_at + (_MOST_HELD_S if piece.is_held else 0.0)

    def _heard(self, piece: Piece, end: int) -> float:
        """When the engine has heard a piece's audio up to `end`."""
        for chunk_end, at in piece.chunks:
            if chunk_end >= end:
                return at - (chunk_end - end) / self._speed
        return self._heard_at

    def _add(self, piece: Piece) -> None:
        if piece in self._pieces:
            return
        self._pieces.append(piece)
        if len(self._pieces) > _MOST_PIECES:
            self._pieces.popleft()
