"""What is played while the worker's connection to LiveKit is away: nothing, and all of it afterwards."""

import asyncio

import pytest

from fakes.room import FakePublication, FakeRoom
from parley.metrics import Metrics
from parley.room.blip import EARS_S, LISTEN_S, Blip
from parley.room.track_output import Player


class Track:
    def __init__(self, sid: str) -> None:
        self.sid = sid


@pytest.fixture
async def room() -> FakeRoom:
    return FakeRoom()


@pytest.fixture
async def player(room: FakeRoom) -> Player:
    player = Player(Metrics())
    room.blip = Blip(room, player, lambda: {"TR_heard"})  # type: ignore[attr-defined, arg-type]
    return player


def made_anew(room: FakeRoom, *sids: str) -> None:
    room.emit("reconnecting")
    for sid in sids:
        room.emit("local_track_republished", FakePublication([], sid), "TR_old")
    room.emit("reconnected")


async def test_a_connection_that_is_resumed_is_played_to_at_once(room: FakeRoom, player: Player) -> None:
    room.emit("reconnecting")
    assert player.held
    room.emit("reconnected")
    assert not player.held


@pytest.mark.looptime
async def test_tracks_that_were_published_anew_wait_for_the_ears_of_their_listeners(
    room: FakeRoom, player: Player
) -> None:
    made_anew(room, "TR_heard", "TR_nobody")
    await asyncio.sleep(1)
    assert player.held
    room.emit("local_track_subscribed", Track("TR_heard"))
    await asyncio.sleep(EARS_S - 0.01)
    assert player.held, "the first listener is subscribed; the others are about to be"
    await asyncio.sleep(0.02)
    assert not player.held, "nobody is to hear the other one"


async def test_tracks_that_nobody_may_hear_are_not_waited_for(room: FakeRoom, player: Player) -> None:
    made_anew(room, "TR_nobody")
    assert not player.held


@pytest.mark.looptime
async def test_listeners_who_do_not_come_back_are_not_waited_for_for_ever(
    room: FakeRoom, player: Player
) -> None:
    made_anew(room, "TR_heard")
    await asyncio.sleep(LISTEN_S - 0.01)
    assert player.held
    await asyncio.sleep(0.02)
    assert not player.held


@pytest.mark.looptime
async def test_a_second_blip_before_the_first_is_over_holds_on(room: FakeRoom, player: Player) -> None:
    made_anew(room, "TR_heard")
    room.emit("reconnecting")
    room.emit("local_track_subscribed", Track("TR_heard"))
    await asyncio.sleep(2 * LISTEN_S)
    assert player.held, "the time of the first one does not count"
    room.emit("local_track_republished", FakePublication([], "TR_heard"), "TR_old")
    room.emit("reconnected")
    room.emit("local_track_subscribed", Track("TR_heard"))
    await asyncio.sleep(2 * EARS_S)
    assert not player.held
