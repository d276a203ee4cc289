"""``session.update``: the whole of the settings, and what changes between two of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from .conversation_options import ConversationOptions
from .conversation_parts import Payload

_NESTED = ("audio", "input", "output")


def full(options: ConversationOptions, instructions: str | None, functions: Sequence[Payload]) -> Payload:
    """The ``session`` that makes a new session what it should be."""
    session = options.session()
    if instructions is not None:
        session["instructions"] = instructions
    if tools := all_tools(options, functions):
        session["tools"] = tools
    return session


def all_tools(options: ConversationOptions, functions: Sequence[Payload]) -> list[Payload]:
    """Function tools and MCP servers together."""
    return [*functions, *(server.payload() for server in options.mcp)]


def changes(old: ConversationOptions, new: ConversationOptions) -> Payload | None:
    """The ``session`` that turns the one into the other, empty if there is nothing to do.

    None: no update can, because something is to be left out that has no null, or the model is another one.
    """
    if old.model != new.model or old.mcp != new.mcp:
        return None
    found = _changes(old.session(), new.session())
    return {"type": "realtime", **found} if found else found


def _changes(old: Payload, new: Payload) -> Payload | None:
    if old.keys() - new.keys():
        return None
    found: dict[str, Any] = {}
    for name, value in new.items():
        before = old.get(name)
        if before == value and name in old:
            continue
        if name in _NESTED and isinstance(before, dict):
            inner = _changes(before, value)
            if inner is None:
                return None
            found[name] = inner
        else:
            found[name] = value
    return found
