"""When a connection is tried again, and when it is replaced."""

import pytest

from livekit.plugins.openai_realtime import AuthenticationError, ConnectionLost, RateLimitError, ResumeOptions
from livekit.plugins.openai_realtime.resume import RetryBudget, rotation

LOST = ConnectionLost(reason="x")


def test_waits_double_at_random_up_to_a_bound() -> None:
    budget = RetryBudget(ResumeOptions(retries=6, backoff_s=0.5, backoff_max_s=3.0))
    waits = [budget.failed(LOST, lived_s=0.0, now=float(second), chance=1.0) for second in range(7)]
    assert waits == [0.5, 1.0, 2.0, 3.0, 3.0, 3.0, None]
    assert RetryBudget(ResumeOptions()).failed(LOST, lived_s=0.0, now=0.0, chance=0.0) == 0.0


def test_only_a_stable_connection_gives_the_budget_back() -> None:
    budget = RetryBudget(ResumeOptions(retries=2, stable_s=10.0))
    for lived_s in (0.0, 9.9):
        assert budget.failed(LOST, lived_s=lived_s, now=0.0, chance=0.0) is not None
    assert budget.failed(LOST, lived_s=10.0, now=0.0, chance=0.0) is not None
    assert budget.failed(LOST, lived_s=0.0, now=0.0, chance=0.0) is not None
    assert budget.failed(LOST, lived_s=0.0, now=0.0, chance=0.0) is None


def test_failures_are_forgotten_with_time() -> None:
    budget = RetryBudget(ResumeOptions(retries=1, retry_window_s=60.0))
    for now in (0.0, 61.0, 122.0):
        assert budget.failed(LOST, lived_s=0.0, now=now, chance=0.0) is not None
    assert budget.failed(LOST, lived_s=0.0, now=123.0, chance=0.0) is None


def test_what_the_server_asks_for_is_the_least() -> None:
    budget = RetryBudget(ResumeOptions())
    assert budget.failed(RateLimitError("x", retry_after_s=7.0), lived_s=0.0, now=0.0, chance=0.0) == 7.0
    assert budget.failed(RateLimitError("x", retry_after_s=900.0), lived_s=0.0, now=0.0, chance=0.0) is None


def test_a_person_has_to_act() -> None:
    assert (
        RetryBudget(ResumeOptions()).failed(AuthenticationError("x"), lived_s=99.0, now=0.0, chance=0.0)
        is None
    )


def test_rotation() -> None:
    assert rotation(None, 1000.0) is None
    assert rotation(900, 1000.0) is None
    assert rotation(4600, 1000.0) == (3300.0, 3570.0)
    assert rotation(1010, 1000.0) == (8.0, 9.5)


@pytest.mark.parametrize(
    ("field", "value"),
    [("retries", -1), ("history_items", 0), ("stable_s", 0.0), ("queue_max_s", -1.0), ("backoff_s", 0)],
)
def test_options_name_the_field(field: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: given"):
        ResumeOptions(**{field: value})
