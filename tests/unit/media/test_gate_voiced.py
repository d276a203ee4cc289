"""How much of a frame is voice, before and after it is sure that a phrase lives."""

import pytest

from parley.media.gate import GatePolicy, PhraseGate

WINDOW_S = 0.032
POLICY = GatePolicy(threshold=0.5, keep=0.35, onset_windows=2, sure=0.9, silence_s=0.5)


@pytest.fixture
def gate() -> PhraseGate:
    return PhraseGate(POLICY, window_s=WINDOW_S)


def test_nothing_before_the_first_frame(gate: PhraseGate) -> None:
    assert gate.voiced_s == 0


@pytest.mark.parametrize(
    ("windows", "voiced"),
    [([], 0), ([0.1], 0), ([0.5], 1), ([0.34, 0.6], 1), ([0.95] * 3, 3), ([0.4] * 3, 3)],
)
def test_what_would_keep_a_phrase_alive_is_voice(gate: PhraseGate, windows: list[float], voiced: int) -> None:
    gate.decide(windows)
    assert gate.voiced_s == pytest.approx(voiced * WINDOW_S)


def test_a_single_window_that_begins_no_phrase_is_voice_already(gate: PhraseGate) -> None:
    assert not gate.decide([0.6])
    assert gate.voiced_s == pytest.approx(WINDOW_S)


def test_it_is_of_the_last_frame_alone(gate: PhraseGate) -> None:
    gate.decide([0.95, 0.95])
    gate.decide([])
    assert gate.voiced_s == 0
    gate.decide([0.95])
    assert gate.voiced_s == pytest.approx(WINDOW_S)


def test_inside_a_phrase_a_lower_probability_is_voice(gate: PhraseGate) -> None:
    gate.decide([0.95])
    gate.decide([0.36, 0.34, 0.9])
    assert gate.voiced_s == pytest.approx(2 * WINDOW_S)


def test_the_silence_that_is_still_part_of_a_phrase_is_no_voice(gate: PhraseGate) -> None:
    gate.decide([0.95])
    assert gate.decide([0.1] * 10)
    assert gate.voiced_s == 0


def test_after_the_phrase_silence_is_no_voice(gate: PhraseGate) -> None:
    gate.decide([0.95])
    assert not gate.decide([0.1] * 16)
    gate.decide([0.3])
    assert gate.voiced_s == 0


def test_a_frame_in_which_a_phrase_ends_and_another_begins(gate: PhraseGate) -> None:
    gate.decide([0.95])
    assert gate.decide([*[0.1] * 16, 0.4, 0.95])
    assert gate.voiced_s == pytest.approx(2 * WINDOW_S)
