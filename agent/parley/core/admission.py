"""Admission: who may send to the API, within what the account allows per minute.

A microphone that is translated sends a minute of audio per minute at most, so an account that allows 50
has room for 50 of them. Who comes when all are taken waits: the room that has the fewest goes first.
"""

from collections import Counter

Place = tuple[int, int]
"""(room, number): a stream of a room."""


class Admission:
    """Streams of all rooms of a worker; `most` at a time, None: any number."""

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._taken: set[Place] = set()
        self._waiting: dict[Place, None] = {}

    @property
    def taken(self) -> int:
        """Streams that send."""
        return len(self._taken)

    @property
    def waiting(self) -> int:
        """Streams that wait."""
        return len(self._waiting)

    def ask(self, place: Place) -> None:
        """A stream wants to send; `grants` says when it may."""
        self._waiting.setdefault(place)

    def leave(self, place: Place) -> None:
        """A stream has ended, or waits no more."""
        self._taken.discard(place)
        self._waiting.pop(place, None)

    def gone(self, room: int) -> None:
        """A room has ended with all that it had."""
        for place in [*self._taken, *self._waiting]:
            if place[0] == room:
                self.leave(place)

    def grants(self) -> list[Place]:
        """The streams that may send from now on, and could not before."""
        granted: list[Place] = []
        has = Counter(room for room, _ in self._taken)
        while self._waiting and (self._most is None or len(self._taken) < self._most):
            place = min(self._waiting, key=lambda place: has[place[0]])
            del self._waiting[place]
            self._taken.add(place)
            has[place[0]] += 1
            granted.append(place)
        return granted
