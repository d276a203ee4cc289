"""Egress: one published track per speaker and language, played by one clock, silent at no cost."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic
from typing import Protocol

from livekit import rtc
from parley.media.ducked import DuckedPlayout
from parley.media.frames import FRAME_S
from parley.media.playout import Playout, PlayoutPolicy
from parley.metrics import Metrics

from .line import REST_S, Line, Queue
from .native import NativeLayer
from .outlet import Outlet, take_back

__all__ = ["DuckedTrack", "Playable", "Player", "TrackOutput", "take_back"]


class Playable(Protocol):
    """What the clock plays."""

    def play(self, now: float) -> Awaitable[None] | None:
        """Hands over what is due. Returns what must be awaited for it, if anything must."""

    def postpone(self, until: float) -> None:
        """Nothing is due before `until` (monotonic, s)."""

    def idle(self, now: float) -> bool:
        """Rests if nothing is left to play; returns whether the clock may forget it."""


class TrackOutput(Line):
    """A line with a track of its own. Implements `parley.ports.AudioOut`."""

    def __init__(
        self,
        player: "Player",
        name: str,
        layer: NativeLayer | None,
        metrics: Metrics,
        queue: Queue | None = None,
    ) -> None:
        super().__init__(queue or Playout(), metrics)
        self.name = name
        self.outlet = Outlet(name, layer)
        self._player = player
        self.on_played: Callable[[], None] | None = None
        """Called after frames were handed to the track."""

    @property
    def sid(self) -> str:
        """The track's SID; empty before it is published. It changes when the connection is remade."""
        return self.outlet.sid

    async def publish(self, room: rtc.Room) -> None:
        """Publishes the track, resting. Who may hear it is the permissions' business."""
        await self.outlet.publish(room)

    async def unpublish(self, room: rtc.Room) -> None:
        """Takes the track back and frees its source."""
        self._player.remove(self)
        await self.outlet.unpublish(room)

    def expect(self) -> None:
        """See AudioOut: the track is unmuted before there is something to hear."""
        self._expecting = True
        self._player.add(self)

    def release(self) -> None:
        """See AudioOut."""
        self._expecting = False
        self._queue.flush(monotonic())
        self._player.add(self)  # the clock mutes it, also where nothing came of what was expected

    def ready(self, now: float) -> float:
        """Wakes the track, if it rests; returns from when on it can be heard."""
        if self.outlet.muted:
            self._player.add(self)
            self.outlet.unmute(now)
        return now if self._queue.playing else self.outlet.audible_from(now)

    def wake(self) -> None:
        """There is something to play that was not pushed just now."""
        if self._queue.playing:
            self._resting.clear()
            self._player.add(self)

    def play(self, now: float) -> Awaitable[None] | None:
        """See Playable."""
        if self.outlet.muted and self.needed:
            self.outlet.unmute(now)
        frames = self._due(now)
        if not frames:
            return None
        written = self.outlet.write(b"".join(frames))
        if self.on_played is not None:
            self.on_played()
        return written

    def idle(self, now: float) -> bool:
        """See Playable."""
        if self._queue.playing:
            if not self._has_ended():
                return False
            self._queue.rest()
        elif self._expecting:
            return not self.outlet.muted
        self._resting.set()
        self.outlet.mute(now)
        return True


class DuckedTrack(TrackOutput):
    """A translation with its speaker's own voice under it. Implements `AudioOut` and `Hearer`.

    Attach it to the speaker's microphone, with short frames (`PROMPT_MS`). The track then carries the
    original while no translation plays, and rests when neither is heard.
    """

    def __init__(
        self,
        player: "Player",
        name: str,
        layer: NativeLayer | None,
        metrics: Metrics,
        duck_db: float,
        policy: PlayoutPolicy | None = None,
    ) -> None:
        self._ducked = DuckedPlayout(duck_db, policy)
        super().__init__(player, name, layer, metrics, self._ducked)

    def hear(
        self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float = 0.0
    ) -> None:
        """See Hearer. What was captured before is not played: it would be late for ever."""
        self._ducked.hear(pcm, self._heard_from, speaking=speaking)
        if self._ducked.playing:
            self._player.add(self)
        if dropped_s := self._ducked.original.take_dropped_s():
            self._metrics.dropped("original", dropped_s)

    def _heard_from(self) -> float:
        return self.ready(monotonic())

    def wake(self) -> None:
        """There is something to play that was not pushed just now."""
        if self._ducked.translation.playing:
            self._resting.clear()
        if self._ducked.playing:
            self._player.add(self)

    def idle(self, now: float) -> bool:
        """See Playable; the translation has been played also while the original goes on."""
        translation = self._ducked.translation
        if not self._expecting and translation.waiting_s == 0 and translation.silent_s >= REST_S:
            translation.rest()
            self._resting.set()
        return super().idle(now)


class Player:
    """The clock of all that is played in a room: ticks every 20 ms while something is, else never."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._active: dict[Playable, None] = {}
        self._wake = asyncio.Event()
        self._holders: set[object] = set()
        self._free = asyncio.Event()
        self._free.set()

    @property
    def held(self) -> bool:
        """Whether somebody holds it."""
        return bool(self._holders)

    def hold(self, holder: object) -> None:
        """Nothing is played until all who hold it have released it: what is pushed waits, within the bounds
        of each queue."""
        self._holders.add(holder)
        self._free.clear()

    def release(self, holder: object) -> None:
        """Everything goes on where it was held, unless another holds it."""
        self._holders.discard(holder)
        if self.held or self._free.is_set():
            return
        now = monotonic()
        for output in self._active:
            output.postpone(now)
        self._free.set()

    def add(self, output: Playable) -> None:
        """The clock ticks for this until it rests."""
        self._active.setdefault(output)
        self._wake.set()

    def remove(self, output: Playable) -> None:
        """It is gone."""
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
                if not self._free.is_set():
                    await self._free.wait()
                    tick = loop.time()
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
