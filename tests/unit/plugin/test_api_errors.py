"""What LiveKit's classes are told of an error."""

import pytest
from livekit.agents import APIConnectionError, APIError, APIStatusError, APITimeoutError

from livekit.plugins.openai_realtime import errors
from livekit.plugins.openai_realtime.api_errors import as_api_error


@pytest.mark.parametrize(
    ("error", "kind", "status", "retryable"),
    [
        (errors.ConnectError("m"), APIConnectionError, None, True),
        (errors.ConnectionLost(close_code=1006), APIConnectionError, None, True),
        (errors.SessionExpired("m"), APIConnectionError, None, True),
        (errors.from_http_status(503), APIStatusError, 503, True),
        (errors.from_http_status(429), APIStatusError, 429, True),
        (errors.from_http_status(401), APIStatusError, 401, False),
        (errors.AuthenticationError("m"), APIStatusError, 401, False),
        (errors.QuotaError("m"), APIStatusError, 429, False),
        (errors.RateLimitError("m"), APIStatusError, 429, True),
        (errors.RequestRejected("m"), APIStatusError, 400, False),
        (errors.ServerFault("m"), APIStatusError, 500, True),
        (errors.ProtocolViolation("m"), APIError, None, True),
    ],
)
def test_the_kind_and_whether_to_try_again(
    error: errors.RealtimeError, kind: type[APIError], status: int | None, retryable: bool
) -> None:
    made = as_api_error(error)
    assert type(made) is kind
    assert getattr(made, "status_code", None) == status
    assert made.retryable is retryable
    assert made.__cause__ is error
    assert error.message in str(made)


def test_a_connection_that_took_too_long_is_a_timeout() -> None:
    error = errors.ConnectError("m")
    error.__cause__ = TimeoutError()
    assert type(as_api_error(error)) is APITimeoutError


def test_what_was_tried_often_enough_is_not_to_be_tried_again() -> None:
    assert as_api_error(errors.ServerFault("m"), retryable=False).retryable is False
