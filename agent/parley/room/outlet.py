"""An outlet: one published track and the source behind it, muted while there is nothing to hear.

Nothing is handed to a muted track: neither encoder nor packets. Muting is what lets the server keep time: a
track that merely stopped would resume with RTP timestamps that know nothing of the pause, and its listeners'
jitter buffers would run half a second late.
"""

import asyncio
import ctypes
import logging
from collections.abc import Awaitable
from time import monotonic
from typing import Protocol

from livekit.rtc.participant import UnpublishTrackError

from livekit import rtc
from parley.core.framing import RATE_HZ

from .native import NativeLayer

logger = logging.getLogger("parley.room")

_BLOCK = RATE_HZ // 100
"""Samples in 10 ms: what a source without a queue takes at a time."""
_BLOCK_BYTES = _BLOCK * 2
_BLOCKS = 8
BIT_RATE = 80_000
"""Bits per second while somebody speaks. At the default rate for speech Opus works twice as hard: it
searches for a voice model that it has no need of here."""
LEAD_S = 0.06
"""Between unmuting and the first packet: the server drops what comes before it has heard of it."""
DWELL_S = 0.3
"""Between muting and unmuting: two of them at once may reach the server in the wrong order."""


class _Sink(Protocol):
    def write(self, frame: bytes) -> Awaitable[None] | None: ...


class _NativeSink:
    """Hands 10 ms blocks to the source without waiting for the callback."""

    def __init__(self, layer: NativeLayer, source: rtc.AudioSource) -> None:
        self._layer = layer
        # Several blocks in turn: the native side may look at one a little after the call.
        self._memory = bytearray(_BLOCK_BYTES * _BLOCKS)
        address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        places = range(address, address + len(self._memory), _BLOCK_BYTES)
        self._requests = [layer.capture_request(source, RATE_HZ, _BLOCK, place) for place in places]
        self._next = 0

    def write(self, frame: bytes) -> None:
        """PCM16 mono, whole blocks."""
        for start in range(0, len(frame), _BLOCK_BYTES):
            offset = self._next * _BLOCK_BYTES
            self._memory[offset : offset + _BLOCK_BYTES] = frame[start : start + _BLOCK_BYTES]
            self._layer.capture(self._requests[self._next])
            self._next = (self._next + 1) % _BLOCKS


class _PublicSink:
    """The same over the public API, for a livekit package whose native layer is not as expected."""

    def __init__(self, source: rtc.AudioSource) -> None:
        self._source = source

    async def write(self, frame: bytes) -> None:
        """PCM16 mono, whole blocks."""
        for start in range(0, len(frame), _BLOCK_BYTES):
            block = frame[start : start + _BLOCK_BYTES]
            await self._source.capture_frame(rtc.AudioFrame(block, RATE_HZ, 1, _BLOCK))


class Outlet:
    """A published track."""

    def __init__(self, name: str, layer: NativeLayer | None) -> None:
        self.name = name
        self._source = rtc.AudioSource(RATE_HZ, 1, queue_size_ms=0)
        self.track = rtc.LocalAudioTrack.create_audio_track(name, self._source)
        self._sink: _Sink = (
            _NativeSink(layer, self._source) if layer is not None else _PublicSink(self._source)
        )
        self._publication: rtc.LocalTrackPublication | None = None
        self.muted = False
        self._changed_at = -DWELL_S

    @property
    def sid(self) -> str:
        """The track's SID; empty before it is published. It changes when the connection is remade."""
        return self._publication.sid if self._publication is not None else ""

    async def publish(self, room: rtc.Room) -> None:
        """Publishes the track, muted. Who may hear it is the permissions' business."""
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False)
        options.audio_encoding.max_bitrate = BIT_RATE
        self._publication = await room.local_participant.publish_track(self.track, options)
        self.mute(monotonic())

    async def unpublish(self, room: rtc.Room) -> None:
        """Takes the track back and frees its source."""
        if self._publication is not None and room.isconnected():
            await room.local_participant.unpublish_track(self._publication.sid)
        await self._source.aclose()

    def mute(self, now: float) -> None:
        """Nothing is to be heard for now."""
        if not self.muted:
            self.muted = True
            self._changed_at = now
            self.track.mute()

    def unmute(self, now: float) -> None:
        """Something is to be heard soon; does nothing if the track was muted a moment ago: ask again."""
        if self.muted and now - self._changed_at >= DWELL_S:
            self.muted = False
            self._changed_at = now
            self.track.unmute()

    def audible_from(self, now: float) -> float:
        """When the server forwards what is handed over, if the track is unmuted as soon as it can be."""
        unmuted_at = self._changed_at + (DWELL_S if self.muted else 0.0)
        return max(now, unmuted_at + LEAD_S)

    def write(self, pcm: bytes) -> Awaitable[None] | None:
        """Hands over PCM16 mono in whole blocks. Returns what must be awaited for it, if anything must."""
        return self._sink.write(pcm)


class Published(Protocol):
    """Whatever has a track of its own."""

    async def unpublish(self, room: rtc.Room) -> None: ...


async def take_back(output: Published, room: rtc.Room) -> None:
    """Unpublishes a track, in 5 s at most; what stands in the way is logged."""
    try:
        async with asyncio.timeout(5):
            await output.unpublish(room)
    except (UnpublishTrackError, TimeoutError) as e:
        logger.warning("a track could not be unpublished: %s", e or "no answer in 5 s")
