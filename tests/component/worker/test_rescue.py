"""Rooms of dead jobs, against a stand-in of LiveKit's server API."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import test_utils, web

from livekit import api
from parley import rescue
from parley.link import Served
from parley.rescue import MOST, Rescue

SERVED = Served("a room", "parley-1", "interpreter", "metadata")


class LiveKit:
    """What was asked of the server, and how it answers."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.dispatched: list[api.CreateAgentDispatchRequest] = []
        self.others: list[str] = []
        self.failures = 0
        self.gone = False

    async def answer(self, request: web.Request) -> web.Response:
        method = request.path.rpartition("/")[2]
        self.asked.append(method)
        if self.failures:
            self.failures -= 1
            return web.json_response({"code": "unavailable", "msg": "later"}, status=503)
        if method == "RemoveParticipant":
            return web.json_response({"code": "not_found", "msg": "left"}, status=404)
        if self.gone:
            return web.json_response({"code": "not_found", "msg": "no room"}, status=404)
        if method == "ListParticipants":
            workers = [
                api.ParticipantInfo(identity=i, attributes={"parley.worker": "1"}) for i in self.others
            ]
            return _proto(api.ListParticipantsResponse(participants=workers))
        self.dispatched.append(api.CreateAgentDispatchRequest.FromString(await request.read()))
        return _proto(api.AgentDispatch(id="AD_1"))


def _proto(message: api.ListParticipantsResponse | api.AgentDispatch) -> web.Response:
    return web.Response(body=message.SerializeToString(), content_type="application/protobuf")


@pytest.fixture
def livekit() -> LiveKit:
    return LiveKit()


Rescued = Callable[[int], Awaitable[None]]


@pytest.fixture
async def after(livekit: LiveKit, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Rescued]:
    """Lets a job die so many times, and waits for what follows."""
    monkeypatch.setattr(rescue, "TRIES_S", (0.001, 0.002, 0.003))
    app = web.Application()
    app.router.add_post("/twirp/{service}/{method}", livekit.answer)
    async with test_utils.TestServer(app) as server:

        async def deaths(count: int) -> None:
            async with Rescue(str(server.make_url("")), "key", "secret" * 8) as running:
                for _ in range(count):
                    running.died(SERVED)
                async with asyncio.timeout(5):
                    while running._group._tasks:
                        await asyncio.sleep(0.005)

        yield deaths


async def test_the_dead_participant_is_removed_and_another_job_asked_for(
    livekit: LiveKit, after: Rescued
) -> None:
    await after(1)
    assert livekit.asked == ["RemoveParticipant", "ListParticipants", "CreateDispatch"]
    (asked,) = livekit.dispatched
    assert (asked.agent_name, asked.room, asked.metadata) == ("interpreter", "a room", "metadata")


async def test_where_another_worker_stands_by_nobody_is_asked_for(livekit: LiveKit, after: Rescued) -> None:
    livekit.others = ["parley-1", "parley-2"]
    await after(1)
    assert not livekit.dispatched


async def test_the_dead_one_itself_is_no_other_worker(livekit: LiveKit, after: Rescued) -> None:
    livekit.others = ["parley-1"]
    await after(1)
    assert len(livekit.dispatched) == 1


async def test_a_server_that_fails_is_asked_again(livekit: LiveKit, after: Rescued) -> None:
    livekit.failures = 2
    await after(1)
    assert len(livekit.dispatched) == 1


async def test_a_room_that_stays_without_a_job_is_told_of(
    livekit: LiveKit, after: Rescued, caplog: pytest.LogCaptureFixture
) -> None:
    livekit.failures = 99
    with caplog.at_level(logging.ERROR, "parley.worker"):
        await after(1)
    assert "stays without a job" in caplog.text


async def test_a_room_that_has_ended_is_left_alone(livekit: LiveKit, after: Rescued) -> None:
    livekit.gone = True
    await after(1)
    assert not livekit.dispatched


async def test_a_room_of_which_jobs_die_again_and_again_is_given_up(
    livekit: LiveKit, after: Rescued, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR, "parley.worker"):
        await after(MOST + 2)
    assert len(livekit.dispatched) == MOST
    assert "is given up" in caplog.text
