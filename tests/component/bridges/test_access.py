"""One gate for many rooms: a sick API or a refused key is knocked at by few, and a full account by none."""

import asyncio
from collections.abc import Callable

import pytest

from component.bridges.conftest import Rig
from fakes.gate import rooms
from livekit.plugins.openai_realtime.errors import (
    AuthenticationError,
    ConnectError,
    ConnectionLost,
    QuotaError,
    RateLimitError,
    RealtimeError,
    RequestRejected,
)
from parley.access import LIMIT, Access, Gatekeeper, Refused, Spared
from parley.bridges.translation import BridgePolicy
from parley.core.feed import FeedPolicy
from parley.testing import ScriptedDial

pytestmark = pytest.mark.looptime

MakeRig = Callable[..., Rig]


async def attempt(access: Access, error: RealtimeError | None = None, took_s: float = 0.0) -> None:
    async with access.attempt(1e6, lambda reason: None):
        await asyncio.sleep(took_s)
        if error is not None:
            raise error


@pytest.mark.parametrize("error", [AuthenticationError("no"), QuotaError("broke")])
async def test_a_refusal_closes_the_gate_and_success_opens_it(
    virtual_time: None, error: RealtimeError
) -> None:
    gatekeeper, (one, two) = rooms(2)
    loop = asyncio.get_running_loop()
    with pytest.raises(type(error)):
        await attempt(one, error)
    assert gatekeeper.breaker.state == "open"
    began = loop.time()
    await attempt(two)
    assert 7.4 < loop.time() - began < 12.6
    assert gatekeeper.breaker.state == "closed"
    await attempt(one)
    assert loop.time() - began < 13


@pytest.mark.parametrize(
    "error", [RequestRejected("no such model"), RateLimitError("slow", retry_after_s=20)]
)
async def test_what_a_failure_means_is_told_apart(virtual_time: None, error: RealtimeError) -> None:
    gatekeeper, (one,) = rooms(1)
    with pytest.raises(type(error)):
        await attempt(one, error)
    assert gatekeeper.breaker.state == ("closed" if isinstance(error, RequestRejected) else "open")
    began = asyncio.get_running_loop().time()
    await attempt(one)
    assert (asyncio.get_running_loop().time() - began >= 20) == isinstance(error, RateLimitError)


async def test_who_gives_up_waiting_leaves_the_others_as_they_were(virtual_time: None) -> None:
    gatekeeper, (access,) = rooms(1)
    with pytest.raises(AuthenticationError):
        await attempt(access, AuthenticationError("no"))
    waiting = [asyncio.create_task(attempt(access)) for _ in range(5)]
    await asyncio.sleep(1)
    waiting[0].cancel()
    waiting[2].cancel()
    await asyncio.wait(waiting, timeout=20)
    assert [task.cancelled() for task in waiting] == [True, False, True, False, False]
    assert gatekeeper.breaker.state == "closed"


async def test_an_attempt_that_waits_too_long_is_not_made(virtual_time: None) -> None:
    _, (access,) = rooms(1)
    with pytest.raises(AuthenticationError):
        await attempt(access, AuthenticationError("no"))
    told: list[str] = []
    with pytest.raises(Spared):
        async with access.attempt(3.0, told.append):
            raise AssertionError
    assert len(told) == 1


async def test_a_hundred_rooms_make_few_attempts_in_an_outage_and_all_come_back_at_a_bounded_rate(
    rig: MakeRig,
) -> None:
    _, accesses = rooms(100)
    dial = ScriptedDial(lag_frames=2, connect_s=0.2)
    rigs = [rig(dial, access=access, speaker=f"p{i}") for i, access in enumerate(accesses)]
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(1000), asyncio.TaskGroup() as group:
        for r in rigs:
            group.create_task(r.bridge.run())
        for _ in range(8):
            await asyncio.gather(*(r.speak(10) for r in rigs))
        assert len(dial.open) == 100
        dial.failures.extend([ConnectError("down", status=503)] * 100_000)
        before = dial.attempts
        for session in list(dial.open):
            session.lose(ConnectionLost(reason="outage"))
        for _ in range(10):
            await asyncio.gather(*(r.speak(10) for r in rigs))
        during = dial.attempts - before
        assert 3 <= during <= 25, "all rooms together"
        assert all(r.notices.events == ["session.failed"] for r in rigs)
        dial.failures.clear()
        opened: list[float] = []
        while len(dial.open) < 100:
            await asyncio.gather(*(r.speak(1) for r in rigs))
            opened += [loop.time()] * (len(dial.open) - len(opened))
        assert opened[-1] - opened[0] >= 100 / 20 - 1.2, "no stampede"
        assert opened[-1] - opened[0] < 8
        for _ in range(4):
            await asyncio.gather(*(r.silence(1) for r in rigs))
        for r in rigs:
            r.bridge.finish()
    assert all(r.heard[:60] == r.said[:60] for r in rigs)


async def test_one_more_than_the_limit_waits_keeps_its_words_and_goes_when_there_is_room(
    rig: MakeRig,
) -> None:
    gatekeeper, (one, two) = rooms(2, most_streams=1)
    dial = ScriptedDial(lag_frames=2)
    policy = BridgePolicy("m", "t", idle_s=3.0)
    first, second = rig(dial, policy, access=one), rig(dial, policy, access=two, speaker="bob")
    async with first.running(), second.running():
        await first.speak(10)
        await asyncio.gather(second.speak(30), first.silence(3))
        assert second.notices.events == ["session.waiting"]
        assert LIMIT in second.notices.said[0].detail
        await asyncio.gather(second.silence(25), first.silence(25))
        assert len(dial.open) == 0
    assert (first.heard, second.heard) == (first.said, second.said)
    assert second.notices.events == ["session.waiting", "session.recovered"]
    assert first.notices.events == []
    assert gatekeeper.admission.taken == 0


async def test_one_that_waits_in_vain_is_refused_and_breaks_nobody(rig: MakeRig) -> None:
    _, (one, two) = rooms(2, most_streams=1)
    dial = ScriptedDial(lag_frames=2)
    policy = BridgePolicy("m", "t", feed=FeedPolicy(buffer_s=5.0))
    first, second = rig(dial, policy, access=one), rig(dial, policy, access=two, speaker="bob")
    async with first.running(), second.running() as task:
        await asyncio.gather(first.speak(300), second.speak(300))
        assert second.notices.events[:2] == ["session.waiting", "session.refused"]
        assert second.notices.events.count("session.refused") == 1
        assert "audio.dropped" in second.notices.events
        assert second.value("parley_session_failures_total", kind="translation", reason="Refused") >= 2
        await first.silence(5)
        task.cancel()
    assert first.heard == first.said
    assert len(dial.sessions) == 1


async def test_a_stream_waits_for_its_turn_or_is_refused(virtual_time: None) -> None:
    gatekeeper, (one, two) = rooms(2, most_streams=1)
    async with one.stream(5, lambda reason: None):
        with pytest.raises(Refused):
            async with two.stream(5, lambda reason: None):
                raise AssertionError
        gatekeeper.leave(1)
        async with two.stream(5, lambda reason: None):
            assert gatekeeper.admission.taken == 1


@pytest.mark.parametrize("message", [{}, {"ask": "1"}, {"done": 1, "outcome": "odd", "asked_s": 0}])
async def test_a_message_without_sense_is_refused(message: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"message|outcome"):
        Gatekeeper().take(1, message)
