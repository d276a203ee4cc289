"""Where speech is quiet: levels of PCM16, and the best place to cut it."""

from __future__ import annotations

import numpy as np

from .options import SAMPLE_RATE_HZ

_WINDOW = SAMPLE_RATE_HZ // 20
_HOP = SAMPLE_RATE_HZ // 200


def rms(pcm: bytes | bytearray) -> float:
    """Root mean square of int16[n]; 0 of nothing."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float32)
    return float(np.sqrt(np.mean(samples * samples))) if len(samples) else 0.0


def quietest(pcm: bytes | bytearray) -> int:
    """Offset in bytes of the middle of the quietest 50 ms of int16[n] at 24 kHz; the later of equals.

    The end, if there is less than that.
    """
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    if len(samples) < _WINDOW:
        return len(pcm)
    energy = np.concatenate(([0.0], np.cumsum(samples * samples)))
    starts = np.arange(0, len(samples) - _WINDOW + 1, _HOP)
    windows = energy[starts + _WINDOW] - energy[starts]
    latest = len(starts) - 1 - int(np.argmin(windows[::-1]))
    return int(starts[latest] + _WINDOW // 2) * 2
