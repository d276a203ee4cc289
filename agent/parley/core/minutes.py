"""The record of a room: what was said in it, in every language in which it was read or heard."""

from bisect import insort
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from typing import Literal

from .language import primary
from .model import AUTO, OFF, ORIGINAL, Preferences

LineKind = Literal["source", "translation", "agent"]
"""Somebody's own words, their translation, or a line of a conversation with an agent."""
UNKNOWN = "und"
"""The language of words whose language nobody told, by BCP-47."""
_LINE_BYTES = 300
"""What a line takes beside its text, about."""


@dataclass(frozen=True, slots=True)
class Line:
    """One final line. Times are in seconds since the room was begun to be served."""

    id: str
    speaker: str
    """Identity; of an agent its name."""
    language: str
    """BCP-47 tag; empty: not known."""
    kind: LineKind
    start_s: float
    end_s: float
    text: str = field(repr=False)
    beside: str = ""
    """Of a conversation with an agent: the identity of its participant."""
    to: frozenset[str] = frozenset()
    """Of a conversation with an agent: who took part in it."""

    @property
    def tongue(self) -> str:
        """The primary language, `und` where it is not known."""
        return primary(self.language) if self.language else UNKNOWN

    def is_by_or_with(self, identity: str) -> bool:
        """Whether it is this participant's, or of their conversation with an agent."""
        return identity == self.beside or (identity == self.speaker and self.kind != "agent")


@dataclass(frozen=True, slots=True)
class MinutesBounds:
    """How much of a room is kept."""

    most_lines: int = 20_000
    most_bytes: int = 4_000_000
    """Of text in UTF-8, with what belongs to it."""


class Minutes:
    """The newest lines of a room, by when they were said."""

    def __init__(self, bounds: MinutesBounds | None = None) -> None:
        self._bounds = bounds or MinutesBounds()
        self._lines: list[Line] = []
        self._bytes = 0
        self.dropped = 0
        """Lines that had to go because newer ones came."""

    def __len__(self) -> int:
        return len(self._lines)

    def lines(self, wanted: Callable[[Line], bool] = lambda line: True) -> list[Line]:
        """Those that are wanted, by their beginning."""
        return [line for line in self._lines if wanted(line)]

    def add(self, line: Line) -> None:
        """Takes a final line; the oldest go where there are too many."""
        insort(self._lines, line, key=lambda line: line.start_s)
        self._bytes += _size(line)
        gone = 0
        while len(self._lines) - gone > self._bounds.most_lines or self._bytes > self._bounds.most_bytes:
            self._bytes -= _size(self._lines[gone])
            gone += 1
        del self._lines[:gone]
        self.dropped += gone

    def forget(self, identity: str) -> int:
        """Removes all that this participant said, in whatever language; returns how many lines."""
        before = len(self._lines)
        self._lines = [line for line in self._lines if not line.is_by_or_with(identity)]
        self._bytes = sum(map(_size, self._lines))
        return before - len(self._lines)


def languages(lines: Iterable[Line]) -> list[str]:
    """The languages in which there is something to read."""
    return sorted({line.tongue for line in lines})


def reads(language: str, line: Line) -> bool:
    """Whether a line belongs to what is read in a language; `original`: as it was spoken."""
    if language == ORIGINAL:
        return line.kind != "translation"
    return line.tongue == language


def may_read(identity: str, wish: Preferences, line: Line) -> bool:
    """Whether a participant may have a line: own words of all, and what is in a language of theirs.

    A conversation with an agent is for those who take part in it.
    """
    if line.kind == "agent":
        return identity in line.to
    return line.kind == "source" or line.tongue in (wish.hears, wish.captions)


def tongue_of(wish: Preferences) -> str:
    """The language that somebody reads best, as far as they told; else empty."""
    told = (one for one in (wish.captions, wish.hears) if one not in (OFF, ORIGINAL))
    return next(told, "" if wish.speaks == AUTO else primary(wish.speaks))


def shown_to(identity: str, captions: str, line: Line) -> bool:
    """Whether a line is one of the captions of somebody with this preference, who did not say it."""
    if line.kind == "agent" or captions == OFF or line.speaker == identity:
        return False
    return line.kind == "source" if captions == ORIGINAL else line.tongue == captions


@dataclass(frozen=True, slots=True)
class LatePolicy:
    """What somebody gets who begins to read."""

    lines: int = 5
    """The last lines; 0: none."""
    most_s: float = 120.0
    """None that was over longer ago."""


def latest(policy: LatePolicy, now_s: float, lines: Collection[Line]) -> list[Line]:
    """The last of these lines that are not too old, by their beginning."""
    new = sorted((line for line in lines if now_s - line.end_s <= policy.most_s), key=lambda one: one.start_s)
    return new[-policy.lines :] if policy.lines else []


def _size(line: Line) -> int:
    return len(line.text.encode(errors="replace")) + _LINE_BYTES
