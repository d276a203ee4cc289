"""RPC `parley.set`: who may set what for whom, and what comes of it in the roster."""

import asyncio
import json
from typing import Any

import pytest

from fakes.room import FakeParticipant, FakeRoom
from livekit import rtc
from parley.core.model import Preferences
from parley.core.preferences import Allowed
from parley.room import refusals, roster
from parley.room.refusals import INVALID, NOT_ALLOWED, NOT_FOUND, TOO_MANY
from parley.room.roster import KEPT_S, MOST_KEPT, People
from parley.room.set_preferences import SetPreferences

NOBODY = {"speaks": "auto", "hears": "original", "captions": "off", "agent": "off", "consent": "granted"}


class Stage:
    """A room with ana and the host."""

    def __init__(self, hosts: tuple[str, ...] = ("host",)) -> None:
        self.room = FakeRoom()
        self.people = People(Preferences(), Allowed(("de", "fr"), ("support",)), "", lambda *_: None)
        self.changed: list[str] = []
        self.standby = False
        self.now = 100.0
        room: Any = self.room
        self.setting = SetPreferences(room, self.people, hosts, self.changed.append, lambda: self.standby)
        self.setting.listen()
        for identity in ("ana", "host"):
            self.join(identity)

    def join(self, identity: str, **attributes: str) -> FakeParticipant:
        found = self.room.join(FakeParticipant(identity, {f"parley.{k}": v for k, v in attributes.items()}))
        self.update(identity)
        return found

    def leave(self, identity: str) -> None:
        del self.room.remote_participants[identity]
        self.update(identity)

    def update(self, identity: str) -> None:
        participant: Any = self.room.remote_participants.get(identity)
        self.people.update(identity, participant)

    async def call(self, wish: Any, caller: str = "ana") -> Any:
        self.now += 1
        payload = wish if isinstance(wish, str) else json.dumps(wish)
        data = rtc.RpcInvocationData("id", caller, payload, 10.0)
        return json.loads(await self.room.local_participant.methods["parley.set"](data))

    async def refused(self, wish: Any, caller: str = "ana") -> rtc.RpcError:
        before = {identity: p.preferences for identity, p in self.people.roster.items()}
        with pytest.raises(rtc.RpcError) as caught:
            await self.call(wish, caller)
        for identity in self.room.remote_participants:
            self.update(identity)
        assert {identity: p.preferences for identity, p in self.people.roster.items()} == before
        assert len(caught.value.message.encode()) <= 240
        return caught.value

    def hears(self, identity: str = "ana") -> str:
        self.update(identity)
        return self.people.roster[identity].preferences.hears


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    stage = Stage()
    monkeypatch.setattr(refusals, "monotonic", lambda: stage.now)
    monkeypatch.setattr(roster, "monotonic", lambda: stage.now)
    return stage


async def test_what_is_set_is_answered_and_holds(stage: Stage) -> None:
    assert await stage.call({"hears": "fr", "parley.consent": "declined"}) == NOBODY | {
        "hears": "fr",
        "consent": "declined",
    }
    assert stage.changed == ["ana"]
    stage.update("ana")
    assert stage.people.roster["ana"].preferences == Preferences(hears="fr", consent=False)
    assert await stage.call({}, "host") == NOBODY
    assert stage.changed == ["ana"], "asking changes nothing"


async def test_the_rooms_default_holds_again_when_it_is_taken_back(stage: Stage) -> None:
    stage.people.set_room_metadata('{"parley": {"hears": "de"}}')
    assert (await stage.call({"hears": "fr"}))["hears"] == "fr"
    assert (await stage.call({"hears": None}))["hears"] == "de"
    assert stage.hears() == "de"


async def test_an_attribute_said_before_the_call_is_older_though_nobody_has_looked_yet(stage: Stage) -> None:
    stage.room.remote_participants["ana"].attributes["parley.hears"] = "de"
    assert (await stage.call({"hears": "fr"}))["hears"] == "fr"
    assert stage.hears() == "fr"
    stage.room.remote_participants["ana"].attributes["parley.hears"] = "original"
    assert stage.hears() == "original"


async def test_a_mistake_takes_nothing(stage: Stage) -> None:
    error = await stage.refused({"hears": "fr", "speaks": "?", "captions": "loud"})
    assert error.code == INVALID
    assert error.message == (
        "parley.set: parley.speaks: '?' is not allowed; allowed: auto or a language tag such as en or pt-BR"
    )
    assert [r["key"] for r in json.loads(error.data or "")] == ["parley.speaks", "parley.captions"]
    assert stage.changed == []


async def test_an_error_in_any_script_fits_into_its_frame(stage: Stage) -> None:
    error = await stage.refused({"hears": "語" * 500, "語" * 500: 1})
    assert error.code == INVALID
    assert error.message.startswith("parley.set: parley.hears: '語")


# For others


async def test_a_host_sets_for_others(stage: Stage) -> None:
    assert (await stage.call({"hears": "fr", "for": "ana"}, "host"))["hears"] == "fr"
    assert stage.changed == ["ana"]
    assert stage.hears() == "fr"
    assert stage.hears("host") == "original"


