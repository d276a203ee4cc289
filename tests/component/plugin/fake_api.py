"""A small server on loopback that says what a test wants it to say, in the words of the translation API."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

from aiohttp import WSMsgType, web

from livekit.plugins.openai_realtime.options import ConnectOptions

PATH = "/v1/realtime/translations"


class Peer:
    """The server's end of one session: sends events, keeps what it received."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self.request = request
        self.socket = socket
        self.received: list[dict[str, Any]] = []
        self.language = "es"
        self.left = asyncio.Event()

    async def send(self, kind: str, **fields: Any) -> None:
        await self.socket.send_json({"type": kind, "event_id": "event_1", **fields})

    async def send_session(self, kind: str, expires_at: int = 4_000_000_000, **audio: Any) -> None:
        output = {"language": self.language}
        session = {"id": "sess_1", "type": "translation", "model": "m", "expires_at": expires_at}
        await self.send(kind, session={**session, "audio": {"output": output, **audio}})

    async def send_error(self, code: str) -> None:
        await self.send("error", error={"type": "some_error", "code": code, "message": "words of the server"})

    async def send_audio(self, samples: int, value: int = 1) -> None:
        pcm = value.to_bytes(2, "little", signed=True) * samples
        await self.send("session.output_audio.delta", delta=base64.b64encode(pcm).decode(), elapsed_ms=200)

    async def say(self, delta: str) -> None:
        await self.send("session.output_transcript.delta", delta=delta)

    async def next(self) -> dict[str, Any] | None:
        """The next message of the client; None when it has left."""
        message = await self.socket.receive()
        if message.type is not WSMsgType.TEXT:
            return None
        self.received.append(json.loads(message.data))
        return self.received[-1]

    async def until(self, kind: str) -> dict[str, Any] | None:
        """Read up to the next message of a kind; None when the client leaves before it."""
        while (message := await self.next()) is not None and message["type"] != kind:
            pass
        return message

    async def greet(self, **created: Any) -> None:
        """session.created → session.update → session.updated."""
        await self.send_session("session.created", **created)
        update = await self.next()
        assert update is not None
        self.language = update["session"]["audio"]["output"]["language"]
        await self.send_session("session.updated", **created)

    @property
    def pcm(self) -> bytes:
        """All audio received."""
        return b"".join(base64.b64decode(m["audio"]) for m in self.received if "audio" in m)


Script = Callable[[Peer], Awaitable[None]]
Refusal = Callable[[web.Request], web.Response]


class FakeApi:
    """Runs `script` for each WebSocket, or answers `refusal` instead of upgrading.

    A script that fails fails the test (`failures`, checked at the end).
    """

    def __init__(self) -> None:
        self.script: Script = polite
        self.refusal: Refusal | None = None
        self.peers: list[Peer] = []
        self.attempts = 0
        self.failures: list[BaseException] = []
        self.base_url = ""
        self.autoping = True

    def options(self, **more: Any) -> ConnectOptions:
        return ConnectOptions(**{"api_key": "sk-test", "base_url": self.base_url, **more})

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.attempts += 1
        if self.refusal is not None:
            return self.refusal(request)
        socket = web.WebSocketResponse(autoping=self.autoping, timeout=0.2)
        await socket.prepare(request)
        peer = Peer(request, socket)
        self.peers.append(peer)
        try:
            with suppress(ConnectionError):
                await self.script(peer)
        except Exception as exc:  # noqa: BLE001 - the fixture reports it
            self.failures.append(exc)
        finally:
            peer.left.set()
        return socket


async def polite(peer: Peer) -> None:
    """Opens, listens, and closes when asked."""
    await peer.greet()
    if await peer.until("session.close") is not None:
        await peer.send("session.closed")
