"""What the demo shows: a screen that is drawn over itself in a terminal, lines where it is written to a
file."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from .captions_view import CaptionRow, rows_of, side_by_side
from .tally import Tally

_REFRESH_HZ = 4
_OTHER_ROWS = 8
"""Empty rows, the heads of the captions, what it costs, and the status, which may take two."""


@dataclass(frozen=True)
class PersonRow:
    """One person now, who speaks, hears and reads one language."""

    identity: str
    language: str
    speaking: bool


@dataclass(frozen=True)
class Snapshot:
    """The whole screen. `title` is the first line: it says whether the API is simulated."""

    title: str
    status: str = ""
    notes: tuple[str, ...] = ()
    people: tuple[PersonRow, ...] = ()
    captions: Mapping[str, tuple[CaptionRow, ...]] = field(default_factory=dict)
    """Language → what is read in it."""
    sessions: Mapping[str, int] = field(default_factory=dict)
    cost_usd: Mapping[str, float] = field(default_factory=dict)
    span_s: float | None = None
    """Ear-voice span, the mean of all phrases so far; None before any."""


class View:
    """Shows snapshots. Use `open_view`."""

    def __init__(self, console: Console, live: Live | None) -> None:
        self.console = console
        self._live = live
        self._said: set[str] = set()

    def show(self, snapshot: Snapshot) -> None:
        """Draw the snapshot; where the output is no terminal, write the lines that are new."""
        if self._live:
            self._live.update(screen(snapshot, self.console.width, self.console.height))
            return
        self._once(snapshot.title)
        for note in snapshot.notes:
            self._once(note)
        if snapshot.status:
            # The seconds of a progress line change all the time; its beginning says what is going on.
            self._once(snapshot.status.split(" … ")[0])

    def caption(self, listener: str, speaker: str, language: str, text: str) -> None:
        """A caption that is complete; only lines are written, the screen has it already."""
        if not self._live:
            self.console.print(Text(f"{listener} reads {speaker} [{language}]: {text}"))

    def _once(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self.console.print(Text(line))


@contextlib.contextmanager
def open_view(console: Console | None = None) -> Iterator[View]:
    """A view on the standard output until the block is left; the last screen stays."""
    console = console or Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        yield View(console, None)
        return
    with Live(console=console, refresh_per_second=_REFRESH_HZ, vertical_overflow="crop") as live:
        yield View(console, live)


def screen(snapshot: Snapshot, columns: int, rows: int) -> Group:
    """A snapshot as rich draws it on a screen of so many columns and rows."""
    lines = [Text(snapshot.title, "bold"), *(Text(note) for note in snapshot.notes), _people(snapshot.people)]
    others = sum(max(1, -(-line.cell_len // columns)) for line in lines) + _OTHER_ROWS
    captions = side_by_side(snapshot.captions, columns, rows_of(rows, others))
    usage = Text(usage_line(snapshot))
    return Group(*lines, Text(""), captions, Text(""), usage, Text(snapshot.status, "dim"))


def _people(people: Sequence[PersonRow]) -> Text:
    """Who is there, and who speaks."""
    line = Text()
    for person in people:
        line.append("● " if person.speaking else "○ ", "green" if person.speaking else "dim")
        line.append(f"{person.identity} speaks {person.language}   ")
    line.rstrip()
    return line


def usage_line(snapshot: Snapshot) -> str:
    """`sessions: translation 6 · ear-voice span 1.1 s · cost 0.0123 USD`."""
    kinds = ", ".join(f"{kind} {count}" for kind, count in sorted(snapshot.sessions.items()) if count)
    span = f"{snapshot.span_s:.1f} s" if snapshot.span_s is not None else "–"
    cost = sum(snapshot.cost_usd.values())
    return f"sessions: {kinds or 'none'} · ear-voice span {span} · cost {cost:.4f} USD"


def print_tallies(console: Console, rows: Sequence[Tally]) -> None:
    """The table listener × speaker: words spoken, heard, and what is wrong; the span's median and 95th
    percentile."""
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("listener", "speaker"):
        table.add_column(name)
    for name in ("spoken", "heard", "wrong place", "doubled", "out of order", "span p50", "span p95", ""):
        table.add_column(name, justify="right")
    for row in rows:
        spans = [row.span_s(50), row.span_s(95)]
        counts = (row.spoken, row.heard, row.wrong_place, row.doubled, row.out_of_order)
        table.add_row(
            *(row.listener, row.speaker, *map(str, counts)),
            *("–" if span is None else f"{span:.2f} s" for span in spans),
            Text("ok", "green") if row.perfect else Text("NOT OK", "red"),
        )
    console.print(table)
