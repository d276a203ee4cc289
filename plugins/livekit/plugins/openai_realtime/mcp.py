"""Remote MCP servers: their settings. OpenAI calls them; the session only approves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

Approval = Literal["never", "always"]


@dataclass(frozen=True, slots=True, kw_only=True)
class McpServer:
    """One remote MCP server (``tools[].type = mcp``). Raises ValueError, naming the field."""

    server_label: str
    """The name by which its calls are known."""
    server_url: str
    """``https://…``"""
    authorization: str | None = field(default=None, repr=False)
    """OAuth access token; None (default): none."""
    allowed_tools: tuple[str, ...] | None = None
    """The tools that may be called; None (default): all."""
    require_approval: Approval | Mapping[str, Approval] = "always"
    """Whether the session's ``approve_mcp`` is asked: always (default), never, or tool by tool
    (a tool that is not named is asked for)."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """More headers for the server."""
    server_description: str | None = None
    """What the model is told about it."""

    def __post_init__(self) -> None:
        if not self.server_label.strip():
            raise ValueError("mcp.server_label: given an empty string, a name is needed")
        url = urlsplit(self.server_url)
        if url.scheme not in ("http", "https") or not url.hostname:
            raise ValueError(f"mcp.server_url: given {self.server_url!r}, allowed is http(s)://host/path")
        rules = self.require_approval
        given = [rules] if isinstance(rules, str) else list(rules.values())
        for rule in given:
            if rule not in ("never", "always"):
                raise ValueError(f"mcp.require_approval: given {rule!r}, allowed are never, always")

    def payload(self) -> dict[str, Any]:
        """As it stands in ``session.tools``."""
        tool: dict[str, Any] = {
            "type": "mcp",
            "server_label": self.server_label,
            "server_url": self.server_url,
            "require_approval": self._approval(),
        }
        if self.authorization is not None:
            tool["authorization"] = self.authorization
        if self.allowed_tools is not None:
            tool["allowed_tools"] = list(self.allowed_tools)
        if self.headers:
            tool["headers"] = dict(self.headers)
        if self.server_description is not None:
            tool["server_description"] = self.server_description
        return tool

    def _approval(self) -> str | dict[str, Any]:
        rules = self.require_approval
        if isinstance(rules, str):
            return rules
        named = {rule: [tool for tool, said in rules.items() if said == rule] for rule in ("always", "never")}
        return {rule: {"tool_names": tools} for rule, tools in named.items() if tools}


class McpCalls:
    """What goes on at the MCP servers of one connection, and whether a response is owed for it.

    A ``response.create`` has to follow once the calls have finished, unless the model spoke after them.
    """

    def __init__(self, servers: int) -> None:
        self._listing = servers
        self._running: set[str] = set()
        self._asked: set[str] = set()
        self._owed = False

    @property
    def listing(self) -> bool:
        """Whether the tools of a server are still to come: a response now could not use them."""
        return self._listing > 0

    def listed(self) -> None:
        """``mcp_list_tools.completed`` or ``.failed``."""
        self._listing = max(0, self._listing - 1)

    @property
    def working(self) -> bool:
        """Whether a call runs, or waits to be approved."""
        return bool(self._running)

    def stop_waiting(self) -> None:
        """The lists take too long."""
        self._listing = 0

    def asked(self, request_id: str) -> bool:
        """An approval is asked for. Returns whether this is news."""
        if request_id in self._asked:
            return False
        self._asked.add(request_id)
        self._running.add(request_id)
        return True

    def answered(self, request_id: str, *, approved: bool) -> None:
        """It was answered; approved, the call is still to come."""
        if not approved:
            self._running.discard(request_id)
            self._owed = True

    def started(self, item_id: str) -> None:
        """``response.mcp_call.in_progress``."""
        self._running.difference_update(self._asked)
        self._running.add(item_id)

    def finished(self, item_id: str) -> None:
        """``response.mcp_call.completed`` or ``.failed``."""
        self._running.difference_update(self._asked)
        self._running.discard(item_id)
        self._owed = True

    def spoke(self) -> None:
        """A message or a function call came after the calls: the model knows what they said."""
        self._owed = bool(self._running)

    def take_owed(self) -> bool:
        """Whether a response has to be asked for now; asks once."""
        owed = self._owed and not self._running
        if owed:
            self._owed = False
        return owed
