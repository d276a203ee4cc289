"""What is played while the worker's connection to LiveKit is away: nothing, and all of it afterwards."""

import asyncio

import pytest

from fakes.room import FakePublication, FakeRoom
from parley.room import blip
from parley.room.blip import Blip


class Player:
    def __init__(self) -> None:
        self.held = False

    def hold(self) -> None:
        self.held = True

    def release(self) -> None:
        self.held = False


class Track:
    def __init__(self, sid: str) -> None:
        self.sid = sid


@pytest.fixture
async def room() -> FakeRoom:
    return FakeRoom()


@pytest.fixture
async def player(room: FakeRoom) -> Player:
    player = Player()
    room.blip = Blip(room, player, lambda: {"TR_heard"})  # type: ignore[attr-defined, arg-type]
    return player


async def test_a_connection_that_is_resumed_is_played_to_at_once(room: FakeRoom, player: Player) -> None:
    room.emit("reconnecting")
    assert player.held
    room.emit("reconnected")
    assert not player.held


async def test_tracks_that_were_published_anew_wait_for_their_listeners(
    room: FakeRoom, player: Player
) -> None:
    room.emit("reconnecting")
    for sid in ("TR_heard", "TR_nobody"):
        room.emit("local_track_republished", FakePublication([], sid), "TR_old")
    room.emit("reconnected")
    assert player.held
    room.emit("local_track_subscribed", Track("TR_heard"))
    assert not player.held, "nobody is to hear the other one"


async def test_listeners_who_do_not_come_back_are_not_waited_for_for_ever(
    room: FakeRoom, player: Player, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blip, "LISTEN_S", 0.02)
    room.emit("reconnecting")
    room.emit("local_track_republished", FakePublication([], "TR_heard"), "TR_old")
    room.emit("reconnected")
    await asyncio.sleep(0.05)
    assert not player.held


async def test_a_second_blip_before_the_first_is_over_holds_on(room: FakeRoom, player: Player) -> None:
    room.emit("reconnecting")
    room.emit("local_track_republished", FakePublication([], "TR_heard"), "TR_old")
    room.emit("reconnected")
    room.emit("reconnecting")
    room.emit("local_track_subscribed", Track("TR_heard"))
    assert player.held
