"""Speech playout: one reply at a time, which can be stopped, resumed and cut, and knows what was played."""

from collections import deque

from parley.core.framing import BYTES_PER_S

from .clock import FrameClock
from .frames import FRAME_BYTES, FRAME_S, SILENCE

MARGIN_S = 0.01
"""How long the first audio of a reply waits, so that what follows may be this late."""


class SpeechPlayout:
    """The queue of a voice agent's track; as `Playout`, but nothing in it is ever left out.

    Positions are seconds of the reply's own audio: silence that stood in for late audio does not count.
    """

    def __init__(self) -> None:
        self._frames: deque[bytes] = deque()
        self._partial = bytearray()
        self._clock = FrameClock()
        self._paused = False
        self._complete = False
        self._played_bytes = 0
        self._pushed_bytes = 0
        self.silent_s = 0.0
        """Seconds of silence at the end of what has been played."""

    @property
    def playing(self) -> bool:
        """Whether the clock must tick."""
        return self._clock.playing

    @property
    def paused(self) -> bool:
        """Whether `pause` holds."""
        return self._paused

    @property
    def queued_s(self) -> float:
        """Seconds of audio that have not been played."""
        return (self._pushed_bytes - self._played_bytes) / BYTES_PER_S

    @property
    def waiting_s(self) -> float:
        """The same, as far as it may be played now."""
        return 0.0 if self._paused else self.queued_s

    @property
    def position_s(self) -> float:
        """Seconds of the reply that were played."""
        return self._played_bytes / BYTES_PER_S

    @property
    def pushed_s(self) -> float:
        """Seconds of the reply that have come so far."""
        return self._pushed_bytes / BYTES_PER_S

    @property
    def done(self) -> bool:
        """Whether the reply is complete and was played to its end."""
        return self._complete and not self._frames and not self._partial

    def begin(self) -> None:
        """A new reply: positions count from zero."""
        self._frames.clear()
        self._partial.clear()
        self._complete = False
        self._played_bytes = self._pushed_bytes = 0

    def push(self, pcm: bytes, now: float) -> float:
        """Adds PCM16 mono 24 kHz, to be played from `now` on; nothing is dropped: returns 0."""
        self._partial += pcm
        self._pushed_bytes += len(pcm)
        whole = len(self._partial) // FRAME_BYTES
        for i in range(whole):
            self._frames.append(bytes(self._partial[i * FRAME_BYTES : (i + 1) * FRAME_BYTES]))
        del self._partial[: whole * FRAME_BYTES]
        if self._frames and not self._paused:
            self._clock.start(now + MARGIN_S)
        return 0.0

    def complete(self, now: float) -> None:
        """The reply is whole: its last frame is filled up."""
        self._complete = True
        if self._partial:
            self._frames.append(bytes(self._partial).ljust(FRAME_BYTES, b"\0"))
            self._partial.clear()
        self.push(b"", now)

    def flush(self, now: float) -> None:
        """Nothing more is to come; as `complete`."""
        self.complete(now)

    def pause(self) -> None:
        """From the next tick on silence is played; what waits is kept."""
        self._paused = True

    def resume(self, now: float) -> None:
        """Goes on with the frame that would have come."""
        self._paused = False
        self.push(b"", now)

    def cut(self) -> float:
        """Gives up what waits; returns the position in seconds at which the reply was cut."""
        self._frames.clear()
        self._partial.clear()
        self._pushed_bytes = self._played_bytes
        self._complete = True
        self._paused = False
        return self.position_s

    def due(self, now: float) -> list[bytes]:
        """The frames to hand to the track now."""
        return [self._take() for _ in self._clock.ticks(now)]

    def postpone(self, until: float) -> None:
        """Nothing is due before `until`: what waits is played from then on."""
        self._clock.postpone(until)

    def rest(self) -> None:
        """The clock need not tick until there is something to play."""
        self._clock.rest()

    def _take(self) -> bytes:
        if self._paused or not self._frames:
            self.silent_s += FRAME_S
            return SILENCE
        self.silent_s = 0.0
        frame = self._frames.popleft()
        self._played_bytes = min(self._played_bytes + FRAME_BYTES, self._pushed_bytes)
        return frame
