"""How a conversation outlives its connections: settings, when to try again, when to change over."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from .errors import RealtimeError

Summarise = Callable[[Sequence[tuple[str, str]]], Awaitable[str]]

_ROTATE_S = 300.0  # before the end, a quiet moment is looked for; at most a fifth of the session's life
_FORCE_S = 30.0  # before the end, it is not waited for any more; at most a twentieth


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumeOptions:
    """What is kept for the next connection, and how often one is tried. Raises ValueError."""

    retries: int = 10
    """Failures within ``retry_window_s`` that are followed by another attempt. One more ends the session."""
    retry_window_s: float = 120.0
    """Seconds over which failures are counted. A server that asks to wait longer than this ends it, too."""
    stable_s: float = 10.0
    """Seconds a connection has to last before the count begins anew; connecting alone does not."""
    backoff_s: float = 0.5
    """At most this long before the first retry, then twice as long each time; the wait is random (0 to 1)."""
    backoff_max_s: float = 8.0
    """Longest wait, unless the server asks for more."""
    utterance_max_s: float = 60.0
    """Seconds of the user's audio kept to be said again: what is in no item, and what has no words yet."""
    queue_max_s: float = 30.0
    """Seconds of audio that may wait while there is no connection; then the oldest is dropped."""
    history_items: int = 200
    """Items of the conversation put into a new session; older ones are summarised."""
    history_chars: int = 60_000
    """Characters of them, likewise."""
    summarise: Summarise | None = None
    """Makes one text of what is too old, from (role, text) pairs. Default: first sentences."""
    summarise_timeout_s: float = 5.0
    """Then the first sentences are taken all the same."""
    reply_timeout_s: float = 10.0
    """Seconds a ``response.create`` that was sent, or the user's audio, may go without any sign that the
    server works. The session is then taken for stalled and replaced."""
    stall_s: float = 30.0
    """Seconds without an event of a response that was created and is not done: the model may think for so
    long. The session is then taken for stalled, too. Ten times as long while remote tools are called."""

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            least = 0 if name == "retries" else 1 if name.startswith("history") else None
            if name == "summarise":
                continue
            if least is not None and value < least:
                raise ValueError(f"{name}: given {value!r}, allowed is a number from {least}")
            if least is None and not value > 0:
                raise ValueError(f"{name}: given {value!r}, a number above 0 is needed")


class RetryBudget:
    """Counts failures and says how long to wait, or to stop. Times are seconds of any one clock."""

    def __init__(self, options: ResumeOptions) -> None:
        self._options = options
        self._failed_at: deque[float] = deque()

    def failed(self, error: RealtimeError, *, lived_s: float, now: float, chance: float) -> float | None:
        """Seconds until the next attempt, or None: no more. `chance`: 0 ≤ chance < 1, full jitter."""
        options = self._options
        if not error.retryable:
            return None
        if lived_s >= options.stable_s:
            self._failed_at.clear()
        while self._failed_at and self._failed_at[0] <= now - options.retry_window_s:
            self._failed_at.popleft()
        self._failed_at.append(now)
        asked_s = error.retry_after_s or 0.0
        failures = len(self._failed_at)
        if failures > options.retries or asked_s > options.retry_window_s:
            return None
        nominal_s = min(options.backoff_s * 2.0 ** min(failures - 1, 20), options.backoff_max_s)
        return max(nominal_s * chance, asked_s)


def rotation(expires_at: int | None, unix_now: float) -> tuple[float, float] | None:
    """Seconds until a session should be replaced at a quiet moment, and until it must be in any case.

    None if the expiry is unknown or lies in the past (a clock is wrong).
    """
    if expires_at is None or (left_s := expires_at - unix_now) <= 0:
        return None
    return left_s - min(_ROTATE_S, left_s * 0.2), left_s - min(_FORCE_S, left_s * 0.05)
