"""The listing of the tools of MCP servers that a session names. Nothing is called: tools are made up."""

from math import inf

from .items import Item
from .state import State
from .wire import Event

__all__ = ["McpListing"]

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


def _names(tool: Event) -> list[str]:
    """The tools that the session allows, or a made-up one."""
    allowed = tool.get("allowed_tools") or []
    names: list[str] = allowed.get("tool_names", []) if isinstance(allowed, dict) else allowed
    return names or ["simulated_tool"]
