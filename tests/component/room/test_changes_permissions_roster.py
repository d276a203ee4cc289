"""What changed, who may hear what, and who is there."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from fakes.room import FakeParticipant, FakePublication, FakeRoom
from livekit import rtc
from parley.core.model import Preferences
from parley.core.preferences import Allowed, Rejection
from parley.room import roster
from parley.room.changes import ROOM, Changes
from parley.room.permissions import Permissions, table
from parley.room.roster import People
from parley.room.succession import Succession

AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


# Changes


async def test_changes_come_once_each_in_the_order_of_the_first() -> None:
    changes = Changes()
    for who in ("b", "a", ROOM, "b", "c", "a"):
        changes.add(who)
    assert await changes.take(0) == ["b", "a", ROOM, "c"]


@pytest.mark.looptime
async def test_taking_waits_for_a_change_and_for_what_comes_with_it() -> None:
    changes = Changes()
    task = asyncio.create_task(changes.take(0.5))
    await asyncio.sleep(10)
    assert not task.done()
    changes.add("a")
    await asyncio.sleep(0.3)
    changes.add("b")
    await asyncio.sleep(0.3)
    assert task.result() == ["a", "b"]
    later = asyncio.create_task(changes.take(0.5))
    await asyncio.sleep(10)
    assert not later.done(), "nothing is told twice"
    later.cancel()
    await asyncio.wait({later})


@pytest.mark.looptime
async def test_what_changes_while_the_connection_is_away_is_taken_when_it_is_back() -> None:
    room, changes = FakeRoom(), Changes()
    changes.listen(room)  # type: ignore[arg-type]
    room.join(FakeParticipant("ana"))
    task = asyncio.create_task(changes.take(0.5))
    await asyncio.sleep(0.1)
    room.leave("ana")  # a server that asks for a new connection: everybody is gone, and then it is away
    room.emit("reconnecting")
    await asyncio.sleep(10)
    assert not task.done()
    room.join(FakeParticipant("ben"))
    room.emit("reconnected")
    assert await task == ["ana", "ben", ROOM]


@pytest.mark.looptime
async def test_a_connection_that_does_not_come_back_is_waited_for_no_more() -> None:
    room, changes = FakeRoom(), Changes()
    changes.listen(room)  # type: ignore[arg-type]
    room.emit("reconnecting")
    changes.add("ana")
    task = asyncio.create_task(changes.take(0.5))
    await asyncio.sleep(10)
    room.emit("disconnected", None)
    assert await task == ["ana"]
    assert changes.closed


@pytest.mark.looptime
async def test_cancelled_it_forgets_nothing() -> None:
    changes = Changes()
    changes.add("a")
    task = asyncio.create_task(changes.take(5))
    await asyncio.sleep(1)
    task.cancel()
    await asyncio.wait({task})
    assert await changes.take(0) == ["a"]


@pytest.mark.looptime
async def test_closing_returns_at_once_and_for_ever() -> None:
    changes = Changes()
    task = asyncio.create_task(changes.take(5))
    await asyncio.sleep(1)
    changes.close()
    assert await task == []
    changes.add("late")
    assert await changes.take(5) == ["late"]
    assert await changes.take(5) == []
    assert changes.closed


async def test_a_million_changes_of_one_participant_are_one() -> None:
    changes = Changes()
    for _ in range(100_000):
        changes.add("a")
    assert await changes.take(0) == ["a"]


async def test_every_event_of_the_room_names_who_it_is_about() -> None:
    room, changes = FakeRoom(), Changes()
    changes.listen(room)  # type: ignore[arg-type]
    ana = FakeParticipant("ana")
    for event, args, who in (
        ("participant_connected", (ana,), "ana"),
        ("participant_disconnected", (ana,), "ana"),
        ("participant_active", (ana,), "ana"),
        ("participant_attributes_changed", ({}, ana), "ana"),
        ("track_published", (None, ana), "ana"),
        ("track_unpublished", (None, ana), "ana"),
        ("track_subscribed", (None, None, ana), "ana"),
        ("track_unsubscribed", (None, None, ana), "ana"),
        ("track_muted", (ana, None), "ana"),
        ("track_unmuted", (ana, None), "ana"),
        ("room_metadata_changed", ("", "{}"), ROOM),
        ("reconnected", (), ROOM),
        ("local_track_republished", (None, "TR"), ROOM),
    ):
        room.emit(event, *args)
        assert await changes.take(0) == [who], event
    room.emit("disconnected", None)
    assert changes.closed


# Permissions


def test_a_table_lists_the_tracks_of_each_listener() -> None:
    assert table([("T1", ["a", "b"]), ("T2", ["b"]), ("T3", [])]) == {
        "a": frozenset({"T1"}),
        "b": frozenset({"T1", "T2"}),
    }


async def test_a_table_is_sent_when_it_has_changed() -> None:
    room = FakeRoom()
    permissions = Permissions(room)  # type: ignore[arg-type]
    one = table([("T1", ["a"])])
    permissions.apply({})
    permissions.apply({})
    permissions.apply(one)
    permissions.apply(table([("T1", ["a"])]))
    permissions.apply(one, again=True)
    permissions.apply({})
    assert room.said("permit") == [{}, {"a": {"T1"}}, {"a": {"T1"}}, {}]


# Roster


class Told:
    def __init__(self) -> None:
        self.rejections: list[tuple[str | None, Rejection]] = []

    def __call__(self, identity: str | None, rejection: Rejection) -> None:
        self.rejections.append((identity, rejection))


@pytest.fixture
def told() -> Told:
    return Told()


@pytest.fixture
def people(told: Told) -> People:
    return People(Preferences(), Allowed(("de", "fr"), ("support",)), "", told)


Update = Callable[[FakeParticipant], bool]


@pytest.fixture
def update(people: People) -> Update:
    return lambda participant: people.update(participant.identity, participant)  # type: ignore[arg-type]


def test_people_come_change_and_go(people: People, update: Update) -> None:
    ana = FakeParticipant("ana", {"parley.hears": "fr"})
    assert update(ana)
    assert not update(ana)
    ana.attributes["parley.hears"] = "de"
    assert update(ana)
    assert people.roster["ana"].preferences.hears == "de"
    assert people.update("ana", None)
    assert not people.update("ana", None)
    assert people.roster == {}


@pytest.mark.parametrize(
    ("kind", "name", "person"),
    [
        ("STANDARD", "standard", 1),
        ("SIP", "sip", 1),
        ("INGRESS", "ingress", 1),
        ("EGRESS", "egress", 0),
        ("AGENT", "agent", 0),
    ],
)
def test_kinds_of_participants(people: People, update: Update, kind: str, name: str, person: int) -> None:
    update(FakeParticipant("x", kind=getattr(rtc.ParticipantKind, f"PARTICIPANT_KIND_{kind}")))
    assert people.roster["x"].kind == name
    assert people.people == person


def test_a_microphone_is_one_until_its_participant_leaves(people: People) -> None:
    room = FakeRoom()
    ana: Any = room.join(FakeParticipant("ana", microphone=False))
    assert people.update("ana", ana)
    assert not people.roster["ana"].sounds
    room.publish("ana", "TR_cam", kind=rtc.TrackKind.KIND_VIDEO, source=rtc.TrackSource.SOURCE_CAMERA)
    assert not people.update("ana", ana)
    room.publish("ana", "TR_mic")
    assert people.update("ana", ana)
    del ana.track_publications["TR_mic"]
    assert not people.update("ana", ana), "it may be changed for another"
    assert people.roster["ana"].sounds
    people.update("ana", None)
    people.update("ana", ana)
    assert not people.roster["ana"].sounds


def test_a_rejection_is_told_once_until_it_changes(update: Update, told: Told) -> None:
    ana = FakeParticipant("ana", {"parley.hears": "xx"})
    for value in ("xx", "xx", "yy", "yy", "fr", "xx"):
        ana.attributes["parley.hears"] = value
        update(ana)
        ana.attributes["parley.speaks"] = "en"
        update(ana)
    assert [r.given for _, r in told.rejections] == ["xx", "yy", "xx"]


def test_a_refused_value_keeps_the_old_one(people: People, update: Update) -> None:
    ana = FakeParticipant("ana", {"parley.hears": "fr"})
    update(ana)
    ana.attributes["parley.hears"] = "nonsense"
    assert not update(ana)
    assert people.roster["ana"].preferences.hears == "fr"


def test_room_metadata_is_the_default_of_all(people: People, update: Update, told: Told) -> None:
    assert people.set_room_metadata('{"parley": {"hears": "fr"}}')
    assert not people.set_room_metadata('{"parley": {"hears": "fr"}}')
    update(FakeParticipant("ana"))
    assert people.roster["ana"].preferences.hears == "fr"
    assert not people.set_room_metadata("parley: broken")
    update(FakeParticipant("ben"))
    assert people.roster["ben"].preferences.hears == "fr", "what cannot be read changes nothing"
    assert [(who, r.key) for who, r in told.rejections] == [(None, "room metadata")]


def test_an_agent_of_ones_own(people: People, update: Update, told: Told) -> None:
    ana = FakeParticipant("ana", {"parley.agent": "support"})
    update(ana)
    assert people.roster["ana"].preferences.agent == "support"
    ana.attributes["parley.agent"] = "nobody"
    assert not update(ana)
    assert [str(r) for _, r in told.rejections] == [
        "parley.agent: 'nobody' is not allowed; allowed: off, support"
    ]
    del ana.attributes["parley.agent"]
    assert update(ana)
    assert people.roster["ana"].preferences.agent == "off"


def test_what_is_wrong_with_the_dispatch_is_told_with_the_first_metadata(told: Told) -> None:
    people = People(Preferences(), Allowed(("de", "fr"), ("support",)), '{"parley": {"hears": "xx"}}', told)
    assert told.rejections == []
    people.set_room_metadata("")
    people.set_room_metadata("{}")
    assert [r.key for _, r in told.rejections] == ["dispatch metadata parley.hears"]


@pytest.mark.parametrize(
    ("joined_s", "identity", "attributes", "kind", "waits"),
    [
        (1.0, "z", {"parley.worker": "1"}, AGENT, True),
        (99.0, "a", {"parley.worker": "1"}, AGENT, False),
        (50.0, "a", {"parley.worker": "1"}, AGENT, True),
        (50.0, "z", {"parley.worker": "1"}, AGENT, False),
        (1.0, "z", {}, AGENT, False),
        (1.0, "z", {"parley.worker": "1"}, rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD, False),
        (None, "z", {"parley.worker": "1"}, AGENT, False),
    ],
)
async def test_the_worker_that_was_first_works(
    joined_s: float | None, identity: str, attributes: dict[str, str], kind: int, waits: bool
) -> None:
    room = FakeRoom()
    room.join(FakeParticipant(identity, attributes, kind=kind, joined_s=joined_s))
    assert Succession(room).standby is waits  # type: ignore[arg-type]


# Floods


class Clock:
    """People on a clock of the test's, with the timers that they ask for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, told: Told) -> None:
        self.now = 100.0
        self.timers: list[tuple[float, str]] = []
        monkeypatch.setattr(roster, "monotonic", lambda: self.now)
        self.people = People(Preferences(), Allowed(("de", "fr")), "", told, self._later)
        self.ana = FakeParticipant("ana")
        self.changes = 0
        self.look()

    def _later(self, delay_s: float, identity: str) -> None:
        assert 0 < delay_s < 1.1
        self.timers.append((self.now + delay_s, identity))

    def look(self, **attributes: str) -> None:
        self.ana.attributes |= {f"parley.{key}": value for key, value in attributes.items()}
        self.changes += self.people.update("ana", self.ana)  # type: ignore[arg-type]

    def go(self, seconds: float) -> None:
        end = self.now + seconds
        while due := sorted(t for t in self.timers if t[0] <= end):
            self.timers.remove(due[0])
            self.now = due[0][0]
            self.look()
        self.now = end

    @property
    def hears(self) -> str:
        return self.people.roster["ana"].preferences.hears


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, told: Told) -> Clock:
    return Clock(monkeypatch, told)


