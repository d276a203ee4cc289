"""How loud a stretch of PCM16 is."""

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


def rms(samples: NDArray[np.int16]) -> float:
    """Root mean square of int16[n], in units of int16; 0 for n = 0."""
    if not len(samples):
        return 0.0
    x = samples.astype(np.float32)
    return float(np.sqrt(np.dot(x, x) / len(x)))
