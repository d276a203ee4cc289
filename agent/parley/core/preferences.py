"""Preferences: read from attributes and metadata, refused by name where they make no sense."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from .language import is_tag, primary
from .model import AUTO, OFF, ORIGINAL, Preferences

PREFIX = "parley."
MAX_SHOWN = 40
"""Characters of a refused value that are repeated back."""
MAX_METADATA = 64 * 1024
"""Bytes of metadata that are parsed; a larger one is refused unread."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """One value that was not taken: the old preference stays."""

    key: str
    given: str
    allowed: str

    def __str__(self) -> str:
        return f"{self.key}: {self.given!r} is not allowed; allowed: {self.allowed}"


def _shown(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= MAX_SHOWN else text[: MAX_SHOWN - 1] + "…"


def _language(text: str, languages: Sequence[str], *others: str) -> str | None:
    """`text` as one of `others` or of the languages (a region is dropped), else None."""
    value = text.strip()
    if value.lower() in others:
        return value.lower()
    return primary(value) if is_tag(value) and primary(value) in languages else None


def with_value(
    preferences: Preferences, key: str, value: object, languages: Sequence[str]
) -> Preferences | Rejection:
    """The preferences with one key (without `parley.`) set, or why not.

    `languages` are the output languages that are allowed here. An empty string leaves the
    preference as it is: LiveKit deletes an attribute by setting it to "".
    """
    full = PREFIX + key
    if not isinstance(value, str):
        return Rejection(full, _shown(value), "text")
    listed = ", ".join(languages)
    if not value.strip():
        return preferences
    if key == "speaks":
        text = value.strip()
        if text.lower() == AUTO:
            return replace(preferences, speaks=AUTO)
        if is_tag(text):
            return replace(preferences, speaks=text)
        return Rejection(full, _shown(value), "auto or a language tag such as en or pt-BR")
    if key == "hears":
        language = _language(value, languages, ORIGINAL)
        if language is not None:
            return replace(preferences, hears=language)
        return Rejection(full, _shown(value), f"original, {listed}")
    if key == "captions":
        language = _language(value, languages, ORIGINAL, OFF)
        if language is not None:
            return replace(preferences, captions=language)
        return Rejection(full, _shown(value), f"off, original, {listed}")
    if key == "consent":
        if value.strip() in ("granted", "declined"):
            return replace(preferences, consent=value.strip() == "granted")
        return Rejection(full, _shown(value), "granted, declined")
    return Rejection(full, _shown(value), "speaks, hears, captions, consent")


KEYS = ("speaks", "hears", "captions", "consent")


def from_attributes(
    base: Preferences,
    old: Preferences | None,
    attributes: Mapping[str, str],
    languages: Sequence[str],
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
        changed = with_value(result, key, value, languages)
        if isinstance(changed, Rejection):
            refused.append(changed)
            if old is not None:
                result = replace(result, **{key: getattr(old, key)})
        else:
            result = changed
    return result, tuple(refused)


def from_metadata(
    base: Preferences, metadata: str, languages: Sequence[str], where: str
) -> tuple[Preferences, tuple[Rejection, ...]]:
    """Defaults from room or dispatch metadata: a JSON object under the key `parley`.

    Metadata that is empty, or JSON without that key, belongs to the application and is not
    Parley's business. `where` names the source in a rejection.
    """
    if not metadata.strip():
        return base, ()
    form = 'a JSON object such as {"parley": {"hears": "fr"}}'
    if len(metadata.encode()) > MAX_METADATA:
        return base, (Rejection(where, _shown(metadata), f"at most {MAX_METADATA} bytes"),)
    try:
        parsed = json.loads(metadata)
    except ValueError:
        # Only metadata that speaks of Parley can be a mistake in Parley's part of it.
        return base, (Rejection(where, _shown(metadata), form),) if "parley" in metadata else ()
    except RecursionError:
        return base, (Rejection(where, _shown(metadata), form),)
    values = parsed.get("parley") if isinstance(parsed, dict) else None
    if values is None:
        return base, ()
    if not isinstance(values, dict):
        return base, (Rejection(f"{where} parley", _shown(values), form),)
    result = base
    refused: list[Rejection] = []
    for key, value in list(values.items())[:32]:
        changed = with_value(result, str(key)[:MAX_SHOWN], value, languages)
        if isinstance(changed, Rejection):
            refused.append(replace(changed, key=f"{where} {changed.key}"))
        else:
            result = changed
    return result, tuple(refused)
