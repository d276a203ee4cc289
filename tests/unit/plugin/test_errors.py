"""Which error a code, a type or an HTTP status becomes, and what that says about retrying."""

import pytest

from livekit.plugins.openai_realtime import errors


@pytest.mark.parametrize(
    ("code", "expected", "retryable"),
    [
        ("invalid_api_key", errors.AuthenticationError, False),
        ("insufficient_quota", errors.QuotaError, False),
        ("credit_balance_exhausted", errors.QuotaError, False),
        ("billing_hard_limit_reached", errors.QuotaError, False),
        ("account_deactivated", errors.QuotaError, False),
        ("organization_spend_limit_exceeded", errors.QuotaError, False),
        ("project_spend_limit_exceeded", errors.QuotaError, False),
        ("organization_usage_limit_exceeded", errors.QuotaError, False),
        ("rate_limit_exceeded", errors.RateLimitError, True),
        ("inference_rate_limit_exceeded", errors.RateLimitError, True),
        ("missing_required_parameter", errors.RequestRejected, False),
        ("unknown_parameter", errors.RequestRejected, False),
        ("invalid_value", errors.RequestRejected, False),
        ("invalid_event", errors.RequestRejected, False),
        ("missing_model", errors.RequestRejected, False),
        ("session_expired", errors.SessionExpired, True),
        ("server_error", errors.ServerFault, True),
        ("server_is_overloaded", errors.ServerFault, True),
        ("slow_down", errors.ServerFault, True),
        ("never_heard_of_it", errors.ServerFault, True),
    ],
)
@pytest.mark.parametrize("field", ["code", "type"])
def test_code_or_type_decides(code: str, expected: type, retryable: bool, field: str) -> None:
    error = errors.from_error_event({"type": "something_new", field: code, "message": "why"})
    assert type(error) is expected
    assert error.retryable is retryable
    assert "why" in str(error)


def test_code_wins_over_type() -> None:
    error = errors.from_error_event(
        {
            "type": "invalid_request_error",
            "code": "session_expired",
            "message": "m",
            "param": "p",
            "event_id": "e",
        }
    )
    assert isinstance(error, errors.SessionExpired)
    assert (error.code, error.kind, error.param, error.event_id) == (
        "session_expired",
        "invalid_request_error",
        "p",
        "e",
    )


@pytest.mark.parametrize("error", [{}, {"code": 7, "type": None, "message": []}])
def test_an_error_object_of_the_wrong_shape_is_a_server_fault(error: dict[str, object]) -> None:
    assert type(errors.from_error_event(error)) is errors.ServerFault


@pytest.mark.parametrize(
    ("status", "body", "expected"),
    [
        (401, "", errors.AuthenticationError),
        (403, '{"error": {"code": "never_heard_of_it"}}', errors.AuthenticationError),
        (429, "", errors.RateLimitError),
        (429, '{"error": {"type": "insufficient_quota", "message": "m"}}', errors.QuotaError),
        (429, '{"error": {"code": "project_spend_limit_exceeded"}}', errors.QuotaError),
        (400, "", errors.RequestRejected),
        (404, '{"error": {"code": "model_not_found"}}', errors.RequestRejected),
        (408, "", errors.ConnectError),
        (500, "<html>", errors.ConnectError),
        (503, '{"error": {"code": "slow_down"}}', errors.ConnectError),
        (200, "[]", errors.ConnectError),
    ],
)
def test_http_status(status: int, body: str, expected: type) -> None:
    error = errors.from_http_status(status, body)
    assert type(error) is expected
    assert error.status == status
    assert f"HTTP {status}" in str(error)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"Retry-After-Ms": "250", "Retry-After": "9"}, 0.25),
        ({"Retry-After": "-3"}, 0.0),
        ({"Retry-After": "nan"}, None),
        ({"Retry-After": "soon"}, None),
        (
            {"Retry-After": "Sat, 21 Nov 2026 12:00:30 GMT", "Date": "Sat, 21 Nov 2026 12:00:00 GMT"},
            30.0,
        ),
        ({"Retry-After": "Sat, 21 Nov 2026 12:00:30 GMT"}, None),
        ({}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert errors.from_http_status(429, "", headers).retry_after_s == seconds


def test_every_class_says_both_things() -> None:
    classes = [errors.RealtimeError, *errors.RealtimeError.__subclasses__()]
    assert len(classes) == 11
    for cls in classes:
        assert isinstance(cls.retryable, bool)
        assert isinstance(cls.fatal_to_session, bool)
        assert errors.__doc__ is not None
        assert cls.__name__ in errors.__doc__


def test_connection_lost_says_how() -> None:
    lost = errors.ConnectionLost(close_code=1001, reason="max duration")
    assert str(lost) == "connection lost: close code 1001, max duration"
    assert str(errors.ConnectionLost()) == "connection lost: no close frame"
