"""The socket under a realtime session: the only file of the plugin that knows what a WebSocket is.

A `Connection` has no task of its own. Reading happens in the caller's ``async for``, which is also what
answers the server's pings: iterate all the time. Memory is bounded: aiohttp stops reading from the
transport when its receive queue is full, so a slow reader slows the server down; a send waits while the
transport's write buffer is full.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing, suppress
from typing import Any, Generic, TypeVar, overload
from urllib.parse import urlsplit

import aiohttp
from multidict import CIMultiDict

from .errors import ConnectError, ConnectionLost, RealtimeError, from_http_status
from .events import ErrorReported, TranscriptionEvent, TranslationEvent
from .log import logger
from .options import ConnectOptions
from .session_protocol import UNSET, EventT, SessionProtocol, State, Unset
from .transcription import TranscriptionProtocol
from .translation import TranslationProtocol

_OpenT = TypeVar("_OpenT", bound="OpenSession[Any, Any]")
ProtocolT = TypeVar("ProtocolT", bound=SessionProtocol[Any])

_MAX_ERROR_BODY_BYTES = 64 * 1024

HttpSession = aiohttp.ClientSession
"""What sockets are opened with."""


def new_http_session() -> aiohttp.ClientSession:
    """An HTTP session fit for many long-lived sockets; the caller closes it. To be called in a running loop.

    A WebSocket holds its slot in the connector for life, so there is no limit on connections (aiohttp's
    default is 100, that of a LiveKit job 50 per host). No total timeout: `connect` has its own. A refused
    upgrade is raised with the API's own words, which aiohttp would throw away.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        timeout=aiohttp.ClientTimeout(total=None),
        raise_for_status=_raise_for_refusal,
    )


async def _raise_for_refusal(response: aiohttp.ClientResponse) -> None:
    if response.status < 400:
        return
    body = bytearray()
    with closing(response), suppress(aiohttp.ClientError):
        while len(body) < _MAX_ERROR_BODY_BYTES and (chunk := await response.content.readany()):
            body += chunk
    raise from_http_status(response.status, body.decode("utf-8", errors="replace"), response.headers)


