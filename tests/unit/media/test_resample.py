"""24 kHz → 16 kHz against what an ideal resampler does."""

import numpy as np
import pytest

from parley.media.resample import Resampler24To16

DELAY_S = 16 / 24_000


def tone(hz: float, seconds: float = 1.0, peak: float = 10_000.0) -> np.ndarray:
    return (peak * np.sin(2 * np.pi * hz * np.arange(round(24_000 * seconds)) / 24_000)).astype(np.int16)


def gain_db(hz: float) -> float:
    out = Resampler24To16().push(tone(hz)).astype(np.float64)[800:-800]
    return float(20 * np.log10(np.sqrt(np.mean(out**2)) / (10_000 / np.sqrt(2)) + 1e-9))


@pytest.mark.parametrize("hz", [50, 120, 300, 440, 1000, 2000, 3000, 4000, 5000])
def test_speech_passes_unchanged(hz: float) -> None:
    assert gain_db(hz) == pytest.approx(0.0, abs=0.35)


def test_the_upper_edge_of_the_band() -> None:
    assert -1.0 < gain_db(6000) < 0.2


@pytest.mark.parametrize("hz", [9500, 10_000, 11_000, 11_900])
def test_what_would_alias_into_speech_is_rejected(hz: float) -> None:
    assert gain_db(hz) < -35


@pytest.mark.parametrize("hz", [200, 1000, 3400])
def test_a_tone_is_the_same_tone_later(hz: float) -> None:
    out = Resampler24To16().push(tone(hz)).astype(np.float64)
    t = np.arange(len(out)) / 16_000
    ideal = 10_000 * np.sin(2 * np.pi * hz * (t - DELAY_S))
    error = out[800:-800] - ideal[800:-800]
    assert np.sqrt(np.mean(error**2)) < 10_000 / np.sqrt(2) * 0.02


@pytest.mark.parametrize("seed", range(10))
def test_streaming_is_the_same_as_at_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    pcm = rng.integers(-30_000, 30_000, rng.integers(3000, 9000)).astype(np.int16)
    whole = Resampler24To16().push(pcm)
    streamed, parts, at = Resampler24To16(), [], 0
    while at < len(pcm):
        n = int(rng.integers(0, 700))
        parts.append(streamed.push(pcm[at : at + n]))
        at += n
    joined = np.concatenate(parts)
    assert len(joined) == len(whole)
    # Matrix products of other sizes may round otherwise: by the last bit.
    assert np.abs(joined.astype(np.int32) - whole).max() <= 1


@pytest.mark.parametrize("n", [2400, 480, 3, 1, 0])
def test_three_samples_give_two(n: int) -> None:
    resampler = Resampler24To16()
    count = sum(len(resampler.push(np.zeros(n, np.int16))) for _ in range(30))
    assert count == n * 30 * 2 // 3


def test_full_scale_is_clipped_not_wrapped() -> None:
    square = np.where(np.arange(24_000) // 12 % 2, 32767, -32768).astype(np.int16)
    out = Resampler24To16().push(square)[800:]
    ideal_sign = np.sign(out.astype(np.int32))
    flips = np.count_nonzero(np.diff(ideal_sign))
    assert flips == pytest.approx(len(out) / 8, rel=0.02)
    assert out.dtype == np.int16
