"""When frames are due, on a clock that is a number."""

import pytest

from parley.media.clock import FrameClock


def ticks(clock: FrameClock, now: float) -> list[float]:
    return [round(at, 6) for at in clock.ticks(now)]


def test_a_clock_that_rests_says_that_nothing_is_due() -> None:
    clock = FrameClock()
    assert (clock.playing, ticks(clock, 1e9)) == (False, [])
    clock.start(None)
    clock.postpone(5.0)
    assert not clock.playing


def test_a_frame_is_due_every_20_ms_however_late_it_is_asked() -> None:
    clock = FrameClock()
    clock.start(1.0)
    assert ticks(clock, 0.99) == []
    assert ticks(clock, 1.0) == [1.0]
    assert ticks(clock, 1.06) == [1.02, 1.04, 1.06]
    assert ticks(clock, 1.06) == []


def test_one_that_ticks_is_not_started_again() -> None:
    clock = FrameClock()
    clock.start(1.0)
    clock.start(0.5)
    assert clock.next_due == 1.0
    clock.rest()
    clock.start(3.0)
    assert clock.next_due == 3.0


def test_what_is_postponed_is_never_earlier() -> None:
    clock = FrameClock()
    clock.start(1.0)
    clock.postpone(0.5)
    assert clock.next_due == 1.0
    clock.postpone(2.0)
    assert ticks(clock, 2.03) == [2.0, 2.02]


def test_an_hour_of_frames_is_an_hour() -> None:
    clock = FrameClock()
    clock.start(0.0)
    assert sum(1 for _ in clock.ticks(3600.0)) == 180_001
    assert clock.next_due == pytest.approx(3600.02)
