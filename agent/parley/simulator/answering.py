"""Who may respond and when: `response.create` and `response.cancel`, and the responses that run."""

import json
from math import inf
from typing import NoReturn

from .configuration import reply_settings, tool_names
from .items import Item
from .records import ResponseRecord
from .replies import Plan, plan_reply
from .responses import Response
from .state import State
from .turns import Context
from .usage import Cache
from .wire import ApiError, Event

__all__ = ["Answering"]

_EFFORTS = ("minimal", "low", "medium", "high", "xhigh")
_MOST_RUNNING = 32
_MOST_METADATA = 16
_RATE_RESET_S = 60.0


class Answering:
    """The responses of one session: one that writes the conversation, and any number out of band."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._running: list[Response] = []
        self._cache = Cache()
        self.extra_latency_s = 0.0
        self.idle_since: float | None = None
        """When the last response of the conversation ended, and its audio was played."""

    @property
    def active(self) -> Response | None:
        """The response that writes the conversation."""
        return next((one for one in self._running if one.record.conversation == "auto"), None)

    @property
    def next_due(self) -> float:
        """When to call `tick`; infinity if nothing runs."""
        return min((one.next_due for one in self._running), default=inf)

    def tick(self, now: float) -> None:
        """Let the responses put out what is due."""
        for one in list(self._running):
            one.tick(now)
        self._reap(now)

    def create(self, given: Event, now: float, items: list[Item] | None = None) -> None:
        """`response.create`: `given` is its `response`, `items` the items of its `input`. Raises ApiError."""
        state, active = self._state, self.active
        conversation = given.get("conversation", "auto")
        if conversation not in ("auto", "none", state.conversation_id):
            message = f"Invalid value: '{conversation[:100]}'. Supported values are: 'auto', and 'none'."
            raise ApiError("invalid_value", message, "response.conversation")
        settings = reply_settings(state.configuration.settings, given)
        state.configuration.check(given, settings, "response")
        metadata = _metadata(given.get("metadata"))
        if conversation != "none" and active is not None:
            _refuse_second(active)
        if len(self._running) >= _MOST_RUNNING:
            raise ApiError("rate_limit_exceeded", "Too many responses run at once.", type="rate_limit_error")
        context_items = list(state.items) if items is None else items
        record = self._record(settings, context_items, "none" if conversation == "none" else "auto", now)
        record.metadata = metadata
        plan = self._plan(settings, context_items, given.get("instructions"))
        head = settings["instructions"] + (json.dumps(settings["tools"]) if settings["tools"] else "")
        billed = self._cache.bill(head, context_items)
        state.record.add_response(record)
        self._running.append(Response(state, settings, plan, record, billed, now))
        self._rate_limits(billed[0].total)

    def cancel(self, response_id: str | None, now: float, reason: str = "client_cancelled") -> None:
        """`response.cancel`. Raises ApiError if there is nothing to cancel."""
        found = self.active
        if response_id is not None:
            found = next((one for one in self._running if one.record.id == response_id), None)
        if found is None:
            message = "Cancellation failed: no active response found"
            raise ApiError("response_cancel_not_active", message)
        found.cancel(now, reason)
        self._reap(now)

    def _reap(self, now: float) -> None:
        for one in self._running:
            if one.ended and one.record.conversation == "auto":
                started = one.record.first_audio_at
                played = now if started is None else max(now, started + one.playback_s)
                self.idle_since = played
        self._running = [one for one in self._running if not one.ended]

    def _record(self, settings: Event, items: list[Item], conversation: str, now: float) -> ResponseRecord:
        texts = [item.record.text for item in items]
        response_id = self._state.new_id("resp")
        return ResponseRecord(response_id, conversation, now, texts, settings["instructions"])

    def _plan(self, settings: Event, items: list[Item], own_instructions: str | None) -> Plan:
        state, options = self._state, self._state.options
        context = Context(
            state.record.id,
            state.record.model,
            settings["instructions"],
            tuple(item.line() for item in items),
            tool_names(settings["tools"]),
        )
        plan = plan_reply(context, items, settings, own_instructions, state.script, options.pronounce)
        effort = settings.get("reasoning", {}).get("effort", "minimal")
        latency_s = options.response_latency_s + options.effort_step_s * _EFFORTS.index(effort)
        return plan.later(latency_s + self.extra_latency_s)

    def _rate_limits(self, used: int) -> None:
        limit = self._state.options.tokens_per_minute
        remaining = max(0, limit - used)
        reset_s = round(_RATE_RESET_S * (limit - remaining) / limit, 3)
        tokens = {"name": "tokens", "limit": limit, "remaining": remaining, "reset_seconds": reset_s}
        self._state.emit("rate_limits.updated", rate_limits=[tokens])


def _refuse_second(active: Response) -> NoReturn:
    message = (
        f"Conversation already has an active response in progress: {active.record.id}. "
        "Wait until the response is finished before creating a new one."
    )
    raise ApiError("conversation_already_has_active_response", message)


def _metadata(given: dict[str, str] | None) -> dict[str, str] | None:
    """The metadata, checked. Raises ApiError."""
    if given is None:
        return None
    if len(given) > _MOST_METADATA:
        message = f"Invalid 'response.metadata': too many properties. Expected at most {_MOST_METADATA}."
        raise ApiError("object_above_max_properties", message, "response.metadata")
    if any(len(name) > 64 or len(value) > 512 for name, value in given.items()):
        message = "Invalid 'response.metadata': keys have at most 64 characters, values at most 512."
        raise ApiError("string_above_max_length", message, "response.metadata")
    return given
