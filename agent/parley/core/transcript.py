"""Transcripts: append-only deltas become segments, interim until a sentence or a pause ends them."""

from dataclasses import dataclass

from .graphemes import is_unspaced, may_break

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
    """When its first word was spoken, on the caller's clock; when its text came, where that is not known."""
    ended_s: float
    """When its last word was spoken."""


class Segmenter:
    """One stream of text: one speaker's own words, or their translation into one language.

    Deltas are joined as they are delivered, with nothing put between them but where another session goes on:
    its first word is none of the last one's.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._count = 0
        self._text = ""
        self._came_s = 0.0
        self._parted = False
        self._marks: list[tuple[int, float, float]] = []
        """From which character on the text was spoken from when to when."""

    def push(self, delta: str, now: float, said: tuple[float, float] | None = None) -> list[Segment]:
        """Adds text that came `now`; returns the segments it ended, then the interim one if text is left.

        `said`: from when to when it was spoken; None: it is not known, and taken for now.
        """
        # A full stop comes when it is clear that a sentence was over: it is not spoken.
        if not self._text.strip():
            self._marks.clear()
        if not self._marks or any(char.isalnum() for char in delta):
            self._marks.append((len(self._text), *(said or (now, now))))
        if self._parted and delta:
            self._parted = False
            delta = " " * _are_two_words(self._text, delta) + delta
        self._text += delta
        self._came_s = now
        done = []
        while (cut := self._cut()) is not None:
            done.append(self._segment(self._text[:cut].strip(), final=True))
            self._count += 1
            self._drop(cut)
        if self._text.strip():
            done.append(self._segment(self._text.strip(), final=False))
        return [segment for segment in done if segment.text]

    def part(self) -> None:
        """Another session writes from here on."""
        self._parted = True

    def idle(self, now: float) -> list[Segment]:
        """The final segment, if nothing was added for a pause; else nothing."""
        return self.flush() if self._text and now - self._came_s >= PAUSE_S else []

    def flush(self) -> list[Segment]:
        """The segment in the making, as final; nothing if there is none."""
        text = self._text.strip()
        segments = [self._segment(text, final=True)] if text else []
        self._count += len(segments)
        self._text = ""
        self._marks.clear()
        return segments

    def _segment(self, text: str, *, final: bool) -> Segment:
        length = len(text) + len(self._text) - len(self._text.lstrip())
        spoken = [mark for mark in self._marks if mark[0] < length]
        return Segment(f"{self._prefix}-{self._count}", text, final, spoken[0][1], max(m[2] for m in spoken))

    def _drop(self, cut: int) -> None:
        """What is behind `cut` begins the next segment."""
        rest = self._text[cut:].lstrip()
        cut, self._text = len(self._text) - len(rest), rest
        within = [mark for mark in self._marks if mark[0] <= cut][-1:]
        self._marks = [(max(0, mark[0] - cut), *mark[1:]) for mark in self._marks if mark[0] > cut]
        if rest and (not self._marks or self._marks[0][0] > 0):
            self._marks = [(0, *mark[1:]) for mark in within] + self._marks

    def _cut(self) -> int | None:
        """Where the first sentence ends, if it has ended: 3.14 and a.m. go on, a space must follow."""
        for i, char in enumerate(self._text):
            if char in SENTENCE_END and (char in _NO_SPACE_NEEDED or self._text[i + 1 : i + 2].isspace()):
                return i + 1
            if i >= MAX_CHARS:
                space = self._text.rfind(" ", MAX_CHARS // 2, MAX_CHARS)
                return space + 1 if space > 0 else MAX_CHARS
        return None


def _are_two_words(text: str, more: str) -> bool:
    """Whether a space is missing between two texts that have nothing to do with each other."""
    if not text or text[-1].isspace() or more[0].isspace():
        return False
    return may_break(text[-1], more[0]) and not (is_unspaced(text[-1]) or is_unspaced(more[0]))
