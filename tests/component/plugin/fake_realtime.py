"""The server's end of a conversation, script by script: it says what a test wants, when it wants it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

from component.plugin import talk
from component.plugin.fake_api import FakeApi, Peer
from component.plugin.talk import DEADLINE_S, QUICK
from livekit import rtc
from livekit.plugins.openai_realtime import (
    ConversationOptions,
    RealtimeModel,
    RealtimeSession,
    ResumeOptions,
    TurnEvent,
)

PATH = "/v1/realtime"
FAR = 4_000_000_000
Event = dict[str, Any]


class Server:
    """One connection. Items are confirmed and settings echoed; all else is the script's to say."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.items: list[str] = []
        self._ids = 0

    @property
    def received(self) -> list[Event]:
        return self.peer.received

    def of(self, *kinds: str) -> list[Event]:
        return [event for event in self.received if event["type"] in kinds]

    @property
    def pcm(self) -> bytes:
        return self.peer.pcm

    async def greet(self, expires_at: int = FAR) -> None:
        session = {"id": "sess_1", "type": "realtime", "object": "realtime.session", "expires_at": expires_at}
        await self.say("session.created", session=session)

    async def say(self, kind: str, **fields: Any) -> None:
        await self.peer.send(kind, **fields)

    async def error(
        self, code: str, event_id: str | None = None, message: str = "words of the server"
    ) -> None:
        body = {"type": "invalid_request_error", "code": code, "message": message, "event_id": event_id}
        await self.say("error", error=body)

    async def add(self, item: Event) -> None:
        """An item joins the conversation, at its end."""
        previous = self.items[-1] if self.items else None
        self.items.append(item["id"])
        await self.say("conversation.item.added", previous_item_id=previous, item=item)
        await self.say("conversation.item.done", previous_item_id=previous, item=item)

    async def next(self) -> Event | None:
        """The client's next event, answered as far as that is everyday."""
        event = await self.peer.next()
        if event is None:
            return None
        if event["type"] == "session.update":
            await self.say("session.updated", session=event["session"])
        elif event["type"] == "conversation.item.create":
            await self.add({"status": "completed", **event["item"]})
        elif event["type"] == "conversation.item.delete":
            self.items = [item for item in self.items if item != event["item_id"]]
            await self.say("conversation.item.deleted", item_id=event["item_id"])
        return event

    async def until(self, kind: str) -> Event:
        """Up to the client's next event of a kind."""
        while (event := await self.next()) is not None:
            if event["type"] == kind:
                return event
        raise AssertionError(f"the client left before {kind}")

    async def listen(self) -> None:
        """Until the client leaves."""
        while await self.next() is not None:
            pass

    async def meanwhile(self, seconds: float) -> None:
        """Take what the client sends for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.listen()

    async def drop(self) -> None:
        """Abort the connection; what was said before arrives."""
        await asyncio.sleep(0.05)
        assert self.peer.request.transport is not None
        self.peer.request.transport.abort()

    # -- turns and replies --

    async def turn(self, item_id: str = "item_user", start_ms: int = 0, end_ms: int = 400) -> None:
        """The user's turn is found and committed."""
        await self.say("input_audio_buffer.speech_started", item_id=item_id, audio_start_ms=start_ms)
        await self.say("input_audio_buffer.speech_stopped", item_id=item_id, audio_end_ms=end_ms)
        await self.commit(item_id)

    async def commit(self, item_id: str) -> None:
        previous = self.items[-1] if self.items else None
        await self.say("input_audio_buffer.committed", item_id=item_id, previous_item_id=previous)
        content = [{"type": "input_audio"}]
        await self.add({"id": item_id, "type": "message", "role": "user", "content": content})

    async def transcribe(self, text: str, item_id: str = "item_user") -> None:
        where = {"item_id": item_id, "content_index": 0}
        kind = "conversation.item.input_audio_transcription.completed"
        await self.say(kind, **where, transcript=text, usage={"type": "duration", "seconds": 1.0})

    async def create(self, response_id: str, asked: Event | None = None) -> None:
        metadata = asked["response"]["metadata"] if asked is not None else None
        await self.say("response.created", response={"id": response_id, "metadata": metadata})

    async def begin(self, response_id: str, item_id: str) -> None:
        item = {"id": item_id, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        await self.say("response.output_item.added", response_id=response_id, item=item)
        previous = self.items[-1] if self.items else None
        self.items.append(item_id)
        await self.say("conversation.item.added", previous_item_id=previous, item=item)
        part = {"item_id": item_id, "content_index": 0, "part": {"type": "audio"}}
        await self.say("response.content_part.added", response_id=response_id, **part)

    async def speak(self, item_id: str, word: str, ms: int = 500, value: int = 1) -> None:
        """A word and its sound."""
        await self.say("response.output_audio_transcript.delta", item_id=item_id, delta=word)
        pcm = value.to_bytes(2, "little", signed=True) * (24 * ms)
        await self.say("response.output_audio.delta", item_id=item_id, delta=base64.b64encode(pcm).decode())

    async def finish(self, response_id: str, item_id: str | None = None, **response: Any) -> None:
        if item_id is not None:
            item = {"id": item_id, "type": "message", "role": "assistant", "content": []}
            await self.say("response.output_item.done", response_id=response_id, item=item)
        await self.say("response.done", response={"id": response_id, "status": "completed", **response})

    async def fail(self, response_id: str, code: str, message: str = "words of the server") -> None:
        error = {"type": "server_error", "code": code, "message": message}
        await self.finish(response_id, status="failed", status_details={"type": "failed", "error": error})


Script = Callable[[Server], Awaitable[None]]


class Realtime(FakeApi):
    """Runs one script for each connection; the last one again for all that follow."""

    def __init__(self) -> None:
        super().__init__()
        self.servers: list[Server] = []
        self.script = self._run
        self.scripts: list[Script] = []

    async def _run(self, peer: Peer) -> None:
        server = Server(peer)
        self.servers.append(server)
        await self.scripts[min(len(self.servers), len(self.scripts)) - 1](server)


class Line:
    """A session without `AgentSession`, and what it told."""

    def __init__(self, session: RealtimeSession, api: Realtime) -> None:
        self.session, self.api = session, api
        self.turns: list[TurnEvent] = []
        self.errors: list[Any] = []
        self.generations: list[Heard] = []
        self.reading: list[asyncio.Task[None]] = []
        session.on("turn", self.turns.append)
        session.on("error", self.errors.append)
        session.on("openai_client_event_queued", talk.SENT.append)
        session.on("generation_created", self._read)

    def _read(self, event: Any) -> None:
        heard = Heard()
        self.generations.append(heard)
        self.reading.append(asyncio.create_task(heard.read(event)))

    def push(self, ms: int, value: int = 7) -> bytes:
        pcm = value.to_bytes(2, "little", signed=True) * (24 * ms)
        self.session.push_audio(rtc.AudioFrame(pcm, 24_000, 1, len(pcm) // 2))
        return pcm

    async def until(self, condition: Callable[[], Any], what: str) -> None:
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not condition():
                    await asyncio.sleep(0.002)
        except TimeoutError:
            raise AssertionError(f"never: {what}\n{self.turns}\n{self.errors}") from None

    def kinds(self) -> list[str]:
        return [type(event).__name__ for event in self.turns]


class Heard:
    """One generation, read to its end as `AgentSession` would."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.audio: dict[str, bytes] = {}
        self.calls: list[Any] = []
        self.ended = False

    async def read(self, event: Any) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._functions(event.function_stream))
            async for message in event.message_stream:
                tasks.create_task(self._text(message))
                tasks.create_task(self._audio(message))
        self.ended = True

    async def _functions(self, stream: Any) -> None:
        self.calls += [call async for call in stream]

    async def _text(self, message: Any) -> None:
        self.texts[message.message_id] = ""
        async for delta in message.text_stream:
            self.texts[message.message_id] += delta

    async def _audio(self, message: Any) -> None:
        self.audio[message.message_id] = b""
        async for frame in message.audio_stream:
            self.audio[message.message_id] += bytes(frame.data)


@asynccontextmanager
async def on_line(
    api: Realtime,
    *scripts: Script,
    options: ConversationOptions | None = None,
    resume: ResumeOptions = QUICK,
    connect: dict[str, Any] | None = None,
    **model_options: Any,
) -> AsyncIterator[Line]:
    api.scripts = list(scripts)
    where = api.options(**{"close_timeout_s": 0.5, **(connect or {})})
    async with RealtimeModel(options, connect=where, resume=resume, **model_options) as model:
        line = Line(model.session(), api)
        yield line
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.gather(*line.reading)
