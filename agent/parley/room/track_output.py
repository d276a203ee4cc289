"""Egress: one published track per speaker and language, played by one clock, silent at no cost.

A track that says nothing is muted and nothing is handed to it: neither encoder nor packets. Muting is
what lets the server keep time: a track that merely stopped would resume with RTP timestamps that know
nothing of the pause, and its listeners' jitter buffers would run half a second late.
"""

import asyncio
import ctypes
import logging
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Any, Protocol

from livekit.rtc.participant import UnpublishTrackError

from livekit import rtc
from parley.core.framing import RATE_HZ
from parley.media.frames import FRAME_S
from parley.media.playout import Playout, PlayoutPolicy
from parley.metrics import Metrics

from .native import NativeLayer

logger = logging.getLogger("parley.room")

_BLOCK = RATE_HZ // 100
"""Samples in 10 ms: what a source without a queue takes at a time."""
_BLOCK_BYTES = _BLOCK * 2
BIT_RATE = 80_000
"""Bits per second while somebody speaks. At the default rate for speech Opus works twice as hard: it
searches for a voice model that it has no need of here."""
REST_S = 0.6
"""Silence that is still played before a track rests: the jitter buffers settle in it."""
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
        # Eight blocks in turn: the native side may look at one a little after the call.
        self._memory = bytearray(_BLOCK_BYTES * 8)
        self._address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
        self._next = 0
        self._request: Any = layer.capture_request(source, RATE_HZ, _BLOCK)

    def write(self, frame: bytes) -> None:
        """PCM16 mono, whole blocks."""
        for start in range(0, len(frame), _BLOCK_BYTES):
            offset = self._next * _BLOCK_BYTES
            self._memory[offset : offset + _BLOCK_BYTES] = frame[start : start + _BLOCK_BYTES]
            self._request.capture_audio_frame.buffer.data_ptr = self._address + offset
            self._layer.capture(self._request)
            self._next = (self._next + 1) % 8


class _PublicSink:
    """The same over the public API, for a livekit package whose native layer is not as expected."""

    def __init__(self, source: rtc.AudioSource) -> None:
        self._source = source

    async def write(self, frame: bytes) -> None:
        """PCM16 mono, whole blocks."""
        for start in range(0, len(frame), _BLOCK_BYTES):
            block = frame[start : start + _BLOCK_BYTES]
            await self._source.capture_frame(rtc.AudioFrame(block, RATE_HZ, 1, _BLOCK))


class Queue(Protocol):
    """What a track plays from: `Playout` for translations, `SpeechPlayout` for voice agents."""

    silent_s: float

    @property
    def playing(self) -> bool: ...
    @property
    def waiting_s(self) -> float: ...
    def push(self, pcm: bytes, now: float) -> float: ...
    def flush(self, now: float) -> None: ...
    def due(self, now: float) -> list[bytes]: ...
    def rest(self) -> None: ...


