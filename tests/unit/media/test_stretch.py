"""Speech that is played faster: the same pitch, the same words, no clicks."""

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.core.framing import RATE_HZ
from parley.demo.listening import find_words
from parley.demo.speech import countable_words
from parley.media.frames import FRAME_BYTES
from parley.media.stretch import Squeeze, best_lag, faded

WORDS = countable_words("en", voice=0, count=24)
SPEECH = np.concatenate([word.pcm for word in WORDS])


def squeezed(samples: NDArray[np.int16], speed: float) -> NDArray[np.int16]:
    held, squeeze, out = bytearray(samples.tobytes()), Squeeze(), bytearray()
    while len(held) >= FRAME_BYTES:
        out += squeeze.take(held, speed)
    return np.frombuffer(bytes(out), np.int16)


def vowel(pitch_hz: float, duration_s: float = 2.0) -> NDArray[np.int16]:
    t = np.arange(int(duration_s * RATE_HZ)) / RATE_HZ
    voice = sum(np.sin(2 * np.pi * k * pitch_hz * t) / k for k in range(1, 12))
    return np.rint(6000 * voice).astype(np.int16)


def pitch(samples: NDArray[np.int16]) -> float:
    """The strongest partial, by the spectrum."""
    x = samples.astype(float) * np.hanning(len(samples))
    spectrum = np.abs(np.fft.rfft(x, 1 << 20))
    return float(spectrum.argmax()) * RATE_HZ / (1 << 20)


def test_at_its_own_speed_not_a_sample_is_changed() -> None:
    assert squeezed(SPEECH, 1.0).tobytes() == SPEECH[: len(SPEECH) // 480 * 480].tobytes()


@pytest.mark.parametrize("speed", [1.05, 1.2, 1.35])
def test_it_takes_as_much_less_time_as_it_is_faster(speed: float) -> None:
    assert len(SPEECH) / len(squeezed(SPEECH, speed)) == pytest.approx(speed, rel=0.02)


@pytest.mark.parametrize("hz", [85.0, 133.3, 210.0, 317.0])
@pytest.mark.parametrize("speed", [1.1, 1.35])
def test_the_pitch_stays(hz: float, speed: float) -> None:
    """To a sixth of a semitone: played as fast without further ado it would be five semitones higher."""
    assert pitch(squeezed(vowel(hz), speed)) == pytest.approx(hz, rel=0.01)


@pytest.mark.parametrize("hz", [85.0, 133.3, 210.0])
def test_no_seam_clicks(hz: float) -> None:
    """The largest step from sample to sample is that of the vowel itself: a click would be a larger one."""
    plain = vowel(hz)
    steepest = np.abs(np.diff(plain.astype(int))).max()
    assert np.abs(np.diff(squeezed(plain, 1.35).astype(int))).max() <= 1.1 * steepest


def test_no_seam_of_speech_is_steeper_than_the_speech() -> None:
    steepest = np.abs(np.diff(SPEECH.astype(int))).max()
    assert np.abs(np.diff(squeezed(SPEECH, 1.35).astype(int))).max() <= steepest


@pytest.mark.parametrize(("speed", "least"), [(1.1, 24), (1.2, 24), (1.3, 22)])
def test_words_are_recognised(speed: float, least: int) -> None:
    """By a filter that knows them at their own speed, and lets each tenth of a second slip by 32 ms."""
    quiet = np.zeros(RATE_HZ // 10, np.int16)
    said = np.concatenate([np.concatenate([word.pcm, quiet]) for word in WORDS])
    heard = find_words(squeezed(said, speed), RATE_HZ, WORDS)
    assert len(heard) >= least
    assert [word.word_index for word in heard] == sorted({word.word_index for word in heard})


def test_a_vowel_is_most_like_itself_some_periods_later() -> None:
    lag, alike = best_lag(vowel(200.0)[:960])
    assert lag % 120 == pytest.approx(0, abs=1)
    assert alike > 0.99


def test_silence_is_left_out_as_well() -> None:
    assert len(squeezed(np.zeros(RATE_HZ, np.int16), 1.35)) < 0.8 * RATE_HZ


def test_a_fade_begins_with_the_old_and_ends_with_the_new() -> None:
    old, new = np.full(480, 1000, np.int16), np.full(480, -1000, np.int16)
    seam = faded(old, new)
    assert seam[0] == pytest.approx(1000, abs=10)
    assert np.abs(np.diff(seam.astype(int))).max() <= 9
    assert (seam[240:] == -1000).all()
