"""The voice agents of a worker by name: how each one is made, and with which options."""

import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from livekit.agents import Agent

from livekit.plugins.openai_realtime.conversation_options import ConversationOptions
from parley.config import VoiceAgent
from parley.core.preferences import is_agent_name
from parley.errors import AgentOptionError

from .conversation import Caller
from .options import AgentOptions, Options, read_options, refusal
from .tools import check_tools, tools_of

Factory = Callable[[], Agent] | Callable[[Caller], Agent]
"""Makes a fresh agent for each conversation. One that takes an argument is given the caller."""

NAMES = "1 to 40 of a-z, 0-9, _ and -, and not off"
_FACTORY = "the agent's class, or a function of nothing or of the caller that returns a new Agent"


@dataclass(frozen=True, slots=True)
class Registered:
    """One voice agent."""

    name: str
    factory: Factory = field(repr=False)
    takes_caller: bool
    given: Options

    @property
    def options(self) -> AgentOptions:
        """What Parley itself does for it."""
        return self.given.own

    def conversation(self, defaults: VoiceAgent) -> ConversationOptions:
        """The options of its sessions: its own over the worker's.

        Raises AgentOptionError where they do not go together.
        """
        try:
            return self.given.conversation(defaults)
        except ValueError as e:
            raise refusal(self.name, e) from e

    def make(self, caller: Caller) -> Agent:
        """A fresh agent for `caller`. Raises what the factory raises; AgentOptionError for no Agent, or for
        a tool that the model cannot be told of."""
        make: Callable[..., Any] = self.factory
        made = make(caller) if self.takes_caller else make()
        if not isinstance(made, Agent):
            raise AgentOptionError(self.name, "factory", f"one that made {_shown(made)}", _FACTORY)
        check_tools(self.name, made.tools)
        return made


class Registry:
    """Names and what they stand for, in the order in which they were registered."""

    def __init__(self) -> None:
        self._agents: dict[str, Registered] = {}
        self.loaded: set[str] = set()
        """Modules and files that have been loaded into it."""

    def register(self, name: str, factory: Factory, **options: Any) -> Registered:
        """Adds an agent. Raises AgentOptionError for the first thing that is wrong; then nothing is added."""
        shown = name if isinstance(name, str) else repr(name)
        if not isinstance(name, str) or not is_agent_name(name):
            raise AgentOptionError(shown, "name", _shown(name), NAMES)
        if name in self._agents:
            raise AgentOptionError(name, "name", _shown(name), "a name that no other agent has")
        agent = Registered(name, factory, _takes_caller(name, factory), read_options(name, options))
        check_tools(name, tools_of(factory))
        self._agents[name] = agent
        return agent

    def get(self, name: str) -> Registered:
        """The agent of that name. Raises KeyError where there is none."""
        return self._agents[name]

    def names(self) -> tuple[str, ...]:
        """All names, in the order in which they were registered."""
        return tuple(self._agents)

    def keep(self, names: tuple[str, ...]) -> None:
        """Forgets all agents but these."""
        for name in self.names():
            if name not in names:
                del self._agents[name]


def _takes_caller(name: str, factory: Factory) -> bool:
    """Whether a factory wants the caller: one parameter that it needs, or one that is called `caller`."""
    if not callable(factory) or inspect.iscoroutinefunction(factory):
        raise AgentOptionError(name, "factory", _shown(factory), _FACTORY)
    try:
        signature = inspect.signature(factory)
    except ValueError:
        return False  # written in C, and says nothing of what it takes
    every = list(signature.parameters.values())
    positional = [p for p in every if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p for p in positional if p.default is p.empty]
    named_only = [p for p in every if p.kind is p.KEYWORD_ONLY and p.default is p.empty]
    if len(needed) > 1 or named_only:
        takes = ", ".join(p.name for p in (*needed, *named_only))
        raise AgentOptionError(name, "factory", f"one that needs {takes}", _FACTORY)
    return bool(needed) or (bool(positional) and positional[0].name == "caller")


def _shown(value: object) -> str:
    text = f"an object of {type(value).__name__}" if isinstance(value, Agent) else repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
