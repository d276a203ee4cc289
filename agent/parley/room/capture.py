"""What is captured of one sound of a participant: a track, and for a moment the one that it replaces."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Protocol

from livekit import rtc
from parley.core.framing import RATE_HZ
from parley.media.splice import Splice

from .native import NativeLayer, OnAudio


class Stream(Protocol):
    """An audio stream that delivers until closed."""

    async def aclose(self) -> None: ...


class PublicStream:
    """The same over the public AudioStream, for a livekit package whose native layer is not as expected."""

    def __init__(self, track: rtc.Track, frame_ms: int, on_audio: OnAudio, spawn: "Spawn") -> None:
        self._stream = rtc.AudioStream.from_track(
            track=track,
            sample_rate=RATE_HZ,
            num_channels=1,
            frame_size_ms=frame_ms,
            capacity=1000 // frame_ms,
        )
        self._task = spawn(self._read(on_audio), "public audio stream")

    async def _read(self, on_audio: OnAudio) -> None:
        async for event in self._stream:
            on_audio(bytes(event.frame.data.cast("B")), monotonic())

    async def aclose(self) -> None:
        """Ends the reading and the stream."""
        await self._stream.aclose()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


Spawn = Callable[..., "asyncio.Task[None]"]


@dataclass(frozen=True)
class Running:
    """A track that is captured. One SID is another track after the connection was made anew."""

    number: int
    sid: str
    track: rtc.Track
    frame_ms: int
    stream: Stream


class Capture:
    """The stream of a track; of two for as long as it takes to go on in the second where the first is."""

    def __init__(
        self,
        layer: NativeLayer | None,
        spawn: Spawn,
        deliver: OnAudio,
        replaced: Callable[[str], None] = lambda sid: None,
    ) -> None:
        """`replaced`: told the SID of a track of which nothing is wanted any more."""
        self._layer = layer
        self._spawn = spawn
        self._deliver = deliver
        self._replaced = replaced
        self._number = 0
        self._running: Running | None = None
        self._before: Running | None = None
        self._splice: Splice | None = None

    def captures(self, publication: rtc.RemoteTrackPublication, frame_ms: int | None = None) -> bool:
        """Whether it is what is published now that is captured, in frames of this length if that matters."""
        running = self._running
        return (
            running is not None
            and running.sid == publication.sid
            and running.track is publication.track
            and frame_ms in (None, running.frame_ms)
        )

    @property
    def sids(self) -> set[str]:
        """The tracks that are listened to."""
        return {running.sid for running in (self._running, self._before) if running is not None}

    def open(
        self,
        publication: rtc.RemoteTrackPublication,
        track: rtc.Track,
        frame_ms: int,
        splice: Splice | None = None,
    ) -> None:
        """Captures a track in frames of this length: from its first one on, or from where `splice` finds.

        Until then the track before it is delivered.
        """
        self._give_up()
        self._number += 1
        on_audio = partial(self._on_audio, self._number)
        stream: Stream
        if self._layer is None:
            stream = PublicStream(track, frame_ms, on_audio, self._spawn)
        else:
            stream = self._layer.open_stream(track, RATE_HZ, frame_ms, on_audio)
        oldest, self._before, self._splice = self._before, self._running, splice
        self._running = Running(self._number, publication.sid, track, frame_ms, stream)
        self._let_go(oldest)

    def discard(self) -> None:
        """What came and was not delivered never is; the newest track goes on with its next frame."""
        self._splice = None
        self._part()

    async def aclose(self) -> None:
        """Nothing more is delivered."""
        running, before = self._running, self._before
        self._running = self._before = self._splice = None
        self._number += 1
        for one in (running, before):
            if one is not None:
                await one.stream.aclose()

    def _on_audio(self, number: int, pcm: bytes, at: float) -> float | None:
        splice = self._splice
        if number == self._number:
            if splice is None:
                self._part()
                return self._deliver(pcm, at)
            due = splice.new(pcm, at)
            self._go_on(splice)
            return self._deliver(due, at) if due else None
        if self._before is not None and number == self._before.number:
            if splice is not None:
                splice.old(pcm, at)
            return self._deliver(pcm, at)
        return None

    def _give_up(self) -> None:
        """The place is not looked for any longer."""
        if (splice := self._splice) is not None:
            now = monotonic()
            due = splice.rest(now)
            self._go_on(splice)
            if due:
                self._deliver(due, now)

    def _go_on(self, splice: Splice) -> None:
        if splice.found:
            self._part()
        if splice.done:
            self._splice = None

    def _part(self) -> None:
        """From the track before nothing more is taken."""
        before, self._before = self._before, None
        self._let_go(before)

    def _let_go(self, running: Running | None) -> None:
        if running is not None:
            self._spawn(running.stream.aclose(), "end of a capture")
            if running.sid not in self.sids:
                self._replaced(running.sid)
