"""Faults on demand: which session is hit by what, when, and how often."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from math import inf, isfinite
from typing import Any, Literal, get_args

from .records import SessionRecord
from .voice import LANGUAGES

__all__ = ["Fault", "Faults", "fault_from_json"]

Kind = Literal["drop", "close", "stall", "error", "refuse", "expire", "slow", "silent", "fail", "swap"]
Session = Literal["translation", "conversation", "transcription"]
KINDS: tuple[str, ...] = get_args(Kind)
_STATUSES = {
    401: ("invalid_api_key", "Incorrect API key provided."),
    403: ("unsupported_country_region_territory", "Country, region, or territory not supported."),
    429: ("rate_limit_exceeded", "Rate limit reached."),
    500: ("server_error", "The server had an error while processing your request."),
    503: ("server_is_overloaded", "The server is currently overloaded."),
}
_MOST_FAULTS = 1000
_TRANSCRIPTIONS_ONLY = ("fail", "swap")


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault. Raises ValueError, which names the field, for a value that is not allowed.

    `drop` aborts the TCP connection; `close` closes the websocket with `close_code`; `stall` stops sending
    and reading while the socket stays open; `error` sends an error event; `refuse` answers the connect with
    HTTP `status`; `expire` ends the session's time now; `slow` adds `extra_lag_s` to the lag; `silent` says
    nothing, and never says it later. Only transcriptions: `fail` lets the next item's transcription fail, and
    `swap` completes the next item after the one that follows it.
    """

    kind: Kind
    language: str | None = None
    """Only translations that a `session.update` has set to this output language; not for `refuse`."""
    after_s: float = 0.0
    """Seconds from the session's opening."""
    after_audio_s: float = 0.0
    """Seconds of audio received."""
    after_sent_s: float = 0.0
    """Seconds of audio sent, in deltas; what would have been sent with the last one is hit as well."""
    session: Session | None = None
    """Only sessions of this kind; not for `refuse`."""
    times: int = 1
    """How many sessions it hits, each once."""
    duration_s: float | None = None
    """How long `stall`, `slow` and `silent` last; None: as long as the session."""
    status: int = 503
    retry_after_s: float | None = None
    """The header Retry-After of `refuse`."""
    code: str | None = None
    """The error's code, for `error`, `fail` and `refuse`; None: `server_error`, or what goes with the
    status."""
    error_type: str = "server_error"
    message: str | None = None
    close_code: int = 1011
    extra_lag_s: float = 2.0

    def __post_init__(self) -> None:
        self._require("kind", self.kind in KINDS, ", ".join(KINDS))
        self._require("language", self.language is None or self.language in LANGUAGES, ", ".join(LANGUAGES))
        kinds = get_args(Session)
        self._require("session", self.session is None or self.session in kinds, ", ".join(kinds))
        for name in (
            *("after_s", "after_audio_s", "after_sent_s", "duration_s", "retry_after_s", "extra_lag_s"),
        ):
            value = getattr(self, name)
            numeric = isinstance(value, int | float) and not isinstance(value, bool)
            optional = value is None and name in ("duration_s", "retry_after_s")
            self._require(name, optional or (numeric and isfinite(value) and value >= 0), "0 or more")
        self._require("extra_lag_s", self.extra_lag_s <= 60, "0 to 60")
        for name, least, most in (("times", 1, 10**9), ("status", 400, 599), ("close_code", 1000, 4999)):
            value = getattr(self, name)
            allowed = isinstance(value, int) and not isinstance(value, bool) and least <= value <= most
            self._require(name, allowed, f"{least} to {most}")
        self._require(
            "close_code", self.close_code not in (1004, 1005, 1006, 1015), "a code that can be sent"
        )
        for name in ("code", "error_type", "message"):
            value = getattr(self, name)
            self._require(name, isinstance(value, str) or (value is None and name != "error_type"), "a text")
        if self.kind == "refuse":
            for name in ("language", "session", "after_s", "after_audio_s", "after_sent_s"):
                self._require(
                    name, not getattr(self, name), "nothing where kind is refuse: no session exists yet"
                )

    @property
    def error(self) -> tuple[str, str]:
        """The code and the message for `error`, `fail` and `refuse`."""
        known = _STATUSES.get(self.status if self.kind == "refuse" else 500, _STATUSES[500])
        return self.code or known[0], self.message or known[1]

    def _require(self, name: str, allowed: bool, what: str) -> None:
        if not allowed:
            raise ValueError(f"{name}: got {getattr(self, name)!r}, allowed: {what}")


