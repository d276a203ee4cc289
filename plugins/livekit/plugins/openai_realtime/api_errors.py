"""This plugin's errors as LiveKit's own, for the classes that stand on LiveKit's bases."""

from __future__ import annotations

from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError

from .errors import (
    AuthenticationError,
    ConnectError,
    ConnectionLost,
    QuotaError,
    RateLimitError,
    RealtimeError,
    RequestRejected,
    ServerFault,
    SessionExpired,
)

_STATUS: tuple[tuple[type[RealtimeError], int], ...] = (
    (AuthenticationError, 401),
    (QuotaError, 429),
    (RateLimitError, 429),
    (RequestRejected, 400),
    (ServerFault, 500),
)
"""HTTP status of what was reported in a running session, as the API has it for requests."""


def as_api_error(error: RealtimeError, *, retryable: bool | None = None) -> APIError:
    """The error of LiveKit's that says the same, with `error` as its cause.

    `retryable`: default as `error` has it.
    """
    retryable = error.retryable if retryable is None else retryable
    made: APIError
    if error.status is not None:
        made = APIStatusError(str(error), status_code=error.status, retryable=retryable)
    elif isinstance(error, ConnectError) and isinstance(error.__cause__, TimeoutError):
        made = APITimeoutError(str(error), retryable=retryable)
    elif isinstance(error, (ConnectError, ConnectionLost, SessionExpired)):
        made = APIConnectionError(str(error), retryable=retryable)
    else:
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), None)
        if status is None:
            made = APIError(str(error), retryable=retryable)
        else:
            made = APIStatusError(str(error), status_code=status, retryable=retryable)
    made.__cause__ = error
    return made
