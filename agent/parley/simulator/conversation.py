"""A conversation session (`/v1/realtime?model=…`), without I/O.

    created ──session.update──▶ updated        ── expires_at ──▶ error session_expired, close 1001
       ├─ input_audio_buffer.*    `listening`: turns, commits, transcriptions
       ├─ conversation.item.*     `items`, `client_items`
       └─ response.*              `answering`: who may respond; `replies`: what is said; `responses`: how

It understands bursts of sound, or what `SimulatorOptions.recognise` recognises, and says what the script
says, or what it heard.
"""

from collections.abc import Callable
from math import inf

from .answering import Answering
from .client_items import item_of
from .configuration import Configuration
from .items import Item
from .listening import Listening
from .mcp import McpApproved, McpListing
from .options import SimulatorOptions
from .records import SessionRecord
from .script import Script
from .session import Ending
from .state import State
from .validation import validate
from .wire import ApiError, Event, error_body, schemas

__all__ = ["ConversationSession", "is_conversation_model"]

_EXPIRED = "Your session hit the maximum duration of 60 minutes."
_OTHER_KINDS = ("gpt-realtime-translate", "gpt-realtime-whisper")
_TOLERATED_NULLS = (
    ("session", "instructions"),
    ("session", "audio", "input", "noise_reduction"),
    ("session", "audio", "input", "transcription"),
    ("response", "instructions"),
)


def is_conversation_model(model: str) -> bool:
    """Whether `/v1/realtime?model=…` takes it."""
    return model.startswith("gpt-realtime") and not model.startswith(_OTHER_KINDS)


