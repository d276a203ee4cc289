"""Preferences: read from attributes and metadata, refused by name where they make no sense."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from .language import is_tag, primary
from .model import AUTO, OFF, ORIGINAL, Preferences
from .vocabulary import KEYS as VOCABULARY_KEYS
from .vocabulary import Vocabulary

PREFIX = "parley."
MAX_SHOWN = 40
"""Characters of a refused value that are repeated back."""
MAX_METADATA = 64 * 1024
"""Bytes of metadata that are parsed; a larger one is refused unread."""

_AGENT_NAME = re.compile(r"[a-z0-9_-]{1,40}")


def is_agent_name(text: str) -> bool:
    """Whether a voice agent can have this name: 1 to 40 of a-z, 0-9, `_` and `-`, and not `off`."""
    return _AGENT_NAME.fullmatch(text) is not None and text != OFF


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may be asked for in a room."""

    languages: tuple[str, ...]
    """Output languages, ISO 639-1."""
    agents: tuple[str, ...] = ()
    """Names of voice agents."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One value that was not taken: the old preference stays."""

    key: str
    given: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.key}: {self.given!r} is not allowed; allowed: {self.allowed}"


def shown(value: object) -> str:
    """A value as it is repeated back: its beginning."""
    try:
        text = value if isinstance(value, str) else json.dumps(value, default=str)
    except RecursionError:
        text = f"a nested {type(value).__name__}"
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _language(text: str, allowed: Allowed, *others: str) -> str | None:
    """`text` as one of `others` or of the allowed languages (a region is dropped), else None."""
    if text.lower() in others:
        return text.lower()
    return primary(text) if is_tag(text) and primary(text) in allowed.languages else None


def _taken(key: str, text: str, allowed: Allowed) -> str | bool | None:
    """The value that `text` stands for; None if there is no such key or value."""
    match key:
        case "speaks":
            return AUTO if text.lower() == AUTO else text if is_tag(text) else None
        case "hears":
            return _language(text, allowed, ORIGINAL)
        case "captions":
            return _language(text, allowed, ORIGINAL, OFF)
        case "agent":
            return text.lower() if text.lower() in (OFF, *allowed.agents) else None
        case "consent":
            return {"granted": True, "declined": False}.get(text)
    return None


def _choices(key: str, allowed: Allowed) -> str:
    """What `_taken` takes, in words."""
    match key:
        case "speaks":
            return "auto or a language tag such as en or pt-BR"
        case "hears":
            return ", ".join((ORIGINAL, *allowed.languages))
        case "captions":
            return ", ".join((OFF, ORIGINAL, *allowed.languages))
        case "agent":
            return ", ".join((OFF, *allowed.agents))
        case "consent":
            return "granted, declined"
    return ", ".join(KEYS)


def with_value(
    preferences: Preferences, key: str, value: object, allowed: Allowed
) -> Preferences | Rejection:
    """The preferences with one key (without `parley.`) set, or why not.

    An empty string leaves the preference as it is: LiveKit deletes an attribute by setting it to "".
    """
    if not isinstance(value, str):
        return Rejection(PREFIX + key, shown(value), "text")
    text = value.strip()
    if not text:
        return preferences
    taken = _taken(key, text, allowed)
    if taken is None:
        return Rejection(PREFIX + key, shown(value), _choices(key, allowed))
    changes: dict[str, Any] = {key: taken}
    return replace(preferences, **changes)


KEYS = ("speaks", "hears", "captions", "agent", "consent")


def from_attributes(
    base: Preferences,
    old: Preferences | None,
    attributes: Mapping[str, str],
    allowed: Allowed,
) -> tuple[Preferences, tuple[Rejection, ...]]:
    """A participant's preferences over the room's.

    A key that is absent takes the room's value; one that is refused keeps its old value.
    """
    result = base
    refused: list[Rejection] = []
    for key in KEYS:
        value = attributes.get(PREFIX + key)
        if value is None:
            continue
        changed = with_value(result, key, value, allowed)
        if isinstance(changed, Rejection):
            refused.append(changed)
            if old is not None:
                result = replace(result, **{key: getattr(old, key)})
        else:
            result = changed
    return result, tuple(refused)


def from_metadata(
    base: Preferences, metadata: str, allowed: Allowed, where: str
) -> tuple[Preferences, tuple[Rejection, ...]]:
    """Defaults from room or dispatch metadata; `where` names the source in a rejection."""
    values = read_metadata(metadata, where)
    if isinstance(values, Rejection):
        return base, (values,)
    result = base
    refused: list[Rejection] = []
    for key, value in values.items():
        if key in VOCABULARY_KEYS:
            continue
        changed = with_value(result, key, value, allowed)
        if isinstance(changed, Rejection):
            refused.append(replace(changed, key=f"{where} {changed.key}"))
        else:
            result = changed
    return result, tuple(refused)


def vocabulary_from_metadata(
    base: Vocabulary, metadata: str, where: str
) -> tuple[Vocabulary, tuple[Rejection, ...]]:
    """The room's vocabulary from its metadata; what cannot be read leaves the one there was."""
    values = read_metadata(metadata, where)
    if isinstance(values, Rejection):
        return base, ()  # said by `from_metadata`
    result = base
    refused: list[Rejection] = []
    for key in sorted(VOCABULARY_KEYS & values.keys()):
        changed = result.changed(key, values[key])
        if isinstance(changed, str):
            refused.append(Rejection(f"{where} {PREFIX}{key}", shown(values[key]), changed))
        else:
            result = changed
    return result, tuple(refused)


def read_metadata(metadata: str, where: str) -> dict[str, Any] | Rejection:
    """The JSON object under the key `parley`, at most 32 members of it.

    Metadata that is empty, or JSON without that key, belongs to the application and is not Parley's business.
    """
    if not metadata.strip():
        return {}
    form = 'a JSON object such as {"parley": {"hears": "fr"}}'
    if len(metadata.encode()) > MAX_METADATA:
        return Rejection(where, shown(metadata), f"at most {MAX_METADATA} bytes")
    try:
        parsed = json.loads(metadata)
    except ValueError:
        # Only metadata that speaks of Parley can be a mistake in Parley's part of it.
        return Rejection(where, shown(metadata), form) if "parley" in metadata else {}
    except RecursionError:
        return Rejection(where, shown(metadata), form)
    values = parsed.get("parley") if isinstance(parsed, dict) else None
    if values is None:
        return {}
    if not isinstance(values, dict):
        return Rejection(f"{where} parley", shown(values), form)
    return {str(key)[:MAX_SHOWN]: value for key, value in list(values.items())[:32]}
