"""The phrase gate: which audio of a microphone is speech, with what was said just before it."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class GatePolicy:
    """When a phrase begins and ends."""

    threshold: float = 0.5
    """P(speech) from which a window counts as speech."""
    keep: float = 0.35
    """P(speech) from which speech that has begun goes on."""
    onset_windows: int = 2
    """Windows of 32 ms above the threshold, among the last three, that begin a phrase."""
    sure: float = 0.9
    """P(speech) of a single window that begins a phrase: every 32 ms of doubt are heard as delay."""
    silence_s: float = 0.5
    """Silence that ends a phrase; shorter pauses are part of it."""
    pre_roll_s: float = 0.4
    """Audio from before the onset that belongs to the phrase: consonants come before the voice."""


class PhraseGate:
    """Decides frame by frame; holds the pre-roll. One per microphone."""

    def __init__(self, policy: GatePolicy | None = None, *, window_s: float = 0.032) -> None:
        self._policy = policy or GatePolicy()
        self._window_s = window_s
        self._recent: deque[bool] = deque(maxlen=3)
        self._quiet_s = 0.0
        self._open = False
        self._pre_roll: deque[bytes] = deque()
        self._lengths_s: deque[float] = deque()
        self._pre_roll_s = 0.0
        self.voiced_s = 0.0
        """Seconds of voice in the frame that was decided last; also before it is sure that a phrase lives."""

    @property
    def open(self) -> bool:
        """Whether a phrase lives."""
        return self._open

    def decide(self, probabilities: Iterable[float]) -> bool:
        """Takes the speech probabilities of one frame; returns whether a phrase lives now."""
        policy = self._policy
        self.voiced_s = 0.0
        for p in probabilities:
            self.voiced_s += self._window_s if p >= policy.keep else 0.0
            if self._open:
                self._quiet_s = 0.0 if p >= policy.keep else self._quiet_s + self._window_s
                if self._quiet_s >= policy.silence_s:
                    self._open = False
                    self._recent.clear()
                continue
            self._recent.append(p >= policy.threshold)
            if p >= policy.sure or sum(self._recent) >= policy.onset_windows:
                self._open = True
                self._quiet_s = 0.0
        return self._open

    def end(self) -> None:
        """The microphone is gone or muted: no phrase lives, and nothing from before it is kept."""
        self._open = False
        self._recent.clear()
        self._pre_roll.clear()
        self._lengths_s.clear()
        self._pre_roll_s = 0.0

    def remember(self, pcm: bytes, duration_s: float) -> None:
        """Keeps the newest frames, as pre-roll of a phrase that begins after them."""
        self._pre_roll.append(pcm)
        self._lengths_s.append(duration_s)
        self._pre_roll_s += duration_s
        while self._lengths_s and self._pre_roll_s - self._lengths_s[0] >= self._policy.pre_roll_s - 1e-9:
            self._pre_roll_s -= self._lengths_s.popleft()
            self._pre_roll.popleft()

    @property
    def pre_roll(self) -> tuple[bytes, ...]:
        """The newest frames, oldest first: at least `pre_roll_s` of them once that much came."""
        return tuple(self._pre_roll)
