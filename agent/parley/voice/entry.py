"""A conversation's leave to use the API; the room is told when it has to wait for it, and when it has it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from parley.ports import Access

WAIT_S = 30.0
"""How long it may wait: as long as the session keeps what is said meanwhile."""


class Entry:
    """One conversation's."""

    def __init__(self, access: Access, tell: Callable[[str, str], None]) -> None:
        """`tell` is called with an event of `parley.events` and its detail."""
        self._access = access
        self._tell = tell
        self._troubled = False

    def stream(self) -> AbstractAsyncContextManager[None]:
        """Stands around the conversation. Raises Refused."""
        return self._access.stream(WAIT_S, self._waits)

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """Stands around an attempt to connect. Raises Spared."""
        async with self._access.attempt(WAIT_S, self._waits):
            yield
        if self._troubled:
            self._troubled = False
            self._tell("session.recovered", "the conversation goes on")

    def lost(self, reason: str) -> None:
        """The session was lost; the next attempt may fail, too."""
        self._access.lost()
        self._troubled = True
        self._tell("session.failed", reason)

    def _waits(self, reason: str) -> None:
        if not self._troubled:
            self._troubled = True
            self._tell("session.waiting", reason)