def test_the_first_changes_hold_at_once(clock: Clock) -> None:
    for hears in ("fr", "de", "original"):
        clock.look(hears=hears)
        assert clock.hears == hears
    assert clock.timers == []


def test_of_a_flood_one_a_second_holds_and_the_last_for_good(clock: Clock, told: Told) -> None:
    for number in range(100):
        clock.look(hears=("de", "fr")[number % 2], speaks=("en", "es", "it")[number % 3])
        clock.go(0.1)
    assert clock.changes <= 1 + 3 + 10
    assert len(clock.timers) <= 1
    clock.look(hears="original", speaks="pt")
    clock.go(1.1)
    assert clock.people.roster["ana"].preferences == Preferences(speaks="pt")
    assert clock.timers == []
    clock.go(5)
    before = clock.changes
    clock.look(hears="fr")
    assert clock.changes == before + 1, "later the next change holds at once"


def test_a_flood_of_nonsense_is_told_once_a_second(clock: Clock, told: Told) -> None:
    for number in range(50):
        clock.look(hears=f"x{number}")
        clock.go(0.1)
    clock.go(1.1)
    assert len(told.rejections) <= 3 + 6
    assert told.rejections[-1][1].given == "x49", "the last mistake is told"
    assert clock.hears == "original"


def test_a_flood_that_ends_where_it_began_changes_nothing(clock: Clock) -> None:
    for hears in ("fr", "de", "original", "fr", "original"):
        clock.look(hears=hears)
    clock.go(2)
    assert clock.hears == "original"


