"""The minutes of a room, from the worker that leaves to the one that takes over: one record, written by one.

    the one that leaves                                       the one that comes
    parley.minutes {"lines": […]}, the newest first     ──▶   keeps them
    parley.estate  {"minutes": heading}                 ──▶   goes on, as soon as it serves the room
    parley.minutes {"lines": […]}, what was final since ──▶   writes them

From the heading on the one that leaves writes nothing. The other one writes to the same file, where both have
the same directory, and reads there what was more than is handed over.
"""

import asyncio
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from livekit import rtc
from parley.core.minutes import Line
from parley.export.formats import as_json, dumped, from_json, in_parts

from .capture import Spawn
from .handover import read_text, send_text
from .minutes import RoomMinutes

logger = logging.getLogger("parley.room")

TOPIC = "parley.minutes"
MOST_BYTES = 2_000_000
"""Of all lines that are handed over, as JSON: the newest."""
PART_BYTES = 200_000
"""Of one message."""
SEND_S = 3.0
"""How long all of them may take to be sent."""
MOST_WAITING = 20_000
"""Lines that may have come before their heading."""


class MinutesHandover:
    """Gives the minutes of one room, and takes those that the worker before this one gives."""

    def __init__(
        self, room: rtc.Room, minutes: RoomMinutes, precedes: Callable[[str], bool], spawn: Spawn
    ) -> None:
        """`precedes`: whether somebody is a worker that was here before."""
        self._room = room
        self._minutes = minutes
        self._precedes = precedes
        self._spawn = spawn
        self._to: str | None = None
        self._sending = asyncio.Lock()
        self._waiting: list[Line] = []
        self._heading: Mapping[str, Any] | None = None
        self._going_on = False
        room.register_text_stream_handler(TOPIC, self._arrives)

    # To the next one

    @property
    def heading(self) -> dict[str, Any]:
        """What the minutes are gone on with, where their file can be read; JSON, as `inherit` takes it."""
        return self._minutes.heading

    async def give(self, to: str) -> None:
        """Sends what is kept so far, and writes nothing more; the heading is to come after it.

        What does not get through is told there by its number, and logged.
        """
        self._to = to
        await self._minutes.hold()
        lines = self._minutes.minutes.lines()
        sent = await self._send(lines)
        if sent < len(lines):
            logger.warning("%d lines of the transcript were not handed over", len(lines) - sent)
        self._minutes.handed_over(lines[len(lines) - sent :])

    def keep(self) -> None:
        """The other one does not go on with them after all."""
        if self._to is not None:
            self._to = None
            self._minutes.keep()

    async def settle(self) -> bool:
        """Sends what was final since; returns whether the other one has all of it."""
        held = self._minutes.held
        if self._to is None or self._to not in self._room.remote_participants:
            return False
        if await self._send(held) < len(held):
            return False
        self._minutes.handed_over(held)
        return True

    async def leave(self) -> bool:
        """The room is left; returns whether another worker ends the record."""
        if self._to is None or await self.settle():
            return self._to is not None
        gone = self._room.isconnected()
        self.keep()
        await self._minutes.flush()
        return not gone

    async def _send(self, lines: list[Line]) -> int:
        """Sends lines, the newest first; returns how many got through."""
        assert self._to is not None
        sent = size = 0
        try:
            async with asyncio.timeout(SEND_S), self._sending:
                newest_first = [_row(line, self._minutes) for line in reversed(lines)]
                for part in in_parts(newest_first, PART_BYTES):
                    text = dumped({"lines": part[::-1]})
                    size += len(text.encode())
                    if size > MOST_BYTES:
                        break
                    await send_text(self._room, TOPIC, self._to, text)
                    sent += len(part)
        except (rtc.StreamError, ConnectionError, TimeoutError) as e:
            logger.warning("lines of the transcript were not handed over: %s", e or "not sent in time")
        return sent

    # From the one before

    def inherit(self, heading: Mapping[str, Any]) -> None:
        """The heading is here: `begin` goes on with it."""
        if heading:
            self._heading = heading

    def begin(self) -> None:
        """The room is served from now on."""
        heading, self._heading = self._heading, None
        if heading is None:
            return
        lines, self._waiting = self._waiting, []
        try:
            self._minutes.go_on(heading, lines)
        except ValueError as e:
            logger.warning("the transcript of another worker is not gone on with: %s", e)
        else:
            self._going_on = True

    def _arrives(self, reader: rtc.TextStreamReader, sender: str) -> None:
        if not self._precedes(sender):
            logger.warning("%r was not here before, and hands no transcript over", sender)
            return
        self._spawn(self._read(reader), "minutes")

    async def _read(self, reader: rtc.TextStreamReader) -> None:
        try:
            given = json.loads(await read_text(reader, 2 * PART_BYTES))
            rows = given["lines"]
            lines = [line for row in rows if (line := from_json(row)) is not None]
        except (ValueError, KeyError, TypeError, RecursionError, rtc.StreamError, TimeoutError) as e:
            logger.warning("lines of a transcript were not taken over: %s: %s", type(e).__name__, e)
            return
        if self._going_on and self._heading is None:
            self._minutes.take(lines)
        else:
            self._waiting = [*self._waiting, *lines][-MOST_WAITING:]


def _row(line: Line, minutes: RoomMinutes) -> dict[str, Any]:
    row = as_json(line, minutes.began_at)
    return row | {"to": sorted(line.to)} if line.to else row
