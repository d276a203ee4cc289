"""The worker's own connection to LiveKit: nothing is played while it is away, so that nothing is lost.

A resumed connection keeps its tracks. One that is made anew publishes them under new SIDs, which nobody hears
before the permissions name them and the listeners have subscribed again.
"""

import asyncio
from collections.abc import Callable, Set

from livekit import rtc

from .track_output import Player

LISTEN_S = 1.5
"""How long listeners may take to subscribe to tracks that were published anew."""


class Blip:
    """Holds the player from when the connection is away until the tracks are heard again."""

    def __init__(self, room: rtc.Room, player: Player, heard: Callable[[], Set[str]]) -> None:
        """`heard`: SIDs of the tracks that somebody may hear."""
        self._player = player
        self._heard = heard
        self._anew: set[str] = set()
        self._connected = True
        room.on("reconnecting", self._away)
        room.on("reconnected", self._back)
        room.on("local_track_republished", self._republished)
        room.on("local_track_subscribed", self._subscribed)

    def _away(self) -> None:
        self._connected = False
        self._anew.clear()
        self._player.hold()

    def _back(self) -> None:
        self._connected = True
        asyncio.get_running_loop().call_later(LISTEN_S, self._release)
        self._look()

    def _republished(self, publication: rtc.LocalTrackPublication, previous_sid: str) -> None:
        self._anew.add(publication.sid)
        if self._connected:  # once more, after it seemed to be over
            self._player.hold()
            asyncio.get_running_loop().call_later(LISTEN_S, self._release)

    def _subscribed(self, track: rtc.LocalTrack) -> None:
        self._anew.discard(track.sid)
        self._look()

    def _look(self) -> None:
        if self._connected and not self._anew & self._heard():
            self._release()

    def _release(self) -> None:
        if self._connected:
            self._anew.clear()
            self._player.release()
