"""Names and factories: what can be registered, and what is made of it."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from livekit.agents import Agent

from parley import agents
from parley.agents import Caller, Registry
from parley.config import VoiceAgent
from parley.core.preferences import is_agent_name
from parley.errors import AgentOptionError

ANA = Caller("ana", "Ana", {"sip.phoneNumber": "+33123"}, "fr", "front desk")


class Plain(Agent):
    def __init__(self) -> None:
        super().__init__(instructions="plain")


class Knowing(Agent):
    def __init__(self, caller: Caller) -> None:
        super().__init__(instructions=f"for {caller.name}")


class Choosy(Agent):
    def __init__(self, caller: Caller | None = None, *, clock: object = None) -> None:
        super().__init__(instructions=f"for {caller.name if caller else 'nobody'}")


def made_by_function() -> Agent:
    return Plain()


@pytest.fixture
def registry() -> Iterator[Registry]:
    with agents.fresh() as fresh:
        yield fresh


@pytest.mark.parametrize(
    ("factory", "instructions"),
    [
        (Plain, "plain"),
        (Knowing, "for Ana"),
        (Choosy, "for Ana"),
        (made_by_function, "plain"),
        (lambda: Plain(), "plain"),
        (lambda who: Knowing(who), "for Ana"),
        (lambda *rest: Agent(instructions=str(rest)), "()"),
        (lambda name="x": Agent(instructions=name), "x"),
    ],
)
def test_a_factory_is_given_the_caller_if_it_wants_one(
    registry: Registry, factory: Callable[..., Agent], instructions: str
) -> None:
    agents.register("one", factory)
    assert agents.get("one").make(ANA).instructions == instructions


def test_each_conversation_has_an_agent_of_its_own(registry: Registry) -> None:
    agents.register("one", Plain)
    assert agents.get("one").make(ANA) is not agents.get("one").make(ANA)


async def coroutine() -> Agent:
    return Plain()


@pytest.mark.parametrize(
    ("factory", "given"),
    [
        (lambda a, b: Plain(), "one that needs a, b"),
        (lambda *, caller: Plain(), "one that needs caller"),
        (coroutine, "<function coroutine"),
        (None, "None"),
        ("Plain", "'Plain'"),
    ],
)
def test_what_makes_no_agent_is_refused(registry: Registry, factory: Any, given: str) -> None:
    with pytest.raises(AgentOptionError) as caught:
        agents.register("one", factory)
    assert caught.value.option == "factory"
    assert caught.value.given is not None
    assert caught.value.given.startswith(given)
    assert caught.value.allowed.startswith("the agent's class, or a function")
    assert agents.names() == ("assistant",)


async def test_an_agent_in_place_of_its_class_is_refused(registry: Registry) -> None:
    with pytest.raises(
        AgentOptionError, match="factory: an object of Plain is not allowed; allowed: the agent's"
    ):
        agents.register("one", Plain())  # type: ignore[arg-type]


def test_a_factory_that_makes_something_else_is_named_when_it_does(registry: Registry) -> None:
    agents.register("one", lambda: "an agent")  # type: ignore[arg-type, return-value]
    with pytest.raises(
        AgentOptionError, match="agent 'one': factory: one that made 'an agent' is not allowed"
    ):
        agents.get("one").make(ANA)


@pytest.mark.parametrize("name", ["", "off", "Support", "a b", "x" * 41, "a\n", "support.v2", None, 3])
def test_names_that_are_refused(registry: Registry, name: Any) -> None:
    with pytest.raises(AgentOptionError) as caught:
        agents.register(name, Plain)
    assert (caught.value.option, caught.value.allowed) == (
        "name",
        "1 to 40 of a-z, 0-9, _ and -, and not off",
    )
    assert agents.names() == ("assistant",)


def test_a_name_is_taken_once(registry: Registry) -> None:
    agents.register("one", Plain, voice="ash")
    with pytest.raises(
        AgentOptionError, match="agent 'one': name: 'one' is not allowed; allowed: a name that no"
    ):
        agents.register("one", Knowing)
    assert agents.get("one").factory is Plain
    with pytest.raises(AgentOptionError):
        agents.register("assistant", Plain)


def test_names_are_in_the_order_of_registration(registry: Registry) -> None:
    agents.register("zoe", Plain)
    agents.register("amy", Plain)
    assert agents.names() == ("assistant", "zoe", "amy")
    assert all(is_agent_name(name) for name in agents.names())


def test_there_is_no_agent_that_was_not_registered(registry: Registry) -> None:
    with pytest.raises(KeyError):
        agents.get("nobody")


def test_options_are_those_of_parley_and_of_the_session(registry: Registry) -> None:
    agents.register("one", Plain, greeting="Hello.", voice="ash")
    one = agents.get("one")
    assert one.options.greeting == "Hello."
    assert one.conversation(VoiceAgent(voice="cedar")).voice == "ash"


def test_options_that_do_not_go_with_the_workers_are_named(registry: Registry) -> None:
    agents.register("one", Plain, reasoning_effort="high")
    with pytest.raises(
        AgentOptionError, match="agent 'one': reasoning_effort: 'high' is not allowed; allowed: None"
    ):
        agents.get("one").conversation(VoiceAgent(model="gpt-realtime"))


def test_a_fresh_registry_leaves_the_other_as_it_was() -> None:
    before = agents.names()
    with agents.fresh() as fresh:
        agents.register("passing", Plain)
        assert fresh.names() == ("assistant", "passing")
    assert agents.names() == before


def test_a_caller_cannot_be_changed() -> None:
    attributes = {"tier": "gold"}
    caller = Caller("ana", attributes=attributes)
    attributes["tier"] = "lead"
    assert (caller.attributes["tier"], caller.phone_number) == ("gold", "")
    with pytest.raises(TypeError):
        caller.attributes["tier"] = "lead"  # type: ignore[index]
    assert ANA.phone_number == "+33123"
