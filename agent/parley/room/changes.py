"""Room events as one ordered stream, in which each thing that may have changed stands at most once.

LiveKit's callbacks only write down what changed; the supervisor then looks at the room as it is. So a
participant who changes an attribute a thousand times a second is one entry, and the stream is bounded by
the number of participants.

While the worker's own connection is made anew, LiveKit says that everybody has left, and then that everybody
has come. Nobody has: what changed is looked at when the connection is back.
"""

import asyncio

from livekit import rtc

ROOM = ""
"""The change that is not about one participant: metadata, a reconnect, a bridge that ended."""


class Changes:
    """What changed since it was last taken: identities in the order of their first change, or `ROOM`."""

    def __init__(self) -> None:
        self._changed: dict[str, None] = {}
        self._some = asyncio.Event()
        self._connected = asyncio.Event()
        self._connected.set()
        self.closed = False
        """Whether the room is gone."""

    def add(self, what: str = ROOM) -> None:
        """Notes a change. Called from callbacks; never blocks."""
        self._changed.setdefault(what)
        self._some.set()

    def close(self) -> None:
        """The room is gone: `take` returns at once from now on."""
        self.closed = True
        self._some.set()
        self._connected.set()

    async def take(self, settle_s: float) -> list[str]:
        """Waits for a change, then `settle_s` for what comes with it; returns and forgets all changes.

        They come when the connection is there. Cancelled: nothing is forgotten.
        """
        await self._some.wait()
        if not self.closed:
            await asyncio.sleep(settle_s)
            await self._connected.wait()
        taken = list(self._changed)
        self._changed.clear()
        if not self.closed:
            self._some.clear()
        return taken

    def listen(self, room: rtc.Room) -> None:
        """Registers the callbacks of `room`."""

        def participant(p: rtc.RemoteParticipant, *_: object) -> None:
            self.add(p.identity)

        def second(_: object, p: rtc.Participant, *__: object) -> None:
            self.add(p.identity)

        def third(_: object, __: object, p: rtc.RemoteParticipant) -> None:
            self.add(p.identity)

        def anything(*_: object) -> None:
            self.add(ROOM)

        room.on("participant_connected", participant)
        room.on("participant_disconnected", participant)
        room.on("participant_active", participant)
        room.on("participant_attributes_changed", second)
        room.on("track_published", second)
        room.on("track_unpublished", second)
        room.on("track_subscribed", third)
        room.on("track_unsubscribed", third)
        room.on("track_muted", lambda p, _: self.add(p.identity))
        room.on("track_unmuted", lambda p, _: self.add(p.identity))
        room.on("room_metadata_changed", anything)
        room.on("reconnecting", self._connected.clear)
        room.on("reconnected", self._connected.set)
        room.on("reconnected", anything)
        room.on("local_track_republished", anything)
        room.on("disconnected", lambda *_: self.close())
