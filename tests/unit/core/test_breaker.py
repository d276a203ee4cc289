"""The breaker: few probes while the API is sick, nobody kept out while it is well."""

import random
from itertools import pairwise

import pytest

from parley.core.breaker import Breaker, BreakerPolicy


def opened(breaker: Breaker, now: float = 0.0) -> None:
    """Fails as often as it takes."""
    for _ in range(breaker.policy.failures):
        assert breaker.admit(now)
        breaker.ended("sick", now, 0.5)
    assert breaker.state == "open"


def test_it_lets_all_through_while_all_is_well() -> None:
    breaker = Breaker(BreakerPolicy(burst=20))
    assert all(breaker.admit(0.0) for _ in range(20))
    assert not breaker.admit(0.0), "the rate is bounded"
    assert breaker.admit(0.05)


def test_a_single_failure_keeps_it_closed_and_makes_it_careful() -> None:
    breaker = Breaker()
    assert breaker.admit(0.0)
    breaker.ended("sick", 0.0, 0.5)
    assert breaker.state == "closed"
    assert [breaker.admit(0.0) for _ in range(4)] == [True, True, True, False]
    assert breaker.look_again_s(0.0) is None
    breaker.ended("opened", 0.1, 0.5)
    assert all(breaker.admit(0.1) for _ in range(10))


def test_what_says_nothing_of_the_api_never_opens_it() -> None:
    breaker = Breaker()
    for i in range(50):
        assert breaker.admit(float(i))
        breaker.ended("own", float(i), 0.5)
    assert breaker.state == "closed"


def test_it_probes_once_at_a_time() -> None:
    breaker = Breaker()
    opened(breaker)
    assert not breaker.admit(0.3)
    assert breaker.admit(0.51)
    assert breaker.state == "half_open"
    assert not breaker.admit(9.0)
    breaker.ended("sick", 9.0, 0.5)
    assert not breaker.admit(9.5)
    assert breaker.admit(9.0 + 0.2 * 9.0 + 0.01)


def test_a_probe_that_was_given_up_leaves_it_to_the_next_one() -> None:
    breaker = Breaker()
    opened(breaker)
    assert breaker.admit(1.0)
    breaker.ended("own", 1.1, 0.5)
    assert breaker.state == "open"
    assert breaker.admit(1.1)


def test_what_was_under_way_when_it_opened_changes_nothing_if_it_fails_too() -> None:
    breaker = Breaker()
    assert all(breaker.admit(0.0) for _ in range(10))
    for _ in range(3):
        breaker.ended("sick", 0.0, 0.5)
    again_s = breaker.look_again_s(0.0)
    for _ in range(7):
        breaker.ended("sick", 0.1, 0.5)
    assert breaker.look_again_s(0.0) == again_s


@pytest.mark.parametrize(("outcome", "asked_s", "least"), [("refused", 0.0, 7.5), ("sick", 42.0, 42.0)])
def test_a_refused_key_and_a_retry_after_open_it_at_once(outcome: str, asked_s: float, least: float) -> None:
    breaker = Breaker()
    assert breaker.admit(0.0)
    breaker.ended(outcome, 0.0, 0.0, asked_s)  # type: ignore[arg-type]
    assert not breaker.admit(least - 0.1)
    assert breaker.admit(least + 0.1)


def test_after_an_outage_all_come_back_at_a_bounded_rate() -> None:
    breaker = Breaker(BreakerPolicy(per_s=20))
    opened(breaker)
    assert breaker.admit(10.0)
    breaker.ended("opened", 10.0, 0.5)
    times = []
    for step in range(1000):
        now = 10.0 + step / 100
        if breaker.admit(now):
            times.append(now)
            breaker.ended("opened", now, 0.5)
    assert sum(t < 11.0 for t in times) <= 22
    assert len(times) >= 190


def test_probes_of_a_long_outage_are_few_and_the_wait_after_a_short_one_is_short() -> None:
    rng = random.Random(1)
    breaker = Breaker()
    opened(breaker)
    probes = []
    now = 0.0
    while now < 600:
        now += 0.05
        if breaker.admit(now):
            probes.append(now)
            breaker.ended("sick", now, rng.random())
    assert sum(t < 10 for t in probes) <= 20
    assert len(probes) < 75
    assert min(t for t in probes if t > 10) < 13
    assert max(b - a for a, b in pairwise(probes)) <= 15 * 1.25 + 0.1
