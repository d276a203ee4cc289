"""What can go wrong with a realtime session, whose fault it is and whether to try again.

    RealtimeError
    ├── ConnectError          network, timeout, HTTP 5xx on the upgrade      retry
    ├── ConnectionLost        an established socket ended without a reason   retry
    ├── ServerFault           server_error, overloaded, unknown codes        retry
    ├── RateLimitError        HTTP 429, rate_limit_exceeded                  retry, later
    ├── SessionExpired        session_expired                                retry (a new session)
    ├── ProtocolViolation     the server said what it may not say            retry
    ├── AuthenticationError   HTTP 401 / 403, invalid_api_key                a human must act
    ├── QuotaError            insufficient_quota, a spend limit              a human must act
    ├── RequestRejected       invalid_value, unknown_parameter, HTTP 4xx     a bug, or a bad setting
    └── SessionNotOpen        audio or an update at the wrong moment         a bug of the caller

``retryable``: a new session may succeed without anybody changing anything. ``fatal_to_session``: this session
is over. Most error events are not fatal ("the session will stay open"); the other side of that is an error
that leaves the session unusable, such as a key refused after the upgrade.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import ClassVar


class RealtimeError(Exception):
    """Base of everything this plugin raises on purpose.

    Attributes:
        message: what happened, in the server's words where it said something.
        code: the API's ``error.code`` (``invalid_value``), if any.
        kind: the API's ``error.type`` (``invalid_request_error``), if any.
        param: the parameter the API complains about, if any.
        event_id: the ``event_id`` of the client event that caused it, if the server echoes it.
        status: HTTP status of a refused upgrade, if that is what happened.
        retry_after_s: seconds the server asks to wait before the next attempt, if it said so.
    """

    retryable: ClassVar[bool] = False
    fatal_to_session: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        kind: str | None = None,
        param: str | None = None,
        event_id: str | None = None,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.kind = kind
        self.param = param
        self.event_id = event_id
        self.status = status
        self.retry_after_s = retry_after_s

    def __str__(self) -> str:
        facts = [
            f"HTTP {self.status}" if self.status is not None else None,
            self.code or self.kind,
            f"param {self.param}" if self.param else None,
            f"retry after {self.retry_after_s:g} s" if self.retry_after_s is not None else None,
        ]
        known = ", ".join(fact for fact in facts if fact)
        return f"{self.message} ({known})" if known else self.message


class ConnectError(RealtimeError):
    """No session came about: name resolution, TCP, TLS, a timeout, or HTTP 408 / 5xx on the upgrade."""

    retryable = True
    fatal_to_session = True


class ConnectionLost(RealtimeError):
    """An established socket ended, and no ``session.closed`` came before.

    Attributes:
        close_code: RFC 6455 close code the server sent; None when the transport just broke.
        reason: the text beside it, or what the transport reported.
    """

    retryable = True
    fatal_to_session = True

    def __init__(self, *, close_code: int | None = None, reason: str = "") -> None:
        how = f"close code {close_code}" if close_code is not None else "no close frame"
        super().__init__(f"connection lost: {how}{f', {reason}' if reason else ''}")
        self.close_code = close_code
        self.reason = reason


class ServerFault(RealtimeError):
    """The service is at fault or overloaded; also every code this plugin has not heard of."""

    retryable = True


class RateLimitError(RealtimeError):
    """Too much at once (requests, tokens or minutes of audio); ``retry_after_s`` when the server said so."""

    retryable = True


class SessionExpired(RealtimeError):
    """The session reached its maximum duration (``session_expired``): open a new one."""

    retryable = True
    fatal_to_session = True


class ProtocolViolation(RealtimeError):
    """The server sent what cannot be understood, or what it may not send in this state."""

    retryable = True
    fatal_to_session = True


class AuthenticationError(RealtimeError):
    """The key is wrong or may not do this (HTTP 401 / 403, ``invalid_api_key``)."""

    fatal_to_session = True


class QuotaError(RealtimeError):
    """Credit, a spend limit or the account is exhausted: no retry helps, a human must act."""

    fatal_to_session = True


class RequestRejected(RealtimeError):
    """The server refused what was asked for: a bug of ours, or a setting it does not accept."""


class SessionNotOpen(RealtimeError):
    """The caller sent audio or an update before the session was open or after it was closed."""


_AUTH_CODES = (
    "invalid_api_key",
    "invalid_authentication",
    "authentication_error",
    "permission_denied",
    "permission_error",
    "insufficient_permissions",
    "unsupported_country_region_territory",
)
_QUOTA_CODES = (
    "insufficient_quota",
    "credit_balance_exhausted",
    "billing_hard_limit_reached",
    "billing_not_active",
    "account_deactivated",
    "usage_limit",
    "usage_limit_exceeded",
    "usage_limit_reached",
)
_QUOTA_SUFFIXES = ("_spend_limit_exceeded", "_usage_limit_exceeded")
_RATE_CODES = (
    "rate_limit_exceeded",
    "inference_rate_limit_exceeded",
    "rate_limit_error",
    "too_many_requests",
    "requests",
    "tokens",
)
_REJECTED_CODES = (
    "missing_required_parameter",
    "unknown_parameter",
    "invalid_value",
    "invalid_event",
    "invalid_type",
    "invalid_json",
    "unsupported_content_type",
    "item_create_duplicate_item_id",
    "invalid_tool_call_id",
    "cannot_update_voice",
    "missing_model",
    "model_not_found",
    "invalid_request_error",
)
_FAULT_CODES = ("server_error", "server_is_overloaded", "overloaded", "slow_down", "internal_error")

_CLASS_OF: Mapping[str, type[RealtimeError]] = {
    **dict.fromkeys(_AUTH_CODES, AuthenticationError),
    **dict.fromkeys(_QUOTA_CODES, QuotaError),
    **dict.fromkeys(_RATE_CODES, RateLimitError),
    **dict.fromkeys(_REJECTED_CODES, RequestRejected),
    **dict.fromkeys(_FAULT_CODES, ServerFault),
    "session_expired": SessionExpired,
}


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _class_of(code: str | None, kind: str | None) -> type[RealtimeError] | None:
    """The class for a code or, failing that, for a type; None if neither is known."""
    for name in (code, kind):
        if name is None:
            continue
        if name in _CLASS_OF:
            return _CLASS_OF[name]
        if name.endswith(_QUOTA_SUFFIXES):
            return QuotaError
    return None


def from_error_event(error: Mapping[str, object]) -> RealtimeError:
    """The exception for the ``error`` object of an ``error`` event.

    ``code`` decides, else ``type``: the API puts some names in either. An unknown pair is a `ServerFault`,
    to be retried within a budget. Fields of the wrong type are taken as absent. Never raises.
    """
    code, kind = _text(error.get("code")), _text(error.get("type"))
    return (_class_of(code, kind) or ServerFault)(
        _text(error.get("message")) or "the server reported an error without a message",
        code=code,
        kind=kind,
        param=_text(error.get("param")),
        event_id=_text(error.get("event_id")),
    )


def from_http_status(status: int, body: str = "", headers: Mapping[str, str] | None = None) -> RealtimeError:
    """The exception for an HTTP answer that is not the 101 of a WebSocket upgrade.

    `body` is the API's JSON (``{"error": {…}}``) or anything else; `headers` gives ``Retry-After``. The
    status rules for 401, 403 and 5xx; a body naming a quota turns a 429 into a `QuotaError`. Never raises.
    """
    error = _error_object(body)
    code, kind = _text(error.get("code")), _text(error.get("type"))
    named = _class_of(code, kind)
    if named is QuotaError:
        cls: type[RealtimeError] = QuotaError
    elif status in (401, 403):
        cls = AuthenticationError
    elif status == 429:
        cls = RateLimitError
    elif 400 <= status < 500 and status != 408:
        cls = named or RequestRejected
    else:
        cls = ConnectError
    return cls(
        _text(error.get("message")) or "the server refused the connection",
        code=code,
        kind=kind,
        param=_text(error.get("param")),
        status=status,
        retry_after_s=_retry_after_s(headers or {}),
    )


def _error_object(body: str) -> Mapping[str, object]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    error = document.get("error") if isinstance(document, dict) else None
    return error if isinstance(error, dict) else {}


def _retry_after_s(headers: Mapping[str, str]) -> float | None:
    """``retry-after-ms`` or ``Retry-After`` (seconds, or a date against the answer's own ``Date``)."""
    lower = {name.lower(): value.strip() for name, value in headers.items()}
    for name, unit_s in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            wait_s = float(lower[name]) * unit_s
        except (KeyError, ValueError):
            continue
        if math.isfinite(wait_s):
            return max(0.0, wait_s)
    try:
        then = parsedate_to_datetime(lower["retry-after"])
        return max(0.0, (then - parsedate_to_datetime(lower["date"])).total_seconds())
    except (KeyError, ValueError, TypeError):
        return None


def first_of(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The one exception that says what happened: an error of ours before any other."""
    flat = [first_of(exc) if isinstance(exc, BaseExceptionGroup) else exc for exc in group.exceptions]
    for exc in flat:
        if isinstance(exc, RealtimeError):
            return exc
    return flat[0]
