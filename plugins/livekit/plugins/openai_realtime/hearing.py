"""Where utterances begin and end, in one speaker's audio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .quiet import quietest, rms
from .spoken import BYTES_PER_S, Spoken

_DIP = 0.18
"""−15 dB: in a pause, speech is so much below its mean level."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriberPolicy:
    """Where utterances end that do not end by themselves, and what is kept. Raises ValueError."""

    hangover_s: float = 0.0
    """How long the caller's `speaking` stays true after speech: it ended so much earlier."""
    soft_s: float = 10.0
    """An utterance of this length ends at the next pause of `dip_s`, even if the caller knows of none."""
    dip_s: float = 0.2
    """A short pause: so long well below the level of the speech before it."""
    most_s: float = 20.0
    """Longest utterance. It is cut at the quietest place of the last `search_s`."""
    search_s: float = 1.0
    """Audio in which that place is looked for. Only an utterance of almost `most_s` waits for it."""
    kept_s: float = 60.0
    """Audio kept until it is transcribed, sent or not; beyond it the oldest is dropped and counted."""
    attempts: int = 2
    """How often an utterance is sent of which the server says that it cannot be transcribed."""

    def __post_init__(self) -> None:
        if not 0 < self.search_s < self.soft_s <= self.most_s:
            raise ValueError("search_s, soft_s, most_s: needed is 0 < search_s < soft_s ≤ most_s")
        if not self.kept_s > 0 or not self.dip_s > 0 or not self.hangover_s >= 0 or not self.attempts >= 1:
            raise ValueError("kept_s and dip_s have to be above 0, hangover_s from 0, attempts from 1")


class Hearing:
    """Makes utterances of frames. Synchronous; the clock is the caller's.

    Attributes:
        open: the utterance being heard, None while nobody speaks.
    """

    def __init__(self, policy: TranscriberPolicy, prefix: str) -> None:
        self.open: Spoken | None = None
        self._policy = policy
        self._prefix = prefix
        self._begun = 0
        self._quiet_below: float | None = None
        self._dip_s = 0.0
        self._held: bytearray | None = None

    @property
    def most_sent_bytes(self) -> int:
        """As much of an open utterance may be sent: it can still be cut behind that."""
        return seconds_to_bytes(self._policy.most_s - self._policy.search_s)

    def hear(self, pcm: bytes, at: float, pre_roll: Sequence[bytes]) -> list[Spoken]:
        """Take a frame of speech; returns the utterances that it begins."""
        begun: list[Spoken] = []
        if self.open is None:
            begun += self._hear_first(pcm, at, pre_roll)
        else:
            self.open.pcm += pcm
            self.open.ended_at = max(self.open.started_at, at - self._policy.hangover_s)
        if self.open is not None:
            begun += self._cut(self.open, pcm, at)
        return begun

    def end(self) -> bool:
        """The utterance being heard is over. Returns whether there is one."""
        self._held = None
        if self.open is None:
            return False
        self._close(self.open)
        return True

    def _hear_first(self, pcm: bytes, at: float, pre_roll: Sequence[bytes]) -> list[Spoken]:
        """An utterance begins; after a cut in a pause, not before there is more than what a pause leaves."""
        first_s = len(pcm) / BYTES_PER_S
        if self._held is not None and self._quiet_below is not None:
            self._held += pcm
            held_s = len(self._held) / BYTES_PER_S
            loud = rms(pcm) >= self._quiet_below
            if not loud and held_s <= self._policy.hangover_s:
                return []
            pcm, pre_roll, self._held = bytes(self._held), (), None
            first_s = first_s if loud else held_s
        return [self._begin(b"".join(pre_roll) + pcm, at - first_s, at)]

    def _begin(self, pcm: bytes | bytearray, started_at: float, at: float) -> Spoken:
        self._begun += 1
        ended_at = max(started_at, at - self._policy.hangover_s)
        self.open = Spoken(f"{self._prefix}{self._begun}", started_at, ended_at, bytearray(pcm))
        self._quiet_below, self._dip_s = None, 0.0
        return self.open

    def _close(self, spoken: Spoken) -> None:
        spoken.over = True
        self.open = None

    def _cut(self, spoken: Spoken, pcm: bytes, at: float) -> list[Spoken]:
        """End an utterance that has become long: in a pause, else at the quietest place."""
        policy = self._policy
        if spoken.heard_s < policy.soft_s:
            return []
        if self._quiet_below is None:
            self._quiet_below = _DIP * rms(spoken.pcm)
        self._dip_s = self._dip_s + len(pcm) / BYTES_PER_S if rms(pcm) < self._quiet_below else 0.0
        if self._dip_s >= policy.dip_s:
            spoken.ended_at = max(spoken.started_at, at - self._dip_s)
            self._held = bytearray()
            self._close(spoken)
        elif spoken.heard_s >= policy.most_s:
            search = spoken.pcm[self.most_sent_bytes :]
            rest = search[quietest(search) :]
            del spoken.pcm[len(spoken.pcm) - len(rest) :]
            spoken.ended_at = at - len(rest) / BYTES_PER_S
            self._close(spoken)
            return [self._begin(rest, spoken.ended_at, at)]
        return []


def seconds_to_bytes(seconds: float) -> int:
    """Bytes of whole samples."""
    return round(seconds * BYTES_PER_S) // 2 * 2
