"""Resampling 24 kHz → 16 kHz, which is what the VAD takes."""

import numpy as np
from numpy.typing import NDArray

_TAPS = 36
"""Filter length in input samples: 1.5 ms; its delay is half of that."""
_CUTOFF_HZ = 7_400.0


def _phases() -> NDArray[np.float32]:
    """Two phases of a windowed sinc: one for output samples on an input sample, one for those half-way."""
    n = np.arange(_TAPS, dtype=np.float64)
    centre = _TAPS / 2 - 1
    columns = []
    for shift in (0.0, 1.5):
        t = n - centre - shift
        h = np.sinc(2 * _CUTOFF_HZ / 24_000 * t) * np.cos(np.pi * t / (_TAPS + 3)) ** 2
        columns.append(h / h.sum())
    return np.stack(columns, axis=1).astype(np.float32)


_FILTER = _phases()


class Resampler24To16:
    """Streams mono PCM16 from 24 kHz to 16 kHz: three samples in, two out.

    Polyphase windowed sinc, about −0.5 dB at 6 kHz; delay 0.67 ms. Not for listening: it feeds the VAD.
    """

    def __init__(self) -> None:
        self._held = np.zeros(_TAPS - 3, dtype=np.float32)

    def push(self, pcm: NDArray[np.int16], gain: float = 1.0) -> NDArray[np.int16]:
        """int16[n] at 24 kHz → int16[2n/3] at 16 kHz, times `gain`; a remainder of n/3 waits for more."""
        samples = pcm.astype(np.float32)
        if gain != 1.0:
            samples *= np.float32(gain)
        x = np.concatenate((self._held, samples))
        steps = (len(x) - (_TAPS - 3)) // 3
        self._held = x[steps * 3 :]
        if steps <= 0:
            return np.empty(0, dtype=np.int16)
        windows = np.lib.stride_tricks.as_strided(
            x, shape=(steps, _TAPS), strides=(x.strides[0] * 3, x.strides[0]), writeable=False
        )
        y = (windows @ _FILTER).reshape(-1)
        np.clip(y, -32768, 32767, out=y)
        return y.astype(np.int16)
