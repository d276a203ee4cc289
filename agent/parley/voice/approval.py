"""Whether a tool of a remote MCP server may be called: the agent's own module says so, call by call."""

import asyncio
import inspect

from parley.agents import Approve, Caller, RemoteCall

from .tools import OnTrouble


class Approval:
    """One conversation's. Without `approve` nothing is approved; what is refused is told."""

    def __init__(
        self, approve: Approve | None, caller: Caller, within_s: float, on_trouble: OnTrouble
    ) -> None:
        """An answer that takes longer than `within_s` seconds is a refusal."""
        self._approve = approve
        self._caller = caller
        self._within_s = within_s
        self._on_trouble = on_trouble

    async def __call__(self, server_label: str, tool: str, arguments: str) -> bool:
        """Whether this call may be made. Whatever the agent's code does, it is answered."""
        name = f"{server_label}.{tool}"
        if self._approve is None:
            self._on_trouble(name, "refused: the agent was registered without approve_mcp")
            return False
        try:
            async with asyncio.timeout(self._within_s):
                answer = self._approve(RemoteCall(self._caller, server_label, tool, arguments))
                approved = (await answer) if inspect.isawaitable(answer) else answer
        except Exception as e:  # noqa: BLE001 - bulkhead: the agent's own code; a call is not made unasked
            self._on_trouble(name, f"refused: approve_mcp failed with {type(e).__name__}")
            return False
        if approved is not True:
            self._on_trouble(name, "refused by approve_mcp")
            return False
        return True
