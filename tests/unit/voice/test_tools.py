"""The guard around an agent's tools: what the model, the room and the operator are told."""

import asyncio
import inspect
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from livekit.agents import Agent, StopResponse, ToolError, function_tool, llm

from parley.voice.tools import Guard, speakable


class Told:
    """A guard, and what it has told."""

    def __init__(self, timeout_s: float = 5.0, slow_s: float | None = 1.0) -> None:
        self.slow: list[str] = []
        self.trouble: list[tuple[str, str]] = []
        self.guard = Guard(
            timeout_s, slow_s, self.slow.append, lambda name, what: self.trouble.append((name, what))
        )

    async def tool(self, function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
        """One tool under the guard, as the AgentSession calls it."""
        agent = Agent(instructions="", tools=[function_tool(function, name="work", description="Works.")])
        await self.guard.install(agent)
        (tool,) = agent.tools
        assert callable(tool)
        return tool  # type: ignore[return-value]

    async def fails(self, function: Callable[..., Any]) -> str:
        """What the model is told of a tool that fails."""
        work = await self.tool(function)
        with pytest.raises(ToolError) as caught:
            await work()
        assert self.guard.running == 0
        return caught.value.message


async def test_a_tool_gets_its_arguments_and_gives_its_result() -> None:
    async def add(a: int, *, b: int = 2) -> int:
        return a + b

    told = Told()
    work = await told.tool(add)
    assert await work(1, b=5) == 6
    assert await work(a=1) == 3
    assert (told.slow, told.trouble, told.guard.running) == ([], [], 0)


async def test_the_model_is_told_the_same_of_a_guarded_tool() -> None:
    class Clerk(Agent):
        @function_tool
        async def find(self, name: str, exact: bool = False) -> str:
            """Finds somebody.

            Args:
                name: Whom to find.
            """
            return f"{name} {exact} {self.instructions}"

    agent = Clerk(instructions="here")
    (before,) = agent.tools
    assert isinstance(before, llm.FunctionTool)
    await Told().guard.install(agent)
    (after,) = agent.tools
    assert isinstance(after, llm.FunctionTool)
    parse = llm.utils.build_legacy_openai_schema
    assert parse(after) == parse(before)
    assert after.id == before.id == "find"
    assert inspect.signature(after) == inspect.signature(before)
    assert await after("ana", exact=True) == "ana True here"


async def test_a_raw_tool_is_guarded_too() -> None:
    schema = {"name": "raw", "description": "", "parameters": {"type": "object", "properties": {}}}

    @function_tool(raw_schema=schema)
    async def raw(raw_arguments: dict[str, object]) -> str:
        raise ValueError("secret")

    told = Told()
    agent = Agent(instructions="", tools=[raw])
    await told.guard.install(agent)
    (tool,) = agent.tools
    assert isinstance(tool, llm.RawFunctionTool)
    assert tool.info.raw_schema == schema
    with pytest.raises(ToolError):
        await tool(raw_arguments={})
    assert told.trouble == [("raw", "ValueError")]


async def test_a_bug_is_told_to_the_room_and_not_to_the_model() -> None:
    async def broken() -> str:
        raise KeyError("a secret")

    told = Told()
    assert await told.fails(broken) == "The tool work failed."
    assert told.trouble == [("work", "KeyError")]


async def test_what_a_tool_says_to_the_model_is_its_own_choice() -> None:
    async def refuses() -> str:
        raise ToolError("Ask for the number first.")

    told = Told()
    assert await told.fails(refuses) == "Ask for the number first."
    assert told.trouble == [("work", "Ask for the number first.")]


async def test_a_tool_that_wants_no_answer_gets_none() -> None:
    async def silent() -> None:
        raise StopResponse

    told = Told()
    work = await told.tool(silent)
    with pytest.raises(StopResponse):
        await work()
    assert told.trouble == []
    assert told.guard.running == 0


@pytest.mark.looptime
async def test_a_tool_that_never_answers_is_given_up() -> None:
    async def stuck() -> None:
        await asyncio.Event().wait()

    told = Told(timeout_s=3.0)
    loop = asyncio.get_running_loop()
    before = loop.time()
    assert await told.fails(stuck) == "The tool work gave no answer in 3 s."
    assert loop.time() - before == pytest.approx(3.0)
    assert told.trouble == [("work", "no answer in 3 s")]
    assert told.slow == ["work"]


@pytest.mark.looptime
@pytest.mark.parametrize(("takes_s", "slow"), [(0.9, []), (1.1, ["work"]), (4.5, ["work"])])
async def test_a_slow_tool_is_spoken_about_once(takes_s: float, slow: list[str]) -> None:
    async def works() -> str:
        await asyncio.sleep(takes_s)
        return "done"

    told = Told()
    work = await told.tool(works)
    assert await work() == "done"
    await asyncio.sleep(10)
    assert told.slow == slow
    assert told.trouble == []


@pytest.mark.looptime
async def test_where_nothing_is_said_about_slow_tools() -> None:
    async def works() -> None:
        await asyncio.sleep(4.9)

    told = Told(slow_s=None)
    work = await told.tool(works)
    await work()
    assert told.slow == []


@pytest.mark.looptime
async def test_tools_at_the_same_time_are_counted() -> None:
    async def works(seconds: float) -> None:
        await asyncio.sleep(seconds)

    told = Told(slow_s=None)
    work = await told.tool(works)
    counts = []
    async with asyncio.TaskGroup() as group:
        for seconds in (1.0, 2.0, 3.0):
            group.create_task(work(seconds))  # type: ignore[arg-type]
        for _ in range(4):
            await asyncio.sleep(0.9)
            counts.append(told.guard.running)
    assert counts == [3, 2, 1, 0]


@pytest.mark.looptime
async def test_cancelled_it_is_no_failure() -> None:
    async def stuck() -> None:
        await asyncio.Event().wait()

    told = Told()
    work = await told.tool(stuck)
    task: asyncio.Task[Any] = asyncio.create_task(work())  # type: ignore[arg-type]
    await asyncio.sleep(0.5)
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    await asyncio.sleep(10)
    assert (told.guard.running, told.slow, told.trouble) == (0, [], [])


async def test_a_tool_of_another_agent_is_a_hand_over() -> None:
    other = Agent(instructions="other")

    async def hand_over() -> tuple[Agent, str]:
        return other, "They take over."

    work = await Told().tool(hand_over)
    assert await work() == (other, "They take over.")


async def test_what_cannot_be_told_is_a_failure() -> None:
    class Row:
        pass

    async def finds() -> Any:
        return [Row()]

    told = Told()
    assert await told.fails(finds) == "The tool work failed."
    assert told.trouble == [("work", "returned list, which is neither text nor JSON")]


def nested(levels: int) -> Any:
    value: Any = "deep"
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "result",
    [
        None, "", "text", 0, 1.5, True, [], {}, ["a", 1, None], {"a": {"b": [1, (2, {3})]}}, {1: "x"},
        nested(20),
    ],
)  # fmt: skip
def test_what_can_be_told(result: Any) -> None:
    assert speakable(result)


def circle(*, wide: bool) -> Any:
    value: list[Any] = []
    value.extend([value] * (50 if wide else 1))
    return value


@pytest.mark.parametrize(
    "result",
    [
        object(), b"bytes", [object()], {"a": object()}, {("a", 1): 2}, iter([1]), int, print,
        nested(30), circle(wide=False), circle(wide=True),
    ],
)  # fmt: skip
def test_what_cannot_be_told(result: Any) -> None:
    assert not speakable(result)
