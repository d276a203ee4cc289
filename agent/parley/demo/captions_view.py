"""Captions as the demo shows them: a column for each language, side by side where there is room."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rich import box
from rich.table import Table
from rich.text import Text

from parley.core.caption_layout import CaptionLayout, wrapped

from .recording import Caption

LEAST_COLUMNS = 24
"""Of a language: where less is left to each, they stand below each other."""
LEAST_ROWS = 2
MOST_ROWS = 10
_NEWEST = 60
"""Captions from which the newest lines are taken."""
_BETWEEN = 2
"""Columns between two languages, one of which is the box's."""


@dataclass(frozen=True)
class CaptionRow:
    """A line that somebody reads, as far as it has come."""

    speaker: str
    text: str
    final: bool


def newest(captions: Sequence[Caption]) -> tuple[CaptionRow, ...]:
    """The newest lines of a reader in the order in which they began, each as it is now."""
    lines: dict[tuple[str, str], CaptionRow] = {}
    for caption in captions[-_NEWEST:]:
        text = " ".join("".join(char for char in caption.text if char >= " ").split())
        if text:
            row = CaptionRow(caption.sender, text, caption.final and caption.complete)
            lines[caption.sender, caption.segment_id] = row
    return tuple(lines.values())


def rows_of(height: int, others: int) -> int:
    """How many rows the captions may take on a screen so high, beside so many of other things."""
    return max(LEAST_ROWS, min(MOST_ROWS, height - others))


def side_by_side(languages: Mapping[str, Sequence[CaptionRow]], columns: int, rows: int) -> Table:
    """The newest lines of each language on a screen that is so wide."""
    count = max(1, len(languages))
    each = (columns - _BETWEEN * (count - 1)) // count
    if each >= LEAST_COLUMNS:
        table = _table()
        for language in languages:
            table.add_column(Text(language), width=each, no_wrap=True)
        table.add_row(*(_block(lines, each, rows) for lines in languages.values()))
        return table
    return _below_each_other(languages, columns, max(LEAST_ROWS, rows // count))


def _below_each_other(languages: Mapping[str, Sequence[CaptionRow]], columns: int, rows: int) -> Table:
    table = _table()
    label = max(map(len, languages), default=0)
    width = max(1, columns - label - _BETWEEN)
    table.show_header = False
    table.add_column(width=label, no_wrap=True)
    table.add_column(width=width, no_wrap=True)
    for language, lines in languages.items():
        table.add_row(Text(language, "bold"), _block(lines, width, rows))
    return table


def _table() -> Table:
    return Table(box=box.SIMPLE_HEAD, padding=(0, _BETWEEN - 1, 0, 0), pad_edge=False, show_edge=False)


def _block(lines: Iterable[CaptionRow], columns: int, rows: int) -> Text:
    """The last rows of these lines, and empty ones above that keep its height."""
    layout = CaptionLayout(line_chars=columns)
    set_out: list[Text] = []
    for line in lines:
        blocks = wrapped(f"{line.speaker}: {line.text}", layout)
        style = "" if line.final else "italic dim"
        set_out += [Text(part, style) for block in blocks for part in block]
    newest_rows = set_out[-rows:]
    return Text("\n").join([*newest_rows, *[Text("")] * (rows - len(newest_rows))])
