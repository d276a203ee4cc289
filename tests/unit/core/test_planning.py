"""From routes to bridges, and from what runs to what should run."""

import random

import pytest

from parley.core.model import BridgeKey, BridgeSpec, Route
from parley.core.planning import Plan, desired, plan


def audio(speaker: str, listener: str, language: str) -> Route:
    return Route(speaker, listener, language, "audio")


def text(speaker: str, listener: str, language: str) -> Route:
    return Route(speaker, listener, language, "text")


def spec(speaker: str, language: str, *listeners: str) -> BridgeSpec:
    return BridgeSpec(BridgeKey(speaker, language), frozenset(listeners), frozenset(), frozenset())


def of(*specs: BridgeSpec) -> dict[BridgeKey, BridgeSpec]:
    return {s.key: s for s in specs}


def test_one_bridge_is_shared_by_all_who_hear_or_read_it() -> None:
    wanted = desired(
        [audio("a", "b", "fr"), audio("a", "c", "fr"), text("a", "d", "fr"), text("a", "b", "fr")]
    )
    assert wanted == {
        BridgeKey("a", "fr"): BridgeSpec(BridgeKey("a", "fr"), frozenset("bc"), frozenset("bd"), frozenset())
    }


def test_each_speaker_and_language_has_its_own() -> None:
    wanted = desired([audio("a", "b", "fr"), audio("a", "c", "de"), audio("b", "c", "fr")])
    assert set(wanted) == {BridgeKey("a", "fr"), BridgeKey("a", "de"), BridgeKey("b", "fr")}


def test_own_words_come_from_one_bridge_per_speaker() -> None:
    wanted = desired(
        [audio("a", "b", "fr"), audio("a", "c", "de"), text("a", "d", "original"), text("b", "d", "original")]
    )
    assert {key: set(s.source_readers) for key, s in wanted.items()} == {
        BridgeKey("a", "de"): {"d"},
        BridgeKey("a", "fr"): set(),
    }


def test_nothing_wanted_is_nothing_run() -> None:
    assert desired([]) == {}
    assert plan({}, of(spec("a", "fr", "b")), 9) == Plan((BridgeKey("a", "fr"),), (), (), ())


def test_stop_change_and_start() -> None:
    running = of(spec("a", "fr", "b"), spec("a", "de", "c"), spec("b", "fr", "c"))
    wanted = of(spec("a", "fr", "b"), spec("a", "de", "c", "d"), spec("c", "it", "d"))
    assert plan(wanted, running, 9) == Plan(
        stop=(BridgeKey("b", "fr"),),
        change=(spec("a", "de", "c", "d"),),
        start=(spec("c", "it", "d"),),
        refused=(),
    )


def test_what_runs_keeps_its_place_under_the_cap() -> None:
    running = of(spec("z", "zh", "b"))
    wanted = of(spec("a", "de", "b"), spec("b", "de", "a"), spec("z", "zh", "b"))
    made = plan(wanted, running, 2)
    assert (made.start, made.refused) == ((spec("a", "de", "b"),), (BridgeKey("b", "de"),))


def test_a_place_that_becomes_free_is_given_at_once() -> None:
    running = of(spec("z", "zh", "b"))
    made = plan(of(spec("a", "de", "b")), running, 1)
    assert (made.stop, made.start, made.refused) == ((BridgeKey("z", "zh"),), (spec("a", "de", "b"),), ())


def test_a_cap_below_what_runs_stops_nothing() -> None:
    running = of(spec("a", "de", "b"), spec("b", "de", "a"))
    assert plan(running, running, 1) == Plan((), (), (), ())


@pytest.mark.parametrize("seed", range(40))
def test_any_sequence_of_plans_leads_to_what_is_wanted(seed: int) -> None:
    rng = random.Random(seed)
    running: dict[BridgeKey, BridgeSpec] = {}
    cap = rng.randrange(1, 8)
    for _ in range(20):
        routes = [
            Route(
                rng.choice("abcd"),
                rng.choice("efgh"),
                rng.choice(["fr", "de", "original"]),
                rng.choice(["audio", "text"]),
            )
            for _ in range(rng.randrange(12))
        ]
        wanted = desired(routes)
        before = dict(running)
        made = plan(wanted, running, cap)
        for key in made.stop:
            del running[key]
        for changed in made.change:
            assert changed.key in running
            running[changed.key] = changed
        for started in made.start:
            assert started.key not in running
            running[started.key] = started
        assert running == {key: wanted[key] for key in wanted if key not in made.refused}
        assert not set(made.refused) & set(before)
        assert len(running) <= cap
        assert plan(wanted, running, cap) == Plan((), (), (), made.refused)
