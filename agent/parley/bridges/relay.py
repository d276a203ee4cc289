"""What bridges have in common: sessions that hand over to each other, are lost, and are tried again.

waiting ──something is to be sent──▶ serving ──▶ session ──hands over──▶ session ──▶ …
   ▲                                    │
   └──nobody speaks, or a session is lost and its time to be tried again has come
"""

import asyncio
import random
from abc import ABC, abstractmethod
from contextlib import AbstractAsyncContextManager
from time import monotonic
from typing import Any, Generic, Protocol, TypeVar

from livekit.plugins.openai_realtime.errors import RealtimeError
from parley.core.model import BridgeSpec
from parley.core.retry import RetryPolicy

from .health import STABLE_S, Health, pass_on_cancellation, realtime, reason_of
from .leg import Leg
from .surroundings import Surroundings

TICK_S = 0.1
"""How often time is looked at while a phrase or its tail lives, or a handover is under way."""

LegT = TypeVar("LegT", bound=Leg[Any])


class RelayPolicy(Protocol):
    """When sessions hand over, and how often they are tried again."""

    @property
    def idle_s(self) -> float:
        """Silence after which the session is closed."""

    @property
    def rotate_s(self) -> float:
        """When less than this is left of a session, or a quarter of its life, the next one is opened."""

    @property
    def last_s(self) -> float:
        """When less than this is left, or a twentieth, it is fed no more although there is no other."""

    @property
    def retry(self) -> RetryPolicy:
        """For a bridge alone; the breaker spares an API that is failing for all."""


