"""Notices that media stop while signalling goes on, of which LiveKit's SDK says nothing for a long time.

    no packet for `CUT_S`, while somebody is captured ──▶ nothing is played: it waits
    packets come again ──▶ it is played; what was said meanwhile is counted, and told

A path that is idle is no path that is cut: the server answers the checks of the connection all the time.
"""

import asyncio
import logging
from collections.abc import Iterable
from typing import Any

from livekit import rtc

from .track_input import Ingress
from .track_output import Player

logger = logging.getLogger("parley.room")

POLL_S = 1.0
"""How often the packets are counted, while somebody is captured: for 2 ms."""
CUT_S = 3.0
"""Without a single packet: checks of the connection are 2.5 s apart at most."""
ANSWER_S = 2.0
"""How long the native side may take to count."""


class MediaWatch:
    """One room's. `run` it as a task."""

    def __init__(self, room: rtc.Room, ingress: Ingress, player: Player) -> None:
        self._room = room
        self._ingress = ingress
        self._player = player
        self._packets = -1
        self._at = 0.0
        """When the last packet is known to have come, at the latest."""
        self._cut = False

    async def run(self) -> None:
        """Looks for ever; cancelled when the room ends."""
        while True:
            await asyncio.sleep(POLL_S)
            if not self._cut and not self._ingress.capturing:
                self._packets = -1
                continue
            packets = await self._count()
            if packets is not None:
                self._look(packets, asyncio.get_running_loop().time())

    def _look(self, packets: int, now: float) -> None:
        if packets != self._packets:
            self._packets, self._at = packets, now
            if self._cut:
                self._cut = False
                logger.info("media come again")
                self._ingress.found()
                self._player.release(self)
        elif not self._cut and now - self._at >= CUT_S:
            self._cut = True
            logger.warning("no media have come for %.1f s: the path is cut", now - self._at)
            self._ingress.lost(self._room.remote_participants, self._at)
            self._player.hold(self)

    async def _count(self) -> int | None:
        """Packets that came so far, by all ways; None: it is not known now."""
        if self._room.connection_state != rtc.ConnectionState.CONN_CONNECTED:
            return None  # what is lost over a connection that is made anew is told by the ingress
        try:
            async with asyncio.timeout(ANSWER_S):
                stats = await self._room.get_rtc_stats()
        except (RuntimeError, TimeoutError) as e:
            logger.debug("the packets of the room are not known: %s", e or "no answer")
            return None
        return _packets([*stats.publisher_stats, *stats.subscriber_stats])


def _packets(stats: Iterable[Any]) -> int | None:
    pairs = [one.candidate_pair.candidate_pair for one in stats if one.HasField("candidate_pair")]
    return sum(pair.packets_received for pair in pairs) if pairs else None
