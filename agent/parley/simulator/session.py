"""What every kind of session is to the server: a synchronous object that takes client events and gives server
events."""

from dataclasses import dataclass
from typing import Protocol

from .records import SessionRecord
from .wire import ApiError, Event

__all__ = ["Ending", "Session"]


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ends: the websocket's close code and reason, and what the record says."""

    code: int
    reason: str
    how: str


class Session(Protocol):
    """One session, without I/O: `now` is a parameter, in seconds on one clock that never goes back."""

    @property
    def record(self) -> SessionRecord:
        """What is remembered of the session; the session keeps it."""

    @property
    def ending(self) -> Ending | None:
        """Not None once the session is over; what was returned until then is still to be sent."""

    def open(self) -> list[Event]:
        """The first events."""

    def receive(self, event: Event, now: float) -> list[Event]:
        """Take a client event that was a JSON object; a refusal is among the events returned."""

    def refuse(self, error: ApiError, event: Event | None = None) -> list[Event]:
        """Refuse a client event (None: what came was no event); the session stays open."""

    def tick(self, now: float) -> list[Event]:
        """What became due. To be called after `receive` and at `next_due`."""

    def next_due(self) -> float | None:
        """When to call `tick` next."""

    def expire(self, now: float) -> list[Event]:
        """Let the session's time be over now."""

    def slow(self, extra_s: float, until: float) -> None:
        """Say what comes in until then `extra_s` later."""

    def silence(self, until: float) -> None:
        """Say nothing until then; what would have been said is never said."""
