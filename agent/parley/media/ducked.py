"""A translation with its original under it: one queue for one track."""

from collections import deque
from collections.abc import Callable

import numpy as np

from .clock import FrameClock
from .frames import SILENCE
from .limit import limited
from .original import START_S, Duck, Original, gain_of, is_heard
from .playout import Playout, PlayoutPolicy


class DuckedPlayout:
    """`Playout` with the original voice mixed in: undimmed while no translation plays, `duck_db` under it.

    The frames of both are played on one clock, which runs while either is heard. A translation alone, and
    an undimmed original alone, come out bit by bit.
    """

    def __init__(self, duck_db: float, policy: PlayoutPolicy | None = None) -> None:
        self.translation = Playout(policy)
        self.original = Original()
        self._duck = Duck(gain_of(duck_db))
        self._limiter_gain = np.ones(1, np.float32)
        self._ready: deque[bytes] = deque()
        self._clock = FrameClock()

    @property
    def playing(self) -> bool:
        """Whether the clock must tick."""
        return self._clock.playing

    @property
    def waiting_s(self) -> float:
        """Seconds of translation that have not been played."""
        return self.translation.waiting_s

    @property
    def silent_s(self) -> float:
        """Seconds in which neither was heard, at the end of what has been played."""
        own = self.translation.silent_s if self.translation.playing else self.original.silent_s
        return min(own, self.original.silent_s)

    def push(self, pcm: bytes, now: float) -> float:
        """Adds translation, PCM16 mono 24 kHz; returns the seconds that were given up."""
        dropped = self.translation.push(pcm, now)
        self._clock.start(self.translation.next_due)
        return dropped

    def flush(self, now: float) -> None:
        """See Playout."""
        self.translation.flush(now)
        self._clock.start(self.translation.next_due)

    def hear(self, pcm: bytes, ready: Callable[[], float], *, speaking: bool = False) -> None:
        """Adds PCM16 mono 24 kHz of the original. If it says something while the clock rests, it is played
        from when on it is `ready` to be heard."""
        self.original.push(pcm, speaking=speaking)
        if self.original.silent_s == 0.0:
            if not self.playing:
                self.original.wake()
                self._clock.start(ready() + START_S)
        elif not self.playing:
            self.original.forget()

    def due(self, now: float) -> list[bytes]:
        """The frames to hand to the track now."""
        frames = [self._mixed(at) for at in self._clock.ticks(now)]
        if frames:
            self.original.settle()
        return frames

    def postpone(self, until: float) -> None:
        """Nothing is due before `until`: what waits is played from then on."""
        self._clock.postpone(until)
        self.translation.postpone(until)

    def rest(self) -> None:
        """The clock need not tick until there is something to play."""
        self._clock.rest()
        self.translation.rest()
        self.original.forget()
        self._duck.gain = 1.0

    def _mixed(self, at: float) -> bytes:
        self._ready += self.translation.due(at)
        spoken = self._ready.popleft() if self._ready else None
        ducked = is_heard(self.translation.silent_s, self.translation.playing)
        original = self._duck.apply(self.original.take(), ducked=ducked)
        if original is None and self._limiter_gain[0] == 1.0:
            return spoken or SILENCE
        total = np.frombuffer(spoken or SILENCE, np.int16).astype(np.float32)
        if original is not None:
            total += original
        frame, self._limiter_gain = limited(total[None, :], self._limiter_gain)
        return frame.tobytes()
