"""The marker in the simulated voice: told apart after what a call does to it, and no harm to the words."""

import numpy as np
import pytest

from parley.simulator import LANGUAGES, MARKER_HZ, language_of, speak
from parley.simulator.voice import VoiceState

RATE = 24_000


def word(seed=1, ms=400, pitch=130.0, dbfs=-20.0):
    """Something like a voiced syllable: a gliding pitch, falling harmonics, a little breath."""
    random = np.random.default_rng(seed)
    time = np.arange(RATE * ms // 1000) / RATE
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * 3 * time))) / RATE
    voice = sum(np.sin(n * phase + random.uniform(0, 6)) / n**1.3 for n in range(1, int(8000 / pitch / 1.1)))
    voice = voice + random.normal(0, 0.02, len(time))
    return voice * (32768 * 10 ** (dbfs / 20) / np.sqrt(np.mean(voice**2)))


def say(samples, language, state=None):
    state = state or VoiceState()
    pcm = np.clip(np.rint(samples), -32768, 32767).astype(np.int16)
    pcm = np.concatenate([pcm, np.zeros(-len(pcm) % 4800, np.int16)])
    return np.concatenate([speak(pcm[at : at + 4800], language, state) for at in range(0, len(pcm), 4800)])


def resample(samples, up):
    """By 2 or by 1/2, in the frequency domain."""
    spectrum = np.fft.rfft(samples.astype(float))
    size = int(len(samples) * up)
    spectrum = spectrum[: size // 2 + 1] if up < 1 else np.pad(spectrum, (0, size // 2 + 1 - len(spectrum)))
    return np.clip(np.rint(np.fft.irfft(spectrum, size) * up), -32768, 32767).astype(np.int16)


@pytest.mark.parametrize("language", LANGUAGES)
def test_each_language_is_told_apart_through_resampling_and_noise(language):
    random = np.random.default_rng(5)
    for seed, pitch in ((1, 100.0), (2, 130.0), (3, 200.0), (4, 240.0)):
        spoken = say(word(seed, pitch=pitch), language)
        wide = resample(spoken, 2)
        back = resample(wide, 0.5)
        noisy = (back + random.normal(0, 32768 * 10 ** (-50 / 20), len(back))).astype(np.int16)
        assert language_of(spoken[:9600]) == language
        assert language_of(wide[:19_200], 48_000) == language
        assert language_of(noisy[:9600]) == language
        assert language_of((noisy[:9600] * 0.2).astype(np.int16)) == language
        assert language_of(spoken[3000:5400]) == language


def test_what_carries_no_marker_has_no_language():
    random = np.random.default_rng(6)
    for seed in range(10):
        assert language_of(word(seed, pitch=90 + 17 * seed).astype(np.int16)) is None
        assert language_of(random.normal(0, 3000, 4800).astype(np.int16)) is None
    assert language_of(np.zeros(4800, np.int16)) is None
    assert language_of(np.zeros(0, np.int16)) is None


def test_two_markers_at_once_are_no_language():
    twice = say(say(word(), "fr").astype(float), "de")
    assert language_of(twice[:9600]) is None


def test_the_marker_does_not_harm_a_matched_filter():
    clean = word()
    spoken = say(clean, "es")[: len(clean)].astype(float)
    added = spoken - np.rint(clean)
    assert 20 * np.log10(np.sqrt(np.mean(added**2)) / np.sqrt(np.mean(clean**2))) < -20
    assert np.corrcoef(clean, spoken)[0, 1] > 0.99


def test_the_marker_fades_and_its_phase_runs_on():
    clean = np.concatenate([np.zeros(2400), word(ms=800), np.zeros(12_000)])
    spoken = say(clean, "it").astype(float)
    marker = spoken[: len(clean)] - np.rint(clean)
    assert not marker[:1920].any()
    assert not marker[2400 + 19_200 + 2400 :].any()
    assert np.abs(marker[2400:2424]).max() < 10
    assert np.abs(marker[22_560:23_040]).max() > 300
    hz = MARKER_HZ["it"]
    steady = marker[4800:19_200].reshape(-1, 480)
    carrier = np.exp(-2j * np.pi * hz * np.arange(480) / RATE)
    angles = np.angle(steady @ carrier)
    assert np.ptp(angles) < 0.05
    step = 2 * np.pi * hz / RATE * 32768 * 10 ** (-42 / 20) * np.sqrt(2)
    assert np.abs(np.diff(marker)).max() < step * 1.1


def test_silence_is_left_as_it_is():
    state = VoiceState()
    quiet = np.random.default_rng(1).normal(0, 18, 4800).astype(np.int16)
    assert np.array_equal(speak(quiet, "fr", state), quiet)
    assert not state.audible


def test_other_rates_are_refused():
    with pytest.raises(ValueError, match="sample_rate: got 16000"):
        language_of(np.zeros(1000, np.int16), 16_000)
