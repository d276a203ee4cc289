"""The circuit breaker of one API key, for everybody who connects with it.

    CLOSED   attempts at a bounded rate ── some failures in a row, or one of the key ──▶ OPEN
    OPEN     no attempt ── its time is up ──▶ HALF OPEN
    HALF OPEN   one attempt ── it fails ──▶ OPEN, for longer ── it succeeds ──▶ CLOSED

What counts as a failure is what tells of the API or the key, not what a single session brought on itself.
"""

from dataclasses import dataclass, field
from typing import Literal

from .policy import Bucket

Outcome = Literal["opened", "sick", "refused", "own"]
"""Of an attempt: a session; the API could not be reached or is overloaded; the key or the account was
refused; something that says nothing of either, such as a wrong setting or a cancelled attempt."""


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    """When it opens, and for how long."""

    failures: int = 3
    """Failures in a row that open it."""
    first_s: float = 0.5
    """How long it is open at first."""
    part: float = 0.2
    """After that, this part of the time for which it has been failing: a short outage ends soon after its
    end, and a long one is not hammered."""
    most_s: float = 15.0
    """How long it is open at most, unless the server asks for more."""
    refused_s: float = 10.0
    """How long it is open for a key or an account that was refused: somebody may mend it meanwhile."""
    doubted: int = 3
    """Attempts under way at a time after a failure or a lost session, until one succeeds."""
    per_s: float = 20.0
    """Attempts per second, also when all come back after an outage."""
    burst: float = 100.0
    """Attempts that may be made at once when there has been no outage."""


@dataclass(slots=True)
class Breaker:
    """`now` in seconds, never going back; `jitter` in [0, 1)."""

    policy: BreakerPolicy = field(default_factory=BreakerPolicy)
    _under_way: int = field(init=False, default=0)
    _failures: int = field(init=False, default=0)
    _doubted: bool = field(init=False, default=False)
    _failing_since: float | None = field(init=False, default=None)
    _until: float | None = field(init=False, default=None)
    _probing: bool = field(init=False, default=False)
    _rate: Bucket = field(init=False)

    def __post_init__(self) -> None:
        self._rate = Bucket(self.policy.per_s, self.policy.burst)

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        """Where it stands."""
        if self._until is None:
            return "closed"
        return "half_open" if self._probing else "open"

    def admit(self, now: float) -> bool:
        """Whether an attempt may be made now. If so it is under way, until `ended`."""
        if self._until is not None:
            if self._probing or now < self._until:
                return False
            self._probing = True
        elif (self._doubted and self._under_way >= self.policy.doubted) or not self._rate.take(now):
            return False
        self._under_way += 1
        return True

    def look_again_s(self, now: float) -> float | None:
        """When time alone may change the answer, in seconds from now; None: only an outcome does."""
        if self._until is not None:
            return None if self._probing else max(0.0, self._until - now)
        return None if self._doubted and self._under_way >= self.policy.doubted else 1 / self.policy.per_s

    def lost(self) -> None:
        """A session that was open was lost: until an attempt succeeds, not all are made at once."""
        self._doubted = True

    def ended(self, outcome: Outcome, now: float, jitter: float, asked_s: float = 0.0) -> None:
        """An attempt has ended; `asked_s` is the server's own Retry-After."""
        self._under_way -= 1
        if outcome == "opened":
            self._succeeded(now)
            return
        if outcome != "own":
            self._doubted = True
            self._failures += 1
        if self._until is not None and not self._probing:
            return  # made before it opened: what it tells is known
        if outcome == "own":
            self._until, self._probing = (now if self._probing else None), False  # the next one probes
        elif self._probing or self._failures >= self.policy.failures or outcome == "refused" or asked_s:
            self._open(outcome, now, jitter, asked_s)

    def _succeeded(self, now: float) -> None:
        if self._until is not None:
            self._rate = Bucket(self.policy.per_s, 1.0)
        else:
            self._rate.burst = self.policy.burst
        self._until, self._probing, self._doubted = None, False, False
        self._failures, self._failing_since = 0, None

    def _open(self, outcome: Outcome, now: float, jitter: float, asked_s: float) -> None:
        policy = self.policy
        if self._failing_since is None:
            self._failing_since = now
        wait_s = min(policy.most_s, max(policy.first_s, policy.part * (now - self._failing_since)))
        if outcome == "refused":
            wait_s = policy.refused_s
        self._until = now + max(wait_s * (0.75 + 0.5 * jitter), asked_s)
        self._probing = False
