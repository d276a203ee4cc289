"""The original voice under its translation: a short buffer against jitter, and the gain that ducks it."""

import math

import numpy as np
from numpy.typing import NDArray

from parley.core.framing import BYTES_PER_S

from .frames import FRAME_BYTES, FRAME_S, FRAME_SAMPLES
from .stretch import Squeeze, faded

Samples = NDArray[np.float32]

HOLD_S = 0.5
"""A translation plays on in pauses up to this long: the original does not come and go between its words."""
DOWN_S = 0.05
UP_S = 0.3
START_S = 0.01
"""How long the first frame waits, so that the next may be this late."""
_MOST_WAITING = 20 * FRAME_BYTES
_LATE = 18 * FRAME_BYTES
"""What may come while a track is woken: it is played, a little faster until it is late no more."""
CATCH_UP = 1.3
_FADE = 60
_ABOVE_FLOOR = 3.0
_LEAST_RMS = 30.0
_LEAST_FLOOR = 8.0
_FLOOR_RISE = 1.01
"""Per 20 ms: the noise floor follows a louder room by 4 dB a second, a quieter one at once."""
_OUT = np.linspace(1, 0, _FADE, dtype=np.float32)


class Original:
    """What a microphone sends, frame by frame. `take` one for each that is played, then `settle`.

    After each tick at most 20 ms wait, beside what arrives: what comes late is dropped, oldest first. What
    comes while the track is woken is played all the same, a little faster.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._floor = _LEAST_FLOOR
        self._last = 0.0
        self._gap = True
        self._waking = False
        self._most = FRAME_BYTES
        self._squeeze = Squeeze()
        self.silent_s = math.inf
        """Seconds that were played since something was said."""
        self._dropped_s = 0.0

    @property
    def waiting_s(self) -> float:
        """Seconds that have come and were not taken."""
        return len(self._held) / BYTES_PER_S

    def take_dropped_s(self) -> float:
        """Seconds that came too late to be played, since this was last asked."""
        dropped_s, self._dropped_s = self._dropped_s, 0.0
        return dropped_s

    def wake(self) -> None:
        """Where it is heard is woken: what comes until the first frame is taken is not late."""
        self._waking = True

    def push(self, pcm: bytes, *, speaking: bool = False) -> None:
        """Adds PCM16 mono 24 kHz; `speaking`: it is known for speech."""
        self._held += pcm
        if speaking or self._rises(pcm):
            self.silent_s = 0.0
        self._keep(_MOST_WAITING)

    def take(self) -> Samples | None:
        """The next frame, float32[480] in units of int16; None where nothing has come."""
        self.silent_s += FRAME_S
        if len(self._held) < FRAME_BYTES:
            return self._end()
        if self._gap:
            self._keep(_LATE if self._waking else 2 * FRAME_BYTES)  # what came before that is late
        if self._waking:
            self._waking, self._most = False, max(FRAME_BYTES, len(self._held) - FRAME_BYTES)
        speed = CATCH_UP if self._most > FRAME_BYTES else 1.0
        frame = np.frombuffer(self._squeeze.take(self._held, speed), np.int16).astype(np.float32)
        if self._gap:
            frame[:_FADE] *= _OUT[::-1]
            self._gap = False
        self._last = float(frame[-1])
        return frame

    def settle(self) -> None:
        """All frames of this tick were taken: what waits beyond one, or what is caught up with, is late."""
        if self._waking:
            return
        self._most = max(FRAME_BYTES, min(self._most, len(self._held)))
        self._keep(self._most)

    def forget(self) -> None:
        """Nobody listens: what waits is not kept."""
        self._held.clear()
        self._gap, self._waking = True, False
        self._last = 0.0

    def _end(self) -> Samples | None:
        """Nothing has come: the voice ends without a click."""
        last, self._last, self._gap = self._last, 0.0, True
        if not last:
            return None
        frame = np.zeros(FRAME_SAMPLES, np.float32)
        frame[:_FADE] = last * _OUT
        return frame

    def _keep(self, most: int) -> None:
        excess = len(self._held) - most
        if excess <= 0:
            return
        old = np.frombuffer(bytes(self._held[:excess]), np.int16)
        new = np.frombuffer(bytes(self._held[excess : excess + FRAME_BYTES]), np.int16)
        self._held[: excess + len(new) * 2] = faded(old, new).tobytes()
        self._dropped_s += excess / BYTES_PER_S

    def _rises(self, pcm: bytes) -> bool:
        """Whether this is louder than the room has been."""
        samples = np.frombuffer(pcm, np.int16).astype(np.float32)
        if not len(samples):
            return False
        rms = float(np.sqrt(np.dot(samples, samples) / len(samples)))
        rise = _FLOOR_RISE ** (len(samples) / FRAME_SAMPLES)
        self._floor = max(_LEAST_FLOOR, min(rms, self._floor * rise))
        return rms >= max(_LEAST_RMS, _ABOVE_FLOOR * self._floor)


class Duck:
    """The gain of an original: 1, or less while its translation plays; it falls in 50 ms, rises in 300."""

    def __init__(self, gain: float) -> None:
        self._least = gain
        self._down = (1.0 - gain) / (DOWN_S / FRAME_S * FRAME_SAMPLES)
        self._up = (1.0 - gain) / (UP_S / FRAME_S * FRAME_SAMPLES)
        self._steps: Samples = np.arange(1, FRAME_SAMPLES + 1, dtype=np.float32)
        self.gain = 1.0
        """At the end of the last frame."""

    def apply(self, frame: Samples | None, *, ducked: bool) -> Samples | None:
        """A frame at the gain of its time; None stands for silence, through which the gain moves on."""
        target = self._least if ducked else 1.0
        if self.gain == target:
            return frame if frame is None or target == 1.0 else frame * np.float32(target)
        if ducked:
            curve = np.maximum(self.gain - self._down * self._steps, target)
        else:
            curve = np.minimum(self.gain + self._up * self._steps, target)
        self.gain = float(curve[-1]) if abs(float(curve[-1]) - target) > 1e-6 else target
        return None if frame is None else frame * curve.astype(np.float32)


def gain_of(db: float) -> float:
    """dB → factor."""
    return float(10.0 ** (db / 20.0))


def is_heard(silent_s: float, playing: bool) -> bool:
    """Whether a line plays, in the sense in which its original is ducked."""
    return playing and silent_s < HOLD_S
