"""Who is taken which original voice, against a server that is asked and may refuse."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from fakes.room import FakeParticipant, FakeRoom
from livekit import api, rtc
from parley.room import originals as module
from parley.room.originals import Originals, originals_of


class Server:
    """What was asked, as (identity, SIDs, subscribe)."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, list[str], bool]] = []
        self.failures: list[Exception] = []

    async def subscribe(self, identity: str, sids: list[str], subscribe: bool) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.asked.append((identity, sids, subscribe))

    async def until(self, ready: Callable[[], bool]) -> None:
        async with asyncio.timeout(2):
            while not ready():
                await asyncio.sleep(0.002)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(module, "RETRY_S", 0.01)
    monkeypatch.setattr(module, "SETTLE_S", 0.001)
    return Server()


@pytest.fixture
def room() -> FakeRoom:
    room = FakeRoom()
    for identity in ("ann", "bob", "cat"):
        room.join(FakeParticipant(identity))
    room.publish("ann", "TR_mic")
    room.publish("ann", "TR_cam", kind=rtc.TrackKind.KIND_VIDEO, source=rtc.TrackSource.SOURCE_CAMERA)
    room.publish("cat", "TR_cat")
    return room


@pytest.fixture
async def originals(server: Server) -> AsyncIterator[Originals]:
    originals = Originals(server.subscribe)
    task = asyncio.create_task(originals.run())
    yield originals
    task.cancel()


def _fit(originals: Originals, room: FakeRoom, *heard: tuple[str, list[str]]) -> None:
    people = room.remote_participants
    originals.fit(originals_of(heard, people), people)  # type: ignore[arg-type]


async def test_a_listener_is_taken_the_microphones_of_those_who_are_translated(
    server: Server, room: FakeRoom, originals: Originals
) -> None:
    _fit(originals, room, ("ann", ["bob"]), ("cat", ["bob"]))
    await server.until(lambda: server.asked == [("bob", ["TR_cat", "TR_mic"], False)])
    assert originals.muted == {"bob": {"TR_mic", "TR_cat"}}


async def test_what_is_not_translated_any_more_is_given_back(
    server: Server, room: FakeRoom, originals: Originals
) -> None:
    _fit(originals, room, ("ann", ["bob"]), ("cat", ["bob"]))
    await server.until(lambda: len(server.asked) == 1)
    _fit(originals, room, ("ann", ["bob"]))
    await server.until(lambda: server.asked[1:] == [("bob", ["TR_cat"], True)])
    assert originals.muted == {"bob": {"TR_mic"}}


async def test_the_same_again_asks_for_nothing(server: Server, room: FakeRoom, originals: Originals) -> None:
    for _ in range(3):
        _fit(originals, room, ("ann", ["bob"]))
        await server.until(lambda: len(server.asked) == 1)
    await asyncio.sleep(0.02)
    assert len(server.asked) == 1


async def test_a_new_microphone_is_taken_as_well(
    server: Server, room: FakeRoom, originals: Originals
) -> None:
    _fit(originals, room, ("ann", ["bob"]))
    await server.until(lambda: len(server.asked) == 1)
    del room.remote_participants["ann"].track_publications["TR_mic"]
    room.publish("ann", "TR_new")
    _fit(originals, room, ("ann", ["bob"]))
    await server.until(lambda: server.asked[1:] == [("bob", ["TR_new"], False)])
    assert originals.muted == {"bob": {"TR_new"}}


async def test_somebody_who_joins_again_is_taken_it_again(
    server: Server, room: FakeRoom, originals: Originals
) -> None:
    _fit(originals, room, ("ann", ["bob"]))
    await server.until(lambda: len(server.asked) == 1)
    room.remote_participants["bob"].sid = "PA_again"
    _fit(originals, room, ("ann", ["bob"]))
    await server.until(lambda: server.asked == [("bob", ["TR_mic"], False)] * 2)
    assert originals.muted == {"bob": {"TR_mic"}}, "of the one who is there, not of the one who was"


async def test_what_the_server_does_not_do_is_asked_again(
    server: Server, room: FakeRoom, originals: Originals
) -> None:
    server.failures = [TimeoutError(), api.TwirpError(api.TwirpErrorCode.UNAVAILABLE, "no", status=503)]
    _fit(originals, room, ("ann", ["bob"]))
    await server.until(lambda: server.asked == [("bob", ["TR_mic"], False)])
    assert not server.failures


async def test_one_who_has_left_meanwhile_is_forgotten(
    server: Server, room: FakeRoom, originals: Originals
) -> None:
    server.failures = [api.TwirpError(api.TwirpErrorCode.NOT_FOUND, "left", status=404)]
    _fit(originals, room, ("ann", ["bob"]))
    await server.until(lambda: not server.failures)
    await originals.give_back(1)
    assert not server.asked


async def test_all_is_given_back_when_the_worker_leaves(
    server: Server, room: FakeRoom, originals: Originals
) -> None:
    _fit(originals, room, ("ann", ["bob", "cat"]))
    await server.until(lambda: len(server.asked) == 2)
    await originals.give_back(1)
    assert sorted(server.asked[2:]) == [("bob", ["TR_mic"], True), ("cat", ["TR_mic"], True)]
    assert not originals.muted
