"""Counting words at the far end: a matched filter that survives codecs, jitter buffers and resampling.

A template of 400 ms is 4 blocks of 100 ms at 8 kHz. Each block is compared by its normalised correlation,
free to slip by 32 ms either way, and the blocks are added by the energy they have in the template. Only
loud stretches are searched.

    recording → 8 kHz → loud stretches → likeness of every template on a 1 ms grid → peaks → the best where
    they overlap
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from .audio import Pcm, Wave, amplitude, resample
from .speech import SAMPLE_RATE_HZ, Word

Spectrum = NDArray[np.complex64]

THRESHOLD = 0.55
_RATE_HZ = 8_000
_BLOCK = 800
_BLOCKS = 4
_GRID = 8
_SLIP = 32
_LOUD_DBFS = -50.0
_QUIET_DBFS = -60.0
_MARGIN_S = 0.12
_EMPHASIS = 0.5
_POWER = 0.25
_BATCH = 16
_OVERLAP_S = 0.3
_SEGMENT = (1 << 14) - (_BLOCKS - 1) * _BLOCK - _SLIP * _GRID
_AROUND_S = 0.3
_WINDOW = 320
_STEP = 40
_FAINT = 0.05
_ALIKE = 0.6


@dataclass(frozen=True)
class Heard:
    """A word found in a recording: which template, where it starts (s into the recording), how alike (0 to
    1)."""

    word_index: int
    start_s: float
    score: float


class _Templates:
    """Blocks `float32[templates, 4, 800]` of unit energy, what each counts, and their spectra by size."""

    def __init__(self, words: Sequence[Word]) -> None:
        self.blocks: Wave = np.zeros((len(words), _BLOCKS, _BLOCK), np.float32)
        for index, word in enumerate(words):
            part = _emphasised(resample(word.pcm, SAMPLE_RATE_HZ, _RATE_HZ))[: _BLOCKS * _BLOCK]
            self.blocks[index].reshape(-1)[: len(part)] = part
        energies = np.sum(np.square(self.blocks), axis=2)
        self.blocks /= np.sqrt(np.maximum(energies, 1e-9))[:, :, None]
        shares = energies**_POWER
        self.weights: Wave = shares / np.maximum(shares.sum(axis=1, keepdims=True), 1e-9)
        self._spectra: dict[int, Spectrum] = {}

    def spectra(self, size: int) -> Spectrum:
        """`complex64[templates, 4, size / 2 + 1]`, conjugated."""
        if size not in self._spectra:
            self._spectra[size] = np.conj(np.fft.rfft(self.blocks, size)).astype(np.complex64)
        return self._spectra[size]


class _Same:
    """Words that are the same objects as others: what was prepared for those holds for these."""

    def __init__(self, words: tuple[Word, ...]) -> None:
        self.words = words

    def __hash__(self) -> int:
        return hash(tuple(map(id, self.words)))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, _Same) or len(self.words) != len(other.words):
            return False
        return all(mine is theirs for mine, theirs in zip(self.words, other.words, strict=True))


@lru_cache(maxsize=4)
def _prepared(same: _Same) -> _Templates:
    return _Templates(same.words)


def find_words(
    recording: Pcm, sample_rate: int, templates: Sequence[Word], *, threshold: float = THRESHOLD
) -> list[Heard]:
    """The words of `templates` in `recording`, `int16[n]` mono at `sample_rate` Hz, in the order of their
    time.

    Where candidates overlap the most alike is taken: one sound is one word. Pass the words of all speakers
    that may be heard, so that a word in the wrong place is named as what it is. A word whose first 100 ms
    are missing is still found; without its first 200 ms mostly not.
    """
    if not templates:
        return []
    prepared = _prepared(_Same(tuple(templates)))
    wave = resample(recording, sample_rate, _RATE_HZ)
    found: list[Heard] = []
    stretches = list(_loud_stretches(wave))
    wave = _emphasised(wave)
    for begin, end in stretches:
        stretch = wave[begin:end]
        for candidate in _best(_candidates(stretch, prepared, threshold)):
            blocks, weights = prepared.blocks[candidate.word_index], prepared.weights[candidate.word_index]
            start = _refined(stretch, blocks, weights, round(candidate.start_s * _RATE_HZ))
            found.append(Heard(candidate.word_index, (begin + start) / _RATE_HZ, candidate.score))
    return sorted(_best(found), key=lambda heard: heard.start_s)


def heard_until(recording: Pcm, sample_rate: int, said: Pcm, about_s: float) -> float | None:
    """The place in `said`, in seconds, of the last sound of it in a recording that ends with it.

    Both are `int16[n]` mono at `sample_rate` Hz. It is looked for around `about_s` by its waveform: an ear
    that waits for packets stretches what it has, so how long something sounded does not tell how much of it
    was heard. `said` must be like itself nowhere, as noise is. None: nothing there is like it.
    """
    first_s = max(0.0, about_s - _AROUND_S)
    near = said[round(first_s * sample_rate) : round((about_s + _AROUND_S) * sample_rate)]
    wave = resample(near, sample_rate, _RATE_HZ)
    end = resample(recording[-round(_AROUND_S * sample_rate) :], sample_rate, _RATE_HZ)
    if len(wave) < _WINDOW:
        return None
    norms = _inverse_norms(wave, len(wave) - _WINDOW + 1, _WINDOW)
    last: int | None = None
    for begin in range(0, len(end) - _WINDOW + 1, _STEP):
        part = end[begin : begin + _WINDOW]
        likeness = np.correlate(wave, part, "valid") * norms / (np.linalg.norm(part) + amplitude(_QUIET_DBFS))
        place = int(np.argmax(likeness))
        if likeness[place] > _ALIKE:
            last = max(last or 0, place + _alike_until(wave[place : place + _WINDOW], part))
    return None if last is None else first_s + last / _RATE_HZ


def _alike_until(one: Wave, other: Wave) -> int:
    """The end of the last `_STEP` samples in which two waves of one length are the same, but for a level."""
    ones, others = one.reshape(-1, _STEP), other.reshape(-1, _STEP)
    energies, heard = np.sum(np.square(ones), axis=1), np.sum(np.square(others), axis=1)
    likeness = np.sum(ones * others, axis=1) / np.sqrt(np.maximum(energies * heard, 1.0))
    same = np.flatnonzero((likeness > _ALIKE) & (heard > _FAINT * energies))
    return (int(same[-1]) + 1) * _STEP if len(same) else 0


def _emphasised(wave: Wave) -> Wave:
    """With its high frequencies raised: low voices are like each other, what they say is not."""
    result = wave.copy()
    result[1:] -= np.float32(_EMPHASIS) * wave[:-1]
    return result


def _loud_stretches(wave: Wave) -> Iterator[tuple[int, int]]:
    """Where it is loud, in samples, with a margin; cut into segments that overlap by more than a word."""
    step = _RATE_HZ // 50
    count = len(wave) // step
    levels = np.sqrt(np.mean(np.square(wave[: count * step].reshape(count, step)), axis=1))
    if not count:
        return
    reach = int(_MARGIN_S * 50)
    spread = np.convolve(levels > amplitude(_LOUD_DBFS), np.ones(2 * reach + 1))
    loud = spread[reach : reach + count] > 0.5
    edges = np.flatnonzero(np.diff(np.concatenate([[0], loud.astype(np.int8), [0]])))
    for begin, end in zip(edges[::2] * step, edges[1::2] * step, strict=True):
        for part in range(int(begin), int(end), _SEGMENT - _BLOCKS * _BLOCK - 2 * _SLIP * _GRID):
            yield part, min(part + _SEGMENT, int(end))
            if part + _SEGMENT >= end:
                break


def _candidates(stretch: Wave, templates: _Templates, threshold: float) -> list[Heard]:
    """Every peak of every template's likeness above the threshold; places in s from the stretch's begin."""
    lead, tail = _SLIP * _GRID, (_BLOCKS - 1) * _BLOCK
    padded = np.concatenate([np.zeros(lead, np.float32), stretch, np.zeros(tail, np.float32)])
    size = 1 << (len(padded) - 1).bit_length()
    places = (len(padded) - _BLOCK) // _GRID * _GRID
    if places <= tail:
        return []
    spectrum = np.fft.rfft(padded, size).astype(np.complex64)
    norms = _inverse_norms(padded, places)
    found: list[Heard] = []
    for first in range(0, len(templates.blocks), _BATCH):
        batch = slice(first, first + _BATCH)
        correlation = np.fft.irfft(templates.spectra(size)[batch] * spectrum, size)[:, :, :places]
        likeness = _slipped_sum((correlation * norms).astype(np.float32), templates.weights[batch])
        for offset, row in enumerate(likeness):
            found += [
                Heard(first + offset, (peak * _GRID - lead) / _RATE_HZ, float(min(row[peak], 1.0)))
                for peak in _peaks(row, threshold)
            ]
    return found


def _inverse_norms(padded: Wave, places: int, length: int = _BLOCK) -> Wave:
    """1/norm of the `length` samples that follow each place, with a floor so that silence is like nothing."""
    sums = np.concatenate([[0.0], np.cumsum(np.square(padded.astype(np.float64)))])
    energies = sums[length : length + places] - sums[:places]
    floor = amplitude(_QUIET_DBFS) ** 2 * length
    norms: Wave = np.sqrt(np.maximum(energies, 0.0) + floor).astype(np.float32)
    return np.float32(1.0) / norms


def _slipped_sum(likeness: Wave, weights: Wave) -> Wave:
    """`float32[templates, milliseconds]` from the blocks' likeness, `float32[templates, 4, samples]`."""
    templates, _, places = likeness.shape
    grid = likeness.reshape(templates, _BLOCKS, places // _GRID, _GRID).max(axis=3)
    slipped = _running_maximum(grid, _SLIP)
    block_steps = _BLOCK // _GRID
    length = grid.shape[2] - (_BLOCKS - 1) * block_steps
    total: Wave = np.zeros((templates, length), np.float32)
    for block in range(_BLOCKS):
        part = slipped[:, block, block * block_steps : block * block_steps + length]
        total += weights[:, block, None] * part
    return total


def _running_maximum(rows: Wave, reach: int) -> Wave:
    """The maximum over `reach` places to either side, by doubling."""
    width = 2 * reach + 1
    result = np.pad(rows, ((0, 0), (0, 0), (reach, reach)), constant_values=-1.0)
    covered = 1
    while covered < width:
        shift = min(covered, width - covered)
        result = np.maximum(result[..., :-shift], result[..., shift:])
        covered += shift
    return result


def _peaks(likeness: Wave, threshold: float) -> list[int]:
    """Places of the highest values above the threshold, one for each run of them.

    A run is a plateau as wide as the slip; its middle stands for it.
    """
    above = np.flatnonzero(likeness > threshold)
    if not len(above):
        return []
    runs = np.split(above, np.flatnonzero(np.diff(above) > _SLIP) + 1)
    peaks = []
    for run in runs:
        values = likeness[run]
        top = run[values >= values.max() - 1e-4]
        peaks.append(int(top[len(top) // 2]))
    return peaks


def _best(candidates: Sequence[Heard]) -> list[Heard]:
    """Of candidates that overlap only the most alike."""
    taken: list[Heard] = []
    for candidate in sorted(candidates, key=lambda heard: -heard.score):
        if all(abs(candidate.start_s - other.start_s) >= _OVERLAP_S for other in taken):
            taken.append(candidate)
    return taken


def _refined(stretch: Wave, blocks: Wave, weights: Wave, start: int) -> int:
    """The word's start to the sample: where its blocks, each by itself, say it is; the loudest half
    decides."""
    reach = _SLIP * _GRID + _GRID
    places: list[tuple[float, int]] = []
    for block in range(_BLOCKS):
        begin = start + block * _BLOCK - reach
        region = np.zeros(_BLOCK + 2 * reach, np.float32)
        source = stretch[max(0, begin) : max(0, begin + len(region))]
        offset = max(0, -begin)
        region[offset : offset + len(source)] = source[: len(region) - offset]
        place = int(np.argmax(np.correlate(region, blocks[block], "valid")))
        places.append((float(weights[block]), place - reach))
    places.sort(key=lambda item: item[1])
    total = 0.0
    for weight, place in places:
        total += weight
        if total >= 0.5:
            return start + place
    return start
