"""Egress for thin clients: one mixed track per listener.

```
session ─▶ MixLine (speaker, language) ─┐                       ┌─▶ MixOutput parley-mix:ann
                                        ├─▶ Mixes, one clock ───┤
microphone ─▶ MixOriginal (speaker) ────┘   gains by listener   └─▶ MixOutput parley-mix:bob
```

A line is advanced once per tick, whoever hears it, so that all mixes are in step to the sample. Mixes that
hear nothing are muted and cost nothing.
"""

from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from time import monotonic

import numpy as np

from livekit import rtc
from parley.media.bus import Bus
from parley.media.clock import FrameClock
from parley.media.original import START_S, Duck, Original, Samples, gain_of, is_heard
from parley.media.playout import Playout, PlayoutPolicy
from parley.metrics import Metrics

from .line import REST_S, Line
from .native import NativeLayer
from .outlet import Outlet
from .track_output import Player


class MixLine(Line):
    """What a speaker says in a language, heard through the mixes. Implements `parley.ports.AudioOut`."""

    def __init__(
        self,
        mixes: "Mixes",
        metrics: Metrics,
        under: "MixOriginal | None",
        duck_db: float,
        policy: PlayoutPolicy | None,
    ) -> None:
        self._playout = Playout(policy)
        super().__init__(self._playout, metrics)
        self._mixes = mixes
        self._ready: deque[bytes] = deque()
        self._duck = Duck(gain_of(duck_db))
        self.under = under
        """The original that is mixed under this line, as much as its mode asks for."""

    def expect(self) -> None:
        """See AudioOut: the mixes that carry the line are unmuted."""
        self._expecting = True
        self.ready(monotonic())

    def release(self) -> None:
        """See AudioOut."""
        self._expecting = False
        self._playout.flush(monotonic())
        self._mixes.wake()

    def ready(self, now: float) -> float:
        """Wakes the mixes that carry the line; returns from when on all of them can be heard."""
        self._mixes.wake()
        at = self._mixes.ready(self, now)
        return now if self._playout.playing else at

    def wake(self) -> None:
        """There is something to play that was not pushed just now."""
        if self._playout.playing:
            self._resting.clear()
            self._mixes.wake()

    @property
    def playing(self) -> bool:
        """Whether it is heard, or was just now."""
        return self._playout.playing or (self.under is not None and self.under.playing)

    @property
    def sounding(self) -> bool:
        """Whether it is heard, or about to be."""
        return self._expecting or self.playing

    def frame(self, at: float, original: Samples | None) -> Samples | None:
        """What it sounds like at the next 20 ms; None: silent. `original`: the speaker's own voice then."""
        self._ready += self._due(at)
        spoken = self._ready.popleft() if self._ready else None
        under = None
        if self.under is not None:
            ducked = is_heard(self._playout.silent_s, self._playout.playing)
            under = self._duck.apply(original, ducked=ducked)
        if spoken is None:
            return under
        samples = np.frombuffer(spoken, np.int16).astype(np.float32)
        return samples if under is None else samples + under

    def settle(self) -> None:
        """Rests if nothing is left to play."""
        if self._playout.playing and self._has_ended():
            self._playout.rest()
        if not self.needed:
            self._resting.set()

    def rest(self) -> None:
        """The clock stops: whatever is heard next begins undimmed."""
        self.settle()
        self._duck.gain = 1.0

    def close(self) -> None:
        """Nobody hears it any more, in no mix."""
        self._mixes.remove(self)


class MixOriginal:
    """A speaker's own voice, for the mixes. Implements `Hearer`: attach it with `PROMPT_MS`."""

    def __init__(self, mixes: "Mixes", metrics: Metrics) -> None:
        self.voice = Original()
        self._mixes = mixes
        self._metrics = metrics
        self._heard_from = 0.0

    @property
    def playing(self) -> bool:
        """Whether it is heard, or was just now."""
        return self.voice.silent_s < REST_S

    @property
    def sounding(self) -> bool:
        """The same: nothing is known of a voice before it is heard."""
        return self.playing

    def hear(
        self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float = 0.0
    ) -> None:
        """See Hearer. What was captured before is not played: it would be late for ever."""
        rested = not self.playing
        self.voice.push(pcm, speaking=speaking)
        if self.playing:
            now = monotonic()
            if rested:
                self._heard_from = self._mixes.ready(self, now)
                self.voice.wake()
            self._mixes.wake(max(0.0, self._heard_from - now) + START_S)
        elif not self._mixes.playing:
            self.voice.forget()
        if dropped_s := self.voice.take_dropped_s():
            self._metrics.dropped("original", dropped_s)

    def take(self, at: float) -> Samples | None:
        """The next frame; none before all mixes that carry it can be heard."""
        return self.voice.take() if at >= self._heard_from else None

    def close(self) -> None:
        """The microphone is gone."""
        self._mixes.remove(self)


Voice = MixLine | MixOriginal


