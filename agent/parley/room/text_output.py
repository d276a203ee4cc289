"""Text to the room: captions to those who read them, notices to all; one bounded queue, one sender."""

import asyncio
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from time import monotonic, time

from livekit import rtc
from parley.core.model import BridgeKey
from parley.core.policy import Bucket
from parley.core.transcript import Segment
from parley.ports import TextKind

from .native import NativeLayer

logger = logging.getLogger("parley.room")

CAPTIONS_TOPIC = "lk.transcription"
EVENTS_TOPIC = "parley.events"
MOST_WAITING = 500
"""Texts that may wait to be sent; beyond it the oldest is dropped and logged."""
SEND_S = 5.0
"""How long one text may take before the next is sent."""
EVENTS_PER_S = 5.0
EVENTS_BURST = 20.0
_AHEAD_S = time() - monotonic()
"""What makes Unix time of the clock that segments go by."""


@dataclass(frozen=True, slots=True)
class Text:
    """One whole text stream."""

    topic: str
    text: str
    attributes: Mapping[str, str]
    to: tuple[str, ...]
    sender: str


class TextOutput:
    """The sender. An interim caption that waits is replaced by the next one of its segment."""

    def __init__(self, room: rtc.Room, layer: NativeLayer | None) -> None:
        self._room = room
        self._layer = layer
        self._waiting: dict[str, Text] = {}
        self._some = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._count = 0
        self.dropped = 0
        """Texts dropped because too many waited."""

    def put(self, text: Text, key: str | None = None) -> None:
        """Queues a text; under the same `key` it takes the place of one that still waits."""
        if key is None:
            self._count += 1
            key = f"#{self._count}"
        self._waiting[key] = text
        if len(self._waiting) > MOST_WAITING:
            del self._waiting[next(iter(self._waiting))]
            self.dropped += 1
            if self.dropped == 1 or self.dropped % 100 == 0:
                logger.warning("texts to the room are dropped, %d so far: too many wait", self.dropped)
        self._idle.clear()
        self._some.set()

    async def sent(self) -> None:
        """Returns when nothing waits."""
        await self._idle.wait()

    async def run(self) -> None:
        """Sends for ever; cancelled when the room ends."""
        while True:
            if not self._waiting:
                self._idle.set()
                self._some.clear()
                await self._some.wait()
            key = next(iter(self._waiting))
            text = self._waiting.pop(key)
            try:
                async with asyncio.timeout(SEND_S):
                    await self._send(text)
            except (rtc.StreamError, ConnectionError, TimeoutError) as e:
                logger.warning("a text on %s could not be sent: %s", text.topic, e or type(e).__name__)

    async def _send(self, text: Text) -> None:
        # Half a surrogate pair, which JSON can carry, has no UTF-8.
        body = text.text.encode(errors="replace").decode()
        if self._layer is not None:
            await self._layer.send_text(
                self._room,
                body,
                topic=text.topic,
                attributes=text.attributes,
                to=text.to,
                sender=text.sender,
            )
            return
        writer = await self._room.local_participant.stream_text(
            topic=text.topic,
            attributes=dict(text.attributes),
            destination_identities=list(text.to) or None,
            sender_identity=text.sender,
        )
        await writer.write(body)
        await writer.aclose()


def attributes_of(segment: Segment, track_sid: str, language: str, kind: str) -> dict[str, str]:
    """What front-ends are told of a line; its times as Unix time, in seconds."""
    return {
        "lk.segment_id": segment.id,
        "lk.transcription_final": "true" if segment.final else "false",
        "lk.transcribed_track_id": track_sid,
        "language": language,
        "parley.kind": kind,
        "parley.start": f"{segment.started_s + _AHEAD_S:.3f}",
        "parley.end": f"{segment.ended_s + _AHEAD_S:.3f}",
    }


class Captions:
    """One bridge's captions. Implements `parley.ports.TextOut`."""

    def __init__(
        self,
        output: TextOutput,
        key: BridgeKey,
        readers: Callable[[TextKind], Iterable[str]],
        track_sid: Callable[[TextKind], str],
        source_language: Callable[[], str],
        read_along: Callable[[Segment, TextKind], None] | None = None,
        said: Callable[[Segment, Text, TextKind], None] | None = None,
    ) -> None:
        """`said` is told of every line, also of those that nobody reads."""
        self._output = output
        self._key = key
        self._readers = readers
        self._track_sid = track_sid
        self._source_language = source_language
        self._read_along = read_along
        self._said = said

    def send(self, segment: Segment, kind: TextKind) -> None:
        """See TextOut."""
        if self._read_along is not None:
            self._read_along(segment, kind)
        to = tuple(sorted(self._readers(kind)))
        if not to and self._said is None:
            return
        language = self._key.language if kind == "translation" else self._source_language()
        attributes = attributes_of(segment, self._track_sid(kind), language, kind)
        text = Text(CAPTIONS_TOPIC, segment.text, attributes, to, self._key.speaker)
        if self._said is not None:
            self._said(segment, text, kind)
        if to:
            self._output.put(text, key=segment.id)


class RoomNotices:
    """`parley.events`, rate-limited. Implements `parley.ports.Notices`."""

    def __init__(self, output: TextOutput, identity: Callable[[], str]) -> None:
        self._output = output
        self._identity = identity
        self._bucket = Bucket(EVENTS_PER_S, EVENTS_BURST)
        self._withheld = 0

    def say(self, event: str, *, speaker: str | None, language: str | None, detail: str) -> None:
        """See Notices. What is above the rate is counted, and the count is told with the next one."""
        if not self._bucket.take(monotonic()):
            self._withheld += 1
            return
        body: dict[str, object] = {
            "event": event,
            "speaker": speaker,
            "language": language,
            "detail": detail[:500],
        }
        if self._withheld:
            body["withheld"], self._withheld = self._withheld, 0
        logger.info("%s", event, extra={"detail": detail[:500]})
        text = json.dumps(body, ensure_ascii=False)
        self._output.put(Text(EVENTS_TOPIC, text, {}, (), self._identity()))


def microphone_sid(room: rtc.Room, identity: str) -> str:
    """The first audio track of a participant, for `lk.transcribed_track_id`; empty if there is none."""
    participant = room.remote_participants.get(identity)
    if participant is None:
        return ""
    audio = (p for p in participant.track_publications.values() if p.kind == rtc.TrackKind.KIND_AUDIO)
    return next((p.sid for p in audio), "")
