"""The API's texts on the wire: reading what a client sends, refusing it in the API's words, writing events.

Client events are checked against the JSON schemas in `schemas/`, in the subset of JSON schema that these use
(`type`, `properties`, `required`, `enum`, `anyOf` with null, `maxLength`). A property that a schema does not
name is refused.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, NoReturn

__all__ = ["ApiError", "Event", "Schemas", "error_body", "parse", "schemas", "supported", "validate"]

Event = dict[str, Any]
Schemas = Mapping[str, Mapping[str, Any]]

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "null": (type(None),),
}
_ARTICLES = {"object": "an object", "integer": "an integer", "null": "null", "array": "an array"}


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
        raise ApiError("invalid_event", f"Expected a JSON object, but got {_named(event)} instead.")
    return event


@cache
def schemas(kind: str) -> Mapping[str, Schemas]:
    """The schemas of one kind of session: `client` and `server`, by the event's type."""
    loaded: Mapping[str, Schemas] = json.loads((files(__package__) / "schemas" / f"{kind}.json").read_text())
    return loaded


def supported(values: list[str]) -> str:
    """`'a', 'b', and 'c'`, as the API lists what it takes."""
    quoted = [f"'{value}'" for value in values]
    return quoted[0] if len(quoted) == 1 else f"{', '.join(quoted[:-1])}, and {quoted[-1]}"


def validate(event: Event, client: Schemas) -> str:
    """Check a client event against the schema of its type; returns the type. Raises ApiError."""
    kind = event.get("type")
    if kind is None:
        raise ApiError("missing_required_parameter", "Missing required parameter: 'type'.", "type")
    if not isinstance(kind, str) or kind not in client:
        _refuse_value(kind, "type", list(client))
    _check(event, client[kind], "")
    return kind


def _check(value: Any, schema: Mapping[str, Any], path: str) -> None:
    if "anyOf" in schema:
        if value is None:
            return
        schema = schema["anyOf"][0]
    expected = schema["type"]
    fits = isinstance(value, _KINDS[expected]) and not isinstance(value, bool)
    if not fits:
        named = _ARTICLES.get(expected, f"a {expected}")
        message = f"Invalid type for '{path}': expected {named}, but got {_named(value)} instead."
        raise ApiError("invalid_type", message, path)
    if expected == "object":
        _check_object(value, schema, path)
    if "enum" in schema and value not in schema["enum"]:
        _refuse_value(value, path, schema["enum"])
    most = schema.get("maxLength")
    if most is not None and len(value) > most:
        message = (
            f"Invalid '{path}': string too long. Expected a string with maximum length {most}, "
            f"but got a string with length {len(value)} instead."
        )
        raise ApiError("string_above_max_length", message, path)


def _check_object(value: Event, schema: Mapping[str, Any], path: str) -> None:
    properties = schema["properties"]
    for name in schema.get("required", ()):
        if name not in value:
            where = _join(path, name)
            raise ApiError("missing_required_parameter", f"Missing required parameter: '{where}'.", where)
    for name, inner in value.items():
        where = _join(path, name)
        if name not in properties:
            raise ApiError("unknown_parameter", f"Unknown parameter: '{where}'.", where)
        _check(inner, properties[name], where)


def _refuse_value(value: Any, param: str, allowed: list[str]) -> NoReturn:
    shown = value if isinstance(value, str) else json.dumps(value)
    message = f"Invalid value: '{shown[:100]}'. Supported values are: {supported(allowed)}."
    raise ApiError("invalid_value", message, param)


def _join(path: str, name: str) -> str:
    return f"{path}.{name[:100]}" if path else name[:100]


def _named(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "a boolean"
    if isinstance(value, dict | list | int):
        return {dict: "an object", list: "an array", int: "an integer"}[type(value)]
    return "a string" if isinstance(value, str) else "a decimal"