class ConversationSession:
    """One session: `receive` and `tick` return the server events to send, in order."""

    def __init__(
        self,
        record: SessionRecord,
        options: SimulatorOptions,
        now: float,
        unix_now: float,
        script: Script | None = None,
    ) -> None:
        self.record = record
        self.ending: Ending | None = None
        expires_at = int(unix_now + options.session_lifetime_s)
        configuration = Configuration(record.id, record.model, expires_at)
        shared = Script.of(options.script) if script is None else script
        self._state = State(record, options, configuration, shared)
        self._answering = Answering(self._state)
        self._listening = Listening(self._state, self._answering)
        self._mcp = McpListing(self._state)
        self._mcp_calls = McpApproved(self._state)
        self._schemas = schemas("conversation")["client"]
        self._deadline = now + options.session_lifetime_s
        self._slow_s, self._slow_until, self._silent_until = 0.0, -inf, -inf
        self._handlers: dict[str, Callable[[Event, float], None]] = {
            "session.update": self._update,
            "input_audio_buffer.append": lambda event, now: self._listening.append(event["audio"], now),
            "input_audio_buffer.commit": lambda _, now: self._listening.commit(now),
            "input_audio_buffer.clear": lambda _, now: self._listening.clear(),
            "output_audio_buffer.clear": self._clear_output,
            "conversation.item.create": self._create_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.truncate": self._truncate_item,
            "response.create": self._respond,
            "response.cancel": lambda event, now: self._answering.cancel(event.get("response_id"), now),
        }
        record.settings = configuration.wire()

    def open(self) -> list[Event]:
        """`session.created`."""
        self._state.emit("session.created", session=self._state.configuration.wire())
        return self._sent()

    def receive(self, event: Event, now: float) -> list[Event]:
        """Take a client event; a refusal comes back as an `error` event."""
        self._answering.extra_latency_s = self._slow_s if now < self._slow_until else 0.0
        try:
            kind = validate(self._prepared(event), self._schemas)
            self._handlers[kind](event, now)
        except ApiError as error:
            return self._sent() + self.refuse(error, event)
        return self._sent()

    def refuse(self, error: ApiError, event: Event | None = None) -> list[Event]:
        """An `error` event that echoes the client event's id."""
        self._state.emit("error", error=self.record.refuse(error, event))
        return self._sent()

    def tick(self, now: float) -> list[Event]:
        """What became due: deltas, transcriptions, the end of a silence; the error at expiry."""
        if self.ending:
            return []
        self._answering.extra_latency_s = self._slow_s if now < self._slow_until else 0.0
        self._mcp.tick(now)
        self._mcp_calls.tick(now)
        self._listening.tick(now)
        before = self._sent()
        self._answering.tick(now)
        said = self._sent()
        events = before + (said if now >= self._silent_until else [])
        return events + (self.expire(now) if now >= self._deadline else [])

    def next_due(self) -> float | None:
        """When to call `tick`; None once the session is over."""
        if self.ending:
            return None
        remote = min(self._mcp.next_due(), self._mcp_calls.next_due())
        return min(self._deadline, self._answering.next_due, self._listening.next_due(), remote)

    def expire(self, now: float) -> list[Event]:
        """The API's error at the end of a session's time, and close code 1001."""
        self.ending = Ending(1001, _EXPIRED, "expired")
        self._state.emit("error", error=error_body(ApiError("session_expired", _EXPIRED)))
        return self._sent()

    def slow(self, extra_s: float, until: float) -> None:
        """Responses that are created until then come `extra_s` later."""
        self._slow_s, self._slow_until = extra_s, until

    def silence(self, until: float) -> None:
        """What responses put out until then is never sent."""
        self._silent_until = until

    def _sent(self) -> list[Event]:
        events, self._state.events = self._state.events, []
        return events

    def _prepared(self, event: Event) -> Event:
        """The event as it is checked: other kinds of sessions are named, and tolerated nulls let by."""
        session = event.get("session")
        other_kind = isinstance(session, dict) and session.get("type") == "transcription"
        if event.get("type") == "session.update" and other_kind:
            message = "Passing a transcription session update event to a realtime session is not allowed."
            raise ApiError("invalid_session_type", message, "session.type")
        return event if self._state.options.nulls == "schema" else _without_nulls(event)

    def _update(self, event: Event, now: float) -> None:
        configuration = self._state.configuration
        before = configuration.turn_detection
        configuration.update(event["session"])
        self.record.updated_at, self.record.settings = now, configuration.wire()
        if configuration.turn_detection != before:
            self._listening.configure()
        self._state.emit("session.updated", session=configuration.wire())
        self._mcp.configure(now)

    def _clear_output(self, _: Event, now: float) -> None:
        message = "output_audio_buffer.clear is only supported with WebRTC and SIP connections."
        raise ApiError("invalid_event", message, "type")

    def _create_item(self, event: Event, now: float) -> None:
        item = item_of(self._state, event["item"], now)
        previous = self._state.add_item(item, event.get("previous_item_id"))
        self.record.images += item.images
        if item.images:
            parts = item.body["content"]
            self.record.pictures += [part["image_url"] for part in parts if part["type"] == "input_image"]
        self._state.announce(item, previous)
        if item.type == "mcp_approval_response" and item.body["approve"]:
            self._mcp_calls.approved(item.body["approval_request_id"], now)

    def _delete_item(self, event: Event, now: float) -> None:
        self._state.items.delete(event["item_id"], now)
        self._state.emit("conversation.item.deleted", item_id=event["item_id"])

    def _retrieve_item(self, event: Event, now: float) -> None:
        item = self._state.items.get(event["item_id"], "retrieve")
        self._state.emit("conversation.item.retrieved", item=item.whole())

    def _truncate_item(self, event: Event, now: float) -> None:
        item_id, content_index, end_ms = event["item_id"], event["content_index"], event["audio_end_ms"]
        self._state.items.truncate(item_id, content_index, end_ms)
        self._state.emit(
            "conversation.item.truncated", item_id=item_id, content_index=content_index, audio_end_ms=end_ms
        )

    def _respond(self, event: Event, now: float) -> None:
        given = event.get("response", {})
        self._answering.create(given, now, self._input(given, now))

    def _input(self, given: Event, now: float) -> list[Item] | None:
        """The items of a response's own input. Raises ApiError."""
        if "input" not in given:
            return None
        items: list[Item] = []
        for place, body in enumerate(given["input"]):
            where = f"response.input[{place}]"
            if body["type"] != "item_reference":
                calls = [item.record.call_id or "" for item in items if item.type == "function_call"]
                items.append(item_of(self._state, body, now, where, calls))
                continue
            found = self._state.items.find(body["id"])
            if found is None:
                message = f"Item with id '{body['id'][:100]}' not found in conversation."
                raise ApiError("invalid_value", message, f"{where}.id")
            items.append(found)
        return items


def _without_nulls(event: Event) -> Event:
    """The event without the nulls that are tolerated."""
    for *path, last in _TOLERATED_NULLS:
        inner: object = event
        for name in path:
            inner = inner.get(name) if isinstance(inner, dict) else None
        if isinstance(inner, dict) and last in inner and inner[last] is None:
            event = _without(event, [*path, last])
    return event


def _without(event: Event, path: list[str]) -> Event:
    """A copy of the event without what is at a path."""
    name, *rest = path
    if not rest:
        return {key: value for key, value in event.items() if key != name}
    return {**event, name: _without(event[name], rest)}
