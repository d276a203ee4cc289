"""Speech played faster at unchanged pitch: here and there a stretch is left out that what follows looks like.

Time-domain overlap-add: at the start of a frame the next 15 ms are compared with those that come 2.5 to 20 ms
later. Where they are most alike, which in a vowel is some periods of its pitch later, one is faded into the
other over 10 ms. Between two such places the samples are what they were.
"""

import numpy as np
from numpy.typing import NDArray

from .frames import FRAME_BYTES, FRAME_SAMPLES

LEAST_LAG = 60
MOST_LAG = 480
_MATCH = 360
_FADE = 240
_ALIKE = 0.5
_AS_GOOD = 0.1
_URGENT = 720
"""Samples that are to be left out, from which on it is done also where nothing looks alike."""
_RAMP = np.linspace(0, 1, _FADE + 2, dtype=np.float32)[1:-1]
LOOKAHEAD_BYTES = FRAME_BYTES + 2 * MOST_LAG
"""What must be there for something to be left out of a frame."""


class Squeeze:
    """Takes frames from the front of a buffer, a little more than comes out of it."""

    def __init__(self) -> None:
        self._owed = 0.0

    def take(self, held: bytearray, speed: float) -> bytes:
        """The next frame of PCM16 from `held`, which has one at least, at `speed` times its own pace."""
        if speed <= 1.0:
            self._owed = 0.0
        else:
            self._owed = min(MOST_LAG * 2.0, self._owed + FRAME_SAMPLES * (speed - 1.0))
        if self._owed >= LEAST_LAG and len(held) >= LOOKAHEAD_BYTES:
            samples = np.frombuffer(bytes(held[:LOOKAHEAD_BYTES]), np.int16)
            lag, alike = best_lag(samples)
            if alike >= _ALIKE or self._owed >= _URGENT:
                self._owed -= lag
                del held[: 2 * lag + FRAME_BYTES]
                return faded(samples[:FRAME_SAMPLES], samples[lag : lag + FRAME_SAMPLES]).tobytes()
        frame = bytes(held[:FRAME_BYTES])
        del held[:FRAME_BYTES]
        return frame


def best_lag(samples: NDArray[np.int16]) -> tuple[int, float]:
    """How many samples later int16[960] looks like its beginning, and how alike (−1 to 1).

    Of places that are about as good the last: the fewer are needed.
    """
    x = samples.astype(np.float32)
    pattern = x[:_MATCH]
    later = x[LEAST_LAG : MOST_LAG + _MATCH]
    energy = np.concatenate(([0.0], np.cumsum(np.square(later, dtype=np.float64))))
    energy = energy[_MATCH:] - energy[:-_MATCH]
    own = float(np.dot(pattern, pattern))
    alike = np.correlate(later, pattern) / np.sqrt(own * energy + 1.0)
    best = int(np.flatnonzero(alike >= alike.max() - _AS_GOOD)[-1])
    return LEAST_LAG + best, float(alike[best])


def faded(old: NDArray[np.int16], new: NDArray[np.int16]) -> NDArray[np.int16]:
    """`new`, of which the first 10 ms come gradually in place of those of `old`."""
    result = new.copy()
    length = min(_FADE, len(old), len(new))
    ramp = _RAMP if length == _FADE else np.linspace(0, 1, length + 2, dtype=np.float32)[1:-1]
    blend = old[:length] + (new[:length].astype(np.float32) - old[:length]) * ramp
    result[:length] = np.rint(blend).astype(np.int16)
    return result
