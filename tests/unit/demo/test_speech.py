"""Countable words and the script that puts them in time."""

from __future__ import annotations

import numpy as np
import pytest

from parley.demo.audio import FULL_SCALE, resample, rms, stretch, to_pcm
from parley.demo.speech import SAMPLE_RATE_HZ, SpeechUnavailable, countable_words, render, say, script
from parley.demo.vocabulary import words_of

LANGUAGES = ["es", "pt", "fr", "ja", "ru", "zh", "de", "ko", "hi", "id", "vi", "it", "en"]


def dbfs(sound: np.ndarray) -> float:
    return float(20 * np.log10(rms(sound) / FULL_SCALE))


@pytest.mark.parametrize("language", LANGUAGES)
def test_words_are_real_loud_and_of_one_length(language: str) -> None:
    words = countable_words(language, voice=1, count=24)
    assert len({word.text for word in words}) == 24
    for word in words:
        assert word.pcm.dtype == np.int16
        assert len(word.pcm) == 0.4 * SAMPLE_RATE_HZ
        assert dbfs(word.pcm) == pytest.approx(-20, abs=0.3)
        assert abs(int(word.pcm[0])) < 300
        assert abs(int(word.pcm[-1])) < 300


def test_same_arguments_same_sound_and_another_voice_another() -> None:
    one = countable_words("en", voice=0, count=2)
    assert countable_words("en", voice=0, count=2)[0].pcm.tobytes() == one[0].pcm.tobytes()
    assert countable_words("en", voice=1, count=2)[0].pcm.tobytes() != one[0].pcm.tobytes()


def test_the_sound_of_a_word_does_not_depend_on_what_was_said_before() -> None:
    first = say("window", "en", voice=3)
    say("Fenster", "de", voice=5)
    assert say("window", "en", voice=3).tobytes() == first.tobytes()


def test_more_words_than_there_are_is_refused() -> None:
    with pytest.raises(ValueError, match="count=1000: en has"):
        countable_words("en", voice=0, count=1000)


def test_a_language_that_is_not_spoken_is_one_line() -> None:
    with pytest.raises(SpeechUnavailable, match="'xx'"):
        say("hello", "xx")


def test_regional_tags_count_by_their_first_part() -> None:
    assert words_of("pt-BR") == words_of("pt")


def test_a_script_says_every_word_once_in_phrases() -> None:
    lines = script({"ann": 4, "bob": 2}, starts={"bob": 0.5}, period_s=1.0, phrase=2, pause_s=3.0)
    assert [(line.speaker, line.word, line.start_s) for line in lines] == [
        ("ann", 0, 0.0),
        ("bob", 0, 0.5),
        ("ann", 1, 1.0),
        ("bob", 1, 1.5),
        ("ann", 2, 5.0),
        ("ann", 3, 6.0),
    ]


def test_a_rendered_track_has_its_words_in_place_and_a_faint_floor() -> None:
    words = countable_words("it", voice=2, count=2)
    track = render(script({"ann": 2}, period_s=0.83), "ann", words)
    begin = round(0.83 * SAMPLE_RATE_HZ)
    assert dbfs(track[:9600]) == pytest.approx(-20, abs=0.3)
    assert dbfs(track[begin : begin + 9600]) == pytest.approx(-20, abs=0.3)
    assert dbfs(track[9600:begin]) == pytest.approx(-65, abs=1)
    assert len(track) == round((0.83 + 0.4 + 1.0) * SAMPLE_RATE_HZ)


def test_a_track_is_cut_at_its_duration() -> None:
    words = countable_words("it", voice=2, count=2)
    assert len(render(script({"ann": 2}), "ann", words, duration_s=1.0)) == SAMPLE_RATE_HZ


@pytest.mark.parametrize("hz", [440, 3000, 9000])
def test_resampling_keeps_a_tone_and_its_phase(hz: int) -> None:
    source = (10_000 * np.sin(2 * np.pi * hz * np.arange(22_050) / 22_050)).astype(np.float32)
    wanted = 10_000 * np.sin(2 * np.pi * hz * np.arange(24_000) / 24_000)
    error = (resample(source, 22_050, 24_000) - wanted)[200:-200]
    assert rms(error.astype(np.float32)) < 1.0


def test_downsampling_removes_what_the_lower_rate_cannot_hold() -> None:
    source = (10_000 * np.sin(2 * np.pi * 5_000 * np.arange(24_000) / 24_000)).astype(np.float32)
    assert rms(resample(source, 24_000, 8_000)[200:-200]) < 2.0


def test_stretching_keeps_the_pitch_and_the_level() -> None:
    source = (10_000 * np.sin(2 * np.pi * 200 * np.arange(6_000) / 24_000)).astype(np.float32)
    longer = stretch(source, 9_600, 24_000)
    assert len(longer) == 9_600
    middle = longer[1_000:8_000]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(len(middle))))
    assert np.argmax(spectrum) * 24_000 / len(middle) == pytest.approx(200, abs=5)
    assert rms(middle) == pytest.approx(rms(source), rel=0.1)


def test_pcm_is_clipped_not_wrapped() -> None:
    assert to_pcm(np.array([40_000, -40_000], np.float32)).tolist() == [32767, -32768]
