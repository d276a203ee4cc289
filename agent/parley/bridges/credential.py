"""What all bridges of a room know about the API key: refused once, it is tried by one of them at a time."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic

from livekit.plugins.openai_realtime.errors import AuthenticationError, QuotaError


class Credential:
    """A gate in front of connecting. Open until the API refuses the key or the account."""

    def __init__(self, probe_every_s: float = 10.0) -> None:
        self._probe_every_s = probe_every_s
        self._probing = asyncio.Lock()
        self._refused_at: float | None = None

    @property
    def refused(self) -> bool:
        """Whether the last attempt was refused."""
        return self._refused_at is not None

    @asynccontextmanager
    async def attempt(self) -> AsyncIterator[None]:
        """Stands around one attempt to connect; while the key is refused, one attempt at a time.

        Cancelling the wait leaves the others waiting as they were.
        """
        if self._refused_at is None:
            async with self._judged():
                yield
            return
        async with self._probing:
            if self._refused_at is not None:
                await asyncio.sleep(self._refused_at + self._probe_every_s - monotonic())
            async with self._judged():
                yield

    @asynccontextmanager
    async def _judged(self) -> AsyncIterator[None]:
        try:
            yield
        except (AuthenticationError, QuotaError):
            self._refused_at = monotonic()
            raise
        self._refused_at = None
