"""What the agents of a room know, from the worker that leaves to the one that takes over.

leaving worker ──text stream parley.handover──▶ the worker that stands by, and nobody else
"""

import asyncio
import json
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from livekit.agents import llm
from pydantic import ValidationError

from livekit import rtc

from .capture import Spawn
from .succession import heir, is_worker

logger = logging.getLogger("parley.room")

TOPIC = "parley.handover"
MOST_BYTES = 200_000
"""Of one conversation, as JSON: the oldest items beyond it are left out."""
MOST_KEPT = 100
"""Conversations that wait for an agent to go on with them."""
SEND_S = 3.0
"""How long all of them together may take to be sent."""
READ_S = 10.0
"""How long one may take to arrive."""


class Handover:
    """Gives conversations away, and keeps those that were given until their agent is started."""

    def __init__(self, room: rtc.Room, spawn: Spawn, most_items: int) -> None:
        """`most_items`: the newest of a conversation that are given away."""
        self._room = room
        self._spawn = spawn
        self._most_items = most_items
        self._kept: dict[tuple[str, str], llm.ChatContext] = {}
        room.register_text_stream_handler(TOPIC, self._arrives)

    @property
    def to(self) -> str | None:
        """The worker that takes over when this one leaves; None: nobody does."""
        return heir(self._room) if self._room.isconnected() else None

    async def give(self, to: str, known: Mapping[str, tuple[str, llm.ChatContext]]) -> dict[str, str]:
        """Sends conversations to a worker, each the newest of it, by key with the agent's name.

        Returns why some could not be sent, or not in time.
        """
        failed = {}
        until = asyncio.get_running_loop().time() + SEND_S
        for key, (agent, memory) in known.items():
            try:
                async with asyncio.timeout_at(until):
                    if items := _items(memory, self._most_items):
                        given = {"key": key, "agent": agent, "items": items}
                        await send_text(self._room, TOPIC, to, json.dumps(given))
            except (rtc.StreamError, ConnectionError, TimeoutError) as e:
                failed[key] = str(e) or f"not sent in {SEND_S:g} s"
        return failed

    def take(self, key: str, agent: str) -> llm.ChatContext | None:
        """The conversation that this agent goes on with, once."""
        return self._kept.pop((key, agent), None)

    def _arrives(self, reader: rtc.TextStreamReader, sender: str) -> None:
        participant = self._room.remote_participants.get(sender)
        if participant is None or not is_worker(participant):
            logger.warning("%r is no worker, and hands nothing over", sender)
            return
        self._spawn(self._read(reader), "hand-over")

    async def _read(self, reader: rtc.TextStreamReader) -> None:
        try:
            given = json.loads(await read_text(reader, 2 * MOST_BYTES))
            key, agent = str(given["key"]), str(given["agent"])
            memory = llm.ChatContext.from_dict({"items": given["items"]})
        except (ValueError, KeyError, TypeError, ValidationError, rtc.StreamError, TimeoutError) as e:
            logger.warning("a conversation was not taken over: %s: %s", type(e).__name__, e)
            return
        self._kept[key, agent] = memory
        if len(self._kept) > MOST_KEPT:
            del self._kept[next(iter(self._kept))]
            logger.warning("too many conversations wait to be gone on with: the oldest is forgotten")


async def send_text(room: rtc.Room, topic: str, to: str, text: str) -> None:
    """Sends a text to one participant. Raises StreamError or ConnectionError."""
    writer = await room.local_participant.stream_text(topic=topic, destination_identities=[to])
    await writer.write(text)
    await writer.aclose()


async def read_text(reader: rtc.TextStreamReader, most_bytes: int) -> str:
    """All of a text that arrives. Raises StreamError, TimeoutError, or ValueError if it is too large."""
    parts: list[str] = []
    size = 0
    async with asyncio.timeout(READ_S):
        async for part in reader:
            parts.append(part)
            size += len(part.encode())
            if size > most_bytes:
                raise ValueError("it is too large")
    return "".join(parts)


def _items(memory: llm.ChatContext, most_items: int) -> list[Any]:
    """The newest items, without pictures and sound, in at most MOST_BYTES of JSON."""
    recent = memory.copy().truncate(max_items=most_items)
    items: list[Any] = recent.to_dict(exclude_timestamp=False, exclude_metrics=True)["items"]
    sizes = [len(json.dumps(item).encode()) for item in items]
    while sum(sizes) > MOST_BYTES:
        del items[0], sizes[0]
    with suppress(IndexError):
        while items[0]["type"] in ("function_call", "function_call_output"):
            del items[0]  # half of a call is refused
    return items
