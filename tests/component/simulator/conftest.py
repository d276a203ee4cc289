"""A client of the simulator over loopback, in aiohttp alone."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import numpy as np
import pytest

from parley.simulator import Simulator

DEADLINE_S = 20.0


def tone(ms: float) -> np.ndarray:
    return (4600 * np.sin(2 * np.pi * 310 * np.arange(round(ms * 24)) / 24_000)).astype(np.int16)


def quiet(ms: float) -> np.ndarray:
    return np.zeros(round(ms * 24), np.int16)


class Client:
    """One websocket, with a deadline on everything that is waited for."""

    def __init__(self, ws: aiohttp.ClientWebSocketResponse) -> None:
        self.ws = ws
        self.events: list[dict[str, Any]] = []

    async def send(self, **event: Any) -> None:
        await self.ws.send_str(json.dumps(event))

    async def language(self, language: str) -> None:
        audio = {"output": {"language": language}}
        await self.send(type="session.update", session={"audio": audio})
        await self.until("session.updated")

    async def append(self, pcm: np.ndarray) -> None:
        audio = base64.b64encode(pcm.astype("<i2").tobytes()).decode()
        await self.send(type="session.input_audio_buffer.append", audio=audio)

    async def until(self, kind: str) -> dict[str, Any]:
        """The next event of this type."""
        async with asyncio.timeout(DEADLINE_S):
            while True:
                event = await self.ws.receive_json()
                self.events.append(event)
                if event["type"] == kind:
                    return event

    async def end(self) -> int | None:
        """Read until the socket is closed; returns the close code."""
        async with asyncio.timeout(DEADLINE_S):
            async for message in self.ws:
                self.events.append(json.loads(message.data))
        return self.ws.close_code

    def audio(self) -> np.ndarray:
        deltas = [e["delta"] for e in self.events if e["type"] == "session.output_audio.delta"]
        return np.frombuffer(b"".join(base64.b64decode(delta) for delta in deltas), "<i2")

    def text(self) -> str:
        return "".join(e["delta"] for e in self.events if e["type"] == "session.output_transcript.delta")


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(DEADLINE_S)) as session:
        yield session


@pytest.fixture
def connect(http: aiohttp.ClientSession) -> Callable[..., Any]:
    async def connected(
        sim: Simulator,
        query: str = "model=gpt-realtime-translate",
        key: str = "k",
        path: str = "/realtime/translations",
        **headers: str,
    ) -> Client:
        url = f"{sim.base_url}{path}?{query}"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        ws = await http.ws_connect(url, headers={"Authorization": f"Bearer {key}", **named})
        return Client(ws)

    return connected


@pytest.fixture
def speech() -> np.ndarray:
    """Three words of 400 ms, half a second apart, and a second of quiet."""
    return np.concatenate([tone(400), quiet(500)] * 3 + [quiet(1000)])
