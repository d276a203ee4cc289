"""The record of a room: sorted, bounded, and nothing in it for those who may not read it."""

from dataclasses import replace

import pytest

from parley.core.minutes import (
    LatePolicy,
    Line,
    Minutes,
    MinutesBounds,
    languages,
    latest,
    may_read,
    reads,
    shown_to,
)
from parley.core.model import Preferences


def line(start_s: float, **more: object) -> Line:
    base = Line(f"id-{start_s}", "ann", "en", "source", start_s, start_s + 1, "hello")
    return replace(base, **more)  # type: ignore[arg-type]


AGENT = line(9, speaker="support", kind="agent", beside="ann", to=frozenset({"ann", "bob"}))


def test_lines_are_in_the_order_in_which_they_were_said_whoever_said_them() -> None:
    minutes = Minutes()
    for start_s in (3.0, 1.0, 2.0, 2.0):
        minutes.add(line(start_s, speaker=f"who-{start_s}"))
    assert [one.start_s for one in minutes.lines()] == [1.0, 2.0, 2.0, 3.0]
    assert [one.start_s for one in minutes.lines(lambda one: one.speaker == "who-2.0")] == [2.0, 2.0]


def test_the_oldest_go_when_there_are_too_many() -> None:
    minutes = Minutes(MinutesBounds(most_lines=3))
    for n in range(10):
        minutes.add(line(float(n)))
    assert [one.start_s for one in minutes.lines()] == [7.0, 8.0, 9.0]
    assert minutes.dropped == 7


def test_the_oldest_go_when_they_are_too_large() -> None:
    minutes = Minutes(MinutesBounds(most_bytes=10_000))
    for n in range(100):
        minutes.add(line(float(n), text="字" * 500))
    assert len(minutes) == 5
    minutes.add(line(100.0, text="x" * 20_000))
    assert len(minutes) == 0
    assert minutes.dropped == 101
    minutes.add(line(101.0))
    assert len(minutes) == 1


def test_who_withdraws_consent_is_in_none_of_it() -> None:
    minutes = Minutes(MinutesBounds(most_bytes=10_000))
    for kept in (line(1), line(2, kind="translation", language="fr"), line(3, speaker="bob"), AGENT):
        minutes.add(kept)
    assert minutes.forget("ann") == 3
    assert [one.speaker for one in minutes.lines()] == ["bob"]
    assert minutes.forget("ann") == 0


def test_an_agent_of_the_same_name_is_not_a_participant() -> None:
    assert not AGENT.is_by_or_with("support")
    assert AGENT.is_by_or_with("ann")


def test_a_language_has_what_is_spoken_in_it_and_what_is_translated_into_it() -> None:
    lines = [
        line(1),
        line(2, language="pt-BR"),
        line(3, kind="translation", language="fr"),
        line(4, language=""),
    ]
    assert languages(lines) == ["en", "fr", "pt", "und"]
    assert [one.start_s for one in lines if reads("pt", one)] == [2]
    assert [one.start_s for one in lines if reads("original", one)] == [1, 2, 4]


@pytest.mark.parametrize(
    ("wish", "given", "allowed"),
    [
        (Preferences(), line(1), True),
        (Preferences(), line(1, kind="translation", language="fr"), False),
        (Preferences(hears="fr"), line(1, kind="translation", language="fr"), True),
        (Preferences(captions="fr"), line(1, kind="translation", language="fr"), True),
        (Preferences(captions="de", hears="es"), line(1, kind="translation", language="fr"), False),
        (Preferences(), AGENT, True),
    ],
)
def test_what_a_participant_may_have(wish: Preferences, given: Line, allowed: bool) -> None:
    assert may_read("bob", wish, given) is allowed


def test_a_conversation_with_an_agent_is_for_those_who_take_part_in_it() -> None:
    assert not may_read("eve", Preferences(captions="en", hears="en"), AGENT)


def test_what_is_among_the_captions_of_a_reader() -> None:
    french = line(1, kind="translation", language="fr")
    assert shown_to("bob", "fr", french)
    assert not shown_to("bob", "original", french)
    assert shown_to("bob", "original", line(1))
    assert shown_to("bob", "en", line(1, language="en-GB")), "who reads a language reads it as it is spoken"
    assert not shown_to("bob", "fr", line(1))
    assert not shown_to("bob", "off", line(1))
    assert not shown_to("ann", "original", line(1)), "nobody reads themselves"
    assert not shown_to("bob", "original", AGENT)


def test_the_last_lines_are_few_and_new() -> None:
    lines = [line(float(n)) for n in range(20)]
    assert [one.start_s for one in latest(LatePolicy(3, 60.0), 20.0, lines)] == [17.0, 18.0, 19.0]
    assert [one.start_s for one in latest(LatePolicy(30, 5.0), 20.0, lines)] == [14, 15, 16, 17, 18, 19]
    assert latest(LatePolicy(0, 60.0), 20.0, lines) == []
