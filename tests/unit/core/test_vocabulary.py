"""What is spoken of in a room, from settings and metadata."""

import json

import pytest

from parley.core.model import Preferences
from parley.core.preferences import Allowed, from_metadata, vocabulary_from_metadata
from parley.core.vocabulary import Vocabulary

BASE = Vocabulary("support calls", ("Parley",))


def read(value: object) -> tuple[Vocabulary, list[str]]:
    found, refused = vocabulary_from_metadata(BASE, json.dumps({"parley": value}), "room metadata")
    return found, [str(rejection) for rejection in refused]


def test_a_room_knows_its_own_words() -> None:
    found, refused = read({"keywords": ["LiveKit", " Żubrówka "], "prompt": "a tasting"})
    assert found == Vocabulary("a tasting", ("LiveKit", "Żubrówka"))
    assert refused == []


def test_what_a_room_does_not_say_stays_as_it_was() -> None:
    assert read({"hears": "fr"}) == (BASE, [])
    assert read({"keywords": []})[0] == Vocabulary("support calls", ())
    assert vocabulary_from_metadata(BASE, "no json, parley", "room metadata") == (BASE, ())


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("keywords", "LiveKit"),
        ("keywords", 7),
        ("keywords", ["x" * 61]),
        ("keywords", [""]),
        ("keywords", ["w"] * 101),
        ("prompt", 7),
        ("prompt", "x" * 1001),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(key: str, value: object) -> None:
    found, refused = read({key: value})
    assert found == BASE
    assert len(refused) == 1
    assert f"parley.{key}" in refused[0]


def test_words_are_no_preferences() -> None:
    told = json.dumps({"parley": {"keywords": ["LiveKit"], "prompt": "x", "hears": "fr"}})
    found, refused = from_metadata(Preferences(), told, Allowed(("fr",)), "room metadata")
    assert found == Preferences(hears="fr")
    assert refused == ()