class TrackOutput:
    """One published track. Implements `parley.ports.AudioOut`."""

    def __init__(
        self,
        player: "Player",
        name: str,
        layer: NativeLayer | None,
        metrics: Metrics,
        queue: Queue | None = None,
    ) -> None:
        self.name = name
        self._player = player
        self._metrics = metrics
        self._source = rtc.AudioSource(RATE_HZ, 1, queue_size_ms=0)
        self._track = rtc.LocalAudioTrack.create_audio_track(name, self._source)
        self._sink: _Sink = (
            _NativeSink(layer, self._source) if layer is not None else _PublicSink(self._source)
        )
        self._playout: Queue = queue or Playout(PlayoutPolicy())
        self.on_played: Callable[[], None] | None = None
        """Called after frames were handed to the track."""
        self._publication: rtc.LocalTrackPublication | None = None
        self._muted = False
        self._changed_at = -DWELL_S
        self._expecting = False
        self._resting = asyncio.Event()
        self._resting.set()
        self._first_pushed_at: float | None = None

    @property
    def sid(self) -> str:
        """The track's SID; empty before it is published. It changes when the connection is remade."""
        return self._publication.sid if self._publication is not None else ""

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that wait to be played."""
        return self._playout.waiting_s

    async def publish(self, room: rtc.Room) -> None:
        """Publishes the track, resting. Who may hear it is the permissions' business."""
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False, red=False)
        options.audio_encoding.max_bitrate = BIT_RATE
        self._publication = await room.local_participant.publish_track(self._track, options)
        self._mute(monotonic())

    async def unpublish(self, room: rtc.Room) -> None:
        """Takes the track back and frees its source."""
        self._player.remove(self)
        if self._publication is not None and room.isconnected():
            await room.local_participant.unpublish_track(self._publication.sid)
        await self._source.aclose()

    def expect(self) -> None:
        """See AudioOut: the track is unmuted before there is something to hear."""
        self._expecting = True
        self._player.add(self)

    def push(self, pcm: bytes) -> None:
        """See AudioOut."""
        now = monotonic()
        if self._playout.waiting_s == 0:
            self._first_pushed_at = now
        dropped = self._playout.push(pcm, self.ready(now))
        if dropped:
            self._metrics.dropped("playout", dropped)
        self.wake()

    def ready(self, now: float) -> float:
        """Wakes the track, if it rests; returns from when on it can be heard."""
        if self._muted:
            self._player.add(self)
            self._unmute(now)
        if self._playout.playing:
            return now
        unmuted_at = self._changed_at + (DWELL_S if self._muted else 0.0)
        return max(now, unmuted_at + LEAD_S)

    def wake(self) -> None:
        """There is something to play that was not pushed just now."""
        if self._playout.playing:
            self._resting.clear()
            self._player.add(self)

    def release(self) -> None:
        """See AudioOut."""
        self._expecting = False
        self._playout.flush(monotonic())
        self._player.add(self)  # the clock mutes it, also where nothing came of what was expected

    async def played(self) -> None:
        """See AudioOut."""
        await self._resting.wait()

    def play(self, now: float) -> Awaitable[None] | None:
        """Hands over what is due. Returns what must be awaited for it, if anything must."""
        if self._muted and (self._expecting or self._playout.playing):
            self._unmute(now)
        frames = self._playout.due(now)
        if not frames:
            return None
        if self._first_pushed_at is not None:
            self._metrics.egress.observe(now - self._first_pushed_at)
            self._first_pushed_at = None
        written = self._sink.write(b"".join(frames))
        if self.on_played is not None:
            self.on_played()
        return written

    def idle(self, now: float) -> bool:
        """Lets the track rest if nothing is left to play; returns whether the clock may forget it."""
        playout = self._playout
        if playout.playing:
            if self._expecting or playout.waiting_s > 0 or playout.silent_s < REST_S:
                return False
            playout.rest()
        elif self._expecting and self._muted:
            return False
        elif self._expecting:
            return True
        self._resting.set()
        self._mute(now)
        return True

    def _mute(self, now: float) -> None:
        if not self._muted:
            self._muted = True
            self._changed_at = now
            self._track.mute()

    def _unmute(self, now: float) -> None:
        if self._muted and now - self._changed_at >= DWELL_S:
            self._muted = False
            self._changed_at = now
            self._track.unmute()


async def take_back(output: TrackOutput, room: rtc.Room) -> None:
    """Unpublishes a track, in 5 s at most; what stands in the way is logged."""
    try:
        async with asyncio.timeout(5):
            await output.unpublish(room)
    except (UnpublishTrackError, TimeoutError) as e:
        logger.warning("a track could not be unpublished: %s", e or "no answer in 5 s")


class Player:
    """The clock of all tracks of a room: ticks every 20 ms while something is played, else never."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._active: dict[TrackOutput, None] = {}
        self._wake = asyncio.Event()

    def add(self, output: TrackOutput) -> None:
        """The clock ticks for this track until it rests."""
        self._active.setdefault(output)
        self._wake.set()

    def remove(self, output: TrackOutput) -> None:
        """The track is gone."""
        self._active.pop(output, None)

    async def run(self) -> None:
        """Ticks for ever; cancelled when the room ends."""
        loop = asyncio.get_running_loop()
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep
        while True:
            if not self._active:
                self._wake.clear()
                await self._wake.wait()
            tick = loop.time()
            while self._active:
                now = monotonic()
                for output in list(self._active):
                    pending = output.play(now)
                    if pending is not None:
                        await pending
                    if output.idle(now):
                        self._active.pop(output, None)
                tick += FRAME_S
                late = loop.time() - tick
                if late > 10 * FRAME_S:
                    tick += late  # after a stall the ticks start afresh; Playout makes up for the audio
                await wait(max(0.0, tick - loop.time()))
