"""Wishes: what a participant asks for, by attribute and over RPC `parley.set`; what was said last holds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .model import Preferences
from .preferences import KEYS, PREFIX, Allowed, Rejection, shown, with_value

DECLINED = "declined"
METHOD = "parley.set"
MOST_CHARS = 15 * 1024
"""Characters of a request that are read; LiveKit takes 15 KiB."""

_FORM = '{"hears": "fr", …, "for": identity}'


@dataclass(frozen=True, slots=True)
class Request:
    """A request that makes sense: every value in it is allowed."""

    values: Mapping[str, str | None]
    """Key without `parley.` → value; None takes back what was set."""
    who: str | None = None
    """Whom it is for; None: whoever asks."""


def read_request(payload: str, allowed: Allowed) -> Request | tuple[Rejection, ...]:
    """A request from its JSON, or all that is wrong with it: it holds whole, or not at all."""
    try:
        parsed = json.loads(payload) if len(payload) <= MOST_CHARS else None
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict):
        return (Rejection(METHOD, shown(payload), f"a JSON object such as {_FORM}"),)
    who = parsed.pop("for", None)
    refused: list[Rejection] = []
    if who is not None and (not isinstance(who, str) or not who):
        refused.append(Rejection("for", shown(who), "the identity of a participant"))
    values: dict[str, str | None] = {}
    for name, value in parsed.items():
        key = name.removeprefix(PREFIX)
        rejection = _refusal(key, value, allowed)
        if rejection is None and key in values:
            rejection = Rejection(PREFIX + key, shown(value), "each key once")
        if rejection is not None:
            refused.append(rejection)
        else:
            values[key] = value.strip() or None if value is not None else None
    return tuple(refused) if refused else Request(values, who)


def _refusal(key: str, value: object, allowed: Allowed) -> Rejection | None:
    if key not in KEYS:
        return Rejection(shown(PREFIX + key), shown(value), ", ".join((*KEYS, "for")))
    if value is None:
        return None
    changed = with_value(Preferences(), key, value, allowed)
    return changed if isinstance(changed, Rejection) else None


@dataclass(slots=True)
class Wishes:
    """One participant's. Two statements per key, of which the later holds; one that is taken back
    leaves the other in force."""

    _attributes: dict[str, str] = field(default_factory=dict)
    _set: dict[str, str] = field(default_factory=dict)
    _later: set[str] = field(default_factory=set)
    """Keys that were set after the attribute was."""

    def see(self, attributes: Mapping[str, str]) -> None:
        """Takes the participant's attributes as they are now; those that changed were said just now."""
        for key in KEYS:
            value = attributes.get(PREFIX + key, "")
            if value == self._attributes.get(key, ""):
                continue
            self._attributes[key] = value
            self._later.discard(key)

    def set(self, values: Mapping[str, str | None]) -> None:
        """Takes the values of a request."""
        for key, value in values.items():
            if value is None:
                self._set.pop(key, None)
            else:
                self._set[key] = value
                self._later.add(key)

    def expire(self) -> None:
        """Drops what was set long ago, but not a refusal of consent."""
        self._set = {key: value for key, value in self._set.items() if value == DECLINED}

    @property
    def held(self) -> dict[str, str]:
        """What holds, in the form of attributes."""
        found = {}
        for key in KEYS:
            attribute, over = self._attributes.get(key, ""), self._set.get(key, "")
            if value := (over or attribute) if key in self._later else (attribute or over):
                found[PREFIX + key] = value
        return found

    @property
    def was_set(self) -> bool:
        """Whether anything was said that the attributes alone do not tell."""
        return bool(self._set)

    @property
    def declined(self) -> bool:
        """Whether consent was refused by what was set."""
        return DECLINED in self._set.values()

    @property
    def declines(self) -> bool:
        """Whether consent is refused, in whatever way."""
        return self.held.get(f"{PREFIX}consent") == DECLINED

    def as_json(self, *, sparing: bool = False) -> dict[str, Any]:
        """All of it, for another worker; `sparing`: of who declines, no more than that."""
        keys = {"consent"} if sparing and self.declines else set(KEYS)
        attributes, values = (
            {key: given[key] for key in given if key in keys} for given in (self._attributes, self._set)
        )
        return {"attributes": attributes, "set": values, "later": sorted(self._later & keys)}

    @classmethod
    def from_json(cls, given: Any) -> "Wishes":
        """What `as_json` gave. Raises ValueError for anything else."""
        match given:
            case {"attributes": dict(attributes), "set": dict(values), "later": list(later)}:
                return cls(_values(attributes), _values(values), {key for key in KEYS if key in later})
        raise ValueError("not the wishes of a participant")


def _values(given: dict[Any, Any]) -> dict[str, str]:
    return {key: given[key] for key in KEYS if isinstance(given.get(key), str)}


def told(preferences: Preferences) -> dict[str, str]:
    """Preferences as `parley.set` and `parley.state` tell them."""
    consent = "granted" if preferences.consent else DECLINED
    return {key: consent if key == "consent" else getattr(preferences, key) for key in KEYS}