class MixOutput:
    """The track of one listener: what `hears` names, summed."""

    def __init__(self, mixes: "Mixes", name: str, layer: NativeLayer | None) -> None:
        self.name = name
        self.outlet = Outlet(name, layer)
        self.gains: dict[Voice, float] = {}
        """What the listener hears, and how loud."""
        self._mixes = mixes

    @property
    def sid(self) -> str:
        """The track's SID; empty before it is published. It changes when the connection is remade."""
        return self.outlet.sid

    @property
    def playing(self) -> bool:
        """Whether one of its voices is heard."""
        return any(voice.playing for voice in self.gains)

    @property
    def sounding(self) -> bool:
        """Whether one of its voices is heard, or about to be."""
        return any(voice.sounding for voice in self.gains)

    def carries(self, voice: Voice) -> bool:
        """Whether a voice is heard in it, by itself or under another."""
        return voice in self.gains or any(
            isinstance(line, MixLine) and line.under is voice for line in self.gains
        )

    def hears(self, gains: Mapping[Voice, float]) -> None:
        """From the next tick on the listener hears these, each at its gain, and nothing else."""
        self.gains = dict(gains)
        self._mixes.wake()

    async def publish(self, room: rtc.Room) -> None:
        """Publishes the track, resting. Only its listener may hear it: the permissions' business."""
        await self.outlet.publish(room)

    async def unpublish(self, room: rtc.Room) -> None:
        """Takes the track back and frees its source."""
        self._mixes.remove(self)
        await self.outlet.unpublish(room)


class Mixes:
    """All mixes of a room and all that they are made of. Implements `Playable`.

    `line` for each (speaker, language), `original` for each speaker who is heard undimmed by somebody, or
    ducked; `mix` for each listener, and `hears` to say what it consists of.
    """

    def __init__(self, player: Player, metrics: Metrics) -> None:
        self._player = player
        self._metrics = metrics
        self._lines: dict[MixLine, None] = {}
        self._originals: dict[MixOriginal, None] = {}
        self._outputs: dict[MixOutput, None] = {}
        self._bus = Bus()
        self._clock = FrameClock()

    @property
    def playing(self) -> bool:
        """Whether the clock ticks for anything here."""
        return self._clock.playing

    def line(
        self,
        under: MixOriginal | None = None,
        duck_db: float = 0.0,
        policy: PlayoutPolicy | None = None,
    ) -> MixLine:
        """A new line, with a speaker's original under it if given: full while it is silent, else ducked."""
        line = MixLine(self, self._metrics, under, duck_db, policy)
        self._lines[line] = None
        return line

    def original(self) -> MixOriginal:
        """A new original voice."""
        original = MixOriginal(self, self._metrics)
        self._originals[original] = None
        return original

    def mix(self, listener: str, layer: NativeLayer | None) -> MixOutput:
        """A new mix, for the listener of that identity, which hears nothing yet."""
        output = MixOutput(self, f"parley-mix:{listener}", layer)
        self._outputs[output] = None
        return output

    def remove(self, part: Voice | MixOutput) -> None:
        """It is gone, also from what others hear."""
        if isinstance(part, MixOutput):
            self._outputs.pop(part, None)
            return
        for output in self._outputs:
            output.gains.pop(part, None)
        if isinstance(part, MixLine):
            self._lines.pop(part, None)
        else:
            self._originals.pop(part, None)
            for line in self._lines:
                if line.under is part:
                    line.under = None

    def wake(self, within_s: float = 0.0) -> None:
        """Something is to be played, `within_s` from now at the earliest."""
        self._clock.start(monotonic() + within_s)
        self._player.add(self)

    def ready(self, voice: Voice, now: float) -> float:
        """Unmutes the mixes that carry the voice; returns from when on all of them can be heard."""
        at = now
        for output in self._outputs:
            if output.carries(voice):
                output.outlet.unmute(now)
                at = max(at, output.outlet.audible_from(now))
        return at

    def play(self, now: float) -> Awaitable[None] | None:
        """See Playable."""
        for output in self._outputs:
            if output.sounding:
                output.outlet.unmute(now)
        heard = [output for output in self._outputs if output.playing and not output.outlet.muted]
        frames = [self._frame(at, heard) for at in self._clock.ticks(now)]
        if not frames:
            return None
        for original in self._originals:
            original.voice.settle()
        for line in self._lines:
            line.settle()
        pcm = frames[0] if len(frames) == 1 else np.concatenate(frames, axis=1)
        written = [output.outlet.write(pcm[i].tobytes()) for i, output in enumerate(heard)]
        pending = [each for each in written if each is not None]
        return _all(pending) if pending else None

    def postpone(self, until: float) -> None:
        """See Playable."""
        self._clock.postpone(until)
        for line in self._lines:
            line.postpone(until)

    def idle(self, now: float) -> bool:
        """See Playable."""
        for output in self._outputs:
            if not output.sounding:
                output.outlet.mute(now)
        voices: list[Voice] = [*self._lines, *self._originals]
        if any(voice.playing for voice in voices):
            return False
        for line in self._lines:
            line.rest()
        for original in self._originals:
            original.voice.forget()
        self._clock.rest()
        return not any(output.sounding and output.outlet.muted for output in self._outputs)

    def _frame(self, at: float, heard: list[MixOutput]) -> np.ndarray[tuple[int, int], np.dtype[np.int16]]:
        originals = {original: original.take(at) for original in self._originals}
        voices: dict[Voice, Samples] = {o: samples for o, samples in originals.items() if samples is not None}
        for line in self._lines:
            samples = line.frame(at, None if line.under is None else originals[line.under])
            if samples is not None:
                voices[line] = samples
        return self._bus.mixed(voices, [(output, output.gains) for output in heard])


async def _all(pending: list[Awaitable[None]]) -> None:
    for each in pending:
        await each
