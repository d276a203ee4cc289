"""Lag: when silence is shortened, how fast speech is played, and what is given up, so that lag does not grow.

The lag of a translated line is how much later than usual what is said now will be heard. What of it a
player can cure is what waits to be played beyond what is needed against jitter: the least that waited within
the last second, for what comes in bursts is no lag. The rules, in this order:

1. **Silence** between and within phrases is shortened to 0.1 s, from 0.05 s of lag on, and at once where
   more than 1 s waits; to half of that while speech is played faster.
2. **Speed.** From 0.75 s of lag on, until it is below 0.25 s, speech is played faster at unchanged pitch: by
   as much as makes up for a third of the lag in each second, 1.35 times at most, less what silence yields
   already. Speech with pauses in it is therefore hardly ever played faster. The bound is what 10 s of lag
   need to be down to 1 s in less than 30 s of speech without any pause.
3. **Loss.** Where more waits than the bound, 30 s, the oldest phrase of which nothing was played is given up,
   from pause to pause; in speech without pauses, from quietest place to quietest place.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LagPolicy:
    """The numbers of the rules, in seconds where nothing else is said."""

    watch_s: float = 1.0
    """What was not needed for this long is lag."""
    shorten_from_s: float = 0.05
    """Lag from which silence is shortened."""
    shorten_at_once_s: float = 1.0
    """More than this need not be watched before silence is shortened."""
    keep_silence_s: float = 0.1
    """Of each silence that is shortened, this much is kept; half of it while speech is played faster."""
    speed_from_s: float = 0.75
    """Lag from which speech is played faster,"""
    speed_until_s: float = 0.25
    """and below which it no longer is."""
    recover_s: float = 3.0
    """In each second a share of the lag is made up for: one in this many."""
    most_speed: float = 1.35
    """Speech is never played faster than this; 1: never faster than it was said."""
    least_rate: float = 0.04
    """A gain smaller than this, in seconds per second, is not worth changing the speech for."""
    ramp_per_s: float = 0.3
    """How fast the speed itself changes, per second."""
    most_s: float = 30.0
    """Audio that may wait; beyond it the oldest phrases are given up."""
    pause_s: float = 0.1
    """A silence from which on it parts phrases: those inside words are shorter."""


class LagGovernor:
    """Follows what waits on one line, frame by frame, and says what is to be done about it."""

    def __init__(self, policy: LagPolicy) -> None:
        self._policy = policy
        self._least_s = self._least_before_s = 0.0
        self._watched_s = 0.0
        self._spare_s = 0.0
        self._silence_rate = 0.0
        self._hurrying = False
        self.speed = 1.0
        """How fast speech is to be played."""

    @property
    def lag_s(self) -> float:
        """What waited all the while without need."""
        return max(0.0, min(self._least_s, self._least_before_s) - self._spare_s)

    def caught_up(self) -> None:
        """Nothing waits: there is no lag."""
        self._least_s = self._least_before_s = self._watched_s = 0.0
        self._silence_rate = 0.0
        self._hurrying = False
        self.speed = 1.0

    def observe(self, waiting_s: float, spare_s: float, step_s: float) -> None:
        """`waiting_s` wait now, of which `spare_s` are needed; `step_s` will be played next."""
        policy = self._policy
        self._spare_s = spare_s
        self._least_s = min(self._least_s, waiting_s)
        self._watched_s += step_s
        if self._watched_s >= policy.watch_s / 2:
            self._least_before_s, self._least_s, self._watched_s = self._least_s, waiting_s, 0.0
        self._silence_rate *= max(0.0, 1.0 - step_s / (2 * policy.watch_s))
        self._set_speed(policy.ramp_per_s * step_s)

    def shortens(self, silent_s: float, waiting_s: float) -> bool:
        """Whether to leave out a frame that would make a silence `silent_s` long."""
        policy = self._policy
        if silent_s <= policy.keep_silence_s / (1 if self.speed <= 1.0 else 2):
            return False
        return self.lag_s >= policy.shorten_from_s or waiting_s > policy.shorten_at_once_s

    def gained(self, duration_s: float, *, silent: bool) -> None:
        """That much was left out: silence, or speech that was played faster."""
        self._least_s -= duration_s
        self._least_before_s -= duration_s
        if silent:
            self._silence_rate += duration_s / (2 * self._policy.watch_s)

    def _set_speed(self, most_change: float) -> None:
        policy = self._policy
        lag_s = self.lag_s
        self._hurrying = lag_s >= (policy.speed_until_s if self._hurrying else policy.speed_from_s)
        rate = 0.0
        if self._hurrying:
            rate = min(policy.most_speed - 1, lag_s / policy.recover_s) - self._silence_rate
        wanted = 1.0 + (rate if rate >= policy.least_rate else 0.0)
        self.speed += max(-most_change, min(most_change, wanted - self.speed))


def given_up(
    peaks: Sequence[int], excess: int, *, silent: int, pause: int, within: int, fresh: bool
) -> tuple[int, int]:
    """Which frames are given up next, [start, end), where at least `excess` of them are too many.

    `peaks`: of each frame that waits; silence is below `silent`, and parts phrases from `pause` frames on.
    `fresh`: the first of them begins a phrase; else it goes on with one of which something was played. The
    answer is one phrase with the pause after it, which may be less than is too many. Where no phrase is
    whole, it begins and ends with the quietest frame of `within`.
    """
    starts, ends = _phrases(peaks, silent, pause, fresh)
    if len(starts) > 1:
        return starts[0], starts[1]
    if starts and ends:
        return starts[0], ends[0]
    start = _quietest(peaks, 0, min(within, len(peaks) - excess))
    return start, _quietest(peaks, start + excess, min(start + excess + within, len(peaks)))


def _phrases(peaks: Sequence[int], silent: int, pause: int, fresh: bool) -> tuple[list[int], list[int]]:
    """The first two frames that begin a phrase, and the first that ends the first of them."""
    starts: list[int] = []
    ends: list[int] = []
    quiet = pause if fresh else 0
    for i, peak in enumerate(peaks):
        if peak < silent:
            quiet += 1
            if quiet == pause and starts and not ends:
                ends.append(i - pause + 1)
            continue
        if quiet >= pause:
            starts.append(i)
            if len(starts) == 2:
                break
        quiet = 0
    return starts, ends


def _quietest(peaks: Sequence[int], start: int, end: int) -> int:
    return min(range(start, end), key=peaks.__getitem__, default=start)
