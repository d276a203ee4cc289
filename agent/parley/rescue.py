"""Rooms whose job died are served again: LiveKit itself never asks for another worker."""

import asyncio
import logging
from collections import deque
from contextlib import suppress
from time import monotonic
from typing import Any

import aiohttp

from livekit import api

from .link import Served
from .room.succession import WORKER

logger = logging.getLogger("parley.worker")

TRIES_S = (0.01, 1.0, 2.0, 5.0, 10.0)
"""How long LiveKit is left before each attempt to have a room served again."""
CALL_S = 5.0
MOST = 5
"""How often a room is served again within `WINDOW_S`: what dies again and again dies of the room."""
WINDOW_S = 600.0
ROOMS_KEPT = 1_000


class Rescue:
    """Takes away what is left of a job that died, and asks LiveKit for another one. Enter it as a context."""

    def __init__(self, url: str, key: str, secret: str) -> None:
        self._address = (url, key, secret)
        self._group = asyncio.TaskGroup()
        self._closing = asyncio.Event()
        self._deaths: dict[str, deque[float]] = {}

    async def __aenter__(self) -> "Rescue":
        await self._group.__aenter__()
        return self

    async def __aexit__(self, *failure: Any) -> None:
        """Ends with the attempts that have begun; there are no others."""
        self._closing.set()
        await self._group.__aexit__(*failure)

    def died(self, served: Served) -> None:
        """A job ended without a goodbye. Returns at once."""
        deaths = self._deaths.pop(served.room, deque())
        self._deaths[served.room] = deaths  # the newest stands last
        while len(self._deaths) > ROOMS_KEPT:
            self._deaths.pop(next(iter(self._deaths)))
        now = monotonic()
        deaths.append(now)
        while deaths and deaths[0] < now - WINDOW_S:
            deaths.popleft()
        where = {"room": served.room}
        if len(deaths) > MOST:
            deaths.popleft()
            logger.error("a job died for the %dth time: its room is given up", MOST + 1, extra=where)
            return
        logger.warning("a job died: its room will be served again", extra=where)
        self._group.create_task(self._rescue(served), name="rescue")

    async def _rescue(self, served: Served) -> None:
        for wait_s in TRIES_S:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), wait_s)
                return
            try:
                async with asyncio.timeout(CALL_S), api.LiveKitAPI(*self._address) as livekit:
                    if await self._once(livekit, served):
                        logger.info("another job was asked for", extra={"room": served.room})
                    return
            except (api.TwirpError, aiohttp.ClientError, TimeoutError) as e:
                if isinstance(e, api.TwirpError) and e.code == api.TwirpErrorCode.NOT_FOUND:
                    return  # the room has ended
                said = str(e) or "no answer"
                logger.warning("no job could be asked for: %s", said, extra={"room": served.room})
        logger.error("a room stays without a job", extra={"room": served.room})

    async def _once(self, livekit: api.LiveKitAPI, served: Served) -> bool:
        """Returns whether a job was asked for: not where another worker is there, which takes over."""
        gone = api.RoomParticipantIdentity(room=served.room, identity=served.identity)
        try:
            # For 15 s and more the server would take the dead one for somebody whose network is away.
            await livekit.room.remove_participant(gone)
        except api.TwirpError as e:
            if e.code != api.TwirpErrorCode.NOT_FOUND:
                raise
        listed = await livekit.room.list_participants(api.ListParticipantsRequest(room=served.room))
        if any(WORKER in p.attributes and p.identity != served.identity for p in listed.participants):
            return False
        await livekit.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(
                agent_name=served.agent_name, room=served.room, metadata=served.metadata
            )
        )
        return True
