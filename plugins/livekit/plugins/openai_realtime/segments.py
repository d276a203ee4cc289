"""Where one transcript segment ends and the next begins: the API sends deltas and no boundaries.

A segment ends when a delta follows a finished sentence, or when nothing more came for a while (the caller's
timer).
"""

from __future__ import annotations

_TERMINATORS = (".", "!", "?", "…", "।")
_TERMINATORS_WITHOUT_SPACE = ("。", "！", "？")
_CLOSERS = "\"'”’»)]」』）"


class Segment:
    """The text of one transcript segment as it grows. Deltas are appended as they are: no space is
    invented.
    """

    def __init__(self) -> None:
        self.text = ""

    def push(self, delta: str) -> str | None:
        """Append `delta`; returns the segment it has ended, if it begins a new one.

        ``3.`` and ``5`` stay together: after a full stop a new sentence begins with white space.
        """
        ended = self.finish() if self._ends_before(delta) else None
        self.text += delta
        return ended

    def finish(self) -> str | None:
        """End the segment and return its text; None if it is empty."""
        text, self.text = self.text, ""
        return text or None

    def _ends_before(self, delta: str) -> bool:
        said = self.text.rstrip().rstrip(_CLOSERS)
        spaced = delta[:1].isspace() or self.text[-1:].isspace()
        return said.endswith(_TERMINATORS_WITHOUT_SPACE) or (spaced and said.endswith(_TERMINATORS))
