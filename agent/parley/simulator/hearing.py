"""Which words are in sound that comes bit by bit, and where each of them ends.

A word is a burst of sound as in `transcript`: at least 80 ms after at least 60 ms of quiet. It is told when
its burst is over, after 60 ms of quiet or when it has lasted a second, so nothing is written of a word that
is still being spoken. Bursts are numbered, or `SimulatorOptions.recognise_word` says what was spoken: it is
given the burst once 100 ms of quiet followed it (a word may hold a shorter gap), or at ten seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from .transcript import STOP, Transcript, Words
from .voice import BLOCK, SAMPLE_RATE_HZ, Pcm, loud_blocks

__all__ = ["Heard", "Hearing"]

_EMPTY = np.zeros(0, np.int16)
_WORD_BLOCKS = 4
_OVER_BLOCKS = 3
_NUMBERED_MOST_BLOCKS = 50
_GAP_BLOCKS = 5
_MOST_BLOCKS = 10 * SAMPLE_RATE_HZ // BLOCK
_EDGE_BLOCKS = 2


@dataclass(frozen=True, slots=True)
class Heard:
    """Text to append, and where the sound of it ended, in samples from the beginning of what is heard."""

    texts: tuple[str, ...]
    end: int


class Hearing:
    """Hears one piece of audio after the other; `end` closes a piece, and the next begins with nothing known.

    A word that is cut by the end of a piece is a word of each half that is loud for 80 ms, where words are
    numbered; otherwise it is what the recogniser makes of the halves.
    """

    def __init__(self, recognise_word: Callable[[Pcm], list[str]] | None = None) -> None:
        self._recognise = recognise_word
        self._words_before = 0
        self._rest: Pcm = _EMPTY
        self._blocks = 0
        self._words, self._written = Words(), Transcript("source")
        self._open: int | None = None
        self._loud = self._quiet = 0
        self._burst: list[Pcm] = []
        self._has_text = False

    def push(self, pcm: Pcm) -> list[Heard]:
        """Take `int16[n]`; returns what is known now."""
        self._rest = np.concatenate((self._rest, pcm))
        whole = len(self._rest) // BLOCK * BLOCK
        blocks, self._rest = self._rest[:whole], self._rest[whole:]
        loud = loud_blocks(blocks).tolist() if whole else []
        heard: list[Heard] = []
        for place, is_loud in enumerate(loud):
            self._blocks += 1
            if self._recognise is None:
                heard += self._number(is_loud)
            else:
                heard += self._collect(blocks[place * BLOCK : (place + 1) * BLOCK], is_loud)
        return heard

    def end(self) -> list[Heard]:
        """The piece is over: what was still open in it."""
        texts = self._recognised() or [*self._open_word(), *self._written.end()]
        end = self._blocks * BLOCK + len(self._rest)
        self.clear()
        return [Heard(tuple(texts), end)] if texts else []

    def clear(self) -> None:
        """Forget the piece."""
        self._rest, self._blocks = _EMPTY, 0
        self._words, self._written = Words(), Transcript("source")
        self._open = None
        self._loud = self._quiet = 0
        self._burst, self._has_text = [], False

    def _number(self, is_loud: bool) -> list[Heard]:
        """One block, where words are numbered."""
        marks = self._words.push([is_loud])
        self._quiet = 0 if is_loud else self._quiet + 1
        if self._open is not None:
            self._loud += 1
        texts: list[str] = []
        for mark in marks:
            if mark == STOP:
                texts += self._written.end()
            else:
                self._words_before += 1
                self._open, self._loud = self._words_before, _WORD_BLOCKS
        if self._open is not None and (self._quiet >= _OVER_BLOCKS or self._loud >= _NUMBERED_MOST_BLOCKS):
            texts = [*self._open_word(), *texts]
        return [Heard(tuple(texts), (self._blocks - self._quiet) * BLOCK)] if texts else []

    def _open_word(self) -> list[str]:
        number, self._open = self._open, None
        return [] if number is None else self._written.deltas([number])

    def _collect(self, block: Pcm, is_loud: bool) -> list[Heard]:
        """One block, where a recogniser says what was spoken."""
        self._quiet = 0 if is_loud else self._quiet + 1
        self._loud += is_loud
        self._burst.append(block)
        if not self._loud:
            del self._burst[:-_EDGE_BLOCKS]
            return []
        if self._quiet < _GAP_BLOCKS and len(self._burst) < _MOST_BLOCKS:
            return []
        texts = self._recognised()
        return [Heard(tuple(texts), (self._blocks - self._quiet) * BLOCK)] if texts else []

    def _recognised(self) -> list[str]:
        """The words of the burst; a later word of the piece has a space before it."""
        burst, self._burst, loud, self._loud = self._burst, [], self._loud, 0
        if self._recognise is None or loud < _WORD_BLOCKS:
            return []
        texts = []
        for word in self._recognise(np.concatenate((*burst, self._rest))):
            texts.append(f" {word}" if self._has_text else word)
            self._has_text = True
        return texts
