"""Agents of a room for which the account has no room."""

import asyncio

import pytest
from livekit.agents import Agent

from component.room.test_agents import Stage, person
from parley import agents as registry
from parley.access import LIMIT
from parley.room.agents import RETRY_S
from parley.voice import entry

pytestmark = pytest.mark.looptime


async def test_one_that_is_refused_is_announced_and_tried_again(
    virtual_time: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(entry, "WAIT_S", 5.0)
    with registry.fresh() as known:
        known.register("clerk", lambda: Agent(instructions=""))
        async with asyncio.TaskGroup() as group:
            stage = Stage(group)
            async with stage.access.stream(1.0, lambda reason: None):
                await stage.fit(person("ana", "clerk"))
                await stage.changed()
                assert stage.notices.events == ["session.waiting", "agent.failed"]
                assert all(LIMIT in told.detail for told in stage.notices.said)
                assert stage.gatekeeper.admission.waiting == 0
                loop = asyncio.get_running_loop()
                ended_at = loop.time()
                await stage.fit(person("ana", "clerk"))
                assert not stage.agents.tracks, "not at once"
                await stage.changed()
                assert loop.time() - ended_at == pytest.approx(RETRY_S[0], abs=0.1)
                await stage.fit(person("ana", "clerk"))
                await asyncio.sleep(2.0)
                assert stage.gatekeeper.admission.waiting == 1
                assert stage.notices.events == ["session.waiting", "agent.failed", "session.waiting"]
                await stage.agents.finish()
            assert stage.gatekeeper.admission.taken == 0
