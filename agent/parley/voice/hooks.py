"""An agent's own `on_enter` and `on_exit`, guarded: what they raise is told, and the conversation goes on."""

import functools
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from livekit.agents import Agent

logger = logging.getLogger("parley.voice")

OnFailure = Callable[[str], None]
"""Called with what happened, in one line."""


def guard_hooks(agent: Agent, on_failure: OnFailure) -> None:
    """Puts the guard around both hooks of an agent that was not started yet."""
    hooks: Any = agent
    for name in ("on_enter", "on_exit"):
        setattr(hooks, name, _guarded(name, getattr(agent, name), on_failure))


def _guarded(
    name: str, hook: Callable[[], Awaitable[None]], on_failure: OnFailure
) -> Callable[[], Awaitable[None]]:
    @functools.wraps(hook)
    async def guarded() -> None:
        try:
            await hook()
        except Exception as e:
            # The agent's own code: its author needs the whole trace, the room one line.
            logger.exception("%s of a voice agent failed", name)
            on_failure(f"{name} failed with {type(e).__name__}")

    return guarded
