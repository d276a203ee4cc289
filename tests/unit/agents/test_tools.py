"""Tools that the model cannot be told of are named before anybody talks to the agent."""

from collections.abc import Iterator

import pytest
from livekit.agents import Agent, RunContext, function_tool

from parley import agents
from parley.agents import Caller, Registry
from parley.errors import AgentOptionError

ANA = Caller("ana")


class Weird:
    """A type without a JSON schema."""


@function_tool(name="look up")
async def badly_named() -> str:
    """A name that the API refuses."""
    return ""


@function_tool(name="weather")
async def second_weather(place: str) -> str:
    """Another one of the name."""
    return place


class Good(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="")

    @function_tool
    async def weather(self, context: RunContext[None], city: str, days: int = 1) -> str:
        """The weather.

        Args:
            city: where
        """
        return city

    @function_tool(raw_schema={"name": "raw", "description": "", "parameters": {"type": "object"}})
    async def raw(self, raw_arguments: dict[str, object]) -> str:
        return ""


class Unschemable(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="")

    @function_tool
    async def paint(self, what: Weird) -> str:
        """Takes what JSON cannot carry."""
        return ""


class Twice(Good):
    def __init__(self) -> None:
        Agent.__init__(self, instructions="", tools=[second_weather])


@pytest.fixture
def registry() -> Iterator[Registry]:
    with agents.fresh() as fresh:
        yield fresh


def test_tools_that_can_be_told_are_let_by(registry: Registry) -> None:
    agents.register("good", Good)
    assert [tool.info.name for tool in agents.get("good").make(ANA).tools] == ["raw", "weather"]  # type: ignore[union-attr]


def test_a_class_whose_tool_has_no_schema_is_refused_when_it_is_registered(registry: Registry) -> None:
    with pytest.raises(AgentOptionError) as refused:
        agents.register("painter", Unschemable)
    said = str(refused.value)
    assert "painter" in said
    assert "paint: " in said
    assert "Weird" in said
    assert "\n" not in said
    assert agents.names() == ("assistant",)


def test_two_tools_of_one_name_are_named_when_the_agent_is_made(registry: Registry) -> None:
    agents.register("twice", Twice)
    with pytest.raises(AgentOptionError, match="two of the name weather"):
        agents.get("twice").make(ANA)


def test_a_name_that_the_api_refuses_is_named(registry: Registry) -> None:
    agents.register("named", lambda: Agent(instructions="", tools=[badly_named]))
    with pytest.raises(AgentOptionError, match="look up"):
        agents.get("named").make(ANA)
