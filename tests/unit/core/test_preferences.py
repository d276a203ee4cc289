"""Preferences: what is taken, what is refused and by what words, and what stays when something is refused."""

import json
import random
import string

import pytest

from parley.core.language import OUTPUT_LANGUAGES
from parley.core.model import Preferences
from parley.core.preferences import (
    KEYS,
    MAX_METADATA,
    MAX_SHOWN,
    Allowed,
    Rejection,
    from_attributes,
    from_metadata,
    is_agent_name,
    with_value,
)

ALLOWED = Allowed(("de", "en", "fr", "pt"), ("assistant", "support"))
NOTHING = Preferences()


def metadata(**values: object) -> str:
    return json.dumps({"parley": values})


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("speaks", "pt-BR", Preferences(speaks="pt-BR")),
        ("speaks", " AUTO ", Preferences(speaks="auto")),
        ("speaks", "gsw", Preferences(speaks="gsw")),
        ("hears", "fr", Preferences(hears="fr")),
        ("hears", "pt-BR", Preferences(hears="pt")),
        ("hears", "Deu", Preferences(hears="de")),
        ("hears", "Original", Preferences(hears="original")),
        ("captions", " en ", Preferences(captions="en")),
        ("captions", "OFF", Preferences(captions="off")),
        ("captions", "original", Preferences(captions="original")),
        ("agent", "support", Preferences(agent="support")),
        ("agent", " Assistant ", Preferences(agent="assistant")),
        ("agent", "OFF", Preferences(agent="off")),
        ("consent", "declined", Preferences(consent=False)),
        ("consent", "granted", Preferences(consent=True)),
    ],
)
def test_values_that_are_taken(key: str, value: str, expected: Preferences) -> None:
    assert with_value(NOTHING, key, value, ALLOWED) == expected


@pytest.mark.parametrize(
    ("key", "value", "allowed"),
    [
        ("speaks", "english!", "auto or a language tag such as en or pt-BR"),
        ("hears", "off", "original, de, en, fr, pt"),
        ("hears", "tlh", "original, de, en, fr, pt"),
        ("hears", "ja", "original, de, en, fr, pt"),
        ("captions", "auto", "off, original, de, en, fr, pt"),
        ("agent", "sales", "off, assistant, support"),
        ("agent", "original", "off, assistant, support"),
        ("agent", "on", "off, assistant, support"),
        ("consent", "yes", "granted, declined"),
        ("consent", "Granted", "granted, declined"),
        ("hearz", "fr", "speaks, hears, captions, agent, consent"),
    ],
)
def test_a_rejection_names_key_given_and_allowed(key: str, value: str, allowed: str) -> None:
    rejection = with_value(NOTHING, key, value, ALLOWED)
    assert rejection == Rejection(f"parley.{key}", value, allowed)
    assert str(rejection) == f"parley.{key}: {value!r} is not allowed; allowed: {allowed}"


@pytest.mark.parametrize("value", [None, 7, True, 1.5, ["fr"], {"a": 1}])
def test_what_is_not_text_is_refused(value: object) -> None:
    rejection = with_value(NOTHING, "hears", value, ALLOWED)
    assert rejection == Rejection("parley.hears", json.dumps(value), "text")


def test_a_long_value_is_repeated_back_in_part() -> None:
    rejection = with_value(NOTHING, "hears", "x" * 10_000_000, ALLOWED)
    assert isinstance(rejection, Rejection)
    assert rejection.given == "x" * (MAX_SHOWN - 1) + "…"


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("empty", ["", "   "])
def test_an_attribute_deleted_by_emptying_it_changes_nothing(key: str, empty: str) -> None:
    before = Preferences("de", "fr", "en", consent=False, agent="support")
    assert with_value(before, key, empty, ALLOWED) == before


def test_where_no_agent_is_allowed_off_is_all_there_is() -> None:
    nobody = Allowed(("de",))
    assert with_value(NOTHING, "agent", "off", nobody) == NOTHING
    assert with_value(NOTHING, "agent", "support", nobody) == Rejection("parley.agent", "support", "off")


def test_an_agent_of_the_room_is_switched_off_by_a_participant() -> None:
    room, none = from_metadata(NOTHING, metadata(agent="support"), ALLOWED, "room metadata")
    assert (room.agent, none) == ("support", ())
    assert from_attributes(room, None, {}, ALLOWED)[0].agent == "support"
    assert from_attributes(room, None, {"parley.agent": "off"}, ALLOWED)[0].agent == "off"


def test_a_refused_agent_leaves_the_old_one() -> None:
    old = Preferences(agent="support")
    new, refused = from_attributes(NOTHING, old, {"parley.agent": "nobody"}, ALLOWED)
    assert new.agent == "support"
    assert refused == (Rejection("parley.agent", "nobody", "off, assistant, support"),)


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("a", True),
        ("a" * 40, True),
        ("a" * 41, False),
        ("order-line_2", True),
        ("", False),
        ("off", False),
        ("Support", False),
        ("a b", False),
        ("a\n", False),
        ("é", False),
    ],
)
def test_names_of_agents(name: str, good: bool) -> None:
    assert is_agent_name(name) is good


