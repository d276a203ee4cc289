"""How a conversation is shown: what was said stays, what is being said grows below it, then what is typed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from .dialogue import Line
from .scene import Verdict

_STYLES = {True: "cyan", False: "bold"}


class DialogueView:
    """Use `open_dialogue_view`. `agent`: the name that its lines bear."""

    def __init__(self, console: Console, live: Live | None, agent: str) -> None:
        self.console = console
        self._live = live
        self._agent = agent
        self._width = max(len(agent), len("you")) + 2
        self._status = ""
        self._shown: tuple[object, ...] = ()

    def status(self, line: str) -> None:
        """What is going on, at the bottom; where the output is no terminal, one line each time it changes."""
        # The seconds of a progress line change all the time; its beginning says what is going on.
        changed = line.split(" … ")[0] != self._status.split(" … ")[0]
        self._status = line
        if self._live:
            self.draw([], None)
        elif changed and line:
            self.note(line.split(" … ")[0])

    def note(self, text: str) -> None:
        """A line that nobody said, and that stays."""
        self._print(Text(text, "dim"))

    def title(self, text: str) -> None:
        """The first line."""
        self._print(Text(text, "bold"))

    def typed(self, text: str) -> None:
        """A line that was typed."""
        self._print(Text(f"> {text}", "dim"))

    def event(self, event: Mapping[str, Any]) -> None:
        """What the worker tells the room."""
        self._print(Text(f"! {event.get('event')}: {event.get('detail')}", "yellow"))

    def said(self, line: Line) -> None:
        """Something that was said to its end."""
        self._print(self._text(line))

    def draw(self, growing: Sequence[Line], draft: str | None) -> None:
        """What is being said and typed now; only in a terminal."""
        shown = (self._status, *growing, draft)
        if self._live is None or shown == self._shown:
            return
        self._shown = shown
        parts = [self._text(line) for line in growing]
        if self._status:
            parts.append(Text(self._status, "dim"))
        if draft is not None:
            parts.append(Text(f"> {draft}█"))
        self._live.update(Group(*parts), refresh=True)

    def _print(self, text: Text) -> None:
        self.console.print(text, soft_wrap=True)

    def _text(self, line: Line) -> Text:
        who = "you" if line.mine else self._agent
        text = Text(who.ljust(self._width), _STYLES[line.mine])
        text.append(line.text, "" if line.final else "italic")
        if not line.final:
            text.append(" …", "dim")
        if line.cut:
            text.append(" — interrupted", "yellow")
        return text

    def verdict(self, verdict: Verdict) -> None:
        """What came of a written conversation, turn by turn."""
        for row in verdict.rows:
            asked = f"{row.understood} of {row.asked} words understood" if row.asked else "nobody asked"
            answered = f"{row.heard} of {row.answer} words heard"
            if row.stopped_s is not None:
                answered += f", silent {row.stopped_s:.2f} s after the interruption began"
            mark = Text("ok" if row.ok else "NOT OK", "green" if row.ok else "red")
            self._print(Text(f"{row.name}: {asked}; {answered}: ") + mark)
        for trouble in verdict.troubles:
            self._print(Text(f"NOT OK: {trouble}", "red"))


@contextlib.contextmanager
def open_dialogue_view(agent: str, console: Console | None = None) -> Iterator[DialogueView]:
    """A view on the standard output until the block is left."""
    console = console or Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        yield DialogueView(console, None, agent)
        return
    with Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop") as live:
        yield DialogueView(console, live, agent)
