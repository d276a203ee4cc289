"""The original under its translation: aligned to the sample, ramps without clicks, at most 20 ms waiting."""

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.core.framing import RATE_HZ
from parley.media.ducked import DuckedPlayout
from parley.media.frames import FRAME_BYTES, FRAME_S, FRAME_SAMPLES, SILENCE
from parley.media.original import DOWN_S, HOLD_S, START_S, UP_S, Duck, Original

DB = -20.0


def tone(hz: float, peak: float, frames: int) -> NDArray[np.int16]:
    t = np.arange(frames * FRAME_SAMPLES) / RATE_HZ
    return np.rint(peak * np.sin(2 * np.pi * hz * t)).astype(np.int16)


def cut(samples: NDArray[np.int16]) -> list[bytes]:
    return [samples[i : i + FRAME_SAMPLES].tobytes() for i in range(0, len(samples), FRAME_SAMPLES)]


def play(
    original: list[bytes], spoken: dict[int, bytes], ticks: int, playout: DuckedPlayout | None = None
) -> NDArray[np.int16]:
    """One frame of the original per tick, translations at the ticks they are named for."""
    playout, out = playout or DuckedPlayout(DB), bytearray()
    for tick in range(ticks):
        now = tick * FRAME_S
        if tick < len(original):
            playout.hear(original[tick], lambda now=now: now, speaking=any(original[tick]))
        if tick in spoken:
            playout.push(spoken[tick], now)
        out += b"".join(playout.due(now))
        assert playout.original.waiting_s <= 0.02 + 1e-9
    return np.frombuffer(bytes(out), np.int16)


def test_with_no_translation_the_original_comes_through_undimmed_to_the_bit() -> None:
    samples = tone(200, 9000, 100)
    out = play(cut(samples), {}, 100)
    assert (out[60:] == samples[60 : len(out)]).all()
    assert len(out) >= len(samples) - FRAME_SAMPLES, "one frame waits for the clock, no more"


def test_a_translation_alone_comes_through_to_the_bit() -> None:
    samples = tone(200, 9000, 50)
    out = play([], {3: samples.tobytes()}, 60)
    assert (out[: len(samples)] == samples).all()


def test_both_are_summed_to_the_sample() -> None:
    original, spoken = (
        np.full(200 * FRAME_SAMPLES, 1000, np.int16),
        np.full(50 * FRAME_SAMPLES, 100, np.int16),
    )
    out = play(cut(original), {100: spoken.tobytes()}, 200)
    begins = int(np.flatnonzero(out[60:] != 1000)[0]) + 60
    assert begins % FRAME_SAMPLES == 0
    settled = out[begins + round(DOWN_S * RATE_HZ) : begins + len(spoken)]
    assert (settled == 1000 * 0.1 + 100).all()


