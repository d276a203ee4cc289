"""Twenty virtual minutes of a lively room whose API fails and whose sessions end: every word is counted."""

from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from bench.soak_meeting import Meeting, Outcome, hold
from bench.soak_talk import Manners
from parley.room.minutes import MOST_RECENT

MANNERS = Manners(
    people=(2, 3),
    pool=12,
    languages=("en", "fr", "de"),
    pause_s=14.0,
    lecture_s=150.0,
    lecture_every_s=1000.0,
    comings=90,
    changes=60,
    republished=40,
    mutes=30,
    declines=9,
    faults=30,
)
BOUND = 500
"""Items in all collections of one kind together."""


@pytest.fixture(scope="module")
def outcome() -> Outcome:
    """Sessions live for two minutes: the lecture needs two of them.

    It counts every object of its process, so it has one of its own, without what other tests left.
    """
    meeting = Meeting(1, 1200.0, MANNERS, lifetime_s=120.0, sample_s=240.0)
    with ProcessPoolExecutor(1, get_context("spawn")) as process:
        return process.submit(hold, meeting).result(timeout=150.0)


def test_a_lively_room_loses_and_doubles_no_word(outcome: Outcome) -> None:
    did = outcome.did
    assert min(did[what] for what in ("join", "leave", "change", "republish", "mute", "lecture")) >= 1, did
    assert did["drop"] + did["stall"] + did["503"] >= 3
    assert outcome.words > 500
    assert (outcome.lost, outcome.doubled) == (0, 0)
    assert set(outcome.summary["lost_s"].values()) == {0}


def test_a_room_that_all_have_left_holds_nothing(outcome: Outcome) -> None:
    assert {name: number for name, number in outcome.left.items() if number} == {}


def test_what_a_room_holds_is_bounded(outcome: Outcome) -> None:
    samples = outcome.samples
    assert len(samples.at_s) >= 4
    most = {name: max(values) for name, values in samples.of.items() if name.startswith(("items", "waiting"))}
    fixed = {"items in Spans._bins": BOUND * 4, "items in Text.attributes": MOST_RECENT * 8}
    assert {name: value for name, value in most.items() if value > fixed.get(name, BOUND)} == {}
    assert max(samples.of["open sessions"]) <= 3 * 2 * 2
