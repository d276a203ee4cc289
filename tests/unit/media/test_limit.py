"""Sums that are too loud: within 16 bits, without hard clipping or clicks; all else bit by bit."""

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.core.framing import RATE_HZ
from parley.media.bus import Bus
from parley.media.limit import CEILING, limited


def tone(hz: float, peak: float, frames: int = 100, phase: float = 0.0) -> NDArray[np.float32]:
    t = np.arange(frames * 480) / RATE_HZ
    return (peak * np.sin(2 * np.pi * hz * t + phase)).astype(np.float32)


def through(samples: NDArray[np.float32]) -> NDArray[np.int16]:
    gains, out = np.ones(1, np.float32), []
    for frame in samples.reshape(-1, 1, 480):
        limited_frame, gains = limited(frame, gains)
        out.append(limited_frame[0])
    return np.concatenate(out)


def test_what_fits_passes_bit_by_bit() -> None:
    rng = np.random.default_rng(1)
    samples = rng.integers(-32768, 32768, 48_000).clip(-32767).astype(np.float32)
    assert (through(samples) == samples.astype(np.int16)).all()


@pytest.mark.parametrize("loud", [1.1, 2.0, 5.0])
@pytest.mark.parametrize("phase", [0.0, np.pi / 2])
def test_a_loud_sum_is_turned_down_not_clipped(loud: float, phase: float) -> None:
    """A clipped tone stays at the ceiling for several samples at a time, and has overtones."""
    out = through(tone(300, loud * CEILING, phase=phase)).astype(float)
    assert np.abs(out).max() <= CEILING
    settled = out[4800:]
    spectrum = np.abs(np.fft.rfft(settled * np.hanning(len(settled))))
    hz = np.fft.rfftfreq(len(settled), 1 / RATE_HZ)
    fundamental = spectrum[np.abs(hz - 300) < 20].max()
    overtones = spectrum[np.abs(hz - 900) < 20].max()
    assert overtones < 0.02 * fundamental
    assert np.abs(settled).max() > 0.9 * CEILING, "as loud as it may be"


def test_the_gain_does_not_click_when_it_falls_or_rises() -> None:
    samples = tone(200, 0.45 * CEILING, 150)
    samples[40 * 480 : 90 * 480] *= np.linspace(1, 3, 50 * 480, dtype=np.float32)
    samples[90 * 480 : 91 * 480] *= np.linspace(3, 1, 480, dtype=np.float32)
    out = through(samples).astype(float)
    assert np.abs(np.diff(out)).max() < 1.2 * np.abs(np.diff(samples)).max()
    assert (out[-480:] == np.rint(samples[-480:])).all(), "recovered"


def test_a_sudden_peak_anywhere_in_a_frame_stays_below_the_ceiling() -> None:
    for place in range(0, 480, 7):
        samples = tone(200, 1000, 3)
        samples[480 + place] = 90_000
        assert np.abs(through(samples).astype(int)).max() <= CEILING


def test_a_peak_that_could_not_be_prepared_for_is_rounded_off() -> None:
    out = through(tone(300, 1.1 * CEILING, 1, phase=np.pi / 2))
    assert len(set(out[:8].tolist())) > 4, "a clipped one would be flat"


def test_one_listener_is_not_turned_down_for_another() -> None:
    bus = Bus()
    loud = np.full(480, 30_000, np.float32)
    voices = {"a": loud, "b": loud}
    for _ in range(3):
        both, one, none = bus.mixed(voices, [("x", {"a": 1.0, "b": 1.0}), ("y", {"a": 1.0}), ("z", {})])
    assert both.max() <= CEILING
    assert (one == 30_000).all()
    assert not none.any()


def test_gains_are_those_of_the_listener() -> None:
    voices = {"a": np.full(480, 1000, np.float32), "b": np.full(480, 100, np.float32)}
    (frame,) = Bus().mixed(voices, [("x", {"a": 0.5, "b": 2.0, "c": 1.0})])
    assert (frame == 700).all()


def test_what_a_listener_hears_changes_without_a_click() -> None:
    bus = Bus()
    voices = {"a": np.full(480, 10_000, np.float32), "b": np.full(480, -10_000, np.float32)}
    out = [bus.mixed(voices, [("x", {"a": 1.0})])[0]]
    out += [bus.mixed(voices, [("x", {"b": 1.0})])[0] for _ in range(2)]
    heard = np.concatenate(out).astype(int)
    assert (heard[:480] == 10_000).all()
    assert (heard[960:] == -10_000).all()
    assert np.abs(np.diff(heard)).max() <= 43


def test_nobody_speaks_and_nobody_listens() -> None:
    assert not Bus().mixed({}, [("x", {"a": 1.0})]).any()
    assert Bus().mixed({"a": np.ones(480, np.float32)}, []).shape == (0, 480)
