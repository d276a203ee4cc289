"""Limiting: the sum of several voices stays within 16 bits, without delay and without hard clipping.

What fits passes bit by bit. Where it does not, the gain falls towards the peak within 5 ms, as far as these
lie in the same frame, holds, and recovers in 0.2 s. A peak in the first millisecond of a frame could be
prepared for only by delaying everything; it is rounded off instead.
"""

import numpy as np
from numpy.typing import NDArray

from .frames import FRAME_S, FRAME_SAMPLES

CEILING = 32767.0
_BLOCKS = 24
_BLOCK = FRAME_SAMPLES // _BLOCKS
_ATTACK = 1 / 6
"""Most that the gain falls from block to block, of 0.8 ms, before a peak."""
_RELEASE = FRAME_S / 0.2 / _BLOCKS
_KNEE = 0.9
_PLACES = np.arange(FRAME_SAMPLES, dtype=np.float32)
_NODES = np.arange(_BLOCKS + 1, dtype=np.float32) * _BLOCK


def limited(
    samples: NDArray[np.float32], gains: NDArray[np.float32]
) -> tuple[NDArray[np.int16], NDArray[np.float32]]:
    """float32[n, 480] in units of int16 → int16[n, 480], and the gains, float32[n], to go on with."""
    peaks = np.abs(samples).max(axis=1)
    busy = np.flatnonzero((peaks > CEILING) | (gains < 1.0))
    if len(busy):
        samples, gains = samples.copy(), gains.copy()
        for row in busy:
            samples[row], gains[row] = _limited(samples[row], float(gains[row]))
    return np.rint(samples).astype(np.int16), gains


def _limited(x: NDArray[np.float32], gain: float) -> tuple[NDArray[np.float32], float]:
    peaks = np.abs(x).reshape(_BLOCKS, _BLOCK).max(axis=1)
    fits = np.minimum(1.0, CEILING / np.maximum(peaks, CEILING))
    nodes = np.ones(_BLOCKS + 1, np.float32)
    nodes[:-1] = fits
    nodes[1:] = np.minimum(nodes[1:], fits)
    for k in range(_BLOCKS - 1, 0, -1):
        nodes[k] = min(nodes[k], nodes[k + 1] + _ATTACK)
    nodes[0] = gain
    for k in range(1, _BLOCKS + 1):
        nodes[k] = min(nodes[k], nodes[k - 1] + _RELEASE)
    y = x * np.interp(_PLACES, _NODES, nodes).astype(np.float32)
    over = np.abs(y[:_BLOCK]).max() > CEILING
    if over:
        y[:_BLOCK] = _rounded(y[:_BLOCK])
    return np.clip(y, -CEILING, CEILING), float(nodes[-1])


def _rounded(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Saturates softly: below the knee as it was, above it ever less, never beyond the ceiling."""
    knee, room = _KNEE * CEILING, (1 - _KNEE) * CEILING
    beyond = np.maximum(np.abs(x) - knee, 0.0)
    soft = np.sign(x) * (knee + room * np.tanh(beyond / room))
    return np.where(beyond > 0, soft, x).astype(np.float32)
