"""What counts as a word, and how it is written."""

import numpy as np
import pytest

from parley.simulator.transcript import STOP, Transcript, Words
from parley.simulator.voice import loud_blocks


def blocks(text):
    return [character == "#" for character in text]


@pytest.mark.parametrize(
    ("sound", "marks"),
    [
        ("####", [1]),
        ("###", []),
        ("###...###", []),
        ("##..##", [1]),
        ("####..####", [1]),
        ("####...####", [1, 2]),
        ("####" + "." * 29, [1]),
        ("####" + "." * 30 + "####", [1, STOP, 2]),
        ("." * 100, []),
        ("####" + "." * 200, [1, STOP]),
    ],
)
def test_words_are_bursts(sound, marks):
    assert Words().push(blocks(sound)) == marks
    one_by_one = Words()
    assert [mark for block in blocks(sound) for mark in one_by_one.push([block])] == marks


def test_every_sentence_says_that_it_is_simulated():
    written = Transcript("fr")
    assert written.deltas([1, 2, STOP, 3]) == [
        "[simulated fr]", " word-1", " word-2", ".", " [simulated fr]", " word-3",
    ]  # fmt: skip
    assert written.end() == ["."]
    assert written.end() == []


@pytest.mark.parametrize("language", ["ja", "zh"])
def test_japanese_and_chinese_have_no_spaces_between(language):
    text = "".join(Transcript(language).deltas([1, 2, STOP, 3, STOP]))
    assert text == f"[simulated {language}]word-1word-2。[simulated {language}]word-3。"


def test_a_noise_floor_is_quiet_and_faint_speech_is_not():
    noise = np.random.default_rng(3).normal(0, 1, 24_000)
    assert not loud_blocks((noise * 32768 * 10 ** (-65 / 20)).astype(np.int16)).any()
    assert loud_blocks((noise * 32768 * 10 ** (-40 / 20)).astype(np.int16)).all()
    assert len(loud_blocks(np.zeros(481, np.int16))) == 2
