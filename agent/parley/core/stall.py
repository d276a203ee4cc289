"""Stalls: a session that has died without a word is told from one whose model has nothing to say.

A model that hears its own output language says nothing, and whether it then sends frames of silence is not
documented. So silence alone proves nothing: a session that has been sent speech and has said nothing for a
while is asked something that any living session answers at once. No answer is a stall.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class StallPolicy:
    """When a session is asked, and how long it may take to answer, in seconds."""

    least_s: float = 3.0
    """Silence after speech before it is asked, at least; more where the span is known to be more."""
    unknown_s: float = 8.0
    """The same, while the span is not known; also the most."""
    answer_s: float = 3.0
    """No answer within this is a stall."""


class Watch:
    """Follows one session; `now` in seconds, never going back."""

    def __init__(self, policy: StallPolicy | None = None) -> None:
        self._policy = policy or StallPolicy()
        self._speech_at: float | None = None
        self._asked_at: float | None = None
        self._doubted = False

    def sent(self, now: float) -> None:
        """Speech was sent."""
        if self._speech_at is None:
            self._speech_at = now

    def heard(self) -> None:
        """The session said something, whatever it was."""
        self._speech_at = self._asked_at = None
        self._doubted = False

    def doubt(self) -> None:
        """All should have been said, and not all was answered: it is asked at once."""
        self._doubted = True

    def asked(self, now: float) -> None:
        """It was asked for a sign of life."""
        self._asked_at = now

    def verdict(self, now: float, span_s: float | None) -> Literal["lives", "ask", "stalled"]:
        """What to make of it; `span_s` is its usual ear-voice span."""
        policy = self._policy
        if self._asked_at is not None:
            return "stalled" if now - self._asked_at >= policy.answer_s else "lives"
        if self._doubted:
            return "ask"
        if self._speech_at is None:
            return "lives"
        usual_s = policy.unknown_s if span_s is None else 1.5 * span_s + 1.0
        wait_s = min(policy.unknown_s, max(policy.least_s, usual_s))
        return "ask" if now - self._speech_at >= wait_s else "lives"
