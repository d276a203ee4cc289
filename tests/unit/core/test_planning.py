"""From routes to bridges, and from what runs to what should run."""

import random
from collections.abc import Iterable

import pytest

from parley.core import planning
from parley.core.model import ORIGINAL, RECORD, BridgeKey, BridgeSpec
from parley.core.planning import Plan, Refusal, limited, plan
from unit.core.pairs import Route, together


def audio(speaker: str, listener: str, language: str) -> Route:
    return Route(speaker, listener, language, "audio")


def text(speaker: str, listener: str, language: str) -> Route:
    return Route(speaker, listener, language, "text")


def desired(pairs: Iterable[Route]) -> dict[BridgeKey, BridgeSpec]:
    return planning.desired(together(pairs))


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
        BridgeKey("b", ORIGINAL): {"d"},
    }


def test_own_words_come_from_the_bridge_that_has_the_task_even_if_nobody_else_wants_it() -> None:
    found = [audio("a", "b", "fr"), text("a", "d", "original")]
    kept = planning.desired(together(found), lambda speaker, languages: "de")
    assert kept[BridgeKey("a", "de")].source_readers == {"d"}
    assert not kept[BridgeKey("a", "de")].listeners
    assert not kept[BridgeKey("a", "fr")].source_readers


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


# Limits of a participant


def test_within_the_limit_nothing_is_changed() -> None:
    wanted = of(spec("a", "de", "b"), spec("a", "fr", "c"), spec("b", "de", "c"))
    assert limited(wanted, {}, 2) == (wanted, ())


def test_a_speaker_causes_no_more_sessions_than_allowed() -> None:
    wanted = of(spec("a", "de", "b"), spec("a", "fr", "c"), spec("a", "it", "d"), spec("b", "de", "c"))
    kept, refused = limited(wanted, {}, 2)
    assert set(kept) == set(wanted) - {BridgeKey("a", "it")}
    assert refused == (Refusal(BridgeKey("a", "it"), "a", 2),)
    assert str(refused[0]) == "'a' may be translated in 2 sessions at a time"


def test_a_listener_is_served_by_no_more_and_the_others_lose_nothing() -> None:
    wanted = of(spec("a", "fr", "x", "y"), spec("b", "fr", "x"), spec("c", "fr", "x", "y"))
    kept, refused = limited(wanted, {}, 2)
    assert kept == of(spec("a", "fr", "x", "y"), spec("b", "fr", "x"), spec("c", "fr", "y"))
    assert refused == (Refusal(BridgeKey("c", "fr"), "x", 2),)
    assert str(refused[0]) == "'x' may be served by 2 sessions at a time"


def test_a_session_that_is_left_with_nobody_is_not_wanted() -> None:
    kept, refused = limited(of(spec("a", "fr", "x"), spec("b", "fr", "x")), {}, 1)
    assert kept == of(spec("a", "fr", "x"))
    assert refused == (Refusal(BridgeKey("b", "fr"), "x", 1),)


def test_readers_count_as_listeners_do_and_who_does_both_counts_once() -> None:
    key = BridgeKey("a", "fr")
    wanted = {key: BridgeSpec(key, frozenset("x"), frozenset("x"), frozenset("y"))}
    wanted |= of(spec("b", "fr", "x"), spec("c", "fr", "y"))
    kept, refused = limited(wanted, {}, 1)
    assert kept == {key: wanted[key]}
    assert [r.who for r in refused] == ["x", "y"]


def test_what_runs_for_somebody_keeps_its_place_with_them() -> None:
    running = of(spec("a", "fr", "y"), spec("z", "fr", "x"), spec("z", "it", "y"))
    wanted = of(spec("a", "fr", "x", "y"), spec("z", "fr", "x"), spec("z", "de", "y"), spec("z", "it", "y"))
    kept, refused = limited(wanted, running, 1)
    assert kept == of(spec("a", "fr", "y"), spec("z", "fr", "x"))
    assert limited(wanted, kept, 1)[0] == kept, "and what was decided is decided again"
    assert {(r.key, r.who) for r in refused} == {
        (BridgeKey("a", "fr"), "x"),
        (BridgeKey("z", "de"), "z"),
        (BridgeKey("z", "it"), "z"),
    }


@pytest.mark.parametrize("seed", range(30))
def test_whatever_is_wanted_nobody_is_above_the_limit_and_it_settles(seed: int) -> None:
    rng = random.Random(seed)
    running: dict[BridgeKey, BridgeSpec] = {}
    for _ in range(10):
        routes = [
            Route(rng.choice("abcd"), rng.choice("efgh"), rng.choice(["fr", "de", "it"]), "audio")
            for _ in range(rng.randrange(20))
        ]
        most, wanted = rng.randrange(1, 4), desired(routes)
        kept, refused = limited(wanted, running, most)
        for who in "abcdefgh":
            assert sum(key.speaker == who for key in kept) <= most
            assert sum(who in s.listeners for s in kept.values()) <= most
        assert all(s.listeners <= wanted[key].listeners for key, s in kept.items())
        missing = {(key, who) for key, s in wanted.items() for who in s.listeners} - {
            (key, who) for key, s in kept.items() for who in s.listeners
        }
        told = {(r.key, r.who) for r in refused}
        assert all((key, who) in told or (key, key.speaker) in told for key, who in missing)
        assert limited(wanted, kept, most)[0] == kept
        running = kept


# The record


def test_the_record_takes_no_place_of_anybody() -> None:
    kept = {BridgeKey(who, ORIGINAL): _kept(who, RECORD) for who in "abc"}
    assert limited(kept, {}, 1) == (kept, ()), "it reads as many as there are"
    wanted = kept | of(spec("z", "fr", "x"))
    assert [one.key for one in plan(wanted, {}, 2).start] == [("z", "fr"), ("a", ORIGINAL)]
    alone = {BridgeKey("a", ORIGINAL): _kept("a", RECORD), BridgeKey("b", ORIGINAL): _kept("b", RECORD, "x")}
    assert [one.key for one in plan(alone, {}, 1).start] == [("b", ORIGINAL)]


def _kept(speaker: str, *readers: str) -> BridgeSpec:
    nobody: frozenset[str] = frozenset()
    return BridgeSpec(BridgeKey(speaker, ORIGINAL), nobody, nobody, frozenset(readers))
