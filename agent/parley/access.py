"""Leave to use the API: one gatekeeper for all rooms of a worker, asked by each of them.

    Access (a job)  ── {"ask": n, "for": "stream" | "attempt"} ──▶  Gatekeeper (the main process)
                    ◀── {"granted": n} ──
                    ── {"done": n, "outcome": …} ──▶               freed, and learnt from

The messages are JSON objects: `link` carries them. A job that has no main process is its own gatekeeper.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from itertools import count
from time import monotonic
from typing import Any

from livekit.plugins.openai_realtime.errors import (
    AuthenticationError,
    ConnectError,
    ConnectionLost,
    QuotaError,
    RateLimitError,
    RealtimeError,
    ServerFault,
)

from .core.admission import Admission, Place
from .core.breaker import Breaker, Outcome

LIMIT = "PARLEY_LIMITS__AUDIO_MINUTES_PER_MINUTE"
SHORT_S = 1.0
"""A wait that is not worth telling."""

Message = Mapping[str, Any]
Send = Callable[[dict[str, Any]], None]


class Refused(RateLimitError):
    """No room within the account's limit, for as long as it was worth waiting."""


class Spared(ConnectError):
    """The attempt was not made: the API is failing, or the key is refused, and another one probes it."""


def outcome_of(error: BaseException) -> Outcome:
    """What the failure of an attempt says of the API and the key."""
    if isinstance(error, AuthenticationError | QuotaError):
        return "refused"
    if isinstance(error, ConnectError | ConnectionLost | RateLimitError | ServerFault):
        return "sick"
    return "own"


class Gatekeeper:
    """Keeps the breaker and the places of all rooms; `room` is whatever number tells them apart."""

    def __init__(self, most_streams: int | None = None, breaker: Breaker | None = None) -> None:
        self.breaker = breaker or Breaker()
        self.admission = Admission(most_streams)
        self._rooms: dict[int, Send] = {}
        self._attempts: dict[Place, None] = {}
        self._under_way: set[Place] = set()
        self._timer: asyncio.TimerHandle | None = None

    def enter(self, room: int, send: Send) -> None:
        """A room that may ask, and how it is answered."""
        self._rooms[room] = send

    def leave(self, room: int) -> None:
        """A room is gone, whatever it had or waited for."""
        self._rooms.pop(room, None)
        self.admission.gone(room)
        for place in [place for place in self._under_way if place[0] == room]:
            self._end_attempt(place, "own", 0.0)
        self._attempts = {place: None for place in self._attempts if place[0] != room}
        self._grant()

    def take(self, room: int, message: Message) -> None:
        """What a room says. Raises ValueError for what makes no sense."""
        match message:
            case {"ask": int(number), "for": "stream"}:
                self.admission.ask((room, number))
            case {"ask": int(number), "for": "attempt"}:
                self._attempts.setdefault((room, number))
            case {"done": int(number), "outcome": str(outcome), "asked_s": float() | int() as asked_s}:
                if outcome not in ("opened", "sick", "refused", "own"):
                    raise ValueError(f"outcome {outcome!r}")
                self._done((room, number), outcome, float(asked_s))  # type: ignore[arg-type]
            case {"lost": True}:
                self.breaker.lost()
            case _:
                raise ValueError("not a message of a room's access")
        self._grant()

    def close(self) -> None:
        """Nobody is answered any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _done(self, place: Place, outcome: Outcome, asked_s: float) -> None:
        self.admission.leave(place)
        self._attempts.pop(place, None)
        if place in self._under_way:
            self._end_attempt(place, outcome, asked_s)

    def _end_attempt(self, place: Place, outcome: Outcome, asked_s: float) -> None:
        self._under_way.discard(place)
        self.breaker.ended(outcome, monotonic(), random.random(), asked_s)

    def _grant(self) -> None:
        for place in self.admission.grants():
            self._answer(place)
        now = monotonic()
        while self._attempts and self.breaker.admit(now):
            place = next(iter(self._attempts))
            del self._attempts[place]
            self._under_way.add(place)
            self._answer(place)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        again_s = self.breaker.look_again_s(now) if self._attempts else None
        if again_s is not None:
            self._timer = asyncio.get_running_loop().call_later(max(0.01, again_s), self._grant)

    def _answer(self, place: Place) -> None:
        self._rooms[place[0]]({"granted": place[1]})


class Access:
    """A room's side. Implements `parley.ports.Access`."""

    def __init__(self, gatekeeper: Gatekeeper | None = None) -> None:
        self._numbers = count(1)
        self._asked: dict[int, asyncio.Future[None]] = {}
        self._send: Send
        self._alone = gatekeeper or Gatekeeper()
        self.disconnected()

    def connected(self, send: Send) -> None:
        """Another process keeps the gate: it is asked with `send`, its answers go to `take`."""
        self._alone.leave(0)
        self._send = send

    def disconnected(self) -> None:
        """There is no other process any more: who waits need not, and the room keeps its own gate."""
        self._alone.enter(0, self.take)
        self._send = lambda message: self._alone.take(0, message)
        for number in list(self._asked):
            self.take({"granted": number})

    def take(self, message: Message) -> None:
        """An answer of the gatekeeper."""
        future = self._asked.pop(int(message["granted"]), None)
        if future is not None and not future.done():
            future.set_result(None)

    @asynccontextmanager
    async def stream(self, most_s: float, waits: Callable[[str], None]) -> AsyncIterator[None]:
        """See the port. Raises Refused."""
        reason = f"the account's limit is reached ({LIMIT})"
        number = next(self._numbers)
        try:
            await self._ask(number, "stream", most_s, lambda: waits(reason), Refused(reason))
            yield
        finally:
            self._done(number, "own")

    @asynccontextmanager
    async def attempt(self, most_s: float, waits: Callable[[str], None]) -> AsyncIterator[None]:
        """See the port. Raises Spared."""
        reason = "the API or its key is failing: only few attempts are made"
        number = next(self._numbers)
        outcome: Outcome = "own"
        asked_s = 0.0
        try:
            await self._ask(number, "attempt", most_s, lambda: waits(reason), Spared(reason))
            try:
                yield
            except RealtimeError as error:
                outcome, asked_s = outcome_of(error), error.retry_after_s or 0.0
                raise
            outcome = "opened"
        finally:
            self._done(number, outcome, asked_s)

    def lost(self) -> None:
        """See the port."""
        self._send({"lost": True})

    async def _ask(
        self, number: int, what: str, most_s: float, waits: Callable[[], None], late: RealtimeError
    ) -> None:
        granted = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._send({"ask": number, "for": what})
            done, _ = await asyncio.wait({granted}, timeout=SHORT_S)
            if not done:
                waits()
                done, _ = await asyncio.wait({granted}, timeout=max(0.0, most_s - SHORT_S))
            if not done:
                raise late
        finally:
            self._asked.pop(number, None)

    def _done(self, number: int, outcome: Outcome, asked_s: float = 0.0) -> None:
        self._send({"done": number, "outcome": outcome, "asked_s": asked_s})
