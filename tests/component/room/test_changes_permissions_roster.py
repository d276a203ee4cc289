"""What changed, who may hear what, and who is there."""

import asyncio
from collections.abc import Callable

import pytest

from fakes.room import FakeParticipant, FakeRoom
from livekit import rtc
from parley.core.model import Preferences
from parley.core.preferences import Allowed, Rejection
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
    ("joined_s", "sid", "attributes", "kind", "waits"),
    [
        (1.0, "PA_z", {"parley.worker": "1"}, AGENT, True),
        (99.0, "PA_a", {"parley.worker": "1"}, AGENT, False),
        (50.0, "PA_a", {"parley.worker": "1"}, AGENT, True),
        (50.0, "PA_z", {"parley.worker": "1"}, AGENT, False),
        (1.0, "PA_z", {}, AGENT, False),
        (1.0, "PA_z", {"parley.worker": "1"}, rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD, False),
        (None, "PA_z", {"parley.worker": "1"}, AGENT, False),
    ],
)
async def test_the_worker_that_was_first_works(
    joined_s: float | None, sid: str, attributes: dict[str, str], kind: int, waits: bool
) -> None:
    room = FakeRoom()
    other = room.join(FakeParticipant("other", attributes, kind=kind, joined_s=joined_s))
    other.sid = sid
    assert Succession(room).standby is waits  # type: ignore[arg-type]