def fault_from_json(value: object) -> Fault:
    """A fault from a JSON object with the fields of `Fault`. Raises ValueError, which names the field."""
    if not isinstance(value, Mapping):
        raise ValueError(f"fault: got {type(value).__name__}, allowed: an object")
    names = [field.name for field in fields(Fault)]
    for name in value:
        if name not in names:
            raise ValueError(f"{name}: got {value[name]!r}, allowed fields: {', '.join(names)}")
    for field in fields(Fault):
        if field.default is MISSING and field.name not in value:
            raise ValueError(f"{field.name}: got nothing, allowed: {', '.join(KINDS)}")
    given: dict[str, Any] = dict(value)
    return Fault(**given)


@dataclass(slots=True)
class _Armed:
    fault: Fault
    left: int
    hit: set[str]


class Faults:
    """The faults that wait for a session; at most 1000."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self._armed: list[_Armed] = []
        self._changed = changed

    def add(self, fault: Fault) -> None:
        """Arm a fault, for sessions that are open and for those to come. Raises ValueError if there are too
        many."""
        if len(self._armed) >= _MOST_FAULTS:
            raise ValueError(f"faults: got {_MOST_FAULTS + 1}, allowed: at most {_MOST_FAULTS}")
        self._armed.append(_Armed(fault, fault.times, set()))
        self._changed()

    def clear(self) -> None:
        """Disarm all; what has hit goes on."""
        self._armed.clear()

    def waiting(self) -> list[tuple[Fault, int]]:
        """The armed faults, and how many sessions each can still hit."""
        return [(armed.fault, armed.left) for armed in self._armed]

    def take_refusal(self) -> Fault | None:
        """The fault that refuses this connect."""
        for armed in self._armed:
            if armed.fault.kind == "refuse":
                self._use(armed, "")
                return armed.fault
        return None

    def take(self, record: SessionRecord, now: float) -> list[Fault]:
        """The faults that hit this session now."""
        hits = [armed for armed in self._armed if self._matches(armed, record, now)]
        for armed in hits:
            self._use(armed, record.id)
        return [armed.fault for armed in hits]

    def next_due(self, record: SessionRecord) -> float:
        """When the clock alone makes a fault hit this session; infinity if none."""
        candidates = (armed for armed in self._armed if self._matches(armed, record, inf))
        return min((record.opened_at + armed.fault.after_s for armed in candidates), default=inf)

    @staticmethod
    def _matches(armed: _Armed, record: SessionRecord, now: float) -> bool:
        fault = armed.fault
        if fault.kind == "refuse" or record.id in armed.hit:
            return False
        if fault.session is not None and record.kind != fault.session:
            return False
        if fault.kind in _TRANSCRIPTIONS_ONLY and record.kind != "transcription":
            return False
        if fault.language is not None and (record.updated_at is None or record.language != fault.language):
            return False
        return (
            now - record.opened_at >= fault.after_s
            and record.audio_received_s >= fault.after_audio_s - 1e-9
            and record.audio_sent_s >= fault.after_sent_s - 1e-9
        )

    def _use(self, armed: _Armed, session_id: str) -> None:
        armed.left -= 1
        armed.hit.add(session_id)
        if not armed.left:
            self._armed.remove(armed)
