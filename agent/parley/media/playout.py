"""Playout: from bursts of a session's audio to frames that are due, in real time, within a bound."""

from collections import deque
from dataclasses import dataclass

import numpy as np

from parley.core.framing import BYTES_PER_S

FRAME_S = 0.02
FRAME_BYTES = round(BYTES_PER_S * FRAME_S)
SILENCE = bytes(FRAME_BYTES)


@dataclass(frozen=True, slots=True)
class PlayoutPolicy:
    """How late, how long and how silent playout may be."""

    most_s: float = 30.0
    """Audio that may wait; beyond it the oldest is dropped."""
    margin_s: float = 0.01
    """How long the first audio after a pause waits, so that what follows may be this late; at least."""
    most_margin_s: float = 0.1
    """The same, at most: audio that came late inside speech makes it longer, pauses shorten it again."""
    catch_up_s: float = 0.05
    """When never less than this was waiting for a while, silence in the audio is shortened by it."""
    watch_s: float = 1.0
    """That while."""
    silent_peak: int = 32
    """A frame whose peak stays below this (−60 dBFS) is silence."""
    keep_silence_s: float = 0.1
    """Of each silence that is shortened, this much is kept."""


class Playout:
    """One track's queue. `push` as audio arrives; `due` at each tick of the player's clock.

    Audio that comes too late for its time moves everything behind it: silence takes its place, and from
    then on that much more is waiting. Silence in the audio is where it is caught up again.
    """

    def __init__(self, policy: PlayoutPolicy | None = None) -> None:
        self._policy = policy or PlayoutPolicy()
        self._frames: deque[tuple[bytes, bool]] = deque()
        self._partial = bytearray()
        self._next_due: float | None = None
        self._silent_run = 0
        self._margin_s = self._policy.margin_s
        self._starved = 0
        self._least_waiting_s = 0.0
        self._watched_s = 0.0
        self.silent_s = 0.0
        """Seconds of silence at the end of what has been played."""

    @property
    def playing(self) -> bool:
        """Whether the clock must tick: something was heard and `rest` was not called since."""
        return self._next_due is not None

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that have not been played."""
        return len(self._frames) * FRAME_S + len(self._partial) / BYTES_PER_S

    def push(self, pcm: bytes, now: float) -> float:
        """Adds PCM16 mono 24 kHz; returns the seconds that were dropped to stay within the bound."""
        self._partial += pcm
        whole = len(self._partial) // FRAME_BYTES
        if whole:
            self._split(whole)
        if self._next_due is None:
            if any(audible for _, audible in self._frames):
                self._next_due = now + self._margin_s
                self._watch()
        elif whole and self._starved:
            self._resume()
        excess = len(self._frames) - round(self._policy.most_s / FRAME_S)
        if excess <= 0:
            return 0.0
        for _ in range(excess):
            self._frames.popleft()
        return excess * FRAME_S

    def flush(self, now: float) -> None:
        """The session has ended: what does not fill a frame is filled up and played."""
        if self._partial:
            self.push(bytes(-len(self._partial) % FRAME_BYTES), now)

    def due(self, now: float) -> list[bytes]:
        """The frames to hand to the track now; silence where the session is silent or late."""
        frames: list[bytes] = []
        while self._next_due is not None and self._next_due <= now + 1e-6:
            frames.append(self._take())
            self._next_due += FRAME_S
        return frames

    def rest(self) -> None:
        """Ends playing until audible audio is pushed again. Leading silence of that is not played."""
        self._next_due = None
        self._silent_run = 0
        self._starved = 0

    def clear(self) -> float:
        """Drops everything that waits; returns its seconds."""
        dropped = self.waiting_s
        self._frames.clear()
        self._partial.clear()
        return dropped

    def _split(self, whole: int) -> None:
        block = bytes(self._partial[: whole * FRAME_BYTES])
        del self._partial[: whole * FRAME_BYTES]
        samples = np.frombuffer(block, dtype=np.int16).reshape(whole, -1)
        peaks = np.maximum(samples.max(axis=1), -(samples.min(axis=1).astype(np.int32)))
        if self._next_due is None and not self._frames and int(peaks.max()) < self._policy.silent_peak:
            return  # nobody waits for silence; within a delta it keeps the words' distance from the next
        for i, peak in enumerate(peaks.tolist()):
            audible = peak >= self._policy.silent_peak
            self._frames.append((block[i * FRAME_BYTES : (i + 1) * FRAME_BYTES], audible))

    def _resume(self) -> None:
        """Audio after none: late, or after a pause, in which a margin can be gained without harm."""
        policy = self._policy
        missed_s, self._starved = self._starved * FRAME_S, 0
        if missed_s <= policy.most_margin_s:
            self._margin_s = max(self._margin_s, missed_s)
            return
        self._frames.extendleft([(SILENCE, False)] * int(self._margin_s / FRAME_S))
        self._margin_s = max(policy.margin_s, 0.9 * self._margin_s)

    def _watch(self) -> None:
        self._least_waiting_s = self._policy.most_s
        self._watched_s = 0.0

    def _take(self) -> bytes:
        """The next frame: audio, the silence in it as far as it is not skipped, or silence for lack of it."""
        self._least_waiting_s = min(self._least_waiting_s, len(self._frames) * FRAME_S)
        self._watched_s += FRAME_S
        while self._frames:
            frame, audible = self._frames.popleft()
            if audible:
                self._silent_run = 0
                self.silent_s = 0.0
                return frame
            self._silent_run += 1
            if not self._skip():
                self.silent_s += FRAME_S
                return frame
        self._watch()
        self._starved += 1
        self._silent_run += 1
        self.silent_s += FRAME_S
        return SILENCE

    def _skip(self) -> bool:
        """Whether to leave out a frame of silence: enough waited all the while, or far too much does."""
        policy = self._policy
        if self._silent_run * FRAME_S <= policy.keep_silence_s:
            return False
        behind = (
            self._watched_s >= policy.watch_s and self._least_waiting_s >= policy.catch_up_s + self._margin_s
        )
        if behind:
            self._least_waiting_s -= FRAME_S
        return behind or len(self._frames) * FRAME_S > 1.0
