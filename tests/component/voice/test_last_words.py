"""Last words, hand-overs between workers, remote tools and hooks: an agent against the simulator."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from livekit.agents import Agent, llm

from component.voice.conftest import Plain, Play, said
from livekit.plugins.openai_realtime.mcp import McpServer
from parley.agents import RemoteCall
from parley.simulator import Approval, Context, Turn

DOCS = McpServer(server_label="docs", server_url="https://docs.example.com/mcp")


def told(part: str) -> Any:
    """Whether the instructions of a response say something."""

    def applies(context: Context) -> bool:
        return part in context.instructions

    return applies


async def test_an_agent_that_must_leave_lets_the_sentence_end_and_says_goodbye(play: Play) -> None:
    script = [Turn(say="one two three", when="hello"), Turn(say="goodbye then", when=told("restarted"))]
    async with play(Plain, script, ["hello"]) as stage:
        stage.speak(said("hello"))
        await stage.plays()
        stage.agent.take_leave(back_soon=False)
        ending = await stage.end()
        assert ending.reason == "left"
        assert stage.finals() == ["one two three", "goodbye then"]
        assert stage.cut == []
        assert stage.queue.queued_s == 0, "it was heard to its end"
        assert [(i.role, i.text_content) for i in stage.agent.memory.items if i.type == "message"] == [
            ("user", "hello"),
            ("assistant", "one two three"),
            ("assistant", "goodbye then"),
        ]


async def test_an_agent_that_speaks_at_length_is_cut_off_for_its_last_words(play: Play) -> None:
    script = [Turn(say="word " * 30, when="hello"), Turn(say="wait a moment", when=told("taken over"))]
    async with play(Plain, script, ["hello"]) as stage:
        stage.speak(said("hello"))
        await stage.plays()
        stage.agent.take_leave(back_soon=True)
        await stage.end()
        assert stage.finals()[-1] == "wait a moment"
        assert len(stage.cut) == 1


async def test_an_agent_whose_session_is_not_there_yet_leaves_at_once(play: Play) -> None:
    async with play(Plain, simulated={"handshake_s": 5.0}, before=_leaves) as stage:
        assert (await stage.end()).reason == "left"
        assert stage.finals() == []


def _leaves(stage: Any) -> None:
    stage.agent.take_leave(back_soon=False)


def with_memory() -> Agent:
    """As the worker that takes over makes it."""
    known = llm.ChatContext.empty()
    known.add_message(role="user", content="my name is ana")
    known.add_message(role="assistant", content="good to know")
    return Agent(instructions="Talk.", chat_ctx=known)


async def test_a_conversation_from_another_worker_goes_on_without_a_greeting(play: Play) -> None:
    script = [Turn(say="back again", when=told("you are back"))]
    async with play(
        with_memory, script, goes_on=True, greeting="Greet them.", disclosure="I am a bot"
    ) as stage:
        await stage.until(lambda: stage.finals() == ["back again"])
        await stage.silent()
        [response] = stage.record.responses
        assert "my name is ana" in response.context
        assert "good to know" in response.context
        assert "Greet them." not in response.instructions


@pytest.mark.parametrize("asynchronous", [True, False])
async def test_a_remote_tool_that_is_approved_is_called_and_spoken_about(
    play: Play, asynchronous: bool
) -> None:
    asked: list[RemoteCall] = []

    async def later(call: RemoteCall) -> bool:
        asked.append(call)
        return True

    def approve(call: RemoteCall) -> Any:
        asked.append(call)
        return True

    script = [
        Turn(approval=Approval("docs", "search", '{"q": "tea"}', "tea is hot"), when="hello"),
        Turn(say="tea is hot they say"),
    ]
    hook = later if asynchronous else approve
    async with play(Plain, script, ["hello"], mcp=(DOCS,), approve_mcp=hook) as stage:
        stage.speak(said("hello"))
        await stage.until(lambda: stage.finals() == ["tea is hot they say"])
        [call] = asked
        assert (call.server_label, call.tool, call.arguments) == ("docs", "search", '{"q": "tea"}')
        assert call.caller.identity == "ana"
        assert any("tea is hot" in text for text in stage.record.responses[-1].context)
        assert stage.notices.events == []
        assert stage.record.refused == []


async def fails(call: RemoteCall) -> bool:
    raise LookupError("the secret reason")


async def hangs(call: RemoteCall) -> bool:
    await asyncio.Event().wait()
    return True


@pytest.mark.parametrize(
    ("hook", "why"),
    [
        (None, "without approve_mcp"),
        (lambda call: False, "refused by approve_mcp"),
        (lambda call: "yes", "refused by approve_mcp"),
        (fails, "approve_mcp failed with LookupError"),
        (hangs, "approve_mcp failed with TimeoutError"),
    ],
)
async def test_a_remote_tool_that_nobody_approves_is_refused_told_and_spoken_about(
    play: Play, hook: Any, why: str
) -> None:
    script = [
        Turn(approval=Approval("docs", "delete", "{}", "deleted"), when="hello"),
        Turn(say="that is not allowed"),
    ]
    options = {"mcp": (DOCS,), "approve_mcp": hook, "tool_timeout_s": 0.3}
    async with play(Plain, script, ["hello"], **options) as stage:
        stage.speak(said("hello"))
        await stage.until(lambda: stage.finals() == ["that is not allowed"])
        assert not any("deleted" in item.text for item in stage.record.items)
        [notice] = stage.notices.said
        assert (notice.event, notice.speaker) == ("tool.failed", "ana")
        assert "docs.delete" in notice.detail
        assert why in notice.detail
        assert "secret" not in notice.detail


class Clumsy(Agent):
    """Stumbles when it comes and when it goes."""

    def __init__(self) -> None:
        super().__init__(instructions="Talk.")

    async def on_enter(self) -> None:
        raise LookupError("no such customer")

    async def on_exit(self) -> None:
        raise ValueError("no such file")


async def test_a_hook_that_raises_is_told_and_the_conversation_goes_on(
    play: Play, caplog: pytest.LogCaptureFixture
) -> None:
    script = [Turn(say="here I am", when="hello"), Turn(say="goodbye then", when=told("restarted"))]
    async with play(Clumsy, script, ["hello"]) as stage:
        stage.speak(said("hello"))
        await stage.until(lambda: stage.finals() == ["here I am"])
        stage.agent.take_leave(back_soon=False)
        await stage.end()
        assert [(n.event, n.detail) for n in stage.notices.said] == [
            ("agent.failed", "test: on_enter failed with LookupError"),
            ("agent.failed", "test: on_exit failed with ValueError"),
        ]
        assert "no such customer" in caplog.text
