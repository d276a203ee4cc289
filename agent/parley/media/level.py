"""How loud a stretch of PCM16 is."""

import math

import numpy as np
from numpy.typing import NDArray

AUDIBLE_PEAK = 64
"""A stretch whose peak stays below this (−54 dBFS) says nothing."""


def audible(pcm: bytes) -> bool:
    """Whether PCM16 mono holds anything that can be heard."""
    if not pcm:
        return False
    samples = np.frombuffer(pcm, dtype=np.int16)
    return int(samples.max()) >= AUDIBLE_PEAK or int(samples.min()) <= -AUDIBLE_PEAK


def first_audible(pcm: bytes) -> int | None:
    """The index of the first sample of PCM16 mono that can be heard; None if none can."""
    loud = np.abs(np.frombuffer(pcm, dtype=np.int16).astype(np.int32)) >= AUDIBLE_PEAK
    index = int(loud.argmax()) if len(loud) else 0
    return index if len(loud) and loud[index] else None


def levels(pcm: bytes, stretch: int) -> list[float]:
    """The RMS of each whole stretch of so many samples of PCM16 mono, in units of int16."""
    samples = np.frombuffer(pcm, dtype=np.int16)
    whole = samples[: len(samples) // stretch * stretch].reshape(-1, stretch).astype(np.float32)
    return [float(level) for level in np.sqrt(np.mean(np.square(whole), axis=1))]


def rms(samples: NDArray[np.int16]) -> float:
    """Root mean square of int16[n], in units of int16; 0 for n = 0."""
    if not len(samples):
        return 0.0
    x = samples.astype(np.float32)
    return math.sqrt(float(np.dot(x, x)) / len(x))
