"""Who serves a room of several workers, told from what they say in their attributes."""

import json
from datetime import timedelta
from typing import Any

import pytest

from fakes.room import START, FakeParticipant, FakeRoom
from livekit import rtc
from parley.room.succession import HANDOVER, SINCE, WORKER, Succession, heir

AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


def join(room: FakeRoom, joined_s: float, said: Any = None) -> FakeParticipant:
    """Another worker; this one joined after 50 s."""
    attributes = {WORKER: "1"} | ({HANDOVER: json.dumps(said)} if said is not None else {})
    return room.join(FakeParticipant("other", attributes, kind=AGENT, joined_s=joined_s))


@pytest.fixture
def room() -> FakeRoom:
    return FakeRoom()


@pytest.fixture
def succession(room: FakeRoom) -> Succession:
    return Succession(room)  # type: ignore[arg-type]


async def test_alone_it_serves(succession: Succession) -> None:
    assert not succession.standby
    assert not succession.predecessor
    assert not succession.successor
    assert not succession.held("ann")


async def test_of_one_that_leaves_everybody_is_held_at_first(room: FakeRoom, succession: Succession) -> None:
    join(room, 10.0, {"holding": "*", "agents": True, "usd": 0.25})
    assert not succession.standby
    assert succession.predecessor
    assert succession.held("ann")
    assert succession.agents_held
    assert succession.spent_usd == 0.25


async def test_then_those_who_still_speak(room: FakeRoom, succession: Succession) -> None:
    join(room, 10.0, {"holding": ["ann"], "agents": False, "usd": 0.25})
    assert succession.held("ann")
    assert not succession.held("bob")
    assert not succession.agents_held


async def test_one_that_came_later_is_a_successor_until_it_leaves_itself(
    room: FakeRoom, succession: Succession
) -> None:
    other = join(room, 99.0)
    assert succession.successor
    assert not succession.taken
    other.attributes[HANDOVER] = json.dumps({"taking": True})
    assert succession.taken
    other.attributes[HANDOVER] = json.dumps({"holding": "*"})
    assert not succession.successor


@pytest.mark.parametrize("nonsense", ["[", "[]", "3", '{"holding": 7, "usd": "much", "agents": []}', "null"])
async def test_what_makes_no_sense_holds_nobody(
    room: FakeRoom, succession: Succession, nonsense: str
) -> None:
    join(room, 10.0).attributes[HANDOVER] = nonsense
    assert not succession.held("ann")
    assert succession.spent_usd == 0.0
    assert not succession.agents_held


async def test_what_it_says_of_itself_is_an_attribute(room: FakeRoom, succession: Succession) -> None:
    said = room.local_participant.attributes
    await succession.hold(None, agents=True, usd=0.5)
    assert json.loads(said[HANDOVER]) == {"holding": "*", "agents": True, "usd": 0.5}
    await succession.hold(["bob", "ann"], agents=False, usd=0.5)
    assert json.loads(said[HANDOVER])["holding"] == ["ann", "bob"]
    await succession.serve()
    assert not said[HANDOVER]
    await succession.take()
    assert json.loads(said[HANDOVER]) == {"taking": True}


# A connection that is made anew


def comes_anew(room: FakeRoom, other: FakeParticipant, joined_s: float) -> None:
    """LiveKit has it leave and come, later than it did first."""
    room.leave(other.identity)
    again = FakeParticipant(other.identity, other.attributes, kind=AGENT, joined_s=joined_s)
    again.sid = "PA_anew"
    room.join(again)


async def test_who_was_here_first_stays_first_when_their_connection_is_made_anew(
    room: FakeRoom, succession: Succession
) -> None:
    other = join(room, 10.0)
    assert succession.standby
    comes_anew(room, other, 99.0)
    assert succession.standby
    assert not succession.successor


async def test_its_own_place_stays_its_own(room: FakeRoom, succession: Succession) -> None:
    await succession.appear()
    join(room, 60.0)
    me = room.local_participant
    me.joined_at = START + timedelta(seconds=99.0)
    me.attributes.clear()
    room.emit("reconnected")
    assert not succession.standby
    await succession.appear()
    assert float(me.attributes[SINCE]) == (START + timedelta(seconds=50.0)).timestamp()
    assert heir(room) == "other"  # type: ignore[arg-type]


async def test_one_that_has_never_seen_it_before_is_told_since_when_it_is_here(
    room: FakeRoom, succession: Succession
) -> None:
    other = join(room, 99.0)
    assert not succession.standby
    other.attributes[SINCE] = str((START + timedelta(seconds=10.0)).timestamp())
    assert succession.standby


@pytest.mark.parametrize("since", ["", "early", "nan", "-inf", "inf"])
async def test_what_makes_no_sense_leaves_it_to_livekit(
    room: FakeRoom, succession: Succession, since: str
) -> None:
    other = join(room, 99.0)
    other.attributes[SINCE] = since
    assert not succession.standby
    assert succession.successor


async def test_it_is_said_once_and_again_when_the_connection_was_made_anew(
    room: FakeRoom, succession: Succession
) -> None:
    for _ in range(2):
        await succession.appear()
    await succession.serve()
    assert len(room.said("attributes")) == 1
    room.emit("reconnected")
    await succession.appear()
    await succession.serve()
    assert len(room.said("attributes")) == 3, "what was said before may be lost"
