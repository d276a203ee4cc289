"""The bucket: so many at once, so many per second, and never more."""

import pytest

from parley.core.policy import Bucket


def test_a_burst_and_then_nothing() -> None:
    bucket = Bucket(per_s=5.0, burst=20.0)
    assert [bucket.take(10.0) for _ in range(25)] == [True] * 20 + [False] * 5


def test_it_fills_up_with_time() -> None:
    bucket = Bucket(per_s=5.0, burst=2.0)
    assert [bucket.take(0.0) for _ in range(3)] == [True, True, False]
    assert not bucket.take(0.19)
    assert bucket.take(0.21)
    assert not bucket.take(0.22)


def test_it_never_holds_more_than_a_burst() -> None:
    bucket = Bucket(per_s=5.0, burst=3.0)
    bucket.take(0.0)
    assert [bucket.take(1e6) for _ in range(5)] == [True] * 3 + [False] * 2


def test_what_is_refused_costs_nothing() -> None:
    bucket = Bucket(per_s=1.0, burst=1.0)
    assert bucket.take(0.0)
    assert not any(bucket.take(t / 100) for t in range(1, 99))
    assert bucket.take(1.001)


@pytest.mark.parametrize("start", [0.0, 1e9, -5.0])
def test_the_clock_may_begin_anywhere(start: float) -> None:
    bucket = Bucket(per_s=1.0, burst=2.0)
    assert [bucket.take(start) for _ in range(3)] == [True, True, False]


def test_in_the_long_run_the_rate_holds() -> None:
    bucket = Bucket(per_s=5.0, burst=20.0)
    taken = sum(bucket.take(i / 100) for i in range(60 * 100))
    assert 20 + 5 * 59 <= taken <= 20 + 5 * 60
