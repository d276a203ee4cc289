"""A refused key: one knock at a time, whoever is waiting."""

import asyncio
from collections.abc import Callable

import pytest

from component.bridges.conftest import Rig
from livekit.plugins.openai_realtime.errors import (
    AuthenticationError,
    ConnectError,
    QuotaError,
    RealtimeError,
)
from parley.bridges.credential import Credential
from parley.testing import ScriptedDial

pytestmark = pytest.mark.looptime


async def attempt(credential: Credential, error: RealtimeError | None = None, took_s: float = 0.0) -> None:
    async with credential.attempt():
        await asyncio.sleep(took_s)
        if error is not None:
            raise error


@pytest.mark.parametrize("error", [AuthenticationError("no"), QuotaError("broke")])
async def test_a_refusal_closes_the_gate_and_success_opens_it(
    virtual_time: None, error: RealtimeError
) -> None:
    credential = Credential(probe_every_s=10)
    loop = asyncio.get_running_loop()
    with pytest.raises(type(error)):
        await attempt(credential, error)
    assert credential.refused
    began = loop.time()
    await attempt(credential)
    assert loop.time() - began == pytest.approx(10, abs=0.01)
    assert not credential.refused
    await attempt(credential)
    assert loop.time() - began == pytest.approx(10, abs=0.01)


async def test_another_failure_closes_nothing(virtual_time: None) -> None:
    credential = Credential()
    with pytest.raises(ConnectError):
        await attempt(credential, ConnectError("no route"))
    assert not credential.refused


async def test_an_open_gate_lets_all_through_at_once(virtual_time: None) -> None:
    credential = Credential()
    began = asyncio.get_running_loop().time()
    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(attempt(credential, took_s=1.0))
    assert asyncio.get_running_loop().time() - began == pytest.approx(1.0, abs=0.01)


async def test_who_gives_up_waiting_leaves_the_others_as_they_were(virtual_time: None) -> None:
    credential = Credential(probe_every_s=10)
    with pytest.raises(AuthenticationError):
        await attempt(credential, AuthenticationError("no"))
    waiting = [asyncio.create_task(attempt(credential)) for _ in range(5)]
    await asyncio.sleep(1)
    waiting[0].cancel()
    waiting[2].cancel()
    await asyncio.wait(waiting, timeout=20)
    assert [task.cancelled() for task in waiting] == [True, False, True, False, False]
    assert not credential.refused


async def test_many_bridges_knock_one_at_a_time_and_all_recover(rig: Callable[..., Rig]) -> None:
    credential = Credential(probe_every_s=10)
    bridges = 12
    dial = ScriptedDial(
        lag_frames=2, connect_s=0.2, failures=[AuthenticationError("bad key")] * (bridges + 3)
    )
    rigs = [rig(dial, credential=credential, speaker=f"p{i}") for i in range(bridges)]
    async with asyncio.timeout(1000), asyncio.TaskGroup() as group:
        for r in rigs:
            group.create_task(r.bridge.run())
        await asyncio.gather(*(r.speak(3) for r in rigs))
        assert dial.attempts <= bridges
        dial.most_connecting = 0
        attempts = dial.attempts
        for _ in range(30):
            await asyncio.gather(*(r.silence(1) for r in rigs))
        assert dial.most_connecting <= 1
        assert dial.attempts - attempts <= 4
        assert [r.notices.events for r in rigs] == [["session.failed"]] * bridges
        for _ in range(30):
            await asyncio.gather(*(r.speak(10) for r in rigs))
        for r in rigs:
            assert r.notices.events.count("session.failed") == 1
            assert r.notices.events.count("session.recovered") == 1
            r.bridge.finish()
    assert all(r.heard == r.said[-len(r.heard) :] and len(r.heard) > 100 for r in rigs)
