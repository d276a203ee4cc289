"""Admission: never more than there is room for, and no room of people takes it all."""

import random

from parley.core.admission import Admission


def test_who_asks_first_is_admitted_first_and_the_rest_when_one_leaves() -> None:
    admission = Admission(2)
    for number in range(4):
        admission.ask((1, number))
    assert admission.grants() == [(1, 0), (1, 1)]
    assert (admission.taken, admission.waiting) == (2, 2)
    admission.leave((1, 0))
    assert admission.grants() == [(1, 2)]
    admission.leave((1, 3))
    assert admission.waiting == 0


def test_without_a_limit_nobody_waits() -> None:
    admission = Admission()
    for number in range(1000):
        admission.ask((1, number))
    assert len(admission.grants()) == 1000


def test_the_room_that_has_the_fewest_goes_first() -> None:
    admission = Admission(4)
    for number in range(6):
        admission.ask((1, number))
    admission.grants()
    admission.ask((2, 0))
    admission.leave((1, 0))
    assert admission.grants() == [(2, 0)], "although room 1 has waited longer"
    admission.ask((2, 1))
    admission.leave((1, 1))
    assert admission.grants() == [(2, 1)]


def test_a_room_that_is_gone_leaves_nothing() -> None:
    admission = Admission(2)
    for room in (1, 2):
        for number in range(2):
            admission.ask((room, number))
    admission.grants()
    admission.gone(1)
    admission.grants()
    admission.gone(2)
    assert (admission.taken, admission.waiting) == (0, 0)


def test_in_any_order_the_limit_holds_and_no_place_is_left_empty() -> None:
    rng = random.Random(3)
    admission = Admission(5)
    asked: set[tuple[int, int]] = set()
    for number in range(2000):
        if rng.random() < 0.55:
            place = (rng.randrange(4), number)
            admission.ask(place)
            asked.add(place)
        elif asked:
            place = rng.choice(sorted(asked))
            admission.leave(place)
            asked.discard(place)
        if rng.random() < 0.01:
            room = rng.randrange(4)
            admission.gone(room)
            asked = {place for place in asked if place[0] != room}
        admission.grants()
        assert admission.taken == min(5, len(asked))
        assert admission.taken + admission.waiting == len(asked)
