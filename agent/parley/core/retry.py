"""Retry: how long to wait before the next attempt, with jitter, within a limit."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Exponential back-off: `first_s` doubled per attempt up to `most_s`, plus or minus a quarter."""

    first_s: float = 0.25
    most_s: float = 15.0
    fatal_s: float = 30.0
    """Wait after an error that no retry mends (a refused key): somebody may mend it meanwhile."""

    def delay_s(self, attempt: int, *, retryable: bool, jitter: float, asked_s: float | None = None) -> float:
        """Seconds to wait before attempt number `attempt` + 1.

        `attempt` counts failures in a row from 1, `jitter` is in [0, 1), `asked_s` is the
        server's own Retry-After and is never undercut.
        """
        base = min(self.most_s, self.first_s * 2.0 ** min(attempt - 1, 16)) if retryable else self.fatal_s
        wait = base * (0.75 + 0.5 * jitter)
        return max(wait, asked_s or 0.0)
