"""Voice agents at the worker's gate: few attempts at a sick API, and as many conversations as may be."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from time import monotonic

import pytest

from component.voice.conftest import Play, Stage
from fakes.gate import rooms
from parley.access import LIMIT
from parley.core.breaker import Breaker
from parley.simulator.faults import Fault
from parley.voice import entry
from parley.voice.ports import Ending

pytestmark = pytest.mark.looptime


def answered(stage: Stage) -> bool:
    """Whether the agent has said something."""
    return bool(stage.simulator.sessions and stage.answers())


async def test_the_second_agent_waits_until_the_first_has_ended(play: Play) -> None:
    gatekeeper, (one, two) = rooms(2, most_streams=1)
    async with play(access=one, greeting="hello") as first:
        await first.until(lambda: answered(first))
        async with play(access=two, greeting="hello") as second:
            await second.until(lambda: second.notices.events)
            assert second.notices.events == ["session.waiting"]
            assert LIMIT in second.notices.said[0].detail
            assert second.simulator.sessions == []
            first.agent.finish(Ending("left"))
            await second.until(lambda: answered(second))
            assert second.notices.events == ["session.waiting", "session.recovered"]
            assert gatekeeper.admission.taken == 1
    assert gatekeeper.admission.taken == 0


async def test_one_that_waits_in_vain_ends_and_may_be_tried_again(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry, "WAIT_S", 5.0)
    gatekeeper, (one, two) = rooms(2, most_streams=1)
    async with one.stream(1.0, lambda reason: None), play(access=two) as stage:
        ending = await stage.end()
        assert (ending.reason, ending.retryable) == ("failed", True)
        assert LIMIT in ending.detail
        assert stage.notices.events == ["session.waiting"]
        assert stage.simulator.sessions == []
    assert gatekeeper.admission.waiting == 0


async def test_the_time_at_the_gate_is_no_silence_of_the_participant(play: Play) -> None:
    _, (one, two) = rooms(2, most_streams=1)
    async with AsyncExitStack() as first:
        await first.enter_async_context(one.stream(1.0, lambda reason: None))
        async with play(access=two, idle_s=5.0, disclosure=None, greeting=None) as stage:
            await asyncio.sleep(20.0)
            await first.aclose()
            await stage.until(lambda: stage.simulator.sessions)
            began = monotonic()
            await stage.until(lambda: answered(stage))
            assert monotonic() - began > 4.0, "it asks whether somebody is there"


async def test_one_that_is_not_wanted_any_more_waits_no_longer(play: Play) -> None:
    gatekeeper, (one, two) = rooms(2, most_streams=1)
    async with one.stream(1.0, lambda reason: None), play(access=two) as stage:
        await stage.until(lambda: gatekeeper.admission.waiting)
        began = monotonic()
        stage.agent.finish(Ending("left"))
        assert (await stage.end()).reason == "left"
        assert monotonic() - began < 1.0
        assert gatekeeper.admission.waiting == 0


async def test_translations_and_agents_take_turns_at_the_limit(play: Play) -> None:
    """The room that has the fewest goes first, whatever it is that waits."""
    gatekeeper, (crowded, quiet) = rooms(2, most_streams=2)
    ended = [asyncio.Event() for _ in range(3)]
    began: list[int] = []

    async def translate(number: int) -> None:
        async with crowded.stream(60.0, lambda reason: None):
            began.append(number)
            await ended[number].wait()

    async with asyncio.TaskGroup() as group:
        for number in range(3):
            group.create_task(translate(number))
        await asyncio.sleep(0.1)
        assert began == [0, 1]
        async with play(access=quiet, greeting="hello") as stage:
            await stage.until(lambda: gatekeeper.admission.waiting == 2)
            ended[0].set()
            await stage.until(lambda: answered(stage))
            assert began == [0, 1], "it had waited for longer, but its room has one already"
            stage.agent.finish(Ending("left"))
            await stage.until(lambda: began == [0, 1, 2])
        for event in ended:
            event.set()


async def test_twenty_agents_make_few_attempts_at_a_sick_api_and_all_come_back(play: Play) -> None:
    _, accesses = rooms(20)
    most = 1_000

    def sick(stage: Stage) -> None:
        stage.simulator.faults.add(Fault("refuse", times=most))

    async with AsyncExitStack() as stack:
        stages: list[Stage] = [
            await stack.enter_async_context(play(access=access, greeting="hello", before=sick))
            for access in accesses
        ]
        await asyncio.sleep(20.0)
        attempts = sum(most - left for stage in stages for _, left in stage.simulator.faults.waiting())
        assert 5 <= attempts <= 25, "all of them together"
        assert all(stage.notices.events == ["session.waiting"] for stage in stages)
        for stage in stages:
            stage.simulator.faults.clear()
        for stage in stages:
            await stage.until(lambda stage=stage: answered(stage))  # type: ignore[misc]
            assert stage.notices.events == ["session.waiting", "session.recovered"]


async def test_a_session_that_is_lost_makes_the_gate_doubt(
    play: Play, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, (access,) = rooms(1)
    lost: list[None] = []
    monkeypatch.setattr(Breaker, "lost", lambda breaker: lost.append(None))
    async with play(access=access, greeting="hello") as stage:
        await stage.until(lambda: answered(stage))
        stage.simulator.faults.add(Fault("drop"))
        await stage.until(lambda: "session.recovered" in stage.notices.events)
        assert stage.notices.events == ["session.failed", "session.recovered"]
        (family,) = (f for f in stage.metrics.registry.collect() if f.name == "parley_session_failures")
        counted = [(s.labels["reason"], s.value) for s in family.samples if s.name.endswith("_total")]
        assert counted == [("ConnectionLost", 1.0)], "once, by its class: a text is no label"
    assert lost == [None]
