"""What the simulated model writes: it hears bursts of sound, not words, and every sentence says that it is
simulated.

A *word* is a burst of at least 80 ms after at least 60 ms of quiet; words are numbered through a session, and
the source and the translation give the same word the same number. A pause of 600 ms ends the sentence. The
deltas, in order:

    "[simulated fr]", " word-1", " word-2", ".", " [simulated fr]", " word-3", "."

The space belongs to the delta that follows it. Japanese and Chinese come without spaces between the deltas
and end with an ideographic full stop: `[simulated ja]word-1word-2。[simulated ja]word-3。`. The source is
`[simulated source]`.
"""

from collections.abc import Iterable

__all__ = ["STOP", "Transcript", "Words"]

STOP = 0
"""The mark of a sentence's end, where a word's mark is its number."""

_QUIET_BLOCKS = 3
_WORD_BLOCKS = 4
_SENTENCE_BLOCKS = 30
_UNSPACED = ("ja", "zh")


class Words:
    """Counts bursts of sound in blocks of 20 ms."""

    def __init__(self) -> None:
        self._number = 0
        self._loud = 0
        self._quiet = _QUIET_BLOCKS
        self._open = False

    def push(self, loud: Iterable[bool]) -> list[int]:
        """Take the next blocks; returns the marks they complete: the numbers of words, and STOP."""
        marks = []
        for is_loud in loud:
            if is_loud:
                self._quiet = 0
                self._loud += 1
                if self._loud == _WORD_BLOCKS:
                    self._number += 1
                    self._open = True
                    marks.append(self._number)
                continue
            self._quiet += 1
            if self._quiet >= _QUIET_BLOCKS:
                self._loud = 0
            if self._quiet == _SENTENCE_BLOCKS and self._open:
                self._open = False
                marks.append(STOP)
        return marks


class Transcript:
    """Turns marks into append-only deltas for one language, or for `source`."""

    def __init__(self, language: str) -> None:
        self._open = False
        self._begun = False
        self._speak(language)

    def deltas(self, marks: Iterable[int]) -> list[str]:
        """The texts to append for these marks."""
        texts = []
        for mark in marks:
            if mark == STOP:
                texts += self.end()
                continue
            if not self._open:
                texts.append(f"{self._space if self._begun else ''}[simulated {self.language}]")
                self._open = self._begun = True
            texts.append(f"{self._space}word-{mark}")
        return texts

    def end(self) -> list[str]:
        """End the sentence, if one is open."""
        texts = [self._stop] if self._open else []
        self._open = False
        return texts

    def switch(self, language: str) -> list[str]:
        """Go on in another language; the open sentence ends first."""
        texts = self.end()
        self._speak(language)
        return texts

    def _speak(self, language: str) -> None:
        self.language = language
        self._space, self._stop = ("", "。") if language in _UNSPACED else (" ", ".")
