"""A recogniser of words whose sounds are known, for `SimulatorOptions.recognise_word`.

    SimulatorOptions(recognise_word=recogniser({"alpha": pcm, "bravo": pcm}))

It compares what it hears with each sound below 4 kHz (normalised cross-correlation). A word counts from 0.72
on: of a word that was cut in two at most one part is that word, as the squares of both add up to 1.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .voice import Pcm

__all__ = ["recogniser"]

_THRESHOLD = 0.72
_DECIMATION = 3
_MOST_WORDS = 64
_SIZES_KEPT = 8
_LEAST_ENERGY = 1.0
_LEAST_PART = 0.25
"""What a word has at least of the energy that the loudest has in the same piece of sound."""


def recogniser(sounds: Mapping[str, Pcm]) -> Callable[[Pcm], list[str]]:
    """What says which of these words, `int16[n]` mono at 24 kHz, are in a piece of sound, in their order."""
    words = list(sounds)
    longest = max(len(pcm) for pcm in sounds.values())

    @lru_cache(maxsize=_SIZES_KEPT)
    def spectra(size: int) -> tuple[NDArray[np.complex128], NDArray[np.float64]]:
        """Of each word: its spectrum at a size, `complex[words, bins]`, and its norm."""
        found = np.stack([_spectrum(sounds[word], size) for word in words])
        waves = np.fft.irfft(found, size // _DECIMATION, axis=1)
        return np.conj(found), np.sqrt(np.sum(np.square(waves), axis=1))

    def recognise(pcm: Pcm) -> list[str]:
        size = _DECIMATION * 2 ** int(np.ceil(np.log2((len(pcm) + longest) / _DECIMATION + 1)))
        templates, norms = spectra(size)
        spectrum = _spectrum(pcm, size)
        alike = np.fft.irfft(spectrum * templates, size // _DECIMATION, axis=1)
        wave = np.fft.irfft(spectrum, size // _DECIMATION)
        energy = np.concatenate(([0.0], np.cumsum(np.square(np.concatenate((wave, wave))))))
        places = np.arange(len(wave))
        lengths = [len(sounds[word]) // _DECIMATION for word in words]
        alike /= norms[:, None]
        for length in set(lengths):
            around = energy[places + length] - energy[places]
            least = max(_LEAST_ENERGY, _LEAST_PART * float(around.max()))
            alike[[one == length for one in lengths]] /= np.sqrt(np.maximum(around, least))
        return [words[word] for _, word in sorted(_best(alike, lengths))]

    return recognise


def _spectrum(pcm: Pcm, size: int) -> NDArray[np.complex128]:
    """Of `int16[n]` filled up to `size`, what is below 4 kHz."""
    spectrum: NDArray[np.complex128] = np.fft.rfft(pcm, size)[: size // _DECIMATION // 2 + 1]
    return spectrum


def _best(alike: NDArray[np.float64], lengths: list[int]) -> list[tuple[int, int]]:
    """Where which words are: the most alike first, and nothing that overlaps it by more than half."""
    found: list[tuple[int, int]] = []
    while len(found) < _MOST_WORDS:
        word, place = (int(one) for one in np.unravel_index(int(np.argmax(alike)), alike.shape))
        if alike[word, place] < _THRESHOLD:
            break
        start = place if place < alike.shape[1] - lengths[word] else place - alike.shape[1]
        found.append((start, word))
        for other, length in enumerate(lengths):
            least = start - length // 2
            taken = np.arange(least, start + lengths[word] // 2) % alike.shape[1]
            alike[other, taken] = 0.0
    return found
