"""A room from one worker to another: what each does when the other says, or does not say, its part."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from fakes.room import FakeParticipant, FakeRoom
from fakes.served import serving, watched_room
from livekit import rtc
from parley.room import takeover
from parley.room.succession import HANDOVER, WORKER
from parley.room.track_input import Ingress

AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> FakeRoom:
    """Ana speaks English, Ben hears French."""
    room = watched_room(monkeypatch)
    room.join(FakeParticipant("ana", {"parley.speaks": "en"}))
    room.join(FakeParticipant("ben", {"parley.speaks": "fr", "parley.hears": "fr"}))
    return room


def other(room: FakeRoom, joined_s: float, said: Any = None) -> FakeParticipant:
    """Another worker; this one joined after 50 s."""
    attributes = {WORKER: "1"} | ({HANDOVER: json.dumps(said)} if said is not None else {})
    return room.join(FakeParticipant("other", attributes, kind=AGENT, joined_s=joined_s))


def says(room: FakeRoom, what: Any) -> None:
    """The other worker says this."""
    participant = room.remote_participants["other"]
    participant.attributes[HANDOVER] = json.dumps(what)
    room.emit("participant_attributes_changed", {}, participant)


def said(room: FakeRoom) -> Any:
    """What this worker says of the handover."""
    return json.loads(room.local_participant.attributes.get(HANDOVER) or "null")


def attached(room: FakeRoom, times: int = 1) -> Callable[[], bool]:
    return lambda: room.said("attach").count(("ana", "fr")) == times


async def test_who_is_not_heard_from_does_not_get_the_room(
    room: FakeRoom, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(takeover, "TAKE_S", 0.1)
    async with serving(room) as supervisor:
        await room.until(attached(room))
        other(room, 99.0)
        assert supervisor.successor
        assert not await supervisor.hand_over()
        assert said(room) is None
        assert not room.said("detach"), "the room is served on"


async def test_a_successor_that_leaves_again_gets_nothing(room: FakeRoom) -> None:
    async with serving(room) as supervisor:
        await room.until(attached(room))
        other(room, 99.0)
        handing = asyncio.create_task(supervisor.hand_over())
        await room.until(lambda: said(room) is not None)
        assert said(room)["holding"] == "*"
        room.leave("other")
        assert not await handing
        assert not room.said("detach")


async def test_a_successor_that_listens_gets_those_who_are_silent_at_once(room: FakeRoom) -> None:
    async with serving(room) as supervisor:
        await room.until(attached(room))
        other(room, 99.0)
        handing = asyncio.create_task(supervisor.hand_over())
        await room.until(lambda: said(room) is not None)
        says(room, {"taking": True})
        assert await handing
        assert said(room)["holding"] == []
        log = [entry for entry in room.log if entry[0] == "detach" or HANDOVER in entry[-1]]
        kinds = [entry[0] for entry in log]
        assert kinds.index("detach") < len(kinds) - 1, "nobody is let go of before the feeding has ended"


@pytest.fixture
def captured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Microphones of a room in memory have no tracks that could be captured: as if they were."""
    monkeypatch.setattr(Ingress, "captures", lambda self, participant: True)


@pytest.mark.usefixtures("captured")
async def test_one_that_comes_waits_for_each_speaker_until_the_other_lets_go(room: FakeRoom) -> None:
    other(room, 10.0, {"holding": "*", "agents": False, "usd": 0.25})
    async with serving(room) as supervisor:
        await room.until(lambda: said(room) == {"taking": True})
        assert not room.said("attach")
        says(room, {"holding": ["ana"], "agents": False, "usd": 0.5})
        await asyncio.sleep(0.1)
        assert not room.said("attach")
        says(room, {"holding": [], "agents": False, "usd": 0.5})
        await room.until(attached(room))
        assert supervisor._costs.accounts.usd == pytest.approx(0.5), "what the other spent is spent"
        room.leave("other")
        await room.until(lambda: said(room) is None)


@pytest.mark.usefixtures("captured")
async def test_one_that_comes_takes_everything_when_the_other_is_gone(room: FakeRoom) -> None:
    other(room, 10.0, {"holding": "*", "agents": True, "usd": 0.0})
    async with serving(room):
        await room.until(lambda: said(room) == {"taking": True})
        room.leave("other")
        await room.until(attached(room))


async def test_before_the_first_one_leaves_the_second_is_silent(room: FakeRoom) -> None:
    other(room, 10.0)
    async with serving(room) as supervisor:
        await asyncio.sleep(0.1)
        assert not room.said("publish")
        assert not supervisor.successor
        assert supervisor.empty