def test_a_microphone_waits_for_nothing(clock: Clock) -> None:
    clock.ana.track_publications.clear()
    clock.people.update("ana", None)
    for number in range(10):
        clock.look(hears=("de", "fr")[number % 2])
    held = clock.people.roster["ana"].preferences
    clock.ana.track_publications["TR_mic"] = FakePublication([], "TR_mic")
    clock.look(hears="de", speaks="pt")
    assert clock.people.roster["ana"].sounds
    assert clock.people.roster["ana"].preferences == held, "what else has changed does wait"


def test_a_withdrawal_of_consent_waits_for_nothing(clock: Clock) -> None:
    for hears in ("fr", "de", "fr", "de"):
        clock.look(hears=hears)
    clock.look(consent="declined")
    assert clock.people.roster["ana"].preferences == Preferences(hears="fr", consent=False)
    clock.go(1.1)
    assert clock.people.roster["ana"].preferences == Preferences(hears="de", consent=False)
    for hears in ("fr", "original", "fr"):
        clock.look(hears=hears)
    clock.look(consent="granted")
    assert not clock.people.roster["ana"].preferences.consent, "to grant it again can wait"


def test_who_leaves_in_a_flood_is_gone_and_comes_back_as_they_are(clock: Clock) -> None:
    for hears in ("fr", "de", "fr", "de"):
        clock.look(hears=hears)
    assert clock.people.update("ana", None)
    assert clock.people.roster == {}
    clock.look()
    assert clock.hears == "de"
    clock.go(2)
    assert clock.hears == "de"
