"""Playout on a clock that is a number: what is due when, and that no audible frame is lost."""

import random

import pytest

from parley.core.lag import LagPolicy
from parley.media.frames import FRAME_BYTES, FRAME_S, SILENCE
from parley.media.playout import Playout, PlayoutPolicy


def frame(n: int) -> bytes:
    """An audible frame that can be told apart."""
    return (1000 + n).to_bytes(2, "little") * (FRAME_BYTES // 2)


def number(pcm: bytes) -> int | None:
    """Which frame it is; None for silence."""
    value = int.from_bytes(pcm[:2], "little")
    return value - 1000 if value >= 1000 else None


def frames(*numbers: int) -> bytes:
    return b"".join(map(frame, numbers))


PROMPT = PlayoutPolicy(margin_s=0.0)
"""Nothing waits at the start, so that times are easily told."""


def play(playout: Playout, start: float, ticks: int) -> list[bytes]:
    return [pcm for i in range(ticks) for pcm in playout.due(start + i * FRAME_S)]


def test_frames_are_due_in_real_time() -> None:
    playout = Playout(PROMPT)
    playout.push(frames(0, 1, 2), 10.0)
    assert [playout.due(10.0 + t) for t in (-0.001, 0.0, 0.01, 0.019, 0.02, 0.04)] == [
        [],
        [frame(0)],
        [],
        [],
        [frame(1)],
        [frame(2)],
    ]


def test_a_late_tick_makes_up_for_what_it_missed() -> None:
    playout = Playout(PROMPT)
    playout.push(frames(*range(10)), 10.0)
    assert playout.due(10.1) == [frame(i) for i in range(6)]
    assert playout.due(10.11) == []
    assert playout.due(10.12) == [frame(6)]


def test_the_first_audio_waits_a_margin_so_that_what_follows_may_be_late() -> None:
    playout = Playout(PlayoutPolicy(margin_s=0.03))
    playout.push(frames(0), 1.0)
    assert playout.due(1.029) == []
    assert playout.due(1.03) == [frame(0)]
    playout.push(frames(1), 1.05)
    assert playout.due(1.05) == [frame(1)]


def test_silence_before_the_first_word_of_a_delta_keeps_its_place() -> None:
    playout = Playout(PROMPT)
    playout.push(SILENCE * 3 + frames(0), 1.0)
    assert [number(pcm) for pcm in play(playout, 1.0, 4)] == [None, None, None, 0]


def test_pieces_of_any_length_make_whole_frames() -> None:
    playout = Playout(PROMPT)
    pcm = frames(0, 1, 2)
    for i in range(0, len(pcm), 7):
        playout.push(pcm[i : i + 7], 1.0)
    assert play(playout, 1.0, 3) == [frame(0), frame(1), frame(2)]


def test_leading_silence_does_not_wake_a_resting_track() -> None:
    playout = Playout(PROMPT)
    playout.push(SILENCE * 50, 1.0)
    assert not playout.playing
    assert playout.waiting_s == 0
    playout.push(frames(0), 2.0)
    assert playout.playing
    assert playout.due(2.0) == [frame(0)]


def test_silence_takes_the_place_of_audio_that_is_late() -> None:
    playout = Playout(PROMPT)
    playout.push(frames(0), 1.0)
    assert playout.due(1.0) == [frame(0)]
    out = play(playout, 1.02, 10)
    assert out == [SILENCE] * 10
    assert playout.silent_s == pytest.approx(0.2)
    playout.push(frames(1), 1.22)
    assert playout.due(1.22) == [frame(1)]
    assert playout.silent_s == 0


def test_far_too_much_that_waits_is_caught_up_in_the_next_silence() -> None:
    playout = Playout(PlayoutPolicy(margin_s=0.0, lag=LagPolicy(keep_silence_s=0.1)))
    playout.push(frames(0) + SILENCE * 100 + frames(*range(1, 81)), 1.0)
    numbers = [number(pcm) for pcm in play(playout, 1.0, 150)]
    assert [n for n in numbers if n is not None] == list(range(81))
    assert numbers.index(1) - 1 == 5, "of the silence, what is to be kept is kept"


def test_a_delay_that_stays_is_caught_up_in_the_silences_that_come() -> None:
    """What waited all the time for a second was not needed: that much of the next silences is left out."""
    policy = PlayoutPolicy(margin_s=0.0, lag=LagPolicy(watch_s=1.0, shorten_from_s=0.05, keep_silence_s=0.1))
    playout = Playout(policy)
    now, sent, waiting = 1.0, 0, []
    playout.push(frames(*range(20)), now)  # 0.4 s more than it will ever need
    sent = 20
    got = []
    for i in range(1500):
        silent = i % 100 >= 80
        playout.push(SILENCE if silent else frame(sent), now)
        sent += not silent
        got += [n for n in map(number, playout.due(now)) if n is not None]
        waiting.append(playout.waiting_s)
        now += FRAME_S
    got += [n for n in map(number, playout.due(now + 2)) if n is not None]
    assert got == list(range(sent))
    assert waiting[50] == pytest.approx(0.4)
    assert max(waiting[-100:]) < 0.1


def test_silence_is_kept_when_playout_is_not_behind() -> None:
    playout = Playout(PROMPT)
    playout.push(frames(0) + SILENCE * 30 + frames(1), 1.0)
    assert [number(pcm) for pcm in play(playout, 1.0, 32)] == [0, *[None] * 30, 1]


def test_what_waits_beyond_the_bound_is_dropped_oldest_first() -> None:
    playout = Playout(PlayoutPolicy(margin_s=0.0, lag=LagPolicy(most_s=1.0)))
    assert playout.push(frames(*range(50)), 1.0) == 0
    assert playout.push(frames(*range(50, 60)), 1.0) == pytest.approx(0.2)
    assert playout.waiting_s == pytest.approx(1.0)
    (first,) = playout.due(1.0)
    assert first[-2:] == frame(10)[-2:], "after a fade that hides the seam"


def test_rest_ends_playing_until_something_audible_comes() -> None:
    playout = Playout(PROMPT)
    playout.push(frames(0), 1.0)
    playout.due(1.0)
    playout.rest()
    assert not playout.playing
    assert playout.due(50.0) == []
    playout.push(frames(1), 60.0)
    assert playout.due(60.0) == [frame(1)]


def test_flush_plays_what_does_not_fill_a_frame() -> None:
    playout = Playout(PROMPT)
    playout.push(frame(0)[:100], 1.0)
    assert not playout.playing
    playout.flush(2.0)
    assert playout.due(2.0) == [frame(0)[:100].ljust(FRAME_BYTES, b"\0")]
    playout.flush(3.0)
    assert playout.waiting_s == 0


def test_clear_drops_what_waits_and_says_how_much() -> None:
    playout = Playout(PROMPT)
    playout.push(frames(0, 1) + frame(2)[: FRAME_BYTES // 2], 1.0)
    assert playout.clear() == pytest.approx(0.05)
    assert playout.waiting_s == 0


@pytest.mark.parametrize("peak", [31, -31, 32, -32, -32768])
def test_what_is_silent(peak: int) -> None:
    playout = Playout(PROMPT)
    playout.push(peak.to_bytes(2, "little", signed=True) * (FRAME_BYTES // 2), 1.0)
    assert playout.playing is (abs(peak) >= 32)


@pytest.mark.parametrize("seed", range(40))
def test_every_audible_frame_comes_out_once_in_order_however_it_arrives(seed: int) -> None:
    """Bursts, stalls, pauses, pieces of any size and ticks that are late: words are never lost."""
    rng = random.Random(seed)
    numbers = iter(range(10_000))
    sent: list[int] = []
    stream = bytearray()
    for _ in range(rng.randrange(1, 30)):
        for _ in range(rng.randrange(1, 40)):
            sent.append(next(numbers))
            stream += frame(sent[-1])
        stream += SILENCE * rng.randrange(60)
    policy = PlayoutPolicy(lag=LagPolicy(most_speed=1.0))
    playout = Playout(policy)
    got: list[int] = []
    played = 0
    now, at, started_at = 5.0, 0, None
    while at < len(stream) or playout.waiting_s:
        if at < len(stream) and rng.random() < 0.5:
            n = rng.choice([7, FRAME_BYTES, 3333, 20 * FRAME_BYTES])
            assert playout.push(bytes(stream[at : at + n]), now) == 0
            at += n
        if started_at is None and playout.playing:
            started_at = now
        for pcm in playout.due(now):
            played += 1
            if (value := number(pcm)) is not None:
                got.append(value)
        if started_at is not None:
            assert played * FRAME_S <= now - started_at + FRAME_S + 1e-6, "never faster than real time"
            assert played * FRAME_S >= now - started_at - policy.margin_s - 1e-6, "never behind"
        if playout.playing and not playout.waiting_s and rng.random() < 0.1:
            playout.rest()
            started_at, played = None, 0
        now += rng.choice([0.005, 0.02, 0.02, 0.02, 0.3])
        if at >= len(stream):
            playout.flush(now)
    assert got == sent


def test_lateness_inside_speech_makes_the_margin_after_the_next_pause() -> None:
    playout = Playout(PROMPT)
    playout.push(frames(0), 0.0)
    assert [number(pcm) for pcm in play(playout, 0.0, 3)] == [0, None, None]
    playout.push(frames(1), 0.055)
    assert [number(pcm) for pcm in play(playout, 0.06, 11)] == [1, *[None] * 10]
    playout.push(frames(2), 0.275)
    assert [number(pcm) for pcm in play(playout, 0.28, 4)] == [None, None, 2, None], (
        "40 ms were needed before"
    )


def test_the_margin_shrinks_again_from_pause_to_pause() -> None:
    playout = Playout(PROMPT)
    playout.push(frames(0), 0.0)
    now = 0.0
    play(playout, now, 5)
    playout.push(frames(1), now := now + 0.095)
    held = []
    for _ in range(30):
        play(playout, now, 12)
        playout.push(frames(2), now := now + 0.24)
        held.append([number(pcm) for pcm in play(playout, now, 6)].index(2))
        now += 0.12
    assert held[0] >= 3
    assert held[-1] == 0
    assert held == sorted(held, reverse=True)


def test_what_is_postponed_is_played_from_then_on_and_nothing_is_lost() -> None:
    playout = Playout()
    playout.push(bytes([1, 1]) * 24_000, 10.0)
    early = playout.due(10.1)
    playout.postpone(13.0)
    assert playout.due(12.9) == []
    late = [frame for tick in range(60) for frame in playout.due(13.0 + tick * FRAME_S)]
    assert b"".join(early + late)[: 2 * 24_000].count(b"\x01") == 2 * 24_000
