"""An agent's tools, guarded: a time limit, something said when they are slow, a clear failure."""

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable, Mapping
from typing import Any

from livekit.agents import Agent, StopResponse, ToolError, llm

logger = logging.getLogger("parley.voice")

OnTrouble = Callable[[str, str], None]
"""Called with the tool's name and what happened."""
OnSlow = Callable[[str], None]
"""Called with the tool's name when it takes long."""

SLOW_AGAIN_S = 10.0
"""Of several tools that are slow the person is told once in so long."""
_DEEPEST = 20
"""Levels of a nested result that are looked at."""


class Guard:
    """What all tools of one agent are run under."""

    def __init__(
        self, timeout_s: float, slow_s: float | None, on_slow: OnSlow, on_trouble: OnTrouble
    ) -> None:
        self._timeout_s = timeout_s
        self._slow_s = slow_s
        self._on_slow = on_slow
        self._on_trouble = on_trouble
        self._told_slow_s = float("-inf")
        self.running = 0
        """Tools that are working now."""

    def _slow(self, name: str) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._told_slow_s >= SLOW_AGAIN_S:
            self._told_slow_s = now
            self._on_slow(name)

    async def install(self, agent: Agent) -> None:
        """Puts the guard around every function tool of an agent that was not started yet."""
        await agent.update_tools([self._guarded(tool) for tool in agent.tools])

    def _guarded(self, tool: Any) -> Any:
        if not isinstance(tool, llm.FunctionTool | llm.RawFunctionTool):
            return tool
        function, name = tool._func, tool.info.name

        @functools.wraps(function)
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            return await self._run(name, function, args, kwargs)

        kind: Any = type(tool)
        bound = kind(guarded, tool.info, tool._instance)
        bound.__signature__ = inspect.signature(tool)  # without self: that is what arguments are made from
        return bound

    async def _run(
        self, name: str, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Any:
        slow: asyncio.TimerHandle | None = None
        if self._slow_s is not None:
            slow = asyncio.get_running_loop().call_later(self._slow_s, self._slow, name)
        self.running += 1
        try:
            async with asyncio.timeout(self._timeout_s) as limit:
                result = function(*args, **kwargs)
                if inspect.isawaitable(result):
                    result = await result
        except StopResponse:
            raise
        except ToolError as e:
            self._on_trouble(name, e.message)
            raise
        except Exception as e:
            # What a tool tells the model and the room is its author's choice (ToolError): a bug is logged.
            if isinstance(e, TimeoutError) and limit.expired():
                self._on_trouble(name, f"no answer in {self._timeout_s:g} s")
                raise ToolError(f"The tool {name} gave no answer in {self._timeout_s:g} s.") from None
            logger.warning("the tool %s failed: %s: %s", name, type(e).__name__, e)
            self._on_trouble(name, type(e).__name__)
            raise ToolError(f"The tool {name} failed.") from e
        finally:
            self.running -= 1
            if slow is not None:
                slow.cancel()
        if not speakable(result):
            self._on_trouble(name, f"returned {type(result).__name__}, which is neither text nor JSON")
            raise ToolError(f"The tool {name} failed.")
        return result


def speakable(result: Any, depth: int = 0) -> bool:
    """Whether a tool's result can be told to the model: text, plain values, or a hand-over to an agent."""
    if result is None or isinstance(result, str | int | float | Agent):
        return True
    if depth > _DEEPEST:
        return False
    if isinstance(result, llm.ToolResult):
        return speakable(result.output, depth + 1)
    if isinstance(result, dict):
        return all(isinstance(k, str | int | float) and speakable(v, depth + 1) for k, v in result.items())
    if isinstance(result, list | tuple | set | frozenset):
        return all(speakable(part, depth + 1) for part in result)
    return False
