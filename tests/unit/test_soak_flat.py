"""What a soak takes for growth."""

import random
from array import array

import pytest

from bench.soak_flat import Growth, Samples


def growth(leak: float, seed: int) -> Growth:
    """Of what a room holds that has fifty things a track, and leaks so many of them in a sample."""
    dice = random.Random(seed)
    people = 5
    names = ("people", "tracks", "open sessions", "items in Room.things")
    samples = Samples(of={name: array("d") for name in names})
    for number in range(144):
        people = min(7, max(3, people + dice.choice((-1, 0, 0, 1))))
        tracks = 2 * people + dice.randint(-2, 2)
        things = 50 * tracks + dice.gauss(0, 20) + leak * number
        samples.at_s.append(600.0 * number)
        for name, value in zip(names, (people, tracks, dice.randint(0, 3), things), strict=True):
            samples.of[name].append(value)
    return next(g for g in samples.growth({}) if g.name == names[-1])


@pytest.mark.parametrize("seed", range(10))
def test_what_comes_and_goes_with_people_does_not_grow(seed: int) -> None:
    assert not growth(0.0, seed).grows


@pytest.mark.parametrize("seed", range(10))
def test_a_slow_leak_is_seen_under_people_who_come_and_go(seed: int) -> None:
    found = growth(1.0, seed)
    assert found.grows
    assert found.grown == pytest.approx(72, abs=30)
