"""The phrase gate: where a phrase begins, where it ends, and what was said just before it."""

import pytest

from parley.media.gate import GatePolicy, PhraseGate

LOUD, QUIET = 0.8, 0.05
POLICY = GatePolicy(threshold=0.5, keep=0.35, onset_windows=2, silence_s=0.5, pre_roll_s=0.4)


@pytest.fixture
def gate() -> PhraseGate:
    return PhraseGate(POLICY)


@pytest.mark.parametrize(
    ("windows", "opens"),
    [
        ([LOUD], False),
        ([LOUD, LOUD], True),
        ([LOUD, QUIET, LOUD], True),
        ([LOUD, QUIET, QUIET, LOUD], False),
        ([0.49, 0.49, 0.49, 0.49], False),
        ([0.5, 0.5], True),
        ([0.9], True),
        ([0.89], False),
    ],
)
def test_two_of_three_windows_begin_a_phrase(gate: PhraseGate, windows: list[float], opens: bool) -> None:
    assert gate.decide(windows) is opens
    assert gate.open is opens


def test_windows_of_several_frames_count_together(gate: PhraseGate) -> None:
    assert not gate.decide([LOUD])
    assert not gate.decide([])
    assert gate.decide([LOUD])


def test_a_lower_probability_keeps_a_phrase_alive(gate: PhraseGate) -> None:
    gate.decide([LOUD, LOUD])
    assert gate.decide([0.36] * 1000)
    assert not gate.decide([0.34] * 16)


def test_silence_ends_a_phrase_after_its_time(gate: PhraseGate) -> None:
    gate.decide([LOUD, LOUD])
    assert gate.decide([QUIET] * 15)
    assert not gate.decide([QUIET])  # 16 windows of 32 ms


def test_a_short_pause_is_part_of_the_phrase(gate: PhraseGate) -> None:
    gate.decide([LOUD, LOUD])
    for _ in range(10):
        assert gate.decide([QUIET] * 14)
        assert gate.decide([LOUD])


def test_the_next_phrase_needs_its_own_onset(gate: PhraseGate) -> None:
    gate.decide([LOUD, LOUD])
    gate.decide([QUIET] * 16)
    assert not gate.decide([LOUD])
    assert gate.decide([LOUD])


def test_an_end_and_an_onset_in_one_frame(gate: PhraseGate) -> None:
    gate.decide([LOUD, LOUD])
    assert gate.decide([QUIET] * 16 + [LOUD, LOUD])


def test_the_pre_roll_is_the_newest_frames_oldest_first(gate: PhraseGate) -> None:
    for i in range(50):
        gate.remember(bytes([i]), 0.1)
    assert gate.pre_roll == (bytes([46]), bytes([47]), bytes([48]), bytes([49]))


def test_the_pre_roll_is_at_least_its_length_in_frames_of_any_length(gate: PhraseGate) -> None:
    for duration_s in (0.03, 0.17, 0.1, 0.25, 0.06, 0.3) * 5:
        gate.remember(b"x", duration_s)
        gate.remember(b"y", 0.02)
    lengths = {b"x": 0.3, b"y": 0.02}
    assert gate.pre_roll[-2:] == (b"x", b"y")
    assert sum(lengths[p] for p in gate.pre_roll[-2:]) < 0.4
    assert len(gate.pre_roll) in (3, 4)


def test_no_pre_roll_where_none_is_wanted() -> None:
    gate = PhraseGate(GatePolicy(pre_roll_s=0.0))
    gate.remember(b"x", 0.1)
    assert gate.pre_roll == ()


def test_the_end_of_the_microphone_forgets_everything(gate: PhraseGate) -> None:
    gate.remember(b"x", 0.1)
    gate.decide([LOUD, LOUD])
    gate.end()
    assert (gate.open, gate.pre_roll) == (False, ())
    assert not gate.decide([LOUD])
    gate.remember(b"y", 0.1)
    assert gate.pre_roll == (b"y",)
