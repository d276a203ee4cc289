"""Voice agents by name: LiveKit's own `Agent`, registered here, beside every participant who asks for one.

    class Support(Agent): ...

    agents.register("support", Support, voice="marin", greeting="Greet the caller.")

`parley start --agents MODULE_OR_FILE` loads the module; `parley.agent=support` asks for the agent.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from parley.config import Settings
from parley.errors import AgentModuleError

from . import loading
from .assistant import GREETING, NAME, Assistant
from .conversation import MOST_NOTE_CHARS, MOST_NOTES, Approve, Caller, Conversation, RemoteCall, Source
from .options import AgentOptions
from .registry import Factory, Registered, Registry

__all__ = [
    "MOST_NOTES",
    "MOST_NOTE_CHARS",
    "AgentOptions",
    "Approve",
    "Caller",
    "Conversation",
    "Factory",
    "Registered",
    "Registry",
    "RemoteCall",
    "Source",
    "check",
    "fresh",
    "get",
    "load",
    "load_all",
    "names",
    "register",
]

_current = Registry()


def register(name: str, factory: Factory, **options: Any) -> Registered:
    """Adds a voice agent under `name`, which participants ask for as `parley.agent`.

    `factory` is called once for each conversation: with nothing, or with the `Caller` if it takes one
    argument. `options` are those of `AgentOptions` and of the plugin's `ConversationOptions`.
    Raises AgentOptionError, naming the agent, the option, what was given and what is allowed.
    """
    return _current.register(name, factory, **options)


def get(name: str) -> Registered:
    """The agent of that name. Raises KeyError where there is none."""
    return _current.get(name)


def names() -> tuple[str, ...]:
    """The names of all registered agents, in the order in which they were registered."""
    return _current.names()


def load(module_or_file: str) -> None:
    """Imports a dotted module, or runs a .py file: it registers agents. Loading it again does nothing.

    Raises AgentModuleError, one line with the module, the line in it and what went wrong; then none of
    its agents is registered.
    """
    registry, key = _current, loading.key_of(module_or_file)
    if key in registry.loaded:
        return
    before, known = registry.names(), loading.is_imported(module_or_file)
    try:
        loading.run(module_or_file)
        if registry.names() == before and not known:
            raise AgentModuleError(module_or_file, None, "it registers no agent with parley.agents.register")
    except BaseException:
        registry.keep(before)
        raise
    registry.loaded.add(key)


def load_all(sources: Iterable[str]) -> None:
    """Loads one after the other. Raises AgentModuleError for the first that cannot be loaded."""
    for source in sources:
        load(source)


def check(settings: Settings) -> None:
    """Whether settings and loaded agents go together. Raises SettingsError or AgentOptionError."""
    settings.allowed(names())
    for name in names():
        get(name).conversation(settings.voice_agent)


@contextmanager
def fresh() -> Iterator[Registry]:
    """A registry with nothing but the built-in agent, in place of the current one: for tests.

    A module that was imported before registers nothing again.
    """
    global _current
    kept, _current = _current, _built_in(Registry())
    try:
        yield _current
    finally:
        _current = kept


def _built_in(registry: Registry) -> Registry:
    registry.register(NAME, Assistant, greeting=GREETING)
    return registry


_built_in(_current)
