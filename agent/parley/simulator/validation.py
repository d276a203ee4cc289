"""Client events against the JSON schemas, refused in the API's words.

The subset of JSON schema is that which the schemas use: `type`, `properties`, `required`, `enum`, `const`,
`anyOf` and `oneOf`, `items`, `minItems`, `minimum`, `maximum`, `pattern`, `maxLength`, `nullable` and
`additionalProperties`. A property that a schema does not name is refused; an object for which no properties
are named is free. Of alternatives that are objects, the one counts whose `type` (and `role`) is that of the
value.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from .wire import ApiError, Event, Schemas, named, supported

__all__ = ["validate"]

Schema = Mapping[str, Any]

_KINDS: dict[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_ARTICLES = {"object": "an object", "integer": "an integer", "null": "null", "array": "an array"}
_TELLING = ("type", "role")


def validate(event: Event, client: Schemas) -> str:
    """Check a client event against the schema of its type; returns the type. Raises ApiError."""
    kind = event.get("type")
    if kind is None:
        raise ApiError("missing_required_parameter", "Missing required parameter: 'type'.", "type")
    if not isinstance(kind, str) or kind not in client:
        _refuse_value(kind, "type", list(client))
    _check(event, client[kind], "")
    return kind


def _check(value: Any, schema: Schema, path: str) -> None:
    if value is None and schema.get("nullable"):
        return
    alternatives = _alternatives(schema)
    if len(alternatives) > 1:
        schema = _choose(value, alternatives, path)
    elif alternatives:
        schema = alternatives[0]
    expected = schema.get("type", "object")
    if not _fits(value, expected):
        _refuse_type(value, [expected], path)
    if expected == "object":
        _check_object(value, schema, path)
    elif expected == "array":
        _check_array(value, schema, path)
    elif expected == "string":
        _check_string(value, schema, path)
    elif expected in ("integer", "number"):
        _check_number(value, schema, path)


def _alternatives(schema: Schema) -> list[Schema]:
    """The alternatives of a union, those of the unions in it among them."""
    found: list[Schema] = []
    for name in ("anyOf", "oneOf"):
        for inner in schema.get(name, ()):
            found += _alternatives(inner) or [inner]
    return found


def _choose(value: Any, alternatives: Sequence[Schema], path: str) -> Schema:
    """The alternative that the value is to be checked against."""
    fitting = [one for one in alternatives if _fits(value, one.get("type", "object"))]
    if not fitting:
        kinds = list(dict.fromkeys(str(one.get("type", "object")) for one in alternatives))
        _refuse_type(value, kinds, path)
    if isinstance(value, dict):
        for name in _TELLING:
            fitting = _told(value, fitting, name, path)
    if isinstance(value, list) or len(fitting) == 1:
        return fitting[0]
    free = [one for one in fitting if "enum" not in one and "const" not in one]
    return free[0] if free else {"type": "string", "enum": [v for one in fitting for v in one["enum"]]}


def _told(value: Event, fitting: Sequence[Schema], name: str, path: str) -> list[Schema]:
    """Those alternatives whose property `name` can be what it is in the value."""
    takes = [(one, _values(one.get("properties", {}).get(name, {}))) for one in fitting]
    if len(fitting) < 2 or not any(values for _, values in takes):
        return list(fitting)
    where = _join(path, name)
    if name not in value:
        raise ApiError("missing_required_parameter", f"Missing required parameter: '{where}'.", where)
    told = [one for one, values in takes if not values or value[name] in values]
    if not told:
        _refuse_value(value[name], where, list(dict.fromkeys(v for _, values in takes for v in values)))
    return told


def _values(schema: Schema) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def _fits(value: Any, expected: str) -> bool:
    return isinstance(value, _KINDS[expected]) and (expected == "boolean" or not isinstance(value, bool))


def _check_object(value: Event, schema: Schema, path: str) -> None:
    properties = schema.get("properties")
    if properties is None:
        inner = schema.get("additionalProperties")
        if isinstance(inner, Mapping):
            for name, one in value.items():
                _check(one, inner, _join(path, name))
        return
    for name in schema.get("required", ()):
        if name not in value:
            where = _join(path, name)
            raise ApiError("missing_required_parameter", f"Missing required parameter: '{where}'.", where)
    for name, inner in value.items():
        where = _join(path, name)
        if name not in properties:
            raise ApiError("unknown_parameter", f"Unknown parameter: '{where}'.", where)
        _check(inner, properties[name], where)


def _check_array(value: list[Any], schema: Schema, path: str) -> None:
    least = schema.get("minItems", 0)
    if len(value) < least:
        message = f"Invalid '{path}': empty array. Expected an array with minimum length {least}."
        raise ApiError("empty_array", message, path)
    for place, inner in enumerate(value):
        _check(inner, schema["items"], f"{path}[{place}]")


def _check_string(value: str, schema: Schema, path: str) -> None:
    allowed = _values(schema)
    if allowed and value not in allowed:
        _refuse_value(value, path, allowed)
    most = schema.get("maxLength")
    if most is not None and len(value) > most:
        message = (
            f"Invalid '{path}': string too long. Expected a string with maximum length {most}, "
            f"but got a string with length {len(value)} instead."
        )
        raise ApiError("string_above_max_length", message, path)
    if "pattern" in schema and not re.search(schema["pattern"], value):
        message = f"Invalid '{path}': string does not match pattern. Expected {schema['pattern']}."
        raise ApiError("invalid_value", message, path)


def _check_number(value: float, schema: Schema, path: str) -> None:
    allowed = _values(schema)
    least, most = schema.get("minimum"), schema.get("maximum")
    if len(allowed) == 1:
        least = most = allowed[0]
    word = "integer" if schema["type"] == "integer" else "decimal"
    for bound, wrong, side, sign in (
        (least, least is not None and value < least, "below_min", ">="),
        (most, most is not None and value > most, "above_max", "<="),
    ):
        if wrong:
            said = {"below_min": "below minimum", "above_max": "above maximum"}[side]
            message = (
                f"Invalid '{path}': {word} {said} value. Expected a value {sign} {bound}, but got {value} "
                "instead."
            )
            raise ApiError(f"{word}_{side}_value", message, path)


def _refuse_type(value: Any, kinds: Sequence[str], path: str) -> NoReturn:
    articles = [_ARTICLES.get(kind, f"a {kind}") for kind in kinds if kind != "null" or len(kinds) == 1]
    wanted = articles[0] if len(articles) == 1 else f"one of {', '.join(articles[:-1])} or {articles[-1]}"
    message = f"Invalid type for '{path}': expected {wanted}, but got {named(value)} instead."
    raise ApiError("invalid_type", message, path)


def _refuse_value(value: Any, param: str, allowed: list[str]) -> NoReturn:
    shown = value if isinstance(value, str) else json.dumps(value)
    message = f"Invalid value: '{shown[:100]}'. Supported values are: {supported(allowed)}."
    raise ApiError("invalid_value", message, param)


def _join(path: str, name: str) -> str:
    return f"{path}.{name[:100]}" if path else name[:100]