def test_precedence_participant_room_dispatch_default() -> None:
    default = Preferences(speaks="auto", hears="original", captions="off")
    dispatch, none = from_metadata(default, metadata(speaks="de", hears="de", captions="de"), ALLOWED, "d")
    assert none == ()
    room, none = from_metadata(dispatch, metadata(hears="en", captions="en"), ALLOWED, "r")
    assert none == ()
    final, none = from_attributes(room, None, {"parley.captions": "fr", "hears": "pt"}, ALLOWED)
    assert none == ()
    assert final == Preferences(speaks="de", hears="en", captions="fr")


def test_an_attribute_that_is_gone_takes_the_rooms_value_again() -> None:
    room = Preferences(hears="en")
    old, _ = from_attributes(room, None, {"parley.hears": "fr"}, ALLOWED)
    assert from_attributes(room, old, {}, ALLOWED) == (room, ())
    assert from_attributes(room, old, {"parley.hears": ""}, ALLOWED) == (room, ())


def test_a_refused_attribute_keeps_the_old_value_and_the_others_change() -> None:
    old = Preferences("de", "fr", "en")
    attributes = {"parley.hears": "klingon", "parley.captions": "pt", "parley.speaks": "?"}
    new, refused = from_attributes(NOTHING, old, attributes, ALLOWED)
    assert new == Preferences("de", "fr", "pt")
    assert [r.key for r in refused] == ["parley.speaks", "parley.hears"]


def test_a_refused_attribute_of_a_newcomer_leaves_the_rooms_value() -> None:
    room = Preferences(hears="en")
    new, refused = from_attributes(room, None, {"parley.hears": "klingon"}, ALLOWED)
    assert new == room
    assert refused == (Rejection("parley.hears", "klingon", "original, de, en, fr, pt"),)


def test_a_bad_consent_does_not_grant_what_was_declined() -> None:
    old = Preferences(consent=False)
    new, refused = from_attributes(NOTHING, old, {"parley.consent": "sure"}, ALLOWED)
    assert not new.consent
    assert len(refused) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "  ",
        "{}",
        "[1, 2]",
        "null",
        '"parley"',
        '{"other": {"hears": "xx"}}',
        "just words",
        '{"parley": null}',
    ],
)
def test_metadata_that_is_the_applications_is_left_alone(text: str) -> None:
    assert from_metadata(NOTHING, text, ALLOWED, "room metadata") == (NOTHING, ())


def test_metadata_that_speaks_of_parley_but_is_no_json_is_refused() -> None:
    values, refused = from_metadata(NOTHING, '{"parley": {hears: fr}}', ALLOWED, "room metadata")
    assert values == NOTHING
    assert [(r.key, r.given) for r in refused] == [("room metadata", '{"parley": {hears: fr}}')]
    assert "JSON" in refused[0].allowed


@pytest.mark.parametrize("value", ["fr", 3, ["hears"], True])
def test_metadata_of_the_wrong_form_is_refused(value: object) -> None:
    values, refused = from_metadata(NOTHING, json.dumps({"parley": value}), ALLOWED, "room metadata")
    assert values == NOTHING
    assert [r.key for r in refused] == ["room metadata parley"]


def test_bad_values_in_metadata_are_named_and_the_good_ones_hold() -> None:
    text = metadata(hears="fr", captions=["fr"], hear="de")
    values, refused = from_metadata(NOTHING, text, ALLOWED, "dispatch metadata")
    assert values == Preferences(hears="fr")
    assert [r.key for r in refused] == ["dispatch metadata parley.captions", "dispatch metadata parley.hear"]


def test_ten_megabytes_of_metadata_are_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    text = metadata(hears="fr", junk="x" * 10_000_000)
    monkeypatch.setattr(json, "loads", lambda _: pytest.fail("it was parsed"))
    values, refused = from_metadata(NOTHING, text, ALLOWED, "room metadata")
    assert values == NOTHING
    assert [(r.key, r.allowed) for r in refused] == [("room metadata", f"at most {MAX_METADATA} bytes")]
    assert len(refused[0].given) == MAX_SHOWN


def test_a_thousand_wrong_keys_give_few_rejections() -> None:
    _, refused = from_metadata(NOTHING, metadata(**{f"key{i}": "x" for i in range(1000)}), ALLOWED, "r")
    assert len(refused) == 32


@pytest.mark.parametrize("depth", [10, 500, 985, 990, 1000, 30_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}")])
def test_nested_junk_raises_nothing(depth: int, opening: str, closing: str) -> None:
    inner = opening * depth + "1" + closing * depth
    for text in (f'{{"parley": {{"hears": {inner}}}}}', f'{{"parley": {inner}}}', inner):
        values, _ = from_metadata(NOTHING, text, ALLOWED, "room metadata")
        assert values == NOTHING


@pytest.mark.parametrize("seed", range(20))
def test_random_junk_raises_nothing_and_changes_nothing_it_may_not(seed: int) -> None:
    rng = random.Random(seed)
    letters = string.printable + "日本ñ؟\u0000\u202e"
    for _ in range(100):
        text = "".join(rng.choices(letters, k=rng.randrange(60)))
        values, refused = from_attributes(
            NOTHING, None, {f"parley.{key}": text for key in KEYS}, Allowed(OUTPUT_LANGUAGES)
        )
        assert values.hears in (*OUTPUT_LANGUAGES, "original")
        assert values.captions in (*OUTPUT_LANGUAGES, "original", "off")
        assert values.agent == "off"
        assert all(r.key and r.allowed for r in refused)
        from_metadata(NOTHING, text, ALLOWED, "room metadata")
        from_metadata(NOTHING, '{"parley": ' + text, ALLOWED, "room metadata")
