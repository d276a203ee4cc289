"""The worker's own connection to LiveKit: nothing is played while it is away, so that nothing is lost.

    reconnecting ──▶ reconnected                                          resumed: the tracks are the same
    reconnecting ──▶ republished … ──▶ reconnected ──▶ subscribed …       made anew, under new SIDs

Nobody hears tracks that were published anew before the permissions name them and the listeners have
subscribed again.
"""

import asyncio
from collections.abc import Callable, Set

from livekit import rtc

from .track_output import Player

LISTEN_S = 2.0
"""How long listeners may take to subscribe to tracks that were published anew."""
EARS_S = 0.15
"""From the first listener of a track, which is the only one that LiveKit tells of, to the last one's ear."""


class Blip:
    """Holds the player from when the connection is away until the tracks are heard again."""

    def __init__(self, room: rtc.Room, player: Player, heard: Callable[[], Set[str]]) -> None:
        """`heard`: SIDs of the tracks that somebody may hear."""
        self._player = player
        self._heard = heard
        self._anew: set[str] = set()
        self._release: asyncio.TimerHandle | None = None
        room.on("reconnecting", self._away)
        room.on("reconnected", self._back)
        room.on("local_track_republished", self._republished)
        room.on("local_track_subscribed", self._subscribed)

    def _away(self) -> None:
        self._anew.clear()
        self._wait(None)
        self._player.hold(self)

    def _republished(self, publication: rtc.LocalTrackPublication, previous_sid: str) -> None:
        self._anew.add(publication.sid)

    def _back(self) -> None:
        if self._anew & self._heard():
            self._wait(LISTEN_S)
        else:
            self._player.release(self)

    def _subscribed(self, track: rtc.LocalTrack) -> None:
        if self._release is not None and track.sid in self._anew:
            self._anew.discard(track.sid)
            if not self._anew & self._heard():
                self._wait(EARS_S)

    def _wait(self, duration_s: float | None) -> None:
        """The player is released in so many seconds, or not before the connection is back."""
        if self._release is not None:
            self._release.cancel()
        loop = asyncio.get_running_loop()
        self._release = None
        if duration_s is not None:
            self._release = loop.call_later(duration_s, self._player.release, self)