class Wire:
    """Text messages over one WebSocket; aiohttp's ways of failing become this plugin's errors."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send_text(self, message: str) -> None:
        """Send one message. Raises ConnectionLost. Cancelled: the message is sent whole, or not at all."""
        try:
            await self._socket.send_str(message)
        except (ConnectionError, aiohttp.ClientError) as exc:
            raise ConnectionLost(reason=f"send failed: {exc}") from exc

    async def receive_text(self) -> str:
        """The next message. Raises ConnectionLost at the end of the socket. Cancelled: no message is lost."""
        message = await self._socket.receive()
        if message.type is aiohttp.WSMsgType.TEXT:
            return str(message.data)
        if message.type is aiohttp.WSMsgType.CLOSE:
            raise ConnectionLost(close_code=message.data, reason=message.extra or "")
        if message.type is aiohttp.WSMsgType.BINARY:
            raise ConnectionLost(reason="the server sent a binary message")
        cause = message.data if isinstance(message.data, Exception) else self._socket.exception()
        raise ConnectionLost(reason=str(cause) if cause is not None else "") from cause

    async def close(self, timeout_s: float) -> None:
        """Close with a handshake, within `timeout_s`; then the transport is cut.

        Raises nothing but CancelledError.

        Cancelled: the close is finished first, then CancelledError is raised.
        """
        await _finish(self._socket.close(), timeout_s, "closing handshake")


class OpenSession(Generic[ProtocolT, EventT]):
    """An open session of any kind. Made by `connect`.

    ``async for event in connection`` yields the session's events and ends when it ends as it was asked to;
    any other end raises what ended it (ConnectionLost, SessionExpired, …). One task iterates; others may
    append, update and close at the same time.

    Attributes:
        opened_at: event-loop time (``loop.time()``, seconds) at which ``session.updated`` had arrived.
        protocol: the session's state; to be read, not driven.
    """

    def __init__(self, wire: Wire, protocol: ProtocolT, options: ConnectOptions) -> None:
        self.protocol = protocol
        self.opened_at = 0.0
        self._wire = wire
        self._options = options
        self._events: deque[EventT | ErrorReported] = deque()
        self._reading = asyncio.Lock()
        self._closing = False

    @property
    def expires_at(self) -> int:
        """Unix time, seconds, at which the server ends the session (``session.created``); 0: not told."""
        created = self.protocol.created
        return created.expires_at if created is not None else 0

    @property
    def closing(self) -> bool:
        """Whether `close` or `aclose` was called: the end that follows was asked for."""
        return self._closing

    async def append(self, pcm: bytes | bytearray | memoryview) -> None:
        """Send audio: int16[n] little endian, 24 kHz, mono.

        Waits while the transport's write buffer is full. Raises what ended the session (ConnectionLost, …),
        SessionNotOpen after `close`, ValueError for half a sample. Cancelled: sent whole, or not at all.
        """
        self._raise_failure()
        self.protocol.append(pcm)
        await self._flush()

    async def close(self) -> None:
        """Send no more, and have all that is still owed; go on iterating for the rest.

        Does not wait for it, and does nothing the second time. Raises what ended the session early.
        Cancelled: sent whole, or not at all; a later `close` does not send it again.
        """
        self._closing = True
        self._raise_failure()
        self.protocol.close()
        await self._flush()

    async def aclose(self, timeout_s: float = 10.0) -> bool:
        """`close`, take all that the server still owes, and close the socket.

        Returns whether the session ended properly within `timeout_s`; False means that a tail may be lost.
        Never raises but CancelledError. Events that nobody was iterating for are kept and can be iterated
        afterwards.
        Cancelled: the socket is closed all the same (within ``close_timeout_s``).
        """
        try:
            async with asyncio.timeout(timeout_s):
                await self.close()
                while self.protocol.state is not State.CLOSED:
                    async with self._reading:
                        await self._read()
        except TimeoutError:
            self.protocol.receive_eof(reason=f"the session has not ended {timeout_s:g} s after its close")
        except RealtimeError as exc:
            logger.debug("session ended while closing: %s", exc)
        finally:
            await self._wire.close(self._options.close_timeout_s)
        return self.protocol.failure is None

    def __aiter__(self) -> AsyncIterator[EventT | ErrorReported]:
        return self

    async def __anext__(self) -> EventT | ErrorReported:
        """The next event. Cancelled: nothing is lost, the next call goes on where this one was."""
        while True:
            if self._events:
                return self._events.popleft()
            if self.protocol.state is State.CLOSED:
                self._raise_failure()
                raise StopAsyncIteration
            async with self._reading:
                # Whoever held the lock may have read what this call was waiting for.
                if not self._events:
                    await self._read()

    async def _configure(self) -> None:
        """Read until ``session.updated`` has confirmed the settings. Raises what the server objects to."""
        while self.protocol.state is not State.OPEN:
            await self._read()
            self._raise_failure()
            await self._flush()
        self.opened_at = asyncio.get_running_loop().time()

    async def _read(self) -> None:
        """One message from the socket into the queue of events; the end of the socket into the protocol."""
        if self.protocol.state is State.CLOSED:
            return
        try:
            message = await self._wire.receive_text()
        except ConnectionLost as exc:
            self.protocol.receive_eof(exc.close_code, exc.reason)
            if self.protocol.failure is not None:
                self.protocol.failure.__cause__ = exc.__cause__
        else:
            self._events.extend(self.protocol.receive_text(message))

    async def _flush(self) -> None:
        try:
            for message in self.protocol.data_to_send():
                await self._wire.send_text(message)
        except ConnectionLost as lost:
            await self._read_out()
            raise self.protocol.failure or lost from lost.__cause__

    async def _read_out(self) -> None:
        """Take what a dead socket had still delivered: an error or a close frame says why it died."""
        try:
            async with asyncio.timeout(self._options.close_timeout_s):
                while self.protocol.state is not State.CLOSED:
                    async with self._reading:
                        await self._read()
        except TimeoutError:
            self.protocol.receive_eof(reason="the socket takes no data")

    def _raise_failure(self) -> None:
        if self.protocol.failure is not None:
            raise self.protocol.failure


class Connection(OpenSession[TranslationProtocol, TranslationEvent]):
    """An open translation session, which ends with ``session.closed``."""

    async def update(
        self, *, language: str | None = None, transcription_model: str | Unset | None = UNSET
    ) -> None:
        """Retarget the running session (``session.update``); see `TranslationProtocol.update`.

        Returns when it is sent; `SessionUpdated` or `ErrorReported` follows in the iteration. Raises and is
        cancelled like `append`.
        """
        self._raise_failure()
        self.protocol.update(language=language, transcription_model=transcription_model)
        await self._flush()


class TranscriptionConnection(OpenSession[TranscriptionProtocol, TranscriptionEvent]):
    """An open transcription session, which ends when all that was committed is transcribed."""

    async def commit(self, event_id: str | None = None) -> None:
        """Make an item of what was appended; see `TranscriptionProtocol.commit`. Raises like `append`."""
        self._raise_failure()
        self.protocol.commit(event_id)
        await self._flush()

    async def clear(self) -> None:
        """Forget what was appended since the last commit. Raises like `append`."""
        self._raise_failure()
        self.protocol.clear()
        await self._flush()

    async def update(self, *, language: str | Unset | None = UNSET) -> None:
        """Change the language; see `TranscriptionProtocol.update`. Raises like `append`."""
        self._raise_failure()
        self.protocol.update(language=language)
        await self._flush()


@overload
def connect(
    protocol: TranslationProtocol, options: ConnectOptions, *, http: aiohttp.ClientSession | None = None
) -> AbstractAsyncContextManager[Connection]: ...


@overload
def connect(
    protocol: TranscriptionProtocol, options: ConnectOptions, *, http: aiohttp.ClientSession | None = None
) -> AbstractAsyncContextManager[TranscriptionConnection]: ...


def connect(
    protocol: TranslationProtocol | TranscriptionProtocol,
    options: ConnectOptions,
    *,
    http: aiohttp.ClientSession | None = None,
) -> AbstractAsyncContextManager[Connection] | AbstractAsyncContextManager[TranscriptionConnection]:
    """Open a session; yields once ``session.updated`` has confirmed it, so that audio may be sent at once.

    `protocol` is fresh and used for this connection only. `http` is used and left open; without it a
    session of its own is made (`new_http_session`) and closed: share one between many connections. A
    foreign `http` works, but its connector's limit applies, and of a refused upgrade only status and
    headers are known.

    Raises ConnectError (unreachable, or not ready within ``connect_timeout_s``), and what the server answers:
    AuthenticationError, QuotaError, RateLimitError, RequestRejected, ServerFault, …
    Cancelled at any point, or left for any reason: the socket is closed, shielded from further
    cancellation, with a handshake that may take ``close_timeout_s``. Leaving does not ask for what is still
    owed: `OpenSession.aclose` does.
    """
    if isinstance(protocol, TranslationProtocol):
        return _opened(lambda wire: Connection(wire, protocol, options), protocol, options, http)
    return _opened(lambda wire: TranscriptionConnection(wire, protocol, options), protocol, options, http)


@asynccontextmanager
async def _opened(
    made: Callable[[Wire], _OpenT],
    protocol: SessionProtocol[Any],
    options: ConnectOptions,
    http: aiohttp.ClientSession | None,
) -> AsyncIterator[_OpenT]:
    async with _borrowed(http, options) as session:
        connection = await _establish(session, made, protocol, options)
        try:
            yield connection
        finally:
            await connection._wire.close(options.close_timeout_s)


@asynccontextmanager
async def _borrowed(
    http: aiohttp.ClientSession | None, options: ConnectOptions
) -> AsyncIterator[aiohttp.ClientSession]:
    """`http` as it is, or a session of our own that is closed on the way out."""
    if http is not None:
        yield http
        return
    own = new_http_session()
    try:
        yield own
    finally:
        await _finish(own.close(), options.close_timeout_s, "closing the HTTP session")


async def _establish(
    http: aiohttp.ClientSession,
    made: Callable[[Wire], _OpenT],
    protocol: SessionProtocol[Any],
    options: ConnectOptions,
) -> _OpenT:
    """Everything up to ``session.updated``, within ``connect_timeout_s``; a failure leaves no socket."""
    wire: Wire | None = None
    try:
        async with asyncio.timeout(options.connect_timeout_s):
            wire = await _open(http, protocol, options)
            connection = made(wire)
            await connection._configure()
            return connection
    except BaseException as exc:
        if wire is not None:
            await wire.close(options.close_timeout_s)
        if isinstance(exc, TimeoutError):
            raise ConnectError(f"no session within {options.connect_timeout_s:g} s") from exc
        raise


async def _open(http: aiohttp.ClientSession, protocol: SessionProtocol[Any], options: ConnectOptions) -> Wire:
    headers = {"Authorization": f"Bearer {options.api_key.strip()}"}
    merged = CIMultiDict(headers)
    merged.update(options.headers)
    return await open_wire(http, options.websocket_url(protocol.path, protocol.query), merged, options)


async def open_wire(
    http: aiohttp.ClientSession, url: str, headers: Mapping[str, str], options: ConnectOptions
) -> Wire:
    """A WebSocket at `url`, with the heartbeat and limits of `options`, whose address and key are not used.

    Raises ConnectError, and what the server answers instead of upgrading; TimeoutError is the caller's to
    set and to map. Cancelled: no socket is left.
    """
    try:
        socket = await http.ws_connect(
            url,
            headers=headers,
            heartbeat=options.heartbeat_s,
            compress=0,
            autoping=True,
            max_msg_size=options.max_message_bytes,
            timeout=aiohttp.ClientWSTimeout(ws_close=options.close_timeout_s),
        )
    except aiohttp.WSServerHandshakeError as exc:
        raise from_http_status(exc.status, headers=exc.headers or {}) from exc
    except (aiohttp.ClientError, OSError) as exc:
        if isinstance(exc, TimeoutError):
            raise
        raise ConnectError(f"cannot reach {urlsplit(url).netloc}: {exc}") from exc
    return Wire(socket)


async def _finish(work: Coroutine[Any, Any, Any], timeout_s: float, what: str) -> None:
    """Run clean-up for at most `timeout_s`, whatever cancels the caller; then pass the cancellation on."""
    task = asyncio.create_task(asyncio.wait_for(work, timeout_s), name=what)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.wait({task})
        except asyncio.CancelledError as exc:
            cancelled = exc
    failure = None if task.cancelled() else task.exception()
    if failure is not None:
        logger.debug("%s: %s", what, failure or type(failure).__name__)
    if cancelled is not None:
        raise cancelled
