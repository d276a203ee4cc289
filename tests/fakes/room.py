"""A LiveKit room without a server: what was done to it is written down, in order."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from livekit.rtc._proto import stats_pb2

from livekit import rtc

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakePublication:
    """A track that a participant has published."""

    def __init__(
        self,
        log: list[tuple[Any, ...]],
        sid: str,
        *,
        kind: int = rtc.TrackKind.KIND_AUDIO,
        source: int = rtc.TrackSource.SOURCE_MICROPHONE,
        track: rtc.Track | None = None,
    ) -> None:
        self.sid = sid
        self.kind = kind
        self.source = source
        self.muted = False
        self.subscribed = False
        self.track = track
        self._log = log

    def set_subscribed(self, subscribed: bool) -> None:
        self.subscribed = subscribed
        self._log.append(("subscribe" if subscribed else "unsubscribe", self.sid))


class FakeParticipant:
    """Somebody in the room."""

    def __init__(
        self,
        identity: str,
        attributes: dict[str, str] | None = None,
        *,
        kind: int = rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD,
        joined_s: float | None = 100.0,
        microphone: bool = True,
    ) -> None:
        """`microphone`: one that is muted; the first that is published then takes its place."""
        self.identity = identity
        self.sid = f"PA_{identity}"
        self.kind = kind
        self.attributes = attributes or {}
        self.joined_at = None if joined_s is None else START + timedelta(seconds=joined_s)
        self.track_publications: dict[str, FakePublication] = {}
        if microphone:
            muted = FakePublication([], f"TR_muted_{identity}")
            muted.muted = True
            self.track_publications[muted.sid] = muted


class FakeWriter:
    """A text stream in the making."""

    def __init__(self, room: "FakeRoom", options: dict[str, Any]) -> None:
        self._room = room
        self._options = options
        self._text = ""

    async def write(self, text: str) -> None:
        text.encode()
        self._text += text

    async def aclose(self) -> None:
        self._room.texts.append({**self._options, "text": self._text})
        self._room.wake()


class FakeByteWriter:
    """A byte stream in the making."""

    def __init__(self, room: "FakeRoom", options: dict[str, Any]) -> None:
        self._room = room
        self._options = options
        self._body = b""

    async def write(self, data: bytes) -> None:
        self._body += data

    async def aclose(self) -> None:
        self._room.files.append({**self._options, "body": self._body})
        self._room.wake()


class FakeLocal(FakeParticipant):
    """The worker itself."""

    def __init__(self, room: "FakeRoom") -> None:
        super().__init__("parley", kind=rtc.ParticipantKind.PARTICIPANT_KIND_AGENT, joined_s=50.0)
        self._room = room
        self.methods: dict[str, Callable[[rtc.RpcInvocationData], Any]] = {}
        self.fail_publish = 0
        """How many of the next publications fail."""

    async def publish_track(self, track: rtc.LocalTrack, options: rtc.TrackPublishOptions) -> FakePublication:
        await asyncio.sleep(0)
        if self.fail_publish:
            self.fail_publish -= 1
            raise rtc.participant.PublishTrackError("no")
        sid = f"TR_{track.name}"
        self._room.do("publish", sid)
        return FakePublication(self._room.log, sid)

    async def unpublish_track(self, sid: str) -> None:
        await asyncio.sleep(0)
        self._room.do("unpublish", sid)

    def set_track_subscription_permissions(
        self, *, allow_all_participants: bool, participant_permissions: list[rtc.ParticipantTrackPermission]
    ) -> None:
        assert not allow_all_participants
        assert not any(p.allow_all for p in participant_permissions)
        table = {p.participant_identity: set(p.allowed_track_sids) for p in participant_permissions}
        self._room.do("permit", table)

    def register_rpc_method(self, name: str, handler: Callable[[rtc.RpcInvocationData], Any]) -> None:
        self.methods[name] = handler

    def unregister_rpc_method(self, name: str) -> None:
        del self.methods[name]

    async def set_attributes(self, attributes: dict[str, str]) -> None:
        await asyncio.sleep(0)
        self.attributes.update(attributes)
        self._room.do("attributes", attributes)

    async def stream_text(self, **options: Any) -> FakeWriter:
        await asyncio.sleep(0)
        if self._room.text_error is not None:
            raise self._room.text_error
        return FakeWriter(self._room, options)

    async def stream_bytes(self, name: str, **options: Any) -> FakeByteWriter:
        await asyncio.sleep(0)
        if self._room.text_error is not None:
            raise self._room.text_error
        return FakeByteWriter(self._room, {"name": name, **options})


class FakeRoom:
    """What the supervisor needs of `rtc.Room`.

    Attributes:
        log: what was done, in order: ("permit", table), ("publish", sid), ("subscribe", sid), …
        texts: the text streams that were sent, whole.
        files: the byte streams that were sent, whole.
    """

    def __init__(self) -> None:
        self.name = "the room"
        self.log: list[tuple[Any, ...]] = []
        self.texts: list[dict[str, Any]] = []
        self.files: list[dict[str, Any]] = []
        self.text_error: Exception | None = None
        self.text_handlers: dict[str, Callable[[Any, str], None]] = {}
        self.metadata = ""
        self.remote_participants: dict[str, FakeParticipant] = {}
        self.local_participant = FakeLocal(self)
        self._callbacks: dict[str, list[Callable[..., None]]] = {}
        self._changed = asyncio.Event()
        self.connection_state = rtc.ConnectionState.CONN_CONNECTED
        self.packets: int | None = None
        """That came so far; None: the native side does not tell."""

    async def get_rtc_stats(self) -> rtc.RtcStats:
        found = []
        if self.packets is not None:
            pair = stats_pb2.CandidatePairStats(packets_received=self.packets)
            found = [stats_pb2.RtcStats(candidate_pair=stats_pb2.RtcStats.CandidatePair(candidate_pair=pair))]
        return rtc.RtcStats(publisher_stats=found, subscriber_stats=[])

    def register_text_stream_handler(self, topic: str, handler: Callable[[Any, str], None]) -> None:
        self.text_handlers[topic] = handler

    def isconnected(self) -> bool:
        return True

    def on(self, event: str, callback: Callable[..., None]) -> None:
        self._callbacks.setdefault(event, []).append(callback)

    def off(self, event: str, callback: Callable[..., None]) -> None:
        self._callbacks[event].remove(callback)

    def emit(self, event: str, *args: Any) -> None:
        for callback in list(self._callbacks.get(event, [])):
            callback(*args)

    def do(self, what: str, *details: Any) -> None:
        self.log.append((what, *details))
        self.wake()

    def wake(self) -> None:
        self._changed.set()

    async def until(self, ready: Callable[[], bool]) -> None:
        """Waits for a state that something done to the room brings about."""
        async with asyncio.timeout(10):
            while not ready():
                self._changed.clear()
                await self._changed.wait()

    def join(self, participant: FakeParticipant) -> FakeParticipant:
        self.remote_participants[participant.identity] = participant
        self.emit("participant_connected", participant)
        return participant

    def leave(self, identity: str) -> None:
        self.emit("participant_disconnected", self.remote_participants.pop(identity))

    def publish(self, identity: str, sid: str, **more: Any) -> FakePublication:
        participant = self.remote_participants[identity]
        publication = FakePublication(self.log, sid, **more)
        participant.track_publications.pop(f"TR_muted_{identity}", None)
        participant.track_publications[sid] = publication
        self.emit("track_published", publication, participant)
        return publication

    def change(self, identity: str, **attributes: str) -> None:
        participant = self.remote_participants[identity]
        participant.attributes.update({f"parley.{key}": value for key, value in attributes.items()})
        self.emit("participant_attributes_changed", attributes, participant)

    def said(self, what: str) -> list[Any]:
        """The details of everything of one kind that was done."""
        return [entry[1] for entry in self.log if entry[0] == what]

    def events(self) -> list[str]:
        """The notices that were sent."""
        import json

        return [json.loads(t["text"])["event"] for t in self.texts if t["topic"] == "parley.events"]
