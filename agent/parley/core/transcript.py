"""Transcripts: append-only deltas become segments, interim until a sentence or a pause ends them."""

from dataclasses import dataclass

SENTENCE_END = ".!?…。！？।؟"
_NO_SPACE_NEEDED = "。！？।"
MAX_CHARS = 160
"""A segment longer than this ends at its last space."""
PAUSE_S = 1.5
"""A segment to which nothing was added for this long ends."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A line of a transcript: the text so far under an id that never changes."""

    id: str
    text: str
    final: bool
    started_s: float
    """When its first text came, on the caller's clock."""
    ended_s: float
    """When its last text came."""


class Segmenter:
    """One stream of text: one speaker's own words, or their translation into one language.

    Deltas are joined as they are delivered, with nothing put between them.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._count = 0
        self._text = ""
        self._started_s = 0.0
        self._ended_s = 0.0

    def push(self, delta: str, now: float) -> list[Segment]:
        """Adds text; returns the segments that it ended, then the interim one if text is left."""
        if not self._text:
            self._started_s = now
        self._text += delta
        self._ended_s = now
        done = []
        while (cut := self._cut()) is not None:
            done.append(self._segment(self._text[:cut].strip(), final=True))
            self._count += 1
            self._text = self._text[cut:].lstrip()
            self._started_s = now
        if self._text.strip():
            done.append(self._segment(self._text.strip(), final=False))
        return [segment for segment in done if segment.text]

    def idle(self, now: float) -> list[Segment]:
        """The final segment, if nothing was added for a pause; else nothing."""
        return self.flush() if self._text and now - self._ended_s >= PAUSE_S else []

    def flush(self) -> list[Segment]:
        """The segment in the making, as final; nothing if there is none."""
        text = self._text.strip()
        self._text = ""
        if not text:
            return []
        segment = self._segment(text, final=True)
        self._count += 1
        return [segment]

    def _segment(self, text: str, *, final: bool) -> Segment:
        return Segment(f"{self._prefix}-{self._count}", text, final, self._started_s, self._ended_s)

    def _cut(self) -> int | None:
        """Where the first sentence ends, if it has ended: 3.14 and a.m. go on, a space must follow."""
        for i, char in enumerate(self._text):
            if char in SENTENCE_END and (char in _NO_SPACE_NEEDED or self._text[i + 1 : i + 2].isspace()):
                return i + 1
            if i >= MAX_CHARS:
                space = self._text.rfind(" ", MAX_CHARS // 2, MAX_CHARS)
                return space + 1 if space > 0 else MAX_CHARS
        return None
