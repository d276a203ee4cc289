"""Mixing: every frame is heard once, and together with those of its time."""

import random

import numpy as np
import pytest

from parley.media.mix import Mixer, mixed


def frame(value: int, samples: int = 480) -> bytes:
    return np.full(samples, value, np.int16).tobytes()


def values(pcm: bytes | None) -> set[int]:
    return set(np.frombuffer(pcm or b"", np.int16).tolist())


def test_one_speaker_comes_out_a_frame_later_and_unchanged() -> None:
    mixer = Mixer()
    assert [mixer.push("ana", frame(i)) for i in range(1, 5)] == [None, frame(1), frame(2), frame(3)]


def test_two_speakers_are_added() -> None:
    mixer = Mixer()
    out = [mixer.push(who, frame(n)) for n, who in ((1, "ana"), (10, "ben"), (2, "ana"), (20, "ben"))]
    assert [values(pcm) for pcm in out] == [set(), set(), {11}, set()]
    assert values(mixer.push("ana", frame(3))) == {22}


@pytest.mark.parametrize(("a", "b", "total"), [(30000, 30000, 32767), (-30000, -30000, -32768), (5, -5, 0)])
def test_the_sum_is_saturated(a: int, b: int, total: int) -> None:
    assert values(mixed([frame(a), frame(b)])) == {total}


def test_the_sum_of_many_loud_ones_does_not_wrap() -> None:
    assert values(mixed([frame(32767)] * 100)) == {32767}
    assert values(mixed([frame(-32768)] * 100)) == {-32768}


def test_frames_of_unequal_length_lose_nothing() -> None:
    pcm = np.frombuffer(mixed([frame(1, 10), frame(2, 30), frame(4, 20)]), np.int16)
    assert pcm.tolist() == [7] * 10 + [6] * 10 + [2] * 10


def test_one_frame_is_itself() -> None:
    assert mixed([frame(7)]) == frame(7)


def test_the_callers_frames_are_left_alone() -> None:
    frames = [frame(1), frame(2)]
    mixed(frames)
    assert frames == [frame(1), frame(2)]


def test_one_whose_microphone_is_slower_is_not_waited_for() -> None:
    mixer = Mixer()
    mixer.push("ana", frame(1))
    assert values(mixer.push("ana", frame(2))) == {1}
    mixer.push("ben", frame(10))
    assert values(mixer.push("ana", frame(3))) == {12}


def test_one_who_is_gone_is_not_in_it_any_more() -> None:
    mixer = Mixer()
    mixer.push("ana", frame(1))
    mixer.push("ben", frame(10))
    mixer.remove("ben")
    mixer.remove("nobody")
    assert values(mixer.push("ana", frame(2))) == {1}
    assert values(mixer.push("ana", frame(3))) == {2}


@pytest.mark.parametrize("seed", range(20))
def test_every_frame_is_part_of_exactly_one_mixed_frame(seed: int) -> None:
    """Each frame has a sample to itself: the sum of what comes out tells which went in, and how often."""
    rng = random.Random(seed)
    mixer = Mixer()
    sent = dict.fromkeys(("ana", "ben", "cat"), 0)
    total = np.zeros(90, np.int64)
    for _ in range(60):
        who = rng.choice([w for w in sent if sent[w] < 30])
        pcm = np.zeros(90, np.int16)
        pcm[list(sent).index(who) * 30 + sent[who]] = 1
        sent[who] += 1
        out = mixer.push(who, pcm.tobytes())
        if out is not None:
            total += np.frombuffer(out, np.int16)
    for who in sent:  # what is left comes with the frames after it
        out = mixer.push(who, bytes(180))
        if out is not None:
            total += np.frombuffer(out, np.int16)
    out = mixer.push(next(iter(sent)), bytes(180))
    if out is not None:
        total += np.frombuffer(out, np.int16)
    expected = [int(n < sent[who]) for who in sent for n in range(30)]
    assert total.tolist() == expected
