"""The native VAD on real synthesised speech, and on what is none."""

from collections.abc import Iterator

import numpy as np
import pytest

from parley.demo.speech import countable_words, say
from parley.media.gate import PhraseGate
from parley.media.vad import WINDOW_S, SpeechProbability

RATE = 24_000


@pytest.fixture
def vad() -> Iterator[SpeechProbability]:
    vad = SpeechProbability()
    yield vad
    vad.close()


def probabilities(vad: SpeechProbability, pcm: np.ndarray, frame: int = 2400) -> list[float]:
    return [p for i in range(0, len(pcm), frame) for p in vad.push(pcm[i : i + frame])]


def noise(seconds: float, dbfs: float) -> np.ndarray:
    rms = 32768 * 10 ** (dbfs / 20)
    return (np.random.default_rng(1).standard_normal(round(seconds * RATE)) * rms).astype(np.int16)


def hum(seconds: float) -> np.ndarray:
    return (3000 * np.sin(2 * np.pi * 50 * np.arange(round(seconds * RATE)) / RATE)).astype(np.int16)


@pytest.mark.parametrize("voice", [0, 1, 2])
@pytest.mark.parametrize("language", ["en", "de", "fr"])
def test_speech_is_speech(vad: SpeechProbability, language: str, voice: int) -> None:
    texts = {
        "en": "the quick brown fox jumps",
        "de": "guten Tag, wie geht es Ihnen",
        "fr": "bonjour tout le monde",
    }
    found = probabilities(vad, np.concatenate([noise(0.5, -65), say(texts[language], language, voice=voice)]))
    assert np.mean(np.array(found[20:]) >= 0.5) > 0.7


def test_every_word_opens_the_gate_once(vad: SpeechProbability) -> None:
    gate, onsets, was_open = PhraseGate(), [], False
    gap = noise(1.6, -65)
    pcm = np.concatenate(
        [gap, *(part for word in countable_words("en", voice=0, count=8) for part in (word.pcm, gap))]
    )
    for i in range(0, len(pcm) - 2399, 2400):
        is_open = gate.decide(vad.push(pcm[i : i + 2400]))
        if is_open and not was_open:
            onsets.append(i / RATE)
        was_open = is_open
    expected = [1.6 + 2.0 * i for i in range(8)]
    assert len(onsets) == 8
    # The pre-roll of 0.4 s covers how late the onset is noticed.
    assert all(start - 0.1 <= onset < start + 0.3 for onset, start in zip(onsets, expected, strict=True))


def coloured(seconds: float, dbfs: float, slope: float) -> np.ndarray:
    """Noise whose amplitude falls with frequency to the power of `slope`: ½ is pink, 1 is brown."""
    count = round(seconds * RATE)
    spectrum = np.fft.rfft(np.random.default_rng(2).standard_normal(count))
    bins = np.maximum(np.arange(len(spectrum)), 20 * seconds)
    sound = np.fft.irfft(spectrum * bins**-slope, count)
    return (
        (sound / np.sqrt(np.mean(sound**2)) * 32768 * 10 ** (dbfs / 20)).clip(-32768, 32767).astype(np.int16)
    )


@pytest.mark.parametrize("floor_dbfs", [-75, -65])
@pytest.mark.parametrize("dbfs", [-20, -40, -45])
@pytest.mark.parametrize("voice", [1, 3])
def test_a_quiet_voice_opens_a_phrase_with_every_word(
    vad: SpeechProbability, voice: int, dbfs: int, floor_dbfs: int
) -> None:
    gap = np.zeros(round(1.6 * RATE), np.int16)
    words = countable_words("en", voice=voice, count=8)
    spoken = np.concatenate([gap, *(part for word in words for part in (word.pcm, gap))])
    quiet = (spoken * 10 ** ((dbfs + 20) / 20)).astype(np.int16)
    pcm = quiet + coloured(len(quiet) / RATE, floor_dbfs, 0.5)
    gate, onsets, was_open = PhraseGate(), 0, False
    for i in range(0, len(pcm) - 1199, 1200):
        is_open = gate.decide(vad.push(pcm[i : i + 1200]))
        onsets += is_open and not was_open
        was_open = is_open
    assert onsets == len(words)


def test_what_a_loud_voice_leaves_behind_is_not_lifted(vad: SpeechProbability) -> None:
    faint = (say("hello there, this is the next room", "en", voice=1) * 10 ** (-38 / 20)).astype(np.int16)
    alone = max(probabilities(vad, np.concatenate([noise(2, -65), faint])))
    probabilities(vad, say("this one is near", "en"))
    after = max(probabilities(vad, np.concatenate([noise(2, -65), faint])))
    assert after < alone


@pytest.mark.parametrize(
    "pcm",
    [
        np.zeros(5 * RATE, np.int16),
        *(noise(5, dbfs) for dbfs in (-65, -50, -30)),
        *(coloured(20, dbfs, 0.5) for dbfs in (-55, -30)),
        *(coloured(20, dbfs, 1.0) for dbfs in (-55, -30)),
        hum(5),
    ],
    ids=[
        "silence",
        "noise floor",
        "louder noise",
        "white",
        "faint pink",
        "pink",
        "faint brown",
        "brown",
        "hum",
    ],
)
def test_what_is_no_speech_opens_no_gate(vad: SpeechProbability, pcm: np.ndarray) -> None:
    gate = PhraseGate()
    for i in range(0, len(pcm), 2400):
        assert not gate.decide(vad.push(pcm[i : i + 2400]))


def test_digital_silence_is_not_asked_about_and_keeps_time(vad: SpeechProbability) -> None:
    found = probabilities(vad, np.zeros(10 * RATE, np.int16))
    assert set(found) == {0.0}
    assert len(found) * WINDOW_S == pytest.approx(10.0, rel=0.05)


def test_windows_come_in_real_time(vad: SpeechProbability) -> None:
    found = probabilities(vad, noise(10, -40))
    assert len(found) * WINDOW_S == pytest.approx(10.0, abs=2 * WINDOW_S)


def test_frames_of_any_length_give_the_same_windows() -> None:
    speech = say("one two three four five six seven", "en")
    pcm = speech + noise(len(speech) / RATE, -55)
    results = []
    for frame in (2400, 480, 777):
        vad = SpeechProbability()
        results.append(np.array(probabilities(vad, pcm, frame)))
        vad.close()
    # The level is taken frame by frame: how much a beginning is lifted depends on its frame a little.
    for other in results[1:]:
        assert np.allclose(results[0], other[: len(results[0])], atol=0.05)
        assert np.allclose(results[0][20:], other[20 : len(results[0])], atol=1e-3)


def test_silence_in_the_middle_leaves_no_memory(vad: SpeechProbability) -> None:
    speech = say("hello there", "en")
    first = probabilities(vad, speech)
    probabilities(vad, np.zeros(RATE, np.int16))
    again = probabilities(vad, speech)
    assert np.mean(np.abs(np.array(first[:10]) - np.array(again[:10]))) < 0.3


def test_nothing_in_nothing_out(vad: SpeechProbability) -> None:
    assert vad.push(np.empty(0, np.int16)) == []
