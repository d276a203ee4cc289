"""Small operations on whole pieces of sound: levels, fades, and a change of sample rate."""

from __future__ import annotations

from functools import lru_cache
from math import gcd

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Pcm = NDArray[np.int16]
Wave = NDArray[np.float32]

FULL_SCALE = 32768.0
_HALF_WIDTH = 24
_NOISE_PEAK = 9000
_CHUNK_OUTPUTS = 1 << 14


def amplitude(dbfs: float) -> float:
    """The RMS value, in int16 units, of a level in dBFS; 0 dBFS is full scale."""
    return float(FULL_SCALE * 10.0 ** (dbfs / 20.0))


def rms(sound: Pcm | Wave) -> float:
    """The root mean square of `sound[n]` in its own units; 0 where it is empty."""
    return float(np.sqrt(np.mean(np.square(sound.astype(np.float64))))) if len(sound) else 0.0


def to_pcm(sound: Wave) -> Pcm:
    """Round and clip `float32[n]` in int16 units to `int16[n]`."""
    return np.clip(np.rint(sound), -32768, 32767).astype(np.int16)


def fade(sound: Wave, samples: int) -> Wave:
    """`float32[n]` with raised-cosine edges of `samples` at either end."""
    ramp = (0.5 - 0.5 * np.cos(np.pi * (np.arange(samples) + 0.5) / samples)).astype(np.float32)
    faded = sound.copy()
    faded[:samples] *= ramp
    faded[len(faded) - samples :] *= ramp[::-1]
    return faded


def noise(seconds: float, sample_rate: int, seed: int = 1) -> Pcm:
    """Unbroken noise that is like itself nowhere: a silence in it is a loss, each place is known again.

    A shorter one is the begin of a longer one, but for its level.
    """
    samples = np.random.default_rng(seed).standard_normal(round(seconds * sample_rate))
    smooth = np.convolve(samples, np.ones(8) / 8, "same")
    pcm: Pcm = (smooth / np.abs(smooth).max() * _NOISE_PEAK).astype(np.int16)
    return pcm


def resample(sound: Pcm | Wave, from_hz: int, to_hz: int) -> Wave:
    """`sound[n]` at another rate as `float32[n * to_hz / from_hz]`, in phase with the original (no delay).

    A polyphase windowed sinc (Kaiser, 80 dB) that passes 0.46 of the lower of the two rates.
    """
    wave = sound.astype(np.float32)
    if from_hz == to_hz or not len(wave):
        return wave
    common = gcd(from_hz, to_hz)
    up, down = to_hz // common, from_hz // common
    kernels = _kernels(up, down)
    width = kernels.shape[1]
    count = -(-len(wave) * up // down)
    padded = np.concatenate([np.zeros(width // 2, np.float32), wave, np.zeros(width, np.float32)])
    windows = sliding_window_view(padded, width)
    result = np.empty(count, np.float32)
    for phase in range(up):
        outputs = np.arange(phase, count, up)
        kernel = kernels[(phase * down) % up]
        for begin in range(0, len(outputs), _CHUNK_OUTPUTS):
            chunk = outputs[begin : begin + _CHUNK_OUTPUTS]
            result[chunk] = windows[chunk * down // up] @ kernel
    return result


@lru_cache(maxsize=16)
def _kernels(up: int, down: int) -> Wave:
    """`float32[up, width]`: row p weighs the input around a moment p/up of a sample after its middle."""
    cutoff = 0.96 * min(1.0, up / down)
    half = int(np.ceil(_HALF_WIDTH / cutoff))
    offsets = np.arange(-half, half + 1)[None, :] - np.arange(up)[:, None] / up
    window = np.i0(8.0 * np.sqrt(np.clip(1.0 - np.square(offsets / (half + 1)), 0.0, None))) / np.i0(8.0)
    rows = np.sinc(cutoff * offsets) * window
    rows /= rows.sum(axis=1, keepdims=True)
    return rows.astype(np.float32)


def stretch(sound: Wave, length: int, rate_hz: int) -> Wave:
    """`float32[n]` made `length` samples long with its pitch unchanged (overlap-add at the best match)."""
    frame, reach = rate_hz * 30 // 1000 // 2 * 2, rate_hz * 6 // 1000
    hop = frame // 2
    window = (0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(frame) + 0.5) / frame)).astype(np.float32)
    source = np.concatenate(
        [np.zeros(hop + reach, np.float32), sound, np.zeros(2 * frame + reach, np.float32)]
    )
    total = np.zeros(length + 2 * frame, np.float32)
    speed = len(sound) / length
    follows = reach
    for place in range(0, length + hop, hop):
        wanted = min(reach + round(place * speed), len(source) - frame - reach)
        if place:
            region = source[wanted - reach : wanted + reach + frame]
            likeness = sliding_window_view(region, frame) @ source[follows : follows + frame]
            wanted += int(np.argmax(likeness)) - reach
        total[place : place + frame] += source[wanted : wanted + frame] * window
        follows = min(wanted + hop, len(source) - frame)
    return total[hop : hop + length]
