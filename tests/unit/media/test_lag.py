"""Playout that is behind: caught up in a stated time, no word lost under the bound, whole phrases beyond."""

import numpy as np
import pytest

from parley.core.framing import BYTES_PER_S, RATE_HZ
from parley.core.lag import LagPolicy
from parley.demo.listening import find_words
from parley.demo.speech import countable_words
from parley.media.frames import FRAME_BYTES, FRAME_S, SILENCE
from parley.media.playout import Playout, PlayoutPolicy

WORDS = countable_words("en", voice=0, count=24)


def talk(gap_s: float, duration_s: float) -> tuple[bytes, list[int]]:
    """Words one after the other, and which they are."""
    said = [i % len(WORDS) for i in range(int(duration_s / (0.4 + gap_s)))]
    gap = np.zeros(round(gap_s * RATE_HZ), np.int16)
    return np.concatenate([part for i in said for part in (WORDS[i].pcm, gap)]).tobytes(), said


def after_an_outage(pcm: bytes) -> tuple[bytes, list[tuple[float, float]], Playout]:
    """2 s that come as they are said, 10 s of nothing, all that is missing, and the rest as it is said.

    Returns what was heard, how much waited at each time since the end of the outage, and the playout.
    """
    playout, out, waiting = Playout(), bytearray(), []
    at = tick = 0
    while at < len(pcm) or playout.waiting_s:
        now = tick * FRAME_S
        said_s = now if not 2 <= now < 12 else 2.0
        until = min(len(pcm), int(said_s * RATE_HZ) * 2)
        assert playout.push(pcm[at:until], now) == 0, "nothing is given up"
        at = until
        if at == len(pcm):
            playout.flush(now)
        out += b"".join(playout.due(now))
        if now >= 12 and at < len(pcm):
            waiting.append((now - 12, playout.waiting_s))
        tick += 1
    return bytes(out), waiting, playout


@pytest.mark.parametrize("gap_s", [0.0, 0.05, 0.12, 0.2, 0.43])
def test_ten_seconds_behind_are_caught_up_in_less_than_thirty_of_speech(gap_s: float) -> None:
    _, waiting, _ = after_an_outage(talk(gap_s, 55)[0])
    assert waiting[0][1] > 9.8
    assert max(wait for since, wait in waiting if since >= 30) < 1.0


def test_words_with_silence_between_them_are_caught_up_by_the_silence_alone() -> None:
    pcm, said = talk(0.43, 55)
    heard, _, playout = after_an_outage(pcm)
    found = find_words(np.frombuffer(heard, np.int16), RATE_HZ, WORDS)
    assert [word.word_index for word in found] == said
    assert playout.shortened_s > 9
    assert playout.hurried_s < 0.2


def test_no_word_is_lost_where_speech_is_played_faster() -> None:
    pcm, said = talk(0.12, 55)
    heard, _, playout = after_an_outage(pcm)
    found = find_words(np.frombuffer(heard, np.int16), RATE_HZ, WORDS)
    assert [word.word_index for word in found] == said
    assert playout.hurried_s > 2


def test_all_that_came_was_heard_but_for_what_was_left_out() -> None:
    pcm, _ = talk(0.05, 55)
    heard, _, playout = after_an_outage(pcm)
    left_out = playout.shortened_s + playout.hurried_s
    outage = 10.0
    assert len(heard) / BYTES_PER_S == pytest.approx(len(pcm) / BYTES_PER_S + outage - left_out, abs=0.5)


def test_speech_is_untouched_again_when_it_is_caught_up() -> None:
    pcm, _ = talk(0.0, 55)
    heard, _, playout = after_an_outage(pcm)
    assert playout.speed == 1.0
    assert heard[-FRAME_BYTES:].rstrip(b"\0")[-500:] in pcm
    assert pcm[-4 * BYTES_PER_S : -BYTES_PER_S] in heard


def number(n: int) -> bytes:
    return (1000 + n).to_bytes(2, "little") * (FRAME_BYTES // 2)


def heard_phrases(playout: Playout, ticks: int) -> list[int]:
    """Which phrases were heard, each once, in their order."""
    values = [int.from_bytes(pcm[-2:], "little") for i in range(ticks) for pcm in playout.due(i * FRAME_S)]
    return list(dict.fromkeys(value - 1000 for value in values if value))


def test_beyond_the_bound_whole_phrases_are_given_up_oldest_first() -> None:
    playout = Playout(PlayoutPolicy(margin_s=0.0, lag=LagPolicy(most_s=4.0, most_speed=1.0)))
    dropped = 0.0
    for n in range(7):
        dropped += playout.push(number(n) * 40 + SILENCE * 10, 0.0)
        if n == 0:
            playout.due(0.0)  # the first is being heard: it is not cut
    assert dropped == pytest.approx(3.0)
    assert heard_phrases(playout, 400) == [0, 4, 5, 6]


def test_the_bound_holds_whatever_comes() -> None:
    playout = Playout(PlayoutPolicy(lag=LagPolicy(most_s=4.0)))
    rng = np.random.default_rng(3)
    for _ in range(300):
        n = int(rng.integers(1, 100))
        playout.push(number(n) * n if rng.random() < 0.7 else SILENCE * n, 0.0)
        assert playout.waiting_s <= 4.0 + 0.02
        if rng.random() < 0.3:
            playout.due(playout.next_due or 0.0)


def test_a_cut_inside_speech_does_not_click() -> None:
    t = np.arange(10 * RATE_HZ) / RATE_HZ
    tone = np.rint(8000 * np.sin(2 * np.pi * 201.3 * t)).astype(np.int16)
    playout = Playout(PlayoutPolicy(margin_s=0.0, lag=LagPolicy(most_s=4.0, most_speed=1.0)))
    assert playout.push(tone.tobytes(), 0.0) >= 6.0
    heard = np.frombuffer(b"".join(playout.due(3.9)), np.int16).astype(int)
    assert np.abs(np.diff(heard)).max() < 1.5 * np.abs(np.diff(tone.astype(int))).max()