def test_the_ramps_last_as_long_as_is_said_and_do_not_click() -> None:
    original, spoken = (
        np.full(250 * FRAME_SAMPLES, 10_000, np.int16),
        np.full(50 * FRAME_SAMPLES, 40, np.int16),
    )
    out = play(cut(original), {100: spoken.tobytes()}, 250).astype(int)
    down = np.flatnonzero((out[60:] < 10_000) & (out[60:] > 1041)) + 60
    fall = down[down < down[0] + RATE_HZ // 2]
    rise = down[down > fall[-1]]
    assert len(fall) / RATE_HZ == pytest.approx(DOWN_S, abs=0.002)
    assert len(rise) / RATE_HZ == pytest.approx(UP_S, abs=0.002)
    assert (rise[0] - fall[0]) / RATE_HZ == pytest.approx(1.0 + HOLD_S, abs=0.05)
    assert np.abs(np.diff(out[60:])).max() <= 50, "a step of the translation's own, and one of the ramp"


def test_between_the_words_of_a_translation_the_original_stays_down() -> None:
    original = np.full(200 * FRAME_SAMPLES, 10_000, np.int16)
    word = np.full(10 * FRAME_SAMPLES, 40, np.int16).tobytes()
    spoken = {50 + 30 * i: word + SILENCE * 20 for i in range(4)}
    out = play(cut(original), spoken, 160)
    begins = int(np.flatnonzero(out[60:] != 10_000)[0]) + 60
    assert out[begins + 1200 : begins + 100 * FRAME_SAMPLES].max() <= 1040


def test_a_sum_that_is_too_loud_is_not_clipped() -> None:
    loud = tone(200, 32_000, 100)
    out = play(cut(loud), {20: tone(310, 32_000, 60).tobytes()}, 100, DuckedPlayout(0.0))
    assert np.abs(out.astype(int)).max() <= 32767
    assert np.count_nonzero(np.abs(out.astype(int)) >= 32766) < 200


def test_silence_does_not_wake_it_and_the_clock_may_stop() -> None:
    playout = DuckedPlayout(DB)
    for _ in range(100):
        playout.hear(SILENCE, lambda: 0.0)
        assert not playout.playing
        assert playout.original.waiting_s <= FRAME_S
    assert playout.due(2.0) == []


def test_a_steady_noise_is_no_voice_and_a_voice_in_it_is() -> None:
    rng = np.random.default_rng(5)
    original = Original()
    for tick in range(300):
        original.push(rng.normal(0, 200, FRAME_SAMPLES).astype(np.int16).tobytes())
        original.take()
        if tick > 100:
            assert original.silent_s > 0, "the noise floor has risen to the noise"
    original.push(tone(200, 3000, 1).tobytes())
    assert original.silent_s == 0


def test_a_burst_is_shortened_to_what_may_wait_oldest_first_and_without_a_click() -> None:
    samples = tone(200, 9000, 40)
    frames, original, out = cut(samples), Original(), []
    for tick in range(30):
        batch = [] if tick in (10, 11, 12) else frames[10:14] if tick == 13 else [frames[tick]]
        for frame in batch:
            original.push(frame)
        out.append(original.take())
        original.settle()
        assert original.waiting_s <= FRAME_S
    assert original.take_dropped_s() == pytest.approx(0.04)
    heard = np.concatenate([np.zeros(FRAME_SAMPLES) if f is None else f for f in out])
    steepest = np.abs(np.diff(samples.astype(int))).max()
    assert np.abs(np.diff(heard)).max() <= 1.2 * steepest


def test_a_microphone_that_is_ahead_is_kept_in_time() -> None:
    frames, original = cut(tone(200, 9000, 12)), Original()
    for tick in range(4):
        for frame in frames[3 * tick : 3 * tick + 3]:
            original.push(frame)
        assert original.take() is not None
        original.settle()
        assert original.waiting_s <= FRAME_S
    assert original.take_dropped_s() == pytest.approx(12 * FRAME_S - 4 * FRAME_S - FRAME_S)


def test_frames_of_any_length_are_taken() -> None:
    samples = tone(200, 9000, 50)
    pcm, original, out = samples.tobytes(), Original(), []
    for i in range(0, len(pcm), FRAME_BYTES // 2):
        original.push(pcm[i : i + FRAME_BYTES // 2])
        if i % FRAME_BYTES:
            out.append(original.take())
    heard = np.concatenate([f for f in out if f is not None])
    assert (heard[60:] == samples[60:]).all()


def test_a_voice_that_breaks_off_ends_and_begins_without_a_click() -> None:
    original = Original()
    original.push(np.full(FRAME_SAMPLES, 9000, np.int16).tobytes())
    heard = [original.take(), original.take(), original.take()]
    assert heard[0] is not None
    assert heard[1] is not None
    assert heard[2] is None
    joined = np.concatenate([heard[0], heard[1]])
    assert np.abs(np.diff(joined)).max() < 200
    assert joined[0] == 0


def test_the_gain_moves_on_through_silence() -> None:
    duck = Duck(0.1)
    for _ in range(5):
        assert duck.apply(None, ducked=True) is None
    assert duck.gain == 0.1
    frame = duck.apply(np.full(FRAME_SAMPLES, 1000, np.float32), ducked=True)
    assert frame is not None
    assert frame == pytest.approx(100)


def test_after_it_rested_the_original_begins_undimmed() -> None:
    playout = DuckedPlayout(DB)
    loud = np.full(FRAME_SAMPLES, 9000, np.int16).tobytes()
    play([loud] * 50, {10: np.full(20 * FRAME_SAMPLES, 40, np.int16).tobytes()}, 30, playout)
    playout.rest()
    for _ in range(2):
        playout.hear(loud, lambda: 9.0, speaking=True)
    frame = playout.due(9.05)[1]
    assert frame == loud


def test_after_it_rested_the_original_begins_with_what_comes_next() -> None:
    playout = DuckedPlayout(DB)
    first, second = (np.full(FRAME_SAMPLES, value, np.int16).tobytes() for value in (5000, 6000))
    playout.hear(first, lambda: 1.0, speaking=True)
    playout.rest()
    playout.hear(second, lambda: 9.0, speaking=True)
    (frame,) = playout.due(9.0 + START_S)
    assert frame[-2:] == second[-2:]


def test_what_is_said_while_the_track_is_woken_is_heard_and_soon_in_time() -> None:
    frames, playout, out = cut(tone(170, 9000, 60)), DuckedPlayout(DB), bytearray()
    waited = []
    for tick, frame in enumerate(frames):
        at = tick * FRAME_S
        playout.hear(frame, lambda: 0.08, speaking=True)
        out += b"".join(playout.due(at))
        waited.append(playout.original.waiting_s)
    heard = np.frombuffer(bytes(out), np.int16)
    assert playout.original.take_dropped_s() == 0.0, "nothing is late"
    assert max(waited) <= 0.08 + FRAME_S
    assert max(waited[25:]) <= FRAME_S, "after half a second it is in time"
    assert abs(np.diff(heard.astype(int))).max() < 2 * 9000 * 2 * np.pi * 170 / RATE_HZ, "without a click"


def test_the_onset_that_came_while_the_track_was_woken_is_heard_first() -> None:
    onset = [np.full(FRAME_SAMPLES, 3000, np.int16).tobytes()] * 4
    frames, playout, out = [*onset, *cut(tone(170, 9000, 40))], DuckedPlayout(DB), bytearray()
    for tick, frame in enumerate(frames):
        playout.hear(frame, lambda: 0.08, speaking=True)
        out += b"".join(playout.due(tick * FRAME_S))
    heard = np.frombuffer(bytes(out), np.int16)
    assert np.count_nonzero(heard[: 4 * FRAME_SAMPLES] == 3000) > 2 * FRAME_SAMPLES


def test_what_comes_late_in_the_middle_is_not_caught_up_with() -> None:
    frames, original = cut(tone(170, 9000, 12)), Original()
    original.wake()
    original.push(frames[0])
    original.take()
    original.settle()
    for frame in frames[1:6]:
        original.push(frame)
    original.take()
    original.settle()
    assert original.waiting_s <= FRAME_S
    assert original.take_dropped_s() == pytest.approx(3 * FRAME_S)
