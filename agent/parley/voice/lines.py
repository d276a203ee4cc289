"""What an agent says, as text: shown as far as it was heard, cut off where the voice was cut off."""

import math
from collections.abc import Callable
from time import monotonic

from livekit.agents.voice import io

from parley.core.transcript import Segment

CHARS_PER_S = 15.0
"""How fast text is shown while it is not known how long its audio is; ordinary speech."""
STEP_S = 0.25
"""Text is shown in steps of this length at least."""


class Lines(io.TextOutput):
    """One reply at a time. `heard` as it is played, `end` when it is over."""

    def __init__(self, prefix: str, show: Callable[[Segment, bool], None]) -> None:
        """`show` is given each line, and whether it was cut off."""
        super().__init__(label="parley captions", next_in_chain=None)
        self._prefix = prefix
        self._show = show
        self._count = 0
        self._text = ""
        self._shown = 0
        self._complete = True
        self._ended = False
        self._cut_off = False
        self._started_s = 0.0
        self._shown_s = 0.0

    async def capture_text(self, text: str) -> None:
        """A delta of the reply's text; the first after `flush` begins another reply."""
        if self._complete:
            self._begin()
        if not self._cut_off:
            self._text += text

    def flush(self) -> None:
        """The reply's text is whole."""
        self._complete = True
        if self._ended:
            self._finish(len(self._text))

    def heard(self, position_s: float, of_s: float | None) -> None:
        """So much was played, of so much in all, if that is known."""
        now = monotonic()
        if now - self._shown_s < STEP_S:
            return
        length = self._visible(position_s, of_s)
        if length > self._shown and self._text[:length].strip():
            self._shown, self._shown_s = length, now
            self._send(length, final=False)

    def end(self) -> None:
        """All of it was played: what text comes late is shown at once."""
        self._ended = True
        if self._complete:
            self._finish(len(self._text))

    def cut(self, position_s: float, of_s: float | None) -> str:
        """The reply was cut off here; returns the text that was heard."""
        length = self._visible(position_s, of_s)
        heard = self._text[:length].rstrip()
        self._finish(length, cut=True)
        self._cut_off = True
        self._ended = True
        return heard

    def _begin(self) -> None:
        self._count += 1
        self._text, self._shown = "", 0
        self._complete = self._ended = self._cut_off = False
        self._started_s, self._shown_s = monotonic(), 0.0

    def _finish(self, length: int, *, cut: bool = False) -> None:
        if self._text[:length].strip():
            self._send(length, final=True, cut=cut)
        self._text = ""

    def _visible(self, position_s: float, of_s: float | None) -> int:
        """How many characters were heard: whole words only, unless it is all of them."""
        if of_s and self._complete:
            length = math.ceil(len(self._text) * min(1.0, position_s / of_s))
        else:
            length = int(position_s * CHARS_PER_S)
        if length >= len(self._text):
            return len(self._text)
        space = self._text.rfind(" ", 0, length + 1)
        return max(space, 0)

    def _send(self, length: int, *, final: bool, cut: bool = False) -> None:
        text = self._text[:length].strip()
        self._show(Segment(f"{self._prefix}-{self._count}", text, final, self._started_s, monotonic()), cut)
