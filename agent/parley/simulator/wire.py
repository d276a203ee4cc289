"""The API's texts on the wire: reading what a client sends, refusing it in the API's words, writing events.

Client events are checked against the JSON schemas in `schemas/` (`validation`).
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["ApiError", "Event", "Schemas", "error_body", "named", "parse", "schemas", "supported"]

Event = dict[str, Any]
Schemas = Mapping[str, Mapping[str, Any]]

_DEFS = "#/$defs/"


class ApiError(Exception):
    """A refusal, as the API words it: `code`, `message`, `param` and `type` go on the wire as they are."""

    def __init__(
        self, code: str, message: str, param: str | None = None, type: str = "invalid_request_error"
    ) -> None:
        super().__init__(message)
        self.code, self.message, self.param, self.type = code, message, param, type


def error_body(error: ApiError, event_id: str | None = None) -> Event:
    """The `error` object of an `error` event; `event_id` is that of the client event that was refused."""
    return {
        "type": error.type,
        "code": error.code,
        "message": error.message,
        "param": error.param,
        "event_id": event_id,
    }


def parse(text: str) -> Event:
    """The JSON object in a text frame. Raises ApiError `invalid_event`."""
    try:
        event = json.loads(text)
    except (ValueError, RecursionError):
        raise ApiError("invalid_event", "The event could not be parsed as JSON.") from None
    if not isinstance(event, dict):
        raise ApiError("invalid_event", f"Expected a JSON object, but got {named(event)} instead.")
    return event


@cache
def schemas(kind: str) -> Mapping[str, Schemas]:
    """The schemas of one kind of session: `client` and `server`, by the event's type; references are
    resolved."""
    loaded: dict[str, dict[str, Any]] = json.loads(
        (files(__package__) / "schemas" / f"{kind}.json").read_text()
    )
    defs = loaded.pop("$defs", {})
    resolved: dict[str, Any] = {}
    return {side: _resolve(events, defs, resolved) for side, events in loaded.items()}


def supported(values: list[str]) -> str:
    """`'a', 'b', and 'c'`, as the API lists what it takes."""
    quoted = [f"'{value}'" for value in values]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def named(value: Any) -> str:
    """`a string`, `an object`, …: what a JSON value is, as the API says it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, dict | list | int):
        return {dict: "an object", list: "an array", int: "an integer"}[type(value)]
    return "a string" if isinstance(value, str) else "a decimal"


def _resolve(schema: Any, defs: Mapping[str, Any], resolved: dict[str, Any]) -> Any:
    """The schema with what it refers to in place of the references; none refers to itself."""
    if isinstance(schema, list):
        return [_resolve(item, defs, resolved) for item in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if not isinstance(reference, str):
        return {name: _resolve(inner, defs, resolved) for name, inner in schema.items()}
    name = reference.removeprefix(_DEFS)
    if name not in resolved:
        resolved[name] = _resolve(defs[name], defs, resolved)
    return resolved[name]
