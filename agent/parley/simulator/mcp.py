"""MCP servers that a session names: their tools are listed, and made up; calls give what the script says."""

from math import inf

from .items import Item
from .state import State
from .turns import Approval
from .wire import Event

__all__ = ["McpApproved", "McpListing"]

_DELAY_S = 0.1
_SCHEMA: Event = {"type": "object", "properties": {}}


class McpListing:
    """Lists the tools of each server once."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._known: set[str] = set()
        self._waiting: list[tuple[float, Event, Item]] = []

    def configure(self, now: float) -> None:
        """The session's tools were set: `mcp_list_tools.in_progress` for each server that is new."""
        for tool in self._state.configuration.settings["tools"]:
            if tool["type"] != "mcp" or tool["server_label"] in self._known:
                continue
            label = tool["server_label"]
            self._known.add(label)
            body = {"type": "mcp_list_tools", "server_label": label, "tools": []}
            item = self._state.new_item("mcpl", body, now)
            item.record.name = label
            previous = self._state.add_item(item)
            self._state.emit("conversation.item.added", previous_item_id=previous, item=item.wire())
            self._state.emit("mcp_list_tools.in_progress", item_id=item.id)
            self._waiting.append((now + _DELAY_S, tool, item))

    def next_due(self) -> float:
        """When to call `tick`; infinity if nothing is listed."""
        return min((due for due, _, _ in self._waiting), default=inf)

    def tick(self, now: float) -> None:
        """`mcp_list_tools.completed` or `.failed`, when it is time."""
        state = self._state
        ready = [waiting for waiting in self._waiting if waiting[0] <= now]
        self._waiting = [waiting for waiting in self._waiting if waiting[0] > now]
        for _, tool, item in ready:
            if tool["server_label"] in state.options.mcp_failing:
                state.emit("mcp_list_tools.failed", item_id=item.id)
                continue
            item.body["tools"] = [{"name": name, "input_schema": _SCHEMA} for name in _names(tool)]
            state.emit("mcp_list_tools.completed", item_id=item.id)
            if state.items.find(item.id) is not None:
                previous = state.items.before(item.id)
                state.emit("conversation.item.done", previous_item_id=previous, item=item.wire())


class McpApproved:
    """Makes the calls that a client has approved, each a moment later."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._waiting: list[tuple[float, Approval]] = []

    def approved(self, request_id: str, now: float) -> None:
        """The client said yes to a request."""
        asked = self._state.items.find(request_id)
        if asked is not None and asked.approval is not None and asked.approval.output is not None:
            self._waiting.append((now + _DELAY_S, asked.approval))

    def next_due(self) -> float:
        """When to call `tick`; infinity if nothing is to be called."""
        return min((due for due, _ in self._waiting), default=inf)

    def tick(self, now: float) -> None:
        """The call, from its beginning to its end, when it is time."""
        ready = [call for due, call in self._waiting if due <= now]
        self._waiting = [waiting for waiting in self._waiting if waiting[0] > now]
        for call in ready:
            self._call(call, now)

    def _call(self, call: Approval, now: float) -> None:
        state = self._state
        named = {"server_label": call.server_label, "name": call.name, "arguments": call.arguments}
        item = state.new_item("mcp", {"type": "mcp_call", **named}, now)
        item.record.text = f"{call.name}({call.arguments}): {call.output}"
        previous = state.add_item(item)
        state.emit("conversation.item.added", previous_item_id=previous, item=item.wire())
        where = {"output_index": 0, "item_id": item.id}
        state.emit("response.mcp_call.in_progress", **where)
        item.body["output"] = call.output
        state.emit("response.mcp_call.completed", **where)
        state.emit("conversation.item.done", previous_item_id=previous, item=item.wire())


def _names(tool: Event) -> list[str]:
    """The tools that the session allows, or a made-up one."""
    allowed = tool.get("allowed_tools") or []
    names: list[str] = allowed.get("tool_names", []) if isinstance(allowed, dict) else allowed
    return names or ["simulated_tool"]
