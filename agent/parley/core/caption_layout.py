"""Captions: final segments become cues of few short lines, shown long enough to be read."""

import math
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from .graphemes import clusters, is_unspaced, may_break, width

_BREAKING_SPACE = re.compile(r"\s*[^\S\u00a0\u2007\u202f]\s*")
_CLAUSE_END = frozenset(",.;:!?…、。，；：？！।؟،؛")
_SHORTEST_S = 0.04
"""Of a cue for which there is no time at all: one frame of a film."""


@dataclass(frozen=True, slots=True)
class CaptionLayout:
    """How captions are set."""

    line_chars: int = 42
    """Columns of a line; a full-width character takes two."""
    lines: int = 2
    """Lines of a cue."""
    chars_per_s: float = 20.0
    """Reading speed: a cue stays at least as long as its text takes to read, if the next one lets it."""
    least_s: float = 1.0
    """A cue stays at least so long, if the next one lets it."""
    most_s: float = 7.0
    """A cue stays so long at most."""
    gap_s: float = 0.083
    """Between two cues of one speaker: else a reader does not see that they changed."""


class Spoken(NamedTuple):
    """One final segment."""

    speaker: str
    start_s: float
    end_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Cue:
    """What is shown at a time: the words of one speaker, in at most so many lines."""

    speaker: str
    start_s: float
    end_s: float
    lines: tuple[str, ...]


class _Atom(NamedTuple):
    """Text in which no line breaks."""

    text: str
    columns: int
    spaced: bool
    """Whether a space stands before it."""


def laid_out(spoken: Iterable[Spoken], layout: CaptionLayout | None = None) -> list[Cue]:
    """Cues by their beginning. Those of one speaker never overlap; every character of the text is in them.

    A segment that is too long for one cue shares its time among several, by the length of their text.
    """
    layout = layout or CaptionLayout()
    of: dict[str, list[Cue]] = defaultdict(list)
    for one in sorted(spoken, key=lambda one: (one.start_s, one.end_s)):
        of[one.speaker] += _cues(one, layout)
    cues = [cue for own in of.values() for cue in _timed(own, layout)]
    return sorted(cues, key=lambda cue: (cue.start_s, cue.end_s))


def wrapped(text: str, layout: CaptionLayout | None = None) -> list[tuple[str, ...]]:
    """A text as blocks of lines, one block for each cue that it takes."""
    return [_lines(block, layout or CaptionLayout()) for block in _blocks(text, layout or CaptionLayout())]


# Text


def _blocks(text: str, layout: CaptionLayout, least: int = 1) -> list[list[_Atom]]:
    """The atoms of each cue: at least `least` of them, if there are so many words."""
    atoms = _atoms(text, layout.line_chars)
    most = layout.line_chars * layout.lines
    if least > 1:
        most = min(most, math.ceil(_columns(atoms) / least))
    blocks = []
    while atoms:
        end = _fitting(atoms, layout, most)
        if end < len(atoms):
            end = _clause(atoms, end, most)
        blocks.append(atoms[:end])
        atoms = [atoms[end]._replace(spaced=False), *atoms[end + 1 :]] if end < len(atoms) else []
    return blocks


def _atoms(text: str, line_chars: int) -> list[_Atom]:
    found: list[_Atom] = []
    for word in _BREAKING_SPACE.split(text):
        spaced = bool(found)
        for part in _parts(word, line_chars):
            found.append(_Atom(part, sum(map(width, clusters(part))), spaced))
            spaced = False
    return found


def _parts(word: str, line_chars: int) -> list[str]:
    """Where a word may break: between full-width characters, and anywhere if it is longer than a line."""
    parts: list[list[str]] = []
    for cluster in clusters(word):
        free = parts and (is_unspaced(cluster) or is_unspaced(parts[-1][-1]))
        if not parts or (free and may_break(parts[-1][-1], cluster)):
            parts.append([])
        parts[-1].append(cluster)
    return [piece for part in parts for piece in _cut(part, line_chars)]


