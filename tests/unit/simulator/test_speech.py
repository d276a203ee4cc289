"""How words sound, and how a reply is taken apart and put together."""

import numpy as np
import pytest

from parley.simulator import LANGUAGES, VOICES, language_of, voice_of, word_sound
from parley.simulator.speech import (
    left_of,
    loud_stretches,
    marked,
    repeated,
    sound_of,
    text_of,
    voiced,
)
from parley.simulator.voice import VoiceState, speak

WORDS = ["morning", "window", "garden", "river", "market", "number", "coffee", "station", "letter", "7"]


def likeness(one, other):
    """The highest normalised correlation at any shift."""
    size = len(one) + len(other)
    spectrum = np.fft.rfft(one.astype(float), size) * np.conj(np.fft.rfft(other.astype(float), size))
    norm = np.linalg.norm(one.astype(float)) * np.linalg.norm(other.astype(float))
    return float(np.abs(np.fft.irfft(spectrum, size)).max() / norm)


def test_a_word_is_always_the_same_sound_and_no_other_words():
    assert np.array_equal(word_sound("Morning,"), word_sound("morning"))
    for place, word in enumerate(WORDS):
        assert 0.3 <= len(word_sound(word)) / 24_000 <= 0.4
        for other in WORDS[:place]:
            assert likeness(word_sound(word), word_sound(other)) < 0.5
    assert word_sound("...").any()


def test_a_text_is_voiced_word_by_word():
    segments = voiced("Good morning,  all.")
    assert [segment.text for segment in segments] == ["Good", " morning,", "  all."]
    assert text_of(segments) == "Good morning,  all."
    assert len(sound_of(segments)) == sum(len(word_sound(w)) + 2400 for w in ("Good", "morning", "all"))
    assert voiced("") == []


def test_the_users_words_are_repeated_in_their_sound(sound):
    tone, quiet = sound
    pcm = np.concatenate([quiet(300), tone(400), quiet(1000), tone(300), quiet(400)])
    stretches = loud_stretches(pcm)
    assert [len(stretch) / 24 for stretch in stretches] == pytest.approx([620, 500], abs=40)
    segments = repeated(["one", "two"], pcm)
    assert [segment.text for segment in segments] == ["one", " two"]
    assert np.array_equal(segments[0].pcm, stretches[0])
    divided = repeated(["a", "b", "c", "d"], pcm)
    assert len(sound_of(divided)) == len(sound_of(segments))
    assert len({len(segment.pcm) for segment in divided}) <= 2
    assert repeated(["one"], quiet(500))[0].pcm.size == 0
    assert loud_stretches(quiet(500)) == []


@pytest.mark.parametrize(
    ("said", "left"),
    [
        ("", None),
        ("one", "two three"),
        ("one ", "two three"),
        ("one two", "three"),
        ("one  tw", "two three"),
        ("one two three", None),
        ("one two three four", None),
        ("two", None),
    ],
)
def test_what_is_left_of_a_cut_reply(said, left):
    rest = left_of(voiced("one two three"), said)
    assert (None if rest is None else text_of(rest)) == left


@pytest.mark.parametrize("voice", VOICES)
def test_a_voice_is_told_from_the_others_and_from_languages(voice):
    said = marked(sound_of(voiced("good morning to all of you")), voice)
    assert voice_of(said) == voice
    assert language_of(said) is None
    twice = np.repeat(said, 2)
    assert voice_of(twice, 48_000) == voice


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_is_no_voice(language):
    said = sound_of(voiced("good morning to all of you"))
    said = speak(said[: len(said) // 480 * 480], language, VoiceState())
    assert language_of(said) == language
    assert voice_of(said) is None
