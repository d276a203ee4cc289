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
        self._held: NDArray[np.float32] = np.zeros(_TAPS - 3, dtype=np.float32)
        self._fit(_TAPS - 3)

    def push(self, pcm: NDArray[np.int16], gain: float = 1.0) -> NDArray[np.int16]:
        """int16[n] at 24 kHz → int16[2n/3] at 16 kHz, times `gain`; a remainder of n/3 waits for more."""
        held = len(self._held)
        if held + len(pcm) != len(self._x):
            self._fit(held + len(pcm))
        x = self._x
        x[:held] = self._held
        x[held:] = pcm
        if gain != 1.0:
            x[held:] *= np.float32(gain)
        self._held = x[3 * len(self._windows) :].copy()
        y = np.ascontiguousarray(self._windows) @ _FILTER
        np.minimum(y, 32767, out=y)
        np.maximum(y, -32768, out=y)
        return y.reshape(-1).astype(np.int16)

    def _fit(self, length: int) -> None:
        """Memory for so many samples and the windows that the filter sees; kept while frames are alike."""
        self._x = x = np.zeros(length, np.float32)
        shape, strides = ((length - (_TAPS - 3)) // 3, _TAPS), (x.strides[0] * 3, x.strides[0])
        self._windows = np.lib.stride_tricks.as_strided(x, shape=shape, strides=strides, writeable=False)
