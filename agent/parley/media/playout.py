"""Playout: from bursts of a session's audio to frames that are due, in real time, within a bound."""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

from parley.core.framing import BYTES_PER_S
from parley.core.lag import LagGovernor, LagPolicy, given_up

from .clock import FrameClock
from .frames import FRAME_BYTES, FRAME_S, SILENCE
from .stretch import LOOKAHEAD_BYTES, Squeeze, faded

_CUT_WITHIN = round(1 / FRAME_S)
"""Where speech has no pause, it is cut at the quietest frame of so many."""


@dataclass(frozen=True, slots=True)
class PlayoutPolicy:
    """How late and how silent playout may be."""

    margin_s: float = 0.01
    """How long the first audio after a pause waits, so that what follows may be this late; at least."""
    most_margin_s: float = 0.1
    """The same, at most: audio that came late inside speech makes it longer, pauses shorten it again."""
    silent_peak: int = 32
    """A frame whose peak stays below this (−60 dBFS) is silence."""
    lag: LagPolicy = field(default_factory=LagPolicy)
    """What is done where too much waits."""


class Playout:
    """One track's queue. `push` as audio arrives; `due` at each tick of the player's clock.

    Audio that comes too late for its time moves everything behind it: silence takes its place, and from
    then on that much more is waiting. It is caught up again by the rules of `parley.core.lag`.
    """

    def __init__(self, policy: PlayoutPolicy | None = None) -> None:
        self._policy = policy or PlayoutPolicy()
        self._governor = LagGovernor(self._policy.lag)
        self._squeeze = Squeeze()
        self._frames: deque[tuple[bytes, int]] = deque()
        """Frames and their peaks."""
        self._held = bytearray()
        """Speech between the queue and the track, while it is played faster."""
        self._partial = bytearray()
        self._clock = FrameClock()
        self._silent_run = 0
        self._began = False
        self._margin_s = self._policy.margin_s
        self._starved = 0
        self.silent_s = 0.0
        """Seconds of silence at the end of what has been played."""
        self.shortened_s = 0.0
        """Seconds of silence that were left out so far."""
        self.hurried_s = 0.0
        """Seconds that were gained so far by playing speech faster."""

    @property
    def playing(self) -> bool:
        """Whether the clock must tick: something was heard and `rest` was not called since."""
        return self._clock.playing

    @property
    def next_due(self) -> float | None:
        """When the next frame is to be played; None while it rests."""
        return self._clock.next_due

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that have not been played."""
        return len(self._frames) * FRAME_S + (len(self._held) + len(self._partial)) / BYTES_PER_S

    @property
    def speed(self) -> float:
        """How fast speech is played just now."""
        return self._governor.speed

    def push(self, pcm: bytes, now: float) -> float:
        """Adds PCM16 mono 24 kHz; returns the seconds that were given up to stay within the bound."""
        self._partial += pcm
        whole = len(self._partial) // FRAME_BYTES
        if whole:
            self._split(whole)
        if not self._clock.playing:
            if any(map(self._audible, self._frames)):
                self._clock.start(now + self._margin_s)
                self._governor.caught_up()
        elif whole and self._starved:
            self._resume()
        return self._give_up()

    def flush(self, now: float) -> None:
        """The session has ended: what does not fill a frame is filled up and played."""
        if self._partial:
            self.push(bytes(-len(self._partial) % FRAME_BYTES), now)

    def due(self, now: float) -> list[bytes]:
        """The frames to hand to the track now; silence where the session is silent or late."""
        return [self._take() for _ in self._clock.ticks(now)]

    def postpone(self, until: float) -> None:
        """Nothing is due before `until`: what waits is played from then on."""
        self._clock.postpone(until)

    def rest(self) -> None:
        """Ends playing until audible audio is pushed again. Leading silence of that is not played."""
        self._clock.rest()
        self._silent_run = 0
        self._began = False
        self._starved = 0

    def clear(self) -> float:
        """Drops everything that waits; returns its seconds."""
        dropped = self.waiting_s
        self._frames.clear()
        self._held.clear()
        self._partial.clear()
        return dropped

    def _audible(self, frame: tuple[bytes, int]) -> bool:
        return frame[1] >= self._policy.silent_peak

    def _split(self, whole: int) -> None:
        block = bytes(self._partial[: whole * FRAME_BYTES])
        del self._partial[: whole * FRAME_BYTES]
        samples = np.frombuffer(block, dtype=np.int16).reshape(whole, -1)
        peaks = np.maximum(samples.max(axis=1), -(samples.min(axis=1).astype(np.int32)))
        if not self._clock.playing and not self._frames and int(peaks.max()) < self._policy.silent_peak:
            return  # nobody waits for silence; within a delta it keeps the words' distance from the next
        for i, peak in enumerate(peaks.tolist()):
            self._frames.append((block[i * FRAME_BYTES : (i + 1) * FRAME_BYTES], peak))

    def _give_up(self) -> float:
        """Gives up the oldest phrases beyond the bound; returns their seconds."""
        lag, dropped = self._policy.lag, 0
        while (excess := len(self._frames) - round(lag.most_s / FRAME_S)) > 0:
            pause = round(lag.pause_s / FRAME_S)
            fresh = not self._began or self._silent_run >= pause
            start, end = given_up(
                [peak for _, peak in self._frames],
                excess,
                silent=self._policy.silent_peak,
                pause=pause,
                within=_CUT_WITHIN,
                fresh=fresh,
            )
            self._cut(start, end, inside=self._audible(self._frames[start - 1]) if start else not fresh)
            dropped += end - start
        return dropped * FRAME_S

    def _cut(self, start: int, end: int, *, inside: bool) -> None:
        """Takes frames [start, end) out; where that begins `inside` speech, the seam is faded over."""
        taken = [self._frames.popleft() for _ in range(end)]
        if self._frames and inside:
            frame, peak = self._frames.popleft()
            seam = faded(np.frombuffer(taken[start][0], np.int16), np.frombuffer(frame, np.int16))
            self._frames.appendleft((seam.tobytes(), peak))
        self._frames.extendleft(reversed(taken[:start]))

    def _resume(self) -> None:
        """Audio after none: late, or after a pause, in which a margin can be gained without harm."""
        policy = self._policy
        missed_s, self._starved = self._starved * FRAME_S, 0
        if missed_s <= policy.most_margin_s:
            self._margin_s = max(self._margin_s, missed_s)
            return
        self._frames.extendleft([(SILENCE, 0)] * int(self._margin_s / FRAME_S))
        self._margin_s = max(policy.margin_s, 0.9 * self._margin_s)

    def _take(self) -> bytes:
        """The next frame: audio, the silence in it if that is not left out, or silence for lack of it."""
        waiting_s = len(self._frames) * FRAME_S + len(self._held) / BYTES_PER_S
        self._governor.observe(waiting_s, self._margin_s, FRAME_S)
        while True:
            frame = self._speech()
            if frame is not None:
                self._silent_run = 0
                self._began = True
                self.silent_s = 0.0
                return frame
            if not self._frames:
                break
            frame, _ = self._frames.popleft()
            self._silent_run += 1
            if not self._governor.shortens(self._silent_run * FRAME_S, len(self._frames) * FRAME_S):
                self.silent_s += FRAME_S
                return frame
            self._shortened(FRAME_S)
        self._governor.caught_up()
        self._starved += 1
        self._silent_run += 1
        self.silent_s += FRAME_S
        return SILENCE

    def _speech(self) -> bytes | None:
        """The next frame of the speech that waits; None where silence comes next, or nothing."""
        frames, held, speed = self._frames, self._held, self._governor.speed
        if not held and speed <= 1.0:
            return frames.popleft()[0] if frames and self._audible(frames[0]) else None
        needed = LOOKAHEAD_BYTES if speed > 1.0 else FRAME_BYTES
        while len(held) < needed and frames and self._audible(frames[0]):
            held += frames.popleft()[0]
        if not held:
            return None
        if len(held) < FRAME_BYTES:
            self._fill()
        before = len(held)
        frame = self._squeeze.take(held, speed)
        gained_s = (before - len(held) - FRAME_BYTES) / BYTES_PER_S
        if gained_s:
            self._governor.gained(gained_s, silent=False)
            self.hurried_s += gained_s
        return frame

    def _fill(self) -> None:
        """The speech ends within the frame: silence fills it, of that which follows if there is any."""
        if self._frames:
            self._frames.popleft()
            self._shortened(len(self._held) / BYTES_PER_S)
        self._held += bytes(FRAME_BYTES - len(self._held))

    def _shortened(self, duration_s: float) -> None:
        self._governor.gained(duration_s, silent=True)
        self.shortened_s += duration_s
