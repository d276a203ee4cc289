"""The end of a worker's agents: last words, and what they know goes to the worker that takes over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest
from livekit.agents import Agent, llm

from component.room.test_agents import Stage, person, staged
from fakes.room import FakeParticipant
from livekit import rtc
from parley import agents as registry
from parley.room import handover
from parley.room.handover import TOPIC

AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
Serve = Callable[..., Any]


@pytest.fixture
def serve(monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    with registry.fresh() as known:
        known.register("clerk", lambda: Agent(instructions=""))
        yield partial(staged, monkeypatch)


def publish_slowly(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each track takes a second to be published."""
    publish = stage.room.local_participant.publish_track

    async def slowly(track: Any, options: Any) -> Any:
        await asyncio.sleep(1.0)
        return await publish(track, options)

    monkeypatch.setattr(stage.room.local_participant, "publish_track", slowly)


def second_worker(stage: Stage, identity: str = "parley-2", joined_s: float = 200.0) -> FakeParticipant:
    other = FakeParticipant(identity, {"parley.worker": "1"}, kind=AGENT, joined_s=joined_s)
    stage.room.join(other)
    return other


def conversation(*texts: str) -> llm.ChatContext:
    found = llm.ChatContext.empty()
    for place, text in enumerate(texts):
        found.add_message(role="assistant" if place % 2 else "user", content=text)
    return found


def words(items: Any) -> list[str]:
    return [item["content"][0] for item in items]


def handed_over(stage: Stage) -> list[dict[str, Any]]:
    return [text for text in stage.room.texts if text["topic"] == TOPIC]


class Reader:
    """A text stream that arrives."""

    def __init__(self, text: str) -> None:
        self._text = text

    async def __aiter__(self) -> AsyncIterator[str]:
        for start in range(0, len(self._text), 15_000):
            yield self._text[start : start + 15_000]


async def arrives(stage: Stage, sender: str, text: str) -> None:
    stage.room.text_handlers[TOPIC](Reader(text), sender)
    for _ in range(60):
        await asyncio.sleep(0)


