"""Whether a bridge has its sessions: what fails is retried, and the room is told once, until it works."""

import asyncio
import random
from collections.abc import Callable
from typing import Protocol

from livekit.plugins.openai_realtime.errors import (
    AuthenticationError,
    ConnectionLost,
    QuotaError,
    RealtimeError,
    first_of,
)
from parley.access import Refused, Spared
from parley.core.model import BridgeKey
from parley.core.retry import RetryPolicy
from parley.metrics import Metrics
from parley.ports import Notices

STABLE_S = 10.0
"""A session that lived this long resets the count of failures."""
FINISHING_S = 1.0
"""A bridge that finishes waits no longer than this before it tries again."""
MOST_FAILURES = 3
"""A bridge that finishes gives up after so many in a row."""


class SessionStalled(ConnectionLost):
    """The socket is open, and nobody is at the other end of it."""


class Told(Protocol):
    """Whom a bridge tells how it is."""

    @property
    def notices(self) -> Notices:
        """The room."""

    @property
    def metrics(self) -> Metrics:
        """The operator."""

    @property
    def changed(self) -> Callable[[], None]:
        """Called when the bridge begins or ceases to fail."""


def reason_of(error: RealtimeError) -> str:
    """The metric's label for an error."""
    return "stalled" if isinstance(error, SessionStalled) else type(error).__name__


class Health:
    """The failures of one bridge, in a row."""

    def __init__(
        self, kind: str, key: BridgeKey, retry: RetryPolicy, buffer_s: float, works: str, around: Told
    ) -> None:
        """`works`: what the room is told when it is over; `buffer_s`: how much speech waits for a session."""
        self._kind = kind
        self._key = key
        self._retry = retry
        self._buffer_s = buffer_s
        self._works = works
        self._around = around
        self._failures = 0
        self._announced: str | None = None
        """What the room was told last of that there is no session; None: there is one, or none is needed."""
        self._reported_drop_s = 0.0

    @property
    def failing(self) -> bool:
        """Whether the room was told that there is no session, and not yet that there is one again."""
        return self._announced is not None

    def stable(self) -> None:
        """A session lived long: what failed before it is forgotten."""
        self._failures = 0

    def waits(self, reason: str) -> None:
        """A session has to wait, and not only for a moment."""
        if self._announced is None:
            self._announce("session.waiting", reason)

    def recovered(self, dropped_s: float) -> None:
        """A session is open; so much speech was dropped so far."""
        self.dropped(dropped_s)
        if self._announced is not None:
            self._announced = None
            self._around.changed()
            self._say("session.recovered", self._works)

    async def failed(self, error: RealtimeError, dropped_s: float, finishing: Callable[[], bool]) -> bool:
        """Records a lost or refused session and waits until it may be tried again.

        Returns whether a bridge that finishes should give up what is left.
        """
        self._failures += 1
        self._around.metrics.session_failed(self._kind, reason_of(error))
        if self._announced in (None, "session.waiting"):
            refused = isinstance(error, Refused)
            self._announce("session.refused" if refused else "session.failed", str(error))
        self.dropped(dropped_s)
        key_refused = isinstance(error, AuthenticationError | QuotaError)
        wait = self._retry.delay_s(
            self._failures,
            retryable=error.retryable or key_refused,
            jitter=random.random(),
            asked_s=error.retry_after_s,
        )
        await asyncio.sleep(min(wait, FINISHING_S) if finishing() else wait)
        hopeless = not error.retryable or isinstance(error, Refused | Spared)
        return finishing() and (hopeless or self._failures > MOST_FAILURES)

    def dropped(self, total_s: float) -> None:
        """So much speech was dropped so far: what of it is new is counted and told."""
        new_s = total_s - self._reported_drop_s
        if new_s <= 0:
            return
        self._reported_drop_s = total_s
        self._around.metrics.dropped("session", new_s)
        self._say("audio.dropped", f"{new_s:.1f} s of speech older than {self._buffer_s:g} s")

    def _announce(self, event: str, detail: str) -> None:
        self._announced = event
        self._around.changed()
        self._say(event, detail)

    def _say(self, event: str, detail: str) -> None:
        key = self._key
        self._around.notices.say(event, speaker=key.speaker, language=key.language, detail=detail)


def pass_on_cancellation() -> None:
    """A task group that failed when it was cancelled tells of the failure alone (Python before 3.13)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def realtime(group: BaseExceptionGroup[RealtimeError]) -> RealtimeError:
    """The first error of a task group."""
    error = first_of(group)
    assert isinstance(error, RealtimeError)
    return error
