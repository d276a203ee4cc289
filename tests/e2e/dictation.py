"""What the simulated transcription understands: which of the words that tests let people say a sound is."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from parley.demo.audio import Pcm
from parley.demo.people import Person
from parley.demo.speech import SAMPLE_RATE_HZ, Word, countable_words, render, script

from .counting import PERIOD_S, WORD_S, Speech, speech

_HOP = SAMPLE_RATE_HZ // 100
_WINDOW = np.hanning(2 * _HOP).astype(np.float32)
_BANDS = 20
_STEPS = 36
_SHIFTS = range(-20, 21, 2)
_SURE = 0.6
_EDGES = np.unique(np.geomspace(4, 140, _BANDS + 1).astype(int))


class Dictionary:
    """Words that may be said. `recognise` finds the one that a burst of sound is like."""

    def __init__(self) -> None:
        self._texts: list[str] = []
        self._known: dict[bytes, None] = {}
        self._prints: list[np.ndarray] = []
        self._matrix: np.ndarray | None = None

    def add(self, word: Word) -> None:
        """One more; twice does nothing."""
        key = word.pcm.tobytes()
        if key not in self._known:
            self._known[key] = None
            self._texts.append(word.text.replace(" ", "-"))
            self._prints.append(_print(word.pcm))
            self._matrix = None

    def recognise(self, burst: Pcm) -> list[str]:
        """The word, or nothing if it is like none of them."""
        if not self._texts:
            return []
        if self._matrix is None:
            self._matrix = np.stack(self._prints)
        cuts = _cuts(_spectrum(burst), _SHIFTS)
        likeness = self._matrix @ np.stack([_normal(cut) for cut in cuts]).T
        best = int(likeness.max(axis=1).argmax())
        return [self._texts[best]] if likeness[best].max() >= _SURE else []


DICTIONARY = Dictionary()
"""All that is said in tests."""


def _print(pcm: Pcm) -> np.ndarray:
    return _normal(_cuts(_spectrum(pcm), (0,))[0])


def _spectrum(pcm: Pcm) -> np.ndarray:
    """Band energies in dB every 10 ms, from the first audible moment on."""
    sound = np.concatenate((np.zeros(4 * _HOP), pcm, np.zeros(8 * _HOP))).astype(np.float32) / 32768
    frames = np.lib.stride_tricks.sliding_window_view(sound, 2 * _HOP)[::_HOP] * _WINDOW
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    bands = np.stack([power[:, a:b].sum(axis=1) for a, b in pairwise(_EDGES)], axis=1)
    loud = bands.sum(axis=1)
    begins = int(np.argmax(loud > 0.02 * loud.max()))
    return 10 * np.log10(np.maximum(bands, 1e-4 * loud.max()) / max(1e-9, loud.max()))[max(0, begins - 2) :]


def _cuts(found: np.ndarray, shifts: Iterable[int]) -> list[np.ndarray]:
    padded = np.pad(found, ((20, _STEPS + 20), (0, 0)), constant_values=-40.0)
    return [padded[20 + shift : 20 + shift + _STEPS] for shift in shifts]


def _normal(found: np.ndarray) -> np.ndarray:
    flat = (found - found.mean(axis=0) * 0.5 - found.mean() * 0.5).ravel()
    return (flat / max(1e-9, float(np.linalg.norm(flat)))).astype(np.float32)


def dictation(language: str, count: int, **how: object) -> Speech:
    """Speech that the simulated transcription understands."""
    said = speech(language, count, **how)  # type: ignore[arg-type]
    for word in said.words:
        DICTIONARY.add(word)
    return said


def talk(language: str, duration_s: float, *, voice: int, phrase: int, pause_s: float) -> Speech:
    """Phrases for about so long; the words come again and again, with another one first in each voice."""
    known = countable_words(language, voice=voice, count=24)
    count = phrase * max(1, round(duration_s / (phrase * PERIOD_S + pause_s)))
    words = tuple(known[(3 * voice + place) % len(known)] for place in range(count))
    for word in known:
        DICTIONARY.add(word)
    lines = script({"me": count}, period_s=PERIOD_S, phrase=phrase, pause_s=pause_s)
    starts = tuple(line.start_s for line in lines)
    return Speech(words, starts, render(lines, "me", words, duration_s=starts[-1] + WORD_S + 0.05))


def texts(said: Speech) -> list[str]:
    """The words as they are written."""
    return [word.text.replace(" ", "-") for word in said.words]


def written(reader: Person, speaker: str) -> list[str]:
    """The words of a speaker's final lines, in order."""
    lines = [c for c in reader.captions if c.final and c.complete and c.sender == speaker]
    return " ".join(line.text for line in lines).split()


def check_lines(reader: Person, speaker: str) -> None:
    """Lines come interim first and final once, and what was shown is not taken back."""
    versions: dict[str, list[tuple[str, bool]]] = {}
    for caption in reader.captions:
        if caption.sender == speaker and caption.complete:
            versions.setdefault(caption.segment_id, []).append((caption.text, caption.final))
    for line in versions.values():
        assert [final for _, final in line] == [False] * (len(line) - 1) + [True], line
        for (earlier, _), (later, _) in pairwise(line):
            assert len(later.split()) >= len(earlier.split()), f"taken back: {line}"


def tokens(reader: Person, speaker: str) -> int:
    """Words that were written, by whatever kind of session: names of words, or their numbers."""
    text = " ".join(written(reader, speaker))
    return text.count("word-") or len(text.split())