async def test_alone_it_says_goodbye_and_hands_nothing_over(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"))
        stage.made[0].memory = conversation("hello")
        await stage.agents.finish()
        assert stage.made[0].last_words == ["goodbye"]
        assert handed_over(stage) == []


async def test_to_the_worker_that_stands_by_it_hands_what_it_knows_and_to_nobody_else(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"))
        second_worker(stage, "parley-3", joined_s=300.0)
        second_worker(stage, "parley-2", joined_s=200.0)
        stage.room.join(FakeParticipant("other agent", kind=AGENT, joined_s=60.0))
        stage.room.join(FakeParticipant("eve", {"parley.worker": "1"}, joined_s=60.0))
        stage.made[0].memory = conversation("hello", "good morning")
        await stage.agents.finish()
        assert stage.made[0].last_words == ["back soon"]
        [sent] = handed_over(stage)
        assert sent["destination_identities"] == ["parley-2"]
        given = json.loads(sent["text"])
        assert (given["key"], given["agent"]) == ("of ana", "clerk")
        assert words(given["items"]) == ["hello", "good morning"]
        assert stage.notices.events == []


async def test_the_worker_that_takes_over_goes_on_where_the_other_stopped(serve: Serve) -> None:
    async with serve() as first:
        await first.fit(person("ana", "clerk"))
        second_worker(first)
        first.made[0].memory = conversation("hello", "good morning")
        await first.agents.finish()
        [sent] = handed_over(first)
    async with serve() as second:
        second_worker(second, "parley-1", joined_s=10.0)
        await arrives(second, "parley-1", sent["text"])
        await second.fit(person("ben", "clerk"), person("ana", "clerk"))
        agents = {agent.caller.identity: agent for agent in second.made}
        assert {name: agent.goes_on for name, agent in agents.items()} == {"ana": True, "ben": False}
        items = agents["ana"].made.chat_ctx.items
        assert [item.text_content for item in items] == ["hello", "good morning"]
        await second.fit(person("ben", "clerk"))
        await second.fit(person("ben", "clerk"), person("ana", "clerk"))
        assert not second.made[-1].goes_on, "it is gone on with once"


@pytest.mark.parametrize(
    ("sender", "text"),
    [
        ("eve", '{"key": "of ana", "agent": "clerk", "items": []}'),
        ("nobody", '{"key": "of ana", "agent": "clerk", "items": []}'),
        ("parley-1", "no JSON"),
        ("parley-1", '["of ana"]'),
        ("parley-1", '{"key": "of ana", "agent": "clerk", "items": [{"type": "message", "role": 5}]}'),
        ("parley-1", "x" * 3 * handover.MOST_BYTES),
    ],
)
async def test_what_no_worker_says_or_what_cannot_be_read_is_not_taken_over(
    serve: Serve, sender: str, text: str
) -> None:
    async with serve() as stage:
        second_worker(stage, "parley-1", joined_s=10.0)
        stage.room.join(FakeParticipant("eve", {"parley.worker": "1"}, joined_s=60.0))
        await arrives(stage, sender, text)
        await stage.fit(person("ana", "clerk"))
        assert not stage.made[0].goes_on


async def test_a_long_conversation_is_handed_over_bounded_the_newest_of_it(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"))
        second_worker(stage)
        memory = conversation(*(f"{place} " + "x" * 2_000 for place in range(150)))
        memory.items.insert(100, llm.FunctionCall(call_id="c", name="f", arguments="{}"))
        stage.made[0].memory = memory
        await stage.agents.finish()
        [sent] = handed_over(stage)
        assert handover.MOST_BYTES * 0.9 < len(sent["text"]) <= handover.MOST_BYTES + 100
        items = json.loads(sent["text"])["items"]
        assert words(items[-1:])[0].startswith("149 ")
        assert items[0]["type"] == "message", "half of a call would be refused"


@pytest.mark.looptime
async def test_what_cannot_be_handed_over_is_said(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"), person("ben", "clerk"))
        second_worker(stage)
        for agent in stage.made:
            agent.memory = conversation("hello")

        async def never(**_: Any) -> Any:
            await asyncio.Event().wait()

        monkeypatch.setattr(stage.room.local_participant, "stream_text", never)
        began = asyncio.get_running_loop().time()
        await stage.agents.finish()
        assert asyncio.get_running_loop().time() - began == pytest.approx(handover.SEND_S, abs=0.5)
        assert [(n.event, n.speaker) for n in stage.notices.said] == [
            ("agent.ended", "ana"),
            ("agent.ended", "ben"),
        ]
        assert "not handed over: not sent in 3 s" in stage.notices.said[0].detail


@pytest.mark.looptime
async def test_tracks_are_published_at_the_same_time_and_hold_nothing_up(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve() as stage:
        publish_slowly(stage, monkeypatch)
        loop = asyncio.get_running_loop()
        began = loop.time()
        people = [person(f"p{place}", "clerk") for place in range(10)]
        await stage.fit(*people)
        assert loop.time() == began, "the room is looked at while they are published"
        assert len(stage.names) == 10
        assert stage.agents.tracks == []
        await stage.changed()
        await asyncio.sleep(0.001)
        assert len(stage.agents.tracks) == 10
        assert loop.time() - began < 1.1
        await stage.fit(*people[1:])
        await stage.changed()
        assert len(stage.published) == 9


@pytest.mark.looptime
async def test_a_track_that_is_being_published_when_its_agent_ends_is_taken_back(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serve() as stage:
        publish_slowly(stage, monkeypatch)
        await stage.fit(person("ana", "clerk"))
        await stage.fit(person("ana"))
        await asyncio.sleep(3.0)
        assert stage.room.said("publish") == stage.room.said("unpublish") == ["TR_parley-agent:ana"]
