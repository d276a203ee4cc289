"""Turn-taking while an agent speaks: it stops at once, and the verdict follows.

listening ──voice while the agent is busy──▶ doubt ──long, or with words──▶ interrupted
    ▲                                          │
    └────────── a cough, an "uh-huh" ──────────┘
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Literal

Verdict = Literal["pause", "resume", "interrupt"]
"""`pause`: stop playing, nothing is lost. `resume`: go on where it stopped. `interrupt`: the reply is given
up."""

_KEPT = 16
"""Turns that are remembered; an answer or a transcript comes long before so many have passed."""

BACKCHANNELS = frozenset(
    (
        *("uh", "huh", "uhhuh", "uh-huh", "mhm", "mm", "mmm", "hm", "hmm", "mm-hmm", "ah", "oh"),
        *("yeah", "yes", "yep", "ok", "okay", "right", "sure"),
        *("ja", "genau", "aha", "hmhm"),
        *("oui", "ouais", "d'accord"),
        *("sí", "si", "vale", "claro", "sì", "certo"),
    )
)
"""Words that listeners say without wanting the turn, in lower case."""


@dataclass(frozen=True, slots=True)
class TurnPolicy:
    """When voice is an interruption."""

    certain_s: float = 0.7
    """This much voice is one, whatever it says."""
    short_s: float = 0.3
    """Less voice than this, of which no transcript came, is none."""
    blip_s: float = 0.07
    """Not more voice than this, and then silence, is a click or a breath."""
    blip_quiet_s: float = 0.3
    """That silence."""
    unheard_s: float = 0.9
    """If the API has reported no turn so long after the voice ended, it was none."""
    unread_s: float = 1.5
    """So long after the voice ended a transcript is waited for."""
    backchannels: Collection[str] = field(default=BACKCHANNELS)


class TurnTaker:
    """One conversation. Feed it voice, turns and words; obey the verdicts.

    A turn is an item of the API's conversation: it is started, committed and transcribed, in this order as
    far as each of it comes.
    """

    def __init__(self, policy: TurnPolicy | None = None) -> None:
        self._policy = policy or TurnPolicy()
        self._doubt = False
        self._voice_s = 0.0
        self._last_voice = float("-inf")
        self._turns: dict[str, bool | None] = {}
        self._live: str | None = None
        self._false: deque[str] = deque(maxlen=_KEPT)

    @property
    def in_doubt(self) -> bool:
        """Whether the agent is stopped and the verdict is open."""
        return self._doubt

    def is_false(self, item_id: str | None) -> bool:
        """Whether a turn was judged to be none: it is not to be answered."""
        return item_id in self._false

    def speaking(self, now: float) -> bool:
        """Whether the person's voice was heard just now."""
        return now - self._last_voice < 0.25

    def voice(self, now: float, voiced_s: float, *, busy: bool) -> Verdict | None:
        """A frame with `voiced_s` seconds of voice in it; `busy`: the agent speaks or is about to."""
        if not self.speaking(now) and not self._doubt:
            self._voice_s = 0.0
            # What the API may have heard a moment sooner is about this voice, if it is not over.
            self._turns = {self._live: None} if self._live is not None else {}
        self._last_voice = now
        self._voice_s += voiced_s
        if busy and not self._doubt:
            self._doubt = True
            return self._judge(now) or "pause"
        return self._judge(now)

    def started(self, now: float, item_id: str) -> Verdict | None:
        """The API has heard a turn begin."""
        self._live = item_id
        if self._doubt or self.speaking(now):
            self._turns[item_id] = None
            while len(self._turns) > _KEPT:
                del self._turns[next(iter(self._turns))]
        return self._judge(now)

    def stopped(self, item_id: str) -> None:
        """The API has heard it end."""
        if self._live == item_id:
            self._live = None

    def lost(self) -> None:
        """The connection is gone: what it heard begin, it will not hear end."""
        self._live = None

    def transcribed(self, now: float, item_id: str, text: str, *, final: bool) -> Verdict | None:
        """The words of a turn so far."""
        means = self._means_something(text)
        if item_id in self._false and means:
            # Judged too early: nobody's words are lost over that.
            self._false.remove(item_id)
            return "interrupt"
        if item_id in self._turns and (means or final):
            self._turns[item_id] = means
        return self._judge(now)

    def tick(self, now: float) -> Verdict | None:
        """Time passes: call it every 100 ms while in doubt."""
        return self._judge(now)

    def over(self) -> None:
        """The agent has nothing more to say: there is nothing left to interrupt."""
        self._doubt = False

    def _judge(self, now: float) -> Verdict | None:
        if not self._doubt:
            return None
        policy, quiet_s = self._policy, now - self._last_voice
        read = self._turns.values()
        if self._voice_s >= policy.certain_s or any(read):
            return self._decide("interrupt")
        if not self._turns:
            blip = self._voice_s <= policy.blip_s and quiet_s >= policy.blip_quiet_s
            return self._decide("resume") if blip or quiet_s >= policy.unheard_s else None
        if all(means is False for means in read):
            return self._decide("resume")
        if quiet_s < policy.unread_s:
            return None
        return self._decide("interrupt" if self._voice_s >= policy.short_s else "resume")

    def _decide(self, verdict: Verdict) -> Verdict:
        self._doubt = False
        if verdict == "resume":
            self._false.extend(item for item in self._turns if item not in self._false)
            # What is said from now on is judged by itself.
            self._voice_s = 0.0
            self._turns = {}
        return verdict

    def _means_something(self, text: str) -> bool:
        words = (word.strip(".,!?…;:\"'()[]").lower() for word in text.split())
        return any(word and word not in self._policy.backchannels for word in words)