class Relay(ABC, Generic[LegT]):
    """One bridge's sessions: `run` works until it finishes and nothing waits.

    Attributes:
        spec: whose speech it is, and for whom.
        usd: what its sessions cost so far, at list prices.
    """

    def __init__(
        self,
        kind: str,
        spec: BridgeSpec,
        times: RelayPolicy,
        buffer_s: float,
        goes_on: str,
        around: Surroundings,
    ) -> None:
        """`buffer_s`: how much speech waits for a session; `goes_on`: says that there is one again."""
        self.spec = spec
        self.usd = 0.0
        self._kind = kind
        self._times = times
        self._buffer_s = buffer_s
        self._around = around
        self._health = Health(kind, spec.key, times.retry, buffer_s, goes_on, around)
        self._wake = asyncio.Event()
        self._legs: list[LegT] = []
        """Those that were fed and are not over, oldest first; the last gets what is said now."""
        self._next: LegT | None = None
        self._next_at = 0.0
        self._refusals = 0
        self._quiet_since = 0.0
        self._finishing = False

    @property
    def failing(self) -> bool:
        """Whether the room was told that the session failed, and not yet that it works again."""
        return self._health.failing

    async def run(self) -> None:
        """Works until finished. Cancelling it closes the session at once: what it still owes is lost."""
        while True:
            if not self._due:
                if self._finishing:
                    break
                self._wake.clear()
                await self._wake.wait()
                continue
            lost: RealtimeError | None = None
            try:
                await self._serve()
            except* RealtimeError as group:
                lost = realtime(group)
            if lost is not None:
                pass_on_cancellation()
                await self._failed(lost)
        self._health.dropped(self._dropped_s)

    # What a kind of bridge says of itself

    @property
    @abstractmethod
    def _due(self) -> bool:
        """Whether something waits that a session is to be opened for."""

    @property
    @abstractmethod
    def _working(self) -> bool:
        """Whether a phrase, or what is owed for it, is being worked on."""

    @property
    @abstractmethod
    def _dropped_s(self) -> float:
        """Seconds of speech that were dropped so far."""

    @abstractmethod
    def _make(self) -> LegT:
        """A session as it is to be opened now."""

    @abstractmethod
    def _opening(self, leg: LegT) -> AbstractAsyncContextManager[Any]:
        """Opens it."""

    @abstractmethod
    def _begin(self, leg: LegT) -> None:
        """It is open, and is fed from now on."""

    @abstractmethod
    async def _send(self, leg: LegT, group: asyncio.TaskGroup) -> LegT | None:
        """Feeds it until it should end; returns the one to feed from now on, None if there is none."""

    @abstractmethod
    def _cut_off(self) -> None:
        """The sessions that were fed are lost, with all that they owe."""

    @abstractmethod
    def _give_up(self, error: RealtimeError) -> None:
        """What still waits will never be sent."""

    # Sessions

    async def _serve(self) -> None:
        """Sessions that hand over to each other, until there is nothing to send. Raises what ended one."""
        async with (
            self._around.access.stream(self._buffer_s, self._health.waits),
            asyncio.TaskGroup() as group,
        ):
            leg: LegT | None = self._start(group)
            self._quiet_since = monotonic()
            while leg is not None:
                await leg.until_open()
                self._begin(leg)
                leg.account = self._around.account(lambda: self.spec)
                self._legs.append(leg)
                leg = await self._send(leg, group)
            # Waited for here: a failure inside the group's own exit leaves this task marked as cancelled.
            while self._legs:
                await asyncio.wait([leg.task for leg in self._legs if leg.task is not None])

    def _start(self, group: asyncio.TaskGroup) -> LegT:
        leg = self._make()
        leg.task = group.create_task(self._live(leg), name=f"{self._kind} session")
        return leg

    async def _live(self, leg: LegT) -> None:
        around = self._around
        try:
            await leg.run(
                self._opening(leg), around.access, around.metrics, self._buffer_s, self._health.waits
            )
        except* RealtimeError as group:
            if leg.account is not None:
                raise
            leg.failure = realtime(group)  # it was open, and had not been fed yet
        finally:
            if leg.account is not None:
                leg.account.close()
        if leg.account is not None:
            self._ended(leg)

    def _ended(self, leg: LegT) -> None:
        """All that it owed has come."""
        self._legs.remove(leg)
        if monotonic() - leg.opened_at >= STABLE_S:
            self._health.stable()

    def _prepared(self, leg: LegT, now: float, group: asyncio.TaskGroup) -> LegT | None:
        """The session that can take over from this one; it is opened when it is time for that."""
        following = self._next
        if following is not None and following.failure is not None:
            self._around.metrics.session_failed(self._kind, reason_of(following.failure))
            self._refusals += 1
            retry = self._times.retry
            self._next_at = now + retry.delay_s(self._refusals, retryable=True, jitter=random.random())
            following = self._next = None
        if following is None:
            if now >= max(self._due_at(leg), self._next_at):
                self._next = self._start(group)
            return None
        if not following.open:
            return None
        self._refusals = 0
        return following

    def _unprepare(self) -> None:
        """No session is needed after this one."""
        if self._next is not None and self._next.task is not None:
            self._next.task.cancel()
        self._next = None

    def _due_at(self, leg: LegT) -> float:
        """When the next one is opened."""
        return min(leg.replace_at, leg.ends_at - self._ahead_s(leg.ends_at - leg.opened_at))

    def _ahead_s(self, life_s: float) -> float:
        """How long before its end a session of this life is to be replaced."""
        return min(self._times.rotate_s, life_s / 4)

    def _last_s(self, leg: LegT) -> float:
        return min(self._times.last_s, (leg.ends_at - leg.opened_at) / 20)

    def _look_again(self, leg: LegT, now: float) -> float:
        """In how many seconds."""
        if self._working or self._next is not None:
            return TICK_S
        return min(self._quiet_since + self._times.idle_s, max(self._due_at(leg), self._next_at)) - now

    async def _pause(self, most_s: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(max(0.01, most_s)):
                await self._wake.wait()
        except TimeoutError:
            pass  # the time is up: that is what was waited for

    async def _failed(self, error: RealtimeError) -> None:
        """Records a lost or refused session and waits until it may be tried again."""
        if any(monotonic() - leg.opened_at >= STABLE_S for leg in self._legs):
            self._health.stable()
        if self._legs:
            self._around.access.lost()
        self._cut_off()
        self._legs.clear()
        self._next = None
        if await self._health.failed(error, self._dropped_s, lambda: self._finishing):
            self._give_up(error)
