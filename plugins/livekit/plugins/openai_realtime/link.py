"""One conversation's connection, over and over: opened, fed, read, changed over before it expires.

    connecting ──► open ──► lost ──► (back-off) ──► connecting
                    │ └────► quiet before its end: the next one is opened, then takes over
                    └──────► closed

Everything that outlives a connection is kept behind the `Hooks`; what is queued here dies with it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import math
import random
import time
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from dataclasses import dataclass
from typing import Any, TypeAlias

from .connection import HttpSession, Wire, open_wire
from .errors import ConnectError, ConnectionLost, ProtocolViolation, RealtimeError, first_of
from .input_log import InputLog
from .log import logger
from .options import SAMPLE_RATE_HZ, ConnectOptions
from .pause import pause
from .resume import ResumeOptions, RetryBudget, rotation

Event = dict[str, Any]

_APPEND = SAMPLE_RATE_HZ // 10  # samples of one append: 100 ms
_QUEUE_MAX = 4_000  # events that wait for a socket that takes nothing
_LOST_CLOSE_S = 0.5  # no closing handshake is worth waiting for on a socket that failed
_LOOK_S = 1.0  # between looks at whether it is quiet, where no event tells
_NEXT_RETRY_S = 1.0  # between attempts to open the next connection while this one still works
_NEXT_WAITS_S = 5.0  # the next connection is open and not read: its server would take it for dead


@dataclass(frozen=True, slots=True)
class AudioUpTo:
    """In a queue of events: all audio before this position of the `InputLog`."""

    position: int


Outgoing: TypeAlias = Event | AudioUpTo


@dataclass(frozen=True, slots=True, kw_only=True)
class Hooks:
    """The conversation, as the link sees it. All but `prepare` are called between two awaits."""

    address: Callable[[], tuple[str, Mapping[str, str]]]
    """URL and headers of the next upgrade."""
    http: Callable[[], HttpSession]
    """What to connect with."""
    gate: Callable[[], AbstractAsyncContextManager[object]]
    """Stands around an attempt to connect, which may have to wait for it."""
    prepare: Callable[[], Coroutine[Any, Any, None]]
    """Get ready for `opening`; the connection is being made meanwhile."""
    opening: Callable[[], Iterable[Outgoing]]
    """A socket is there: everything that tells the conversation to a new session, at once."""
    opened: Callable[[float], None]
    """``session.created`` has come, so many seconds after the socket was asked for."""
    received: Callable[[Event], None]
    """A server event. Raises the RealtimeError that ends the connection or the session."""
    sending: Callable[[Event], None]
    """A client event goes out now."""
    lost: Callable[[RealtimeError | None, bool], None]
    """The connection is gone (None: it is replaced as planned), and whether another one follows."""
    retrying: Callable[[RealtimeError], None]
    """It is tried again after this failure."""
    quiet: Callable[[], bool]
    """Whether nothing is going on that a change of connections would touch."""


class _Closed(Exception):
    """The link is to be closed."""


class _TakeOver(Exception):
    """The next connection takes over."""


class Link:
    """Runs the connections of one conversation.

    Attributes:
        connected: whether events sent now go to a session that has been told the conversation.
    """

    def __init__(self, hooks: Hooks, log: InputLog, connect: ConnectOptions, resume: ResumeOptions) -> None:
        self.connected = False
        self._hooks = hooks
        self._log = log
        self._connect = connect
        self._budget = RetryBudget(resume)
        self._queue: deque[Outgoing] = deque()
        self._wake = asyncio.Event()
        self._quiet = asyncio.Event()
        self._planned = asyncio.Event()
        self._created = asyncio.Event()
        self._due: tuple[float, float] | None = None
        self._asked_at = 0.0
        self._failure: RealtimeError | None = None
        self._closing = False
        self._tasks: asyncio.TaskGroup | None = None

    def send(self, event: Outgoing) -> None:
        """Queue an event for this connection; without one it is gone."""
        if not self.connected:
            return
        if isinstance(event, AudioUpTo) and self._queue and isinstance(self._queue[-1], AudioUpTo):
            self._queue.pop()
        self._queue.append(event)
        self._wake.set()

    def spawn(self, work: Callable[[], Any]) -> None:
        """Run something that ends with the connection."""
        if self._tasks is not None:
            self._tasks.create_task(work())

    def noticed(self) -> None:
        """The peer's state has changed: it may be quiet now."""
        if self._hooks.quiet():
            self._quiet.set()
        else:
            self._quiet.clear()

    def replace(self) -> None:
        """Take a new connection at the next quiet moment."""
        self._due = (0.0, math.inf)
        self._planned.set()

    def fail(self, error: RealtimeError) -> None:
        """This connection is of no use any more."""
        self._failure = error
        self._wake.set()

    def close(self) -> None:
        """End `run` soon."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Connections, one after the other, until closed. Raises the failure that is not retried."""
        loop = asyncio.get_running_loop()
        while not self._closing:
            opened_at: float | None = None
            try:
                async with AsyncExitStack() as attempt:
                    await attempt.enter_async_context(self._hooks.gate())
                    wire = await self._open()
                    opened_at = loop.time()
                    await self._converse(wire, attempt)
            except _Closed:
                return
            except RealtimeError as exc:
                if self._closing:
                    return
                created = opened_at is not None and self._created.is_set()
                lived_s = loop.time() - opened_at if created and opened_at is not None else 0.0
                wait_s = self._budget.failed(exc, lived_s=lived_s, now=loop.time(), chance=random.random())
                self._disconnect(exc, goes_on=wait_s is not None)
                if wait_s is None:
                    raise
                self._hooks.retrying(exc)
                await pause(wait_s, self._wake, lambda: self._closing)

    # -- one connection --

    async def _open(self) -> Wire:
        """A socket, within ``connect_timeout_s``."""
        url, headers = self._hooks.address()
        timeout_s = self._connect.connect_timeout_s
        self._asked_at = asyncio.get_running_loop().time()
        opened: list[Wire] = []

        async def connect() -> None:
            opened.append(await open_wire(self._hooks.http(), url, headers, self._connect))

        try:
            async with asyncio.timeout(timeout_s), asyncio.TaskGroup() as tasks:
                tasks.create_task(connect())
                tasks.create_task(self._hooks.prepare())
        except BaseException as exc:
            for wire in opened:
                await wire.close(_LOST_CLOSE_S)
            reason = first_of(exc) if isinstance(exc, BaseExceptionGroup) else exc
            if isinstance(reason, TimeoutError):
                raise ConnectError(f"no connection within {timeout_s:g} s") from exc
            raise reason from (exc if reason is not exc else exc.__cause__)
        return opened[0]

    async def _converse(self, wire: Wire, attempt: AsyncExitStack) -> None:
        """Connections that hand over to each other. The `attempt` succeeds with ``session.created``.

        Raises _Closed, or what ended one early.
        """
        old: Wire | None = None
        while True:
            following: list[Wire] = []
            self._due, self._failure = None, None
            self._created.clear()
            ended = True
            try:
                self._queue = deque(self._hooks.opening())
                self.connected = True
                self._wake.set()
                async with asyncio.TaskGroup() as tasks:
                    self._tasks = tasks
                    if old is not None:
                        tasks.create_task(old.close(self._connect.close_timeout_s))
                    tasks.create_task(self._send(wire))
                    tasks.create_task(self._receive(wire))
                    tasks.create_task(self._rotate(following))
                    await self._created.wait()
                    await attempt.aclose()
            except BaseExceptionGroup as group:
                reason = first_of(group)
                if isinstance(reason, _TakeOver):
                    ended = False
                    self._disconnect(None, goes_on=True)
                    old, wire = wire, following.pop()
                else:
                    raise reason from group
            finally:
                self._tasks = None
                for unused in (*following, *([wire] if ended else [])):
                    await unused.close(self._connect.close_timeout_s if self._closing else _LOST_CLOSE_S)

    def _disconnect(self, error: RealtimeError | None, *, goes_on: bool) -> None:
        if self.connected:
            self.connected = False
            self._queue.clear()
            self._hooks.lost(error, goes_on)

    async def _send(self, wire: Wire) -> None:
        """Everything queued, in order; audio in pieces of 100 ms at most. Raises _Closed."""
        while True:
            if self._closing:
                raise _Closed
            if self._failure is not None:
                raise self._failure
            message = self._next_message()
            if message is None:
                self._wake.clear()
                await self._wake.wait()
                continue
            try:
                await wire.send_text(message)
            except ConnectionLost:
                # What the server said before the end says more; the reader is about to find it.
                await asyncio.sleep(self._connect.close_timeout_s)
                raise

    def _next_message(self) -> str | None:
        while self._queue:
            if len(self._queue) > _QUEUE_MAX:
                raise ConnectionLost(reason="the socket takes no data")
            head = self._queue[0]
            if isinstance(head, AudioUpTo):
                pcm = self._log.take(head.position, _APPEND)
                if not pcm:
                    self._queue.popleft()
                    continue
                event: Event = {
                    "type": "input_audio_buffer.append",
                    "audio": base64.b64encode(pcm).decode("ascii"),
                }
            else:
                self._queue.popleft()
                event = head
            self._hooks.sending(event)
            return json.dumps(event)
        return None

    async def _receive(self, wire: Wire) -> None:
        """Everything the server says. Raises what ends the connection."""
        timeout_s = self._connect.connect_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                while not self._created.is_set():
                    self._take(await wire.receive_text())
        except TimeoutError as exc:
            raise ConnectError(f"no session within {timeout_s:g} s") from exc
        while True:
            self._take(await wire.receive_text())

    def _take(self, message: str) -> None:
        try:
            event = json.loads(message)
        except (ValueError, RecursionError) as exc:
            raise ProtocolViolation(f"message of {len(message)} characters is not JSON") from exc
        if not isinstance(event, dict) or not isinstance(event.get("type"), str):
            raise ProtocolViolation("message is not an event")
        if event["type"] == "session.created" and not self._created.is_set():
            self._created.set()
            self._plan(event.get("session"))
            self._hooks.opened(asyncio.get_running_loop().time() - self._asked_at)
        try:
            self._hooks.received(event)
        except RealtimeError:
            raise
        except Exception:  # noqa: BLE001 - bulkhead: one event that cannot be understood ends nothing
            logger.exception("event %s was not understood", event["type"])
        self.noticed()

    # -- the change to the next connection --

    def _plan(self, session: object) -> None:
        expires_at = session.get("expires_at") if isinstance(session, dict) else None
        known = isinstance(expires_at, (int, float)) and not isinstance(expires_at, bool)
        due = rotation(int(expires_at) if known else None, time.time())  # type: ignore[arg-type]
        if due is not None and self._due is None:
            now = asyncio.get_running_loop().time()
            self._due = (now + due[0], now + due[1])
            self._planned.set()

    async def _rotate(self, following: list[Wire]) -> None:
        """Wait for the end to come near, or for `replace`; open the next one at a quiet moment."""
        force = await self._rotation_due()
        loop = asyncio.get_running_loop()
        while True:
            await self._until_quiet(force)
            try:
                async with self._hooks.gate():
                    following.append(await self._open())
            except RealtimeError as exc:
                logger.warning("the next connection did not open: %s", exc)
                if loop.time() >= force or not exc.retryable:
                    return
                await asyncio.sleep(_NEXT_RETRY_S)
                continue
            await self._until_quiet(min(force, loop.time() + _NEXT_WAITS_S))
            if self._quiet.is_set() or loop.time() >= force:
                raise _TakeOver
            await following.pop().close(_LOST_CLOSE_S)

    async def _rotation_due(self) -> float:
        """Returns when a change is due; the moment at which it can no longer wait for quiet."""
        while True:
            self._planned.clear()
            try:
                async with asyncio.timeout_at(self._due[0] if self._due is not None else None):
                    await self._planned.wait()
            except TimeoutError:
                assert self._due is not None
                return self._due[1]

    async def _until_quiet(self, latest: float) -> None:
        """Wait for quiet, which may also come with time alone."""
        loop = asyncio.get_running_loop()
        self.noticed()
        while not self._quiet.is_set() and loop.time() < latest:
            with suppress(TimeoutError):
                async with asyncio.timeout_at(min(latest, loop.time() + _LOOK_S)):
                    await self._quiet.wait()
            self.noticed()
