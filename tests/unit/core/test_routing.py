"""Who gets whom, in which language."""

import random

import pytest

from parley.core import routing
from parley.core.language import OUTPUT_LANGUAGES, primary
from parley.core.model import Kind, Participant, Preferences, Roster
from unit.core.pairs import Route, expanded


def roster(*participants: Participant) -> dict[str, Participant]:
    return {p.identity: p for p in participants}


def routes(people: Roster) -> set[Route]:
    return expanded(routing.routes(people))


def person(identity: str, kind: Kind = "standard", **preferences: object) -> Participant:
    return Participant(identity, kind, Preferences(**preferences))  # type: ignore[arg-type]


def test_a_listener_hears_everybody_else() -> None:
    found = routes(roster(person("a", hears="fr"), person("b"), person("c")))
    assert found == {Route("b", "a", "fr", "audio"), Route("c", "a", "fr", "audio")}


def test_nobody_to_themselves() -> None:
    assert routes(roster(person("a", hears="fr", captions="fr"))) == set()


def test_nobody_into_their_own_language() -> None:
    people = roster(person("a", speaks="pt-BR"), person("b", hears="pt", captions="pt"))
    assert routes(people) == {Route("a", "b", "original", "text")}


def test_who_speaks_an_unknown_language_is_translated() -> None:
    people = roster(person("a", speaks="auto"), person("b", hears="pt"))
    assert routes(people) == {Route("a", "b", "pt", "audio")}


def test_captions_without_audio_and_audio_without_captions() -> None:
    people = roster(person("a"), person("b", captions="de"), person("c", hears="de"))
    assert {r for r in routes(people) if r.speaker == "a"} == {
        Route("a", "b", "de", "text"),
        Route("a", "c", "de", "audio"),
    }


def test_original_captions_are_the_speakers_own_words() -> None:
    people = roster(person("a", speaks="en"), person("b", captions="original"))
    assert routes(people) == {Route("a", "b", "original", "text")}


@pytest.mark.parametrize("kind", ["agent", "egress", "other"])
def test_machines_neither_speak_nor_listen(kind: Kind) -> None:
    machine = person("m", kind, hears="fr", captions="fr")
    assert routes(roster(machine, person("a"), person("b", hears="fr"))) == {Route("a", "b", "fr", "audio")}


@pytest.mark.parametrize("kind", ["standard", "sip", "ingress"])
def test_people_come_in_three_kinds(kind: Kind) -> None:
    assert routes(roster(person("p", kind), person("a", hears="fr"))) == {Route("p", "a", "fr", "audio")}


def test_who_declined_goes_to_no_session_and_still_hears() -> None:
    people = roster(
        person("a", consent=False, hears="fr", captions="fr"), person("b", hears="de", captions="original")
    )
    assert {r.speaker for r in routes(people)} == {"b"}
    assert {r.listener for r in routes(people)} == {"a"}


def test_who_has_no_microphone_hears_and_reads_and_is_not_translated() -> None:
    silent = Participant("a", preferences=Preferences(hears="fr", captions="fr"), sounds=False)
    found = routes(roster(silent, person("b", hears="de", captions="original")))
    assert {r.speaker for r in found} == {"b"}
    assert {r.media for r in found if r.listener == "a"} == {"audio", "text"}


@pytest.mark.parametrize("seed", range(30))
def test_in_any_room(seed: int) -> None:
    rng = random.Random(seed)
    kinds: list[Kind] = ["standard", "sip", "agent", "egress", "ingress", "other"]
    people = roster(
        *(
            Participant(
                f"p{i}",
                rng.choice(kinds),
                Preferences(
                    rng.choice(["auto", "en", "pt-BR", "ja"]),
                    rng.choice([*OUTPUT_LANGUAGES, "original"]),
                    rng.choice([*OUTPUT_LANGUAGES, "original", "off"]),
                    rng.random() < 0.8,
                ),
            )
            for i in range(rng.randrange(12))
        )
    )
    found = routes(people)
    for route in found:
        speaker, listener = people[route.speaker], people[route.listener]
        assert route.speaker != route.listener
        assert speaker.is_person
        assert listener.is_person
        assert speaker.preferences.consent
        if route.language != "original" and speaker.preferences.speaks != "auto":
            assert primary(speaker.preferences.speaks) != primary(route.language)
    for listener in people.values():
        speakers = {p.identity for p in people.values() if p.is_person and p.preferences.consent}
        wants_text = listener.is_person and listener.preferences.captions != "off"
        read = {r.speaker for r in found if r.listener == listener.identity and r.media == "text"}
        assert read == (speakers - {listener.identity} if wants_text else set())
