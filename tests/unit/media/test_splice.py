"""One capture that takes over from another: nothing is missing and nothing comes twice."""

from __future__ import annotations

import numpy as np
import pytest

from parley.core.framing import RATE_HZ, seconds
from parley.demo.speech import countable_words
from parley.media.splice import BEFORE_S, LOOK_S, MOST_S, Splice

FRAME = RATE_HZ // 20
"""50 ms."""


def voice(length_s: float, seed: int = 0) -> np.ndarray:
    """Words without a pause, `int16[n]`."""
    words = countable_words("en", voice=seed, count=24)
    sound = np.concatenate([word.pcm for word in words])
    return sound[: round(length_s * RATE_HZ)]


def recoded(sound: np.ndarray, seed: int) -> np.ndarray:
    """The same with the noise of an encoder, 15 dB below it."""
    rng = np.random.default_rng(seed)
    level = 0.18 * np.sqrt(np.mean(np.square(sound.astype(float))))
    return np.clip(sound + rng.normal(0, level, len(sound)), -32768, 32767).astype(np.int16)


def frames(sound: np.ndarray, size: int = FRAME) -> list[bytes]:
    return [sound[i : i + size].tobytes() for i in range(0, len(sound) - size + 1, size)]


def spliced(old: np.ndarray, new: np.ndarray, at: int, *, old_ends: int = 1_000) -> tuple[np.ndarray, float]:
    """What is delivered when the new capture begins with the frame `at` of the old one; and for how long
    both ran, in seconds. The old one is silent from its frame `old_ends` on."""
    olds, news = frames(old), frames(new)
    out = olds[:at]
    splice = Splice(out, at * 0.05)
    both = 0
    for n, frame in enumerate(news):
        now = (at + n + 1) * 0.05
        if not splice.found:
            both += 1
            piece = olds[at + n] if at + n < old_ends else bytes(2 * FRAME)
            splice.old(piece, now)
            out.append(piece)
        out.append(frame if splice.done else splice.new(frame, now))
    return np.frombuffer(b"".join(out), np.int16), seconds(both * 2 * FRAME)


@pytest.mark.parametrize("shift_ms", [-180, -60, -25, -7, 0, 3, 20, 45, 130])
def test_the_new_capture_goes_on_where_the_old_one_is(shift_ms: int) -> None:
    """`shift_ms`: by how much the new one is ahead of the old one."""
    sound = voice(4.0)
    shift = shift_ms * RATE_HZ // 1000
    old, new = recoded(sound, 1), recoded(sound, 2)
    begin = 20 * FRAME + shift
    out, both_s = spliced(old, new[begin:], 20)
    assert both_s <= MOST_S
    whole = sound[: len(out)].astype(float)
    assert np.corrcoef(out, whole)[0, 1] > 0.95, "all of it, in its place"
    assert len(out) >= len(sound) - 2 * FRAME - abs(shift)


def test_two_streams_of_one_track_are_one_to_the_sample() -> None:
    sound = voice(3.0)
    out, both_s = spliced(sound, sound[20 * FRAME + 240 :], 20)
    assert np.array_equal(out, sound[: len(out)])
    assert both_s == pytest.approx(LOOK_S)


def test_where_nothing_is_alike_the_old_one_is_heard_until_the_new_one_is_taken() -> None:
    old, new = voice(3.0), voice(3.0, seed=5)
    out, both_s = spliced(old, new, 20)
    assert both_s == pytest.approx(MOST_S)
    taken = 20 * FRAME + round(MOST_S * RATE_HZ)
    assert np.array_equal(out[:taken], old[:taken])
    assert np.array_equal(out[taken:], new[round(MOST_S * RATE_HZ) :][: len(out) - taken])


def test_nothing_is_missing_of_the_new_one_once_the_old_one_has_gone_silent() -> None:
    old, new = voice(3.0), voice(3.0, seed=5)
    out, _ = spliced(old, new, 20, old_ends=22)
    sounds = out[np.abs(out.astype(int)) > 0]
    expected = np.concatenate((old[: 22 * FRAME], new[2 * FRAME :]))
    expected = expected[np.abs(expected.astype(int)) > 0]
    assert np.array_equal(sounds, expected[: len(sounds)])
    assert len(sounds) > 2 * RATE_HZ


@pytest.mark.parametrize("between_s", [0.02, 0.05, 0.3])
def test_where_it_is_not_looked_for_the_first_frame_is_the_place(between_s: float) -> None:
    splice = Splice(frames(voice(1.0)), 1.0, look=False)
    old, new = frames(voice(2.0))[20], frames(voice(1.0, seed=5))
    splice.old(old, 1.05)
    missing = min(FRAME, round(between_s * RATE_HZ)) * 2
    assert splice.new(new[0], 1.05 + between_s) == new[0][-missing:]
    assert splice.done
    assert splice.new(new[1], 1.10 + between_s) == new[1]


def test_silence_is_not_taken_for_a_place() -> None:
    quiet = np.zeros(3 * RATE_HZ, np.int16)
    out, both_s = spliced(quiet, quiet, 20)
    assert both_s == pytest.approx(MOST_S)
    assert not out.any()


def test_what_it_keeps_is_bounded() -> None:
    splice = Splice([], 0.0)
    for n, frame in enumerate(frames(voice(3.0))):
        splice.old(frame, 0.05 * n)
    assert splice._delivered_s <= BEFORE_S + 0.05


def test_it_gives_up_when_told_and_once() -> None:
    splice = Splice(frames(voice(1.0)), 1.0)
    new = frames(voice(1.0, seed=5))
    assert splice.new(new[0], 1.05) == b""
    assert splice.rest(1.05) == new[0]
    assert splice.rest(1.05) == b""
    assert splice.new(new[1], 1.1) == new[1]
