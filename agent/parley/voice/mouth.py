"""How an agent speaks: LiveKit's audio output on a published track, stopped and resumed within a frame."""

import asyncio
import time
from collections.abc import Callable
from time import monotonic
from typing import Literal, Protocol

from livekit.agents.voice import io

from livekit import rtc
from parley.core.framing import RATE_HZ
from parley.media.speech import SpeechPlayout

from .lines import Lines

MOST_S = 30.0
"""Speech that may wait to be played; the AgentSession waits when there is more."""

Hold = Literal["alone", "doubt", "session"]
"""Why nothing is played: nobody listens yet, the person may be interrupting, the AgentSession asked."""


class SpeechTrack(Protocol):
    """The published track under an agent's voice."""

    on_played: Callable[[], None] | None

    def ready(self, now: float) -> float: ...
    def wake(self) -> None: ...
    def expect(self) -> None: ...
    def release(self) -> None: ...


class Mouth(io.AudioOutput):
    """One reply at a time; what was really played is known to the frame."""

    def __init__(self, queue: SpeechPlayout, track: SpeechTrack, lines: Lines) -> None:
        super().__init__(
            label="parley track",
            capabilities=io.AudioOutputCapabilities(pause=True),
            sample_rate=RATE_HZ,
        )
        self._queue = queue
        self._track = track
        self._lines = lines
        self._holds: set[Hold] = set()
        self._room = asyncio.Event()
        self._started = False
        self._open = False
        self._complete_s: float | None = None
        self._received_s = 0.0
        self.on_begin: Callable[[], None] | None = None
        """Called when the first frame of a reply arrives."""
        self.on_silent: Callable[[], None] | None = None
        """Called when a reply is over: played, or cut."""
        track.on_played = self._played

    @property
    def speaking(self) -> bool:
        """Whether a reply is being played, or held back."""
        return self._open

    def take_received_s(self) -> float:
        """Seconds of speech that came since this was last asked."""
        received_s, self._received_s = self._received_s, 0.0
        return received_s

    def hold(self, why: Hold) -> None:
        """Stops playing with the next frame; nothing is lost."""
        self._holds.add(why)
        self._queue.pause()

    def let_go(self, why: Hold) -> None:
        """Goes on where it stopped, if nothing else holds it."""
        self._holds.discard(why)
        if not self._holds and self._queue.paused:
            if self._queue.queued_s > 0:
                self._queue.resume(self._track.ready(monotonic()))
                self._track.wake()
            else:
                self._queue.resume(monotonic())

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        """Takes speech, faster than it is played; waits while a lot of it waits."""
        if not self._open:
            self._open = True
            self._started = False
            self._complete_s = None
            self._queue.begin()
            if self._holds:
                self._queue.pause()
            if self.on_begin is not None:
                self.on_begin()
        await super().capture_frame(frame)
        self._received_s += frame.duration
        self._queue.push(bytes(frame.data.cast("B")), self._track.ready(monotonic()))
        self._track.wake()
        while self._queue.queued_s > MOST_S:
            self._room.clear()
            await self._room.wait()

    def flush(self) -> None:
        """The reply is whole."""
        super().flush()
        if not self._open:
            return
        self._complete_s = self._queue.pushed_s
        self._queue.complete(self._track.ready(monotonic()))
        self._track.wake()
        if self._queue.done:
            self._end()

    def clear_buffer(self) -> None:
        """The reply is given up: silence from the next frame on."""
        self._holds.discard("doubt")
        self._holds.discard("session")
        if not self._open:
            if not self._holds and self._queue.paused:
                self._queue.resume(monotonic())
            return
        total_s = self._complete_s
        position_s = self._queue.cut()
        if self._holds:
            self._queue.pause()
        heard = self._lines.cut(position_s, total_s)
        self._closed()
        self.on_playback_finished(
            playback_position=position_s, interrupted=True, synchronized_transcript=heard
        )

    def pause(self) -> None:
        """See AudioOutput."""
        self.hold("session")

    def resume(self) -> None:
        """See AudioOutput."""
        self.let_go("session")

    def _played(self) -> None:
        """After frames were handed to the track."""
        if not self._open:
            return
        position_s = self._queue.position_s
        if not self._started and position_s > 0:
            self._started = True
            self.on_playback_started(created_at=time.time())
        self._lines.heard(position_s, self._complete_s)
        if not self._room.is_set() and self._queue.queued_s < MOST_S / 2:
            self._room.set()
        if self._queue.done and self._complete_s is not None:
            self._end()

    def _end(self) -> None:
        position_s = self._queue.position_s
        self._lines.end()
        self._closed()
        self.on_playback_finished(playback_position=position_s, interrupted=False)

    def _closed(self) -> None:
        self._open = False
        self._room.set()
        self._track.release()
        if self.on_silent is not None:
            self.on_silent()
