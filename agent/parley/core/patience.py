"""Patience: how long a silence of both may last, before somebody is asked, and before they are let go."""

from dataclasses import dataclass, field
from typing import Literal


@dataclass(slots=True)
class Patience:
    """One conversation's. Times are seconds on the caller's clock."""

    idle_s: float | None
    """Silence after which somebody is asked whether they are there; None: never."""
    goodbye_s: float
    """Silence after that question which ends the conversation."""
    now: float
    """When it began; then, when something happened last."""
    _asked: bool = field(default=False, repr=False)

    def active(self, now: float, *, by_person: bool = False) -> None:
        """Something was said, or is about to be; `by_person`: they are there."""
        self.now = now
        if by_person:
            self._asked = False

    def due(self, now: float) -> Literal["ask", "goodbye"] | None:
        """What this moment asks for; each is said once. Not to be called while anybody speaks."""
        if self.idle_s is None:
            return None
        quiet_s = now - self.now
        if not self._asked and quiet_s >= self.idle_s:
            self._asked, self.now = True, now
            return "ask"
        if self._asked and quiet_s >= self.goodbye_s:
            self.idle_s = None
            return "goodbye"
        return None
