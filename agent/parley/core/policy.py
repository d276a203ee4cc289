"""Policy: how often something may be asked for."""

from collections.abc import Container
from dataclasses import dataclass, field


@dataclass(slots=True)
class Bucket:
    """So many per second, and so many at once."""

    per_s: float
    burst: float
    _left: float = field(init=False)
    _at: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._left = self.burst

    def take(self, now: float) -> bool:
        """Takes one, if there is one; `now` in seconds, never going back."""
        if self._at is not None:
            self._left = min(self.burst, self._left + (now - self._at) * self.per_s)
        self._at = now
        if self._left < 1.0:
            return False
        self._left -= 1.0
        return True

    def wait_s(self, now: float) -> float:
        """Seconds until there is one to take."""
        since = 0.0 if self._at is None else now - self._at
        return max(0.0, (1.0 - self._left) / self.per_s - since)


@dataclass(slots=True)
class Buckets:
    """A `Bucket` for everybody who is there."""

    per_s: float
    burst: float
    _of: dict[str, Bucket] = field(init=False, default_factory=dict)

    def take(self, who: str, now: float, present: Container[str]) -> bool:
        """Takes one from the bucket of `who`; who is not `present` any more is forgotten."""
        self._of = {identity: bucket for identity, bucket in self._of.items() if identity in present}
        return self._of.setdefault(who, Bucket(self.per_s, self.burst)).take(now)
