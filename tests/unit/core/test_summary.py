"""The record of a room and its summary: what was fed comes out, who declined is not named, all is bounded."""

import json
import random
from typing import Any

import pytest

from parley.core import summary as summaries
from parley.core.accounts import Accounts, Line
from parley.core.estimate import Talk
from parley.core.model import Preferences
from parley.core.summary import Record

MODEL = "gpt-realtime-translate"
ENGLISH = Preferences(speaks="en", hears="en")
FRENCH = Preferences(speaks="fr", hears="fr")
GERMAN = Preferences(speaks="de", hears="de", captions="de")
READING = Preferences(speaks="en", captions="original")
DECLINED = Preferences(speaks="de", hears="de", consent=False)


class Room:
    """A record with its accounts."""

    def __init__(self, **options: Any) -> None:
        self.accounts = Accounts(usd=1.0)
        self.record = Record("standup", self.accounts, 100.0, **options)

    def translate(self, speaker: str, language: str, seconds: float, *payers: str) -> None:
        account = self.accounts.open(Line("translation", speaker, language), MODEL, lambda: payers)
        account.spend(seconds)
        account.close()

    def told(self, now: float) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(self.record.summary(now)))
        return found


def test_an_empty_room_has_a_summary() -> None:
    told = Room().told(100.0)
    assert (told["format"], told["room"], told["duration_s"]) == (1, "standup", 0)
    assert (told["people"]["count"], told["translated"], told["ear_voice_span_s"]) == (0, [], {})
    assert (told["cost"]["usd"], told["estimate"]["usd"], told["estimate"]["error"]) == (0, 0, None)


def test_people_their_time_their_words_and_what_they_cost() -> None:
    room = Room()
    room.record.present("ann", ENGLISH, 100.0)
    room.record.present("bob", FRENCH, 110.0)
    room.record.present("bob", Preferences(speaks="fr", hears="it"), 130.0)
    room.record.left("bob", 140.0)
    room.record.present("bob", FRENCH, 150.0)
    room.record.spoke("ann", 12.0)
    room.translate("ann", "fr", 14.0, "bob")
    told = room.told(160.0)
    people = told["people"]
    assert (people["count"], people["most_at_once"], people["others"]) == (2, 2, 0)
    ann, bob = people["known"]
    assert (ann["identity"], ann["present_s"], ann["spoken_s"], ann["arrivals"]) == ("ann", 60, 12, 1)
    assert (bob["present_s"], bob["arrivals"], bob["languages"]) == (40, 2, ["fr", "it"])
    assert (ann["usd"], bob["usd"]) == (0, pytest.approx(14 * 0.034 / 60, abs=1e-6))
    assert told["languages"] == ["en", "fr", "it"]
    (row,) = told["translated"]
    assert (row["kind"], row["speaker"], row["language"], row["audio_s"]) == ("translation", "ann", "fr", 14)
    assert told["cost"]["usd"] == told["cost"]["by_kind"]["translation"] == row["usd"]
    assert told["cost"]["prices_as_of"] == "2026-11-21"
    assert told["cost"]["sessions"][0]["model"] == MODEL


def test_spans_losses_and_events() -> None:
    room = Room()
    room.record.present("ann", ENGLISH, 100.0)
    for span_s in (1.0, 2.0, 8.0):
        room.record.span("fr", span_s)
    room.record.span("xx", 1.0)
    room.record.lost("session", 1.2)
    room.record.lost("session", 0.4)
    room.record.said("session.failed", "ann", "fr", "gone", 101.5)
    room.record.said("session.recovered", "ann", "fr", "back", 103.0)
    room.record.said("worker.draining", None, None, "leaves", 103.0)
    told = room.told(104.0)
    assert told["ear_voice_span_s"]["fr"] == {"count": 3, "p50": 2.1, "p95": 8.0, "max": 8.0}
    assert set(told["ear_voice_span_s"]) == {"fr", "others"}
    assert told["lost_s"] == {"session": 1.6}
    assert told["events"]["counts"] == {
        "session.failed": 1,
        "session.recovered": 1,
        "worker.draining": 1,
    }
    assert told["events"]["newest"][2]["detail"] == "leaves"
    assert told["events"]["newest"][0] == {
        "at_s": 1.5,
        "event": "session.failed",
        "speaker": "ann",
        "language": "fr",
        "detail": "gone",
    }