async def test_others_set_for_themselves_only(stage: Stage) -> None:
    error = await stage.refused({"hears": "fr", "for": "host"})
    assert error.code == NOT_ALLOWED
    assert "PARLEY_LIMITS__HOSTS" in error.message
    assert (await stage.call({"hears": "fr", "for": "ana"}))["hears"] == "fr"


async def test_nobody_is_a_host_by_kind(stage: Stage) -> None:
    stage.room.join(FakeParticipant("app", kind=rtc.ParticipantKind.PARTICIPANT_KIND_AGENT))
    stage.update("app")
    assert (await stage.refused({"hears": "fr", "for": "ana"}, "app")).code == NOT_ALLOWED


async def test_where_everybody_is_a_host() -> None:
    stage = Stage(hosts=("*",))
    assert (await stage.call({"hears": "fr", "for": "host"}))["hears"] == "fr"


@pytest.mark.parametrize("consent", ["granted", None, ""])
async def test_a_host_may_decline_but_not_consent_for_others(stage: Stage, consent: str | None) -> None:
    assert (await stage.call({"consent": "declined", "for": "ana"}, "host"))["consent"] == "declined"
    stage.update("ana")
    assert (await stage.refused({"consent": consent, "for": "ana"}, "host")).code == INVALID
    assert (await stage.call({"consent": "granted"}))["consent"] == "granted"


@pytest.mark.parametrize("who", ["nobody", "a: b\n😀", "x" * 500])
async def test_somebody_who_is_not_there(stage: Stage, who: str) -> None:
    error = await stage.refused({"hears": "fr", "for": who}, "host")
    assert error.code == NOT_FOUND
    assert "\n" not in error.message


# Too often, and by the wrong worker


async def test_a_thousand_calls_in_a_second(stage: Stage) -> None:
    taken = 0
    refused: list[rtc.RpcError] = []
    for number in range(1_000):
        stage.now -= 1 - 0.001
        try:
            await stage.call({"hears": ("de", "fr")[number % 2]})
            taken += 1
        except rtc.RpcError as e:
            refused.append(e)
    assert 20 <= taken <= 26
    assert {(e.code, e.message) for e in refused} == {
        (TOO_MANY, "parley.set: more than 5 requests per second")
    }
    assert (await stage.call({"hears": "de"}, "host"))["hears"] == "de", "others are answered"


async def test_who_stands_by_does_not_answer(stage: Stage) -> None:
    stage.standby = True
    assert (await stage.refused({"hears": "fr"})).code == NOT_FOUND


async def test_closed_it_answers_no_more(stage: Stage) -> None:
    stage.setting.close()
    assert stage.room.local_participant.methods == {}


# Coming back


async def test_what_was_set_outlives_a_reconnect(stage: Stage) -> None:
    stage.join("ben", hears="de")
    await stage.call({"hears": "fr"}, "ben")
    stage.leave("ben")
    stage.now += KEPT_S - 1
    stage.join("ben", hears="de")
    assert stage.hears("ben") == "fr", "the token says what it said before"
    stage.leave("ben")
    stage.now += KEPT_S + 1
    stage.join("ben", hears="de")
    assert stage.hears("ben") == "de"


async def test_a_refusal_of_consent_is_kept_for_good(stage: Stage) -> None:
    await stage.call({"consent": "declined", "hears": "fr"})
    stage.leave("ana")
    stage.now += 10 * KEPT_S
    stage.join("ana")
    assert stage.people.roster["ana"].preferences == Preferences(consent=False)


async def test_it_is_kept_for_so_many(stage: Stage) -> None:
    for number in range(MOST_KEPT + 10):
        stage.join(f"p{number}")
        await stage.call({"hears": "fr"}, f"p{number}")
        stage.leave(f"p{number}")
    stage.join("p5")
    stage.join(f"p{MOST_KEPT}")
    assert stage.hears("p5") == "original"
    assert stage.hears(f"p{MOST_KEPT}") == "fr"


async def test_who_set_nothing_is_forgotten(stage: Stage) -> None:
    stage.leave("ana")
    assert set(stage.people._known) == {"host"}


async def test_whether_somebody_consents_is_known_before_the_roster_does(stage: Stage) -> None:
    participant: Any = stage.room.remote_participants["ana"]
    assert stage.people.consents(participant)
    await stage.call({"consent": "declined"})
    assert not stage.people.consents(participant)
    assert stage.people.roster["ana"].preferences.consent
    participant.attributes["parley.consent"] = "granted"
    assert stage.people.consents(participant)


async def test_a_call_may_be_faster_than_the_news_of_who_joined(stage: Stage) -> None:
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        answer = group.create_task(stage.call({"hears": "fr"}, "ben"))
        await asyncio.sleep(0)
        assert not answer.done()
        stage.room.join(FakeParticipant("ana"))
        stage.room.join(FakeParticipant("ben", {"parley.speaks": "de", "parley.hears": "de"}))
    assert answer.result() == NOBODY | {"speaks": "de", "hears": "fr"}


@pytest.mark.looptime
async def test_who_is_never_seen_is_refused_in_time(stage: Stage) -> None:
    assert (await stage.refused({"hears": "fr"}, "ghost")).code == NOT_FOUND
    assert stage.room._callbacks["participant_connected"] == []
