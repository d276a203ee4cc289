"""The voice agents of the end-to-end tests. The instructions name the caller, so that sessions can be told
apart."""

from __future__ import annotations

import asyncio

from livekit.agents import Agent, function_tool

from livekit.plugins.openai_realtime.mcp import McpServer
from parley import agents
from parley.agents import Caller, RemoteCall


class Listener(Agent):
    """Has tools of every temper."""

    def __init__(self, caller: Caller) -> None:
        super().__init__(instructions=f"You talk to <{caller.identity}>.")
        self._slow = 0

    @function_tool
    async def weather(self, city: str) -> str:
        """The weather.

        Args:
            city: where
        """
        return f"sunny in {city}"

    @function_tool
    async def broken(self) -> str:
        """Always fails."""
        raise RuntimeError("the secret reason")

    @function_tool
    async def slow(self) -> str:
        """Takes long, and says how many of it worked at the same time."""
        self._slow += 1
        most = self._slow
        for _ in range(30):
            await asyncio.sleep(0.1)
            most = max(most, self._slow)
        self._slow -= 1
        return f"slow but done {most}"

    @function_tool
    async def odd(self) -> object:
        """Returns what nobody can be told."""
        return object()


def nobody(caller: Caller) -> Agent:
    """Fails for everybody."""
    raise LookupError(f"no agent for {caller.identity}")


def only_search(call: RemoteCall) -> bool:
    """Lets the model look, and change nothing."""
    return call.tool == "search" and call.caller.identity == "ann"


DOCS = McpServer(server_label="docs", server_url="https://docs.example.com/mcp", require_approval="always")
FAST = {"turn_detection": "server_vad", "idle_s": None}

agents.register("listener", Listener, slow_tool_s=1.0, **FAST)
agents.register("greeter", Listener, greeting="Say the greeting.", disclosure="Say the disclosure.", **FAST)
agents.register("semantic", Listener, idle_s=None)
agents.register("local", Listener, turn_detection="vad", idle_s=None)
agents.register("chair", Listener, audience="room", **FAST)
agents.register("poor", Listener, usd=0.002, **FAST)
agents.register("shy", Listener, idle_s=1.5, idle_goodbye_s=1.0, turn_detection="server_vad")
agents.register("scribe", Listener, mode="hybrid")
agents.register("nobody", nobody)
agents.register("patient", Listener, backchannels=("simulated", "word-2"), **FAST)
agents.register("librarian", Listener, mcp=(DOCS,), approve_mcp=only_search, **FAST)
agents.register("strict", Listener, mcp=(DOCS,), **FAST)