@pytest.mark.parametrize("later", [False, True])
def test_who_declined_is_counted_and_never_named_whenever_they_did(later: bool) -> None:
    room = Room()
    room.record.present("ann", ENGLISH, 100.0)
    room.record.present("dora", GERMAN if later else DECLINED, 100.0)
    room.translate("dora", "en", 5.0, "ann")
    room.translate("ann", "de", 7.0, "dora")
    room.record.spoke("dora", 5.0)
    room.record.said("session.failed", "dora", "en", "dora's session was lost", 101.0)
    if later:
        room.record.present("dora", DECLINED, 102.0)
        room.record.present("dora", GERMAN, 103.0)
    told = room.told(110.0)
    assert "dora" not in json.dumps(told)
    assert (told["people"]["count"], told["people"]["declined_consent"]) == (2, 1)
    assert [person["identity"] for person in told["people"]["known"]] == ["ann"]
    assert [(row["speaker"], row["audio_s"]) for row in told["translated"]] == [(None, 5), ("ann", 7)]
    assert told["events"]["counts"] == {"session.failed": 1}
    assert sum(row["usd"] for row in told["translated"]) == pytest.approx(told["cost"]["usd"], abs=1e-6)


# The estimate's error


def test_the_estimate_is_of_the_people_who_were_there_for_as_long_as_they_were() -> None:
    room = Room(talk=Talk(share=1.0, turn_s=10.0))
    room.record.present("ann", ENGLISH, 100.0)
    room.record.present("bob", FRENCH, 160.0)
    room.record.left("bob", 220.0)
    room.translate("ann", "fr", 60.0, "bob")
    told = room.told(400.0)["estimate"]
    overhead = 1 + (0.9 + 4.05) / 10
    assert told["usd"] == pytest.approx(2 * 30 * overhead * 0.034 / 60, abs=1e-6)
    assert told["always_on_usd"] == pytest.approx(2 * 0.034)
    assert told["metered_usd"] == pytest.approx(0.034)
    assert told["error"] == pytest.approx(overhead - 1, abs=1e-3)


@pytest.mark.parametrize(
    ("people", "sessions", "captions"),
    [
        ([ENGLISH], 0, 0),
        ([ENGLISH, ENGLISH], 0, 0),
        ([ENGLISH, FRENCH], 2, 0),
        ([ENGLISH, FRENCH, GERMAN], 6, 0),
        ([ENGLISH, DECLINED], 1, 0),
        ([Preferences(), FRENCH], 1, 0),
        ([Preferences(hears="fr"), Preferences(hears="fr")], 2, 0),
        ([Preferences(hears="fr"), Preferences()], 1, 0),
        ([Preferences(speaks="pt-BR", hears="pt"), Preferences(speaks="pt", hears="pt")], 0, 0),
        ([Preferences(speaks="en", captions="fr"), Preferences(speaks="en", captions="original")], 1, 1),
        ([READING, READING, Preferences()], 0, 3),
        ([READING], 0, 0),
        ([READING, Preferences(speaks="en", captions="en"), Preferences(consent=False)], 0, 2),
        ([READING, FRENCH, Preferences()], 2, 1),
    ],
)
def test_what_people_ask_for_is_what_the_routes_would_be(
    people: list[Preferences], sessions: int, captions: int
) -> None:
    from parley.core.model import ORIGINAL, RECORD, Participant
    from parley.core.planning import desired
    from parley.core.routing import routes

    here = {f"p{i}": preferences for i, preferences in enumerate(people)}
    roster = {identity: Participant(identity, preferences=p) for identity, p in here.items()}
    wanted = list(desired(routes(roster)))
    demand = summaries._demand(here)
    assert demand.sessions == sessions == sum(key.language != "original" for key in wanted)
    assert demand.captions == captions == sum(key.language == "original" for key in wanted)
    kept = list(desired(routes(roster, {RECORD: ORIGINAL})))
    demand = summaries._demand(here, own_words=True)
    assert demand.captions == sum(key.language == "original" for key in kept)
    assert {key.speaker for key in kept} == {identity for identity, p in here.items() if p.consent}


# Bounds


def test_memory_is_bounded_whatever_a_room_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summaries, "MOST_PEOPLE", 20)
    room, now = Room(), 100.0
    rng = random.Random(1)
    for i in range(3_000):
        now += 1.0
        identity = f"guest {i} " + "😀" * 200
        room.record.present(identity, rng.choice([ENGLISH, FRENCH, GERMAN]), now)
        room.record.spoke(identity, 1.0)
        room.record.span(f"x{i}", 3.0)
        room.record.lost(f"place {i}", 0.5)
        room.record.said(f"event {i}", identity, "fr", "x" * 10_000, now)
        room.record.left(identity, now + 0.5)
    told = room.told(now)
    assert (told["people"]["count"], told["people"]["others"]) == (3_000, 2_980)
    assert len(told["people"]["known"]) == 20
    assert {event["speaker"] for event in told["events"]["newest"]} == {None}
    assert told["spoken_s"] == 3_000
    assert sum(told["lost_s"].values()) == pytest.approx(1_500)
    assert len(told["lost_s"]) == summaries.MOST_KEYS + 1
    assert sum(told["events"]["counts"].values()) == 3_000
    assert len(told["events"]["newest"]) == summaries.MOST_EVENTS
    assert len(json.dumps(told)) < 1_000_000
