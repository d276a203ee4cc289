"""Words known again by their sound."""

import numpy as np
import pytest

from parley.simulator import recogniser, word_sound

WORDS = ("alpha", "bravo", "charlie", "delta", "echo", "foxtrot")
RECOGNISE = recogniser({word: word_sound(word) for word in WORDS})


def quiet(ms: int) -> np.ndarray:
    return np.zeros(24 * ms, np.int16)


def test_words_are_found_in_their_order_however_they_are_placed():
    for lead in (0, 7, 333):
        order = ("charlie", "alpha", "alpha", "foxtrot")
        pcm = np.concatenate(
            [quiet(lead), *(part for word in order for part in (word_sound(word), quiet(30)))]
        )
        assert RECOGNISE(pcm) == list(order)


@pytest.mark.parametrize("gain", [0.1, 0.5, 2.0])
def test_neither_loudness_nor_noise_decides(gain):
    noise = np.random.default_rng(1).normal(0, 60, len(word_sound("echo")))
    heard = np.clip(word_sound("echo") * gain + noise, -32768, 32767).astype(np.int16)
    assert RECOGNISE(heard) == ["echo"]


def test_what_is_no_word_is_none():
    assert RECOGNISE(quiet(300)) == []
    assert RECOGNISE(word_sound("golf")) == []
    noise = np.random.default_rng(1).normal(0, 3000, 12_000).astype(np.int16)
    assert RECOGNISE(noise) == []


@pytest.mark.parametrize("cut", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_a_word_that_is_cut_is_never_two(cut):
    for word in WORDS:
        pcm = word_sound(word)
        place = int(len(pcm) * cut)
        found = RECOGNISE(pcm[:place]) + RECOGNISE(pcm[place:])
        assert found in ([], [word])
        if cut in (0.1, 0.9):
            assert found == [word]


def test_a_transcription_and_a_translations_source_hear_the_same(dictate, drive):
    order = ("alpha", "bravo", "delta", "alpha")
    pcm = np.concatenate([part for word in order for part in (word_sound(word), quiet(400))])
    driver = dictate(recognise_word=RECOGNISE)
    driver.whisper()
    driver.speak(pcm)
    driver.commit()
    driver.run(5)
    assert driver.finals() == ["alpha bravo delta alpha"]
    translation = drive(recognise_word=RECOGNISE)
    translation.update(input={"transcription": {"model": "gpt-realtime-whisper"}}, output={"language": "fr"})
    translation.speak(pcm[: -24 * 350])
    translation.close()
    assert "".join(translation.texts("input")) == "alpha bravo delta alpha"
    assert "".join(translation.texts()).count("word-") == 4


def test_what_was_said_while_a_source_was_not_transcribed_is_not_written_later(drive):
    driver = drive(recognise_word=RECOGNISE)
    on, off = {"transcription": {"model": "gpt-realtime-whisper"}}, {"transcription": None}
    driver.update(input=on, output={"language": "fr"})
    driver.speak(word_sound("alpha")[:9_600], chunk=4800)
    driver.update(input=off)
    driver.speak(quiet(1000), chunk=4800)
    driver.update(input=on)
    driver.speak(np.concatenate([quiet(400), word_sound("bravo"), quiet(600)]), chunk=4800)
    driver.close()
    assert driver.texts("input") == ["bravo"]
