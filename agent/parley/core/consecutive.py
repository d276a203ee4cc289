"""Consecutive mode: whose translation plays now, where it waits until its speaker's phrase is over.

    speaker begins ──▶ held ──phrase over, and all before it played──▶ out ──all of it played──▶ gone
                         ▲                                              │
                         └─────── speaker goes on, nobody waits ────────┘

A turn is a phrase of one speaker, with what is said of it in any language. Turns are let out in the order in
which their phrases began, one at a time for the whole room: nobody hears two voices at once. A turn that
nobody waits behind goes on when its speaker does; else what the speaker adds is a turn of its own, the last.
A phrase that never seems to end is let out all the same, and gives way while it has nothing to say.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TurnPolicy:
    """The numbers of the rules."""

    breath_s: float = 0.5
    """A speaker whose phrase has ended, as the voice detection has it, and who does not go on for this long
    has finished: a pause for breath is no reason to begin."""
    most_s: float = 60.0
    """A phrase longer than this is let out although it is not over."""
    rest_s: float = 0.6
    """Silence after a turn: the far end's jitter buffer empties in it, and voices are told apart."""
    patience_s: float = 10.0
    """How long a turn that has nothing to play, but of which more is expected, keeps others waiting."""
    most_turns: int = 32
    """Turns that may wait; beyond it what a speaker says joins the speaker's last one."""


@dataclass(frozen=True, slots=True)
class Load:
    """How a turn stands."""

    waiting: bool = False
    """Whether audio of it is held, or was let out and has not been played."""
    expected: bool = False
    """Whether its speaker's translation is to go on. What comes belongs to the speaker's last turn."""


@dataclass(slots=True, eq=False)
class Turn:
    """One phrase, with its translation."""

    speaker: str
    began_at: float
    spoke_at: float
    busy_at: float
    """When there was last something to play of it."""
    over: bool = False
    """Whether the phrase has ended."""
    out: bool = False
    """Whether what comes of it is played at once."""


class Turns:
    """The queue of one room. `hear` speakers, ask what audio belongs to (`turn_of`), and let time pass."""

    def __init__(self, policy: TurnPolicy | None = None) -> None:
        self._policy = policy or TurnPolicy()
        self._turns: list[Turn] = []

    @property
    def all(self) -> list[Turn]:
        """Those that are not gone, in the order in which they play."""
        return list(self._turns)

    def hear(self, speaker: str, at: float) -> None:
        """The speaker speaks."""
        turn = self._last_of(speaker)
        if turn is None or (turn.over and turn is not self._turns[-1] and not self._full):
            turn = self._add(speaker, at)
        elif turn.over:
            turn.over = turn.out = False
            turn.began_at = at
        turn.spoke_at = at

    def turn_of(self, speaker: str, now: float) -> Turn:
        """What comes of a speaker's translation now belongs to this one."""
        turn = self._last_of(speaker)
        if turn is None:  # words that come later than they were waited for
            turn = self._add(speaker, now)
            turn.over = True
        return turn

    def tick(self, now: float, load: Callable[[Turn], Load]) -> Turn | None:
        """Lets time pass; returns a turn that is to be let out now."""
        for turn in self._turns:
            turn.over = turn.over or now - turn.spoke_at >= self._policy.breath_s
        if not self._turns:
            return None
        head = self._turns[0]
        its = load(head)
        if not head.out and (head.over or now - head.began_at >= self._policy.most_s):
            head.out = True
            head.busy_at = now
            return head
        if its.waiting:
            head.busy_at = now
        elif head.out:
            expected = its.expected and head is self._last_of(head.speaker)
            self._give_way(head, now - head.busy_at, expected=expected)
        return None

    @property
    def _full(self) -> bool:
        return len(self._turns) >= self._policy.most_turns

    def _give_way(self, head: Turn, quiet_s: float, *, expected: bool) -> None:
        policy = self._policy
        if head.over:
            if quiet_s >= (policy.patience_s if expected else policy.rest_s):
                self._turns.remove(head)
        elif quiet_s >= policy.rest_s and len(self._turns) > 1:
            head.out = False
            self._turns.append(self._turns.pop(0))

    def _last_of(self, speaker: str) -> Turn | None:
        return next((turn for turn in reversed(self._turns) if turn.speaker == speaker), None)

    def _add(self, speaker: str, at: float) -> Turn:
        turn = Turn(speaker, at, at, at)
        self._turns.append(turn)
        return turn