def _cut(part: list[str], line_chars: int) -> list[str]:
    pieces: list[list[str]] = [[]]
    columns = 0
    for cluster in part:
        if columns + width(cluster) > line_chars and pieces[-1]:
            kept = len(pieces[-1])
            while kept > 1 and not may_break(pieces[-1][kept - 1], [*pieces[-1], cluster][kept]):
                kept -= 1
            if kept == 1:
                kept = len(pieces[-1])
            pieces.append(pieces[-1][kept:])
            pieces[-2] = pieces[-2][:kept]
            columns = sum(map(width, pieces[-1]))
        pieces[-1].append(cluster)
        columns += width(cluster)
    return ["".join(piece) for piece in pieces if piece]


def _columns(atoms: Iterable[_Atom]) -> int:
    return sum(atom.columns + atom.spaced for atom in atoms)


def _fitting(atoms: list[_Atom], layout: CaptionLayout, most: int) -> int:
    """How many atoms fit into one cue, at least one."""
    used, line, lines = 0, 0, 1
    for place, atom in enumerate(atoms):
        columns = atom.columns + atom.spaced
        if place and line + columns > layout.line_chars:
            lines, line, columns = lines + 1, 0, atom.columns
        if place and (lines > layout.lines or used + columns > most):
            return place
        line += columns
        used += columns
    return len(atoms)


def _clause(atoms: list[_Atom], end: int, most: int) -> int:
    """Ends a cue where a clause ends, if that leaves it at least half full."""
    for place in range(end, 0, -1):
        if _columns(atoms[:place]) < most / 2:
            break
        if atoms[place - 1].text[-1] in _CLAUSE_END:
            return place
    return end


def _lines(atoms: list[_Atom], layout: CaptionLayout) -> tuple[str, ...]:
    """The lines of a cue, of about one length."""
    whole = _columns(atoms)
    lowest = layout.line_chars if whole <= layout.line_chars else math.ceil(whole / layout.lines)
    for line_chars in range(min(lowest, layout.line_chars), layout.line_chars + 1):
        lines = _filled(atoms, line_chars)
        if len(lines) <= layout.lines and all(_columns(line) <= line_chars for line in lines):
            return tuple(map(_joined, lines))
    return tuple(map(_joined, _filled(atoms, layout.line_chars)))


def _filled(atoms: list[_Atom], line_chars: int) -> list[list[_Atom]]:
    lines: list[list[_Atom]] = []
    used = 0
    for atom in atoms:
        if lines and used + atom.columns + atom.spaced <= line_chars:
            lines[-1].append(atom)
            used += atom.columns + atom.spaced
        else:
            lines.append([atom._replace(spaced=False)])
            used = atom.columns
    return lines


def _joined(atoms: list[_Atom]) -> str:
    return "".join(f" {atom.text}" if atom.spaced else atom.text for atom in atoms)


# Time


def _cues(one: Spoken, layout: CaptionLayout) -> list[Cue]:
    """One segment's cues, each with its share of the segment's time."""
    length_s = max(0.0, one.end_s - one.start_s)
    blocks = _blocks(one.text.strip(), layout, math.ceil(length_s / layout.most_s))
    whole = sum(map(_columns, blocks)) or 1
    cues, start_s = [], one.start_s
    for block in blocks:
        end_s = start_s + length_s * _columns(block) / whole
        cues.append(Cue(one.speaker, start_s, end_s, _lines(block, layout)))
        start_s = end_s
    return cues


def _timed(cues: list[Cue], layout: CaptionLayout) -> list[Cue]:
    """One speaker's: none before the one before it is over, none longer or shorter than it may be."""
    found: list[Cue] = []
    for cue in cues:
        start_s = cue.start_s
        if found:
            last = found[-1]
            until_s = max(last.start_s + _SHORTEST_S, start_s - layout.gap_s)
            if last.end_s > until_s:
                last = found[-1] = replace(last, end_s=until_s)
            start_s = max(start_s, last.end_s + layout.gap_s)
        columns = sum(sum(map(width, clusters(line))) for line in cue.lines)
        wanted_s = max(layout.least_s, columns / layout.chars_per_s)
        end_s = min(max(cue.end_s, start_s + wanted_s), start_s + layout.most_s)
        found.append(replace(cue, start_s=start_s, end_s=end_s))
    return found
