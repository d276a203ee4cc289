"""Whether the model can be told of an agent's tools: each once, with parameters that have a JSON schema."""

import re
from collections.abc import Iterable
from typing import Any

from livekit.agents import Agent, llm
from livekit.agents.llm.utils import build_legacy_openai_schema

from parley.errors import AgentOptionError

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_NAMES = "1 to 64 of A-Z, a-z, 0-9, _ and -"
_SCHEMAS = "parameters whose types have a JSON schema"
_UNSCHEMABLE = (TypeError, ValueError, LookupError, NameError, AttributeError, RuntimeError)
"""What LiveKit and pydantic raise for them."""
_MOST_SHOWN = 160


def tools_of(factory: object) -> list[llm.Tool]:
    """The tools that are methods of an agent's class. Those of another factory are not known yet."""
    if not isinstance(factory, type) or not issubclass(factory, Agent):
        return []
    unmade = object.__new__(factory)  # only to bind them: what is bound is not called
    found: list[llm.Tool] = []
    for tool in llm.find_function_tools(factory):
        bind: Any = tool
        found.append(bind.__get__(unmade, factory))
    return found


def check_tools(agent: str, tools: Iterable[Any]) -> None:
    """Raises AgentOptionError, one line, for the first tool that the model cannot be told of."""
    seen: set[str] = set()
    for tool in _flat(tools):
        if not isinstance(tool, llm.FunctionTool | llm.RawFunctionTool):
            continue
        name = tool.info.name
        if not _NAME.fullmatch(name):
            raise AgentOptionError(agent, "tools", repr(name), _NAMES)
        if name in seen:
            raise AgentOptionError(agent, "tools", f"two of the name {name}", "each name once")
        seen.add(name)
        if isinstance(tool, llm.FunctionTool):
            _check_schema(agent, name, tool)


def _flat(tools: Iterable[Any]) -> list[Any]:
    """The tools themselves, with those of toolsets."""
    found: list[Any] = []
    for tool in tools:
        found += tool.tools if isinstance(tool, llm.Toolset) else [tool]
    return found


def _check_schema(agent: str, name: str, tool: Any) -> None:
    try:
        build_legacy_openai_schema(tool, internally_tagged=True)
    except _UNSCHEMABLE as e:
        said = " ".join(str(e).split())[:_MOST_SHOWN]
        raise AgentOptionError(agent, "tools", f"{name}: {type(e).__name__}: {said}", _SCHEMAS) from e
