"""What a participant asks for, by attribute and over `parley.set`: what was said last."""

import json
from typing import Any

import pytest

from parley.core.model import Preferences
from parley.core.preferences import Allowed, Rejection
from parley.core.wishes import MOST_CHARS, Request, Wishes, read_request, told

ALLOWED = Allowed(("de", "fr"), ("support",))


def read(wish: Any) -> Request | tuple[Rejection, ...]:
    return read_request(wish if isinstance(wish, str) else json.dumps(wish), ALLOWED)


def refused(wish: Any) -> tuple[Rejection, ...]:
    found = read(wish)
    assert not isinstance(found, Request)
    return found


# Reading


def test_every_key_with_and_without_its_prefix() -> None:
    values = {"speaks": "pt-BR", "hears": "fr", "captions": "off", "agent": "support", "consent": "declined"}
    assert read(values) == Request(values)
    assert read({f"parley.{key}": value for key, value in values.items()}) == Request(values)


def test_for_somebody_else() -> None:
    assert read({"hears": "fr", "for": "ben: 😀"}) == Request({"hears": "fr"}, "ben: 😀")


@pytest.mark.parametrize("nothing", [None, "", "  "])
def test_what_is_empty_takes_back(nothing: str | None) -> None:
    assert read({"hears": nothing}) == Request({"hears": None})


def test_nothing_asks_for_nothing() -> None:
    assert read({}) == Request({})


@pytest.mark.parametrize(
    "payload",
    [
        "", "{", "null", "[]", '"fr"', "1", "[" * 100_000, '{"a":' * 3_000,
        '{"hears": "' + "x" * MOST_CHARS + '"}',
    ],
)  # fmt: skip
def test_what_is_no_object(payload: str) -> None:
    (rejection,) = refused(payload)
    assert rejection.key == "parley.set"
    assert "JSON object" in rejection.allowed
    assert len(rejection.given) <= 40


@pytest.mark.parametrize(
    ("wish", "key", "given", "allowed"),
    [
        ({"hears": "tlh"}, "parley.hears", "tlh", "original, de, fr"),
        ({"parley.hears": 5}, "parley.hears", "5", "text"),
        ({"consent": True}, "parley.consent", "true", "text"),
        ({"consent": "Granted!"}, "parley.consent", "Granted!", "granted, declined"),
        ({"agent": "nobody"}, "parley.agent", "nobody", "off, support"),
        ({"lang": "fr"}, "parley.lang", "fr", "speaks, hears, captions, agent, consent, for"),
        ({"for": 1}, "for", "1", "the identity of a participant"),
        ({"for": ""}, "for", "", "the identity of a participant"),
        ({"hears": "fr", "parley.hears": "de"}, "parley.hears", "de", "each key once"),
    ],
)
def test_a_mistake_is_named_with_what_was_given_and_what_is_allowed(
    wish: Any, key: str, given: str, allowed: str
) -> None:
    assert refused(wish) == (Rejection(key, given, allowed),)


def test_all_mistakes_are_told_and_nothing_is_taken() -> None:
    assert [r.key for r in refused({"hears": "fr", "speaks": "?", "x" * 500: 1, "for": []})] == [
        "for",
        "parley.speaks",
        "parley." + "x" * 32 + "…",
    ]


def test_json_of_any_depth_is_an_answer() -> None:
    for depth in (10, 300, *range(900, 1_010)):
        assert refused('{"hears":' + "[" * depth + "]" * depth + "}")


# What holds


def attributes(**values: str) -> dict[str, str]:
    return {f"parley.{key}": value for key, value in values.items()}


def test_what_was_said_last_holds_key_by_key() -> None:
    wishes = Wishes()
    wishes.see(attributes(hears="fr", speaks="en"))
    assert wishes.held == attributes(hears="fr", speaks="en")
    wishes.set({"hears": "de"})
    assert wishes.held == attributes(hears="de", speaks="en")
    wishes.see(attributes(hears="fr", speaks="es"))
    assert wishes.held == attributes(hears="de", speaks="es"), "an attribute that stays is not said again"
    wishes.see(attributes(hears="original", speaks="es"))
    assert wishes.held == attributes(hears="original", speaks="es")


def test_what_is_taken_back_leaves_the_other() -> None:
    wishes = Wishes()
    wishes.see(attributes(hears="fr"))
    wishes.set({"hears": "de"})
    wishes.set({"hears": None})
    assert wishes.held == attributes(hears="fr")
    wishes.set({"hears": "de"})
    wishes.see(attributes(hears="it"))
    wishes.see({})
    assert wishes.held == attributes(hears="de")
    wishes.set({"hears": None, "captions": None})
    assert wishes.held == {}
    assert not wishes.was_set


def test_an_attribute_that_was_deleted_and_comes_again_was_said_again() -> None:
    wishes = Wishes()
    wishes.see(attributes(hears="fr"))
    wishes.set({"hears": "de"})
    wishes.see(attributes(hears=""))
    wishes.see(attributes(hears="fr"))
    assert wishes.held == attributes(hears="fr")


def test_other_attributes_are_none_of_ours() -> None:
    wishes = Wishes()
    wishes.see({"parley.worker": "1", "hears": "fr", "lk.x": "y"})
    assert wishes.held == {}


def test_with_time_everything_goes_but_a_refusal_of_consent() -> None:
    wishes = Wishes()
    wishes.set({"hears": "fr", "consent": "granted"})
    wishes.expire()
    assert wishes.held == {}
    wishes.set({"hears": "fr", "consent": "declined"})
    wishes.expire()
    assert wishes.held == attributes(consent="declined")


def test_preferences_as_they_are_told() -> None:
    assert told(Preferences(speaks="en", consent=False)) == {
        "speaks": "en", "hears": "original", "captions": "off", "agent": "off", "consent": "declined",
    }  # fmt: skip
