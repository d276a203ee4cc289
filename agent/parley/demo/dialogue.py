"""What is said between a person and a voice agent, made of captions as they come."""

from __future__ import annotations

from collections.abc import Mapping, Reversible
from dataclasses import dataclass, field
from itertools import islice

from .recording import Caption

_LOOKED_AT = 60
_STOPPED_S = 0.8
"""So long after a person begins to speak an agent's captions grow no more, unless it goes on."""
_REST = 12
"""Characters by which the last version may still be longer."""


@dataclass(frozen=True)
class Line:
    """Something that was said, or is being said while not `final`. `cut`: the person broke in on it."""

    mine: bool
    text: str
    final: bool
    cut: bool = False


@dataclass
class Dialogue:
    """One conversation, as the person with this identity reads it."""

    identity: str
    lines: list[Line] = field(default_factory=list)
    """All that was said to its end, in the order in which it ended."""
    _growth: dict[str, dict[float, int]] = field(default_factory=dict)
    _spoke_s: list[float] = field(default_factory=list)
    _done: set[str] = field(default_factory=set)

    @property
    def answers(self) -> list[Line]:
        """What the agent has said to the end, or until it was broken off."""
        return [line for line in self.lines if not line.mine]

    @property
    def turns(self) -> int:
        """How often the person has spoken."""
        return len(self._spoke_s)

    def spoke(self, at_s: float) -> None:
        """The person begins to speak (monotonic, s)."""
        self._spoke_s.append(at_s)

    def read(self, captions: Reversible[Caption]) -> tuple[list[Line], list[Line]]:
        """Look at all captions so far; returns the lines that have ended since, and those that grow."""
        ended: list[Line] = []
        growing: dict[str, Line] = {}
        newest = list(islice(reversed(captions), _LOOKED_AT))[::-1]
        for caption in newest:
            key, text = caption.segment_id, caption.text.strip()
            if caption.kind != "agent" or key in self._done or not text:
                continue
            self._growth.setdefault(key, {})[caption.started_s] = len(text)
            mine = caption.sender == self.identity
            if caption.final and caption.complete:
                self._done.add(key)
                growing.pop(key, None)
                ended.append(Line(mine, text, True, not mine and self._cut(self._growth.pop(key))))
            else:
                growing[key] = Line(mine, text, False)
        self.lines += ended
        return ended, list(growing.values())

    def _cut(self, growth: Mapping[float, int]) -> bool:
        """Whether the person began to speak while this was said, and it did not go on after that."""
        begun_s, ended_s = min(growth), max(growth)
        for at in self._spoke_s:
            if begun_s < at < ended_s:
                before = max(length for when, length in growth.items() if when <= at + _STOPPED_S)
                if growth[ended_s] - before <= _REST:
                    return True
        return False
