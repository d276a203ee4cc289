"""One websocket and its session: reads what the client sends, sends what the session says when it is due."""

import asyncio
import json
from collections import deque
from math import inf

from aiohttp import WSMsgType, web

from .faults import Fault, Faults
from .session import Ending, Session
from .transcription import TranscriptionSession
from .wire import ApiError, Event, error_body, parse

__all__ = ["Connection"]

_MOST_WAITING = 64
_MOST_STALL_S = 3600.0


class Connection:
    """Runs one session over a prepared websocket. A client that does not read is not read from either."""

    def __init__(
        self, ws: web.WebSocketResponse, transport: asyncio.Transport, session: Session, faults: Faults
    ) -> None:
        self.session = session
        self._ws = ws
        self._transport = transport
        self._faults = faults
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Event] = deque()
        self._ending: Ending | None = None
        self._stalled_until = -inf
        self._sending = False
        self._wake = asyncio.Event()
        self._room = asyncio.Event()

    async def run(self, handshake_s: float) -> None:
        """Serve the session until it is over or the client is gone; returns with the socket closed."""
        opens_at = self._loop.time() + handshake_s
        while self._loop.time() < opens_at and self._ending is None:
            await self._sleep_until(opens_at)
        self._waiting.extend(self.session.open())
        try:
            async with asyncio.TaskGroup() as tasks:
                reader = tasks.create_task(self._read())
                await self._write()
                reader.cancel()
        finally:
            self._end(Ending(1001, "", "simulator closed"))

    def wake(self) -> None:
        """Look again at what is due: a fault was armed."""
        self._wake.set()

    def stop(self) -> None:
        """Close the session from outside: the simulator ends."""
        self._end(Ending(1001, "The simulator ends.", "simulator closed"))

    async def _read(self) -> None:
        while self._ending is None:
            await self._hold()
            message = await self._ws.receive()
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                self._end(Ending(1000, "", "client gone"))
                return
            await self._hold()
            if self._ending is None:
                self._waiting.extend(self._receive(message.type, message.data))
            self._wake.set()

    async def _hold(self) -> None:
        """Wait while the connection is stalled or the client does not take what is sent."""
        while self._ending is None and (
            self._sending or self._stalled_until > self._loop.time() or len(self._waiting) > _MOST_WAITING
        ):
            self._room.clear()
            await self._room.wait()

    def _receive(self, kind: WSMsgType, data: str) -> list[Event]:
        try:
            if kind is WSMsgType.BINARY:
                raise ApiError(
                    "invalid_event", "Binary messages are not supported. Expected a text frame with JSON."
                )
            event = parse(data)
        except ApiError as error:
            return self.session.refuse(error)
        return self.session.receive(event, self._loop.time())

    async def _write(self) -> None:
        while True:
            now = self._loop.time()
            if self._stalled_until <= now:
                self._resume()
                self._advance(now)
                if not await self._send():
                    self._end(Ending(1000, "", "client gone"))
            if self._ending is not None:
                return await self._finish(self._ending)
            await self._sleep_until(self._next_due())

    def _advance(self, now: float) -> None:
        """Let the session and the faults do what is due."""
        if self._ending is None:
            self._waiting.extend(self.session.tick(now))
            for fault in self._faults.take(self.session.record, now):
                self._hit(fault, now)
        if self.session.ending is not None:
            self._end(self.session.ending)

    async def _send(self) -> bool:
        """Send what waits; returns whether the client is still there."""
        self._sending = True
        try:
            while self._waiting and (self._ending is None or self._ending.how != "drop"):
                await self._ws.send_str(json.dumps(self._waiting.popleft(), ensure_ascii=False))
        except ConnectionError:
            return False
        finally:
            self._sending = False
            self._room.set()
        return True

    async def _finish(self, ending: Ending) -> None:
        self._resume()
        if ending.how == "drop":
            self._transport.abort()
        else:
            await self._ws.close(code=ending.code, message=ending.reason.encode())

    async def _sleep_until(self, due: float) -> None:
        try:
            async with asyncio.timeout_at(None if due == inf else due):
                await self._wake.wait()
        except TimeoutError:
            pass
        self._wake.clear()

    def _next_due(self) -> float:
        if self._stalled_until > self._loop.time():
            return self._stalled_until
        due = self.session.next_due()
        return min(inf if due is None else due, self._faults.next_due(self.session.record))

    def _hit(self, fault: Fault, now: float) -> None:
        until = inf if fault.duration_s is None else now + fault.duration_s
        if fault.kind == "error":
            code, message = fault.error
            body = error_body(ApiError(code, message, type=fault.error_type))
            self._waiting.append({"type": "error", "event_id": f"event_fault_{now:.6f}", "error": body})
        elif fault.kind == "expire":
            self._waiting.extend(self.session.expire(now))
        elif fault.kind == "slow":
            self.session.slow(fault.extra_lag_s, until)
        elif fault.kind == "silent":
            self.session.silence(until)
        elif isinstance(self.session, TranscriptionSession) and fault.kind in ("fail", "swap"):
            self._spoil(self.session, fault)
        elif fault.kind == "stall":
            self._stalled_until = min(until, now + _MOST_STALL_S)
            self._transport.pause_reading()
        elif fault.kind == "drop":
            self._end(Ending(1006, "", "drop"))
        else:
            self._end(Ending(fault.close_code, fault.message or "", "close"))

    @staticmethod
    def _spoil(session: TranscriptionSession, fault: Fault) -> None:
        """What only transcriptions are hit by."""
        if fault.kind == "swap":
            session.swap_next()
        else:
            code, message = fault.error
            session.fail_next(ApiError(code, message, type=fault.error_type))

    def _resume(self) -> None:
        if self._stalled_until > -inf:
            self._stalled_until = -inf
            if not self._transport.is_closing():
                self._transport.resume_reading()
            self._room.set()

    def _end(self, ending: Ending) -> None:
        if self._ending is None:
            self._ending = ending
            self.session.record.closed_at = self._loop.time()
            self.session.record.close_reason = ending.how
        self._wake.set()
        self._room.set()
