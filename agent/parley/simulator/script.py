"""What a simulated agent says: turns that tests and demos write, and which of them answers what.

    SimulatorOptions(script=[Turn(say="Good morning."), Turn(calls=(Call("weather", {"city": "Rome"}),))])
    simulator.script.add(Turn(say="It rains.", when="weather"))

A response takes the first turn whose `when` applies to what was said last, else the first that has no `when`;
each turn is used `times` times. A reply that was cut is gone on with, unless a turn's own predicate applies:
where the conversation ends with the beginning of a turn's text, the same turn is taken again and says what is
left of it (`replies`). The same question in a new session (its user message came as text, or as the same
sound with no answer to it) takes the same turn again. A turn whose response was cancelled before anything of
it was said comes next.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from .turns import Context, Line, Turn

__all__ = ["Script"]

_MOST_TURNS = 1000
_TAKEN_KEPT = 64


@dataclass(slots=True)
class _Waiting:
    turn: Turn
    left: int


@dataclass(slots=True)
class _Taken:
    session_id: str
    heard: str
    asked: Line | None
    turn: Turn

    def is_asked_again(self, context: Context, asked: Line) -> bool:
        """Whether this is the same question: the same item, or its text or sound in a new session that knows
        no answer to it."""
        if self.asked is not None and self.heard == context.heard and asked.item_id == self.asked.item_id:
            return True
        if self.session_id == context.session_id:
            return False
        if not asked.is_audio:
            return self.heard == context.heard
        same = self.asked is not None and bool(asked.peak) and asked.peak == self.asked.peak
        return same and not any(self._is_answer(line) for line in context.lines)

    def _is_answer(self, line: Line) -> bool:
        said = " ".join(line.text.split())
        return line.role == "assistant" and bool(said) and " ".join(self.turn.text.split()).startswith(said)


@dataclass(slots=True)
class Script:
    """The turns that wait to be said, in all sessions; at most 1000."""

    otherwise: Callable[[Context], Turn | None] | None = None
    """Asked when no turn applies; None: the user is repeated."""
    _waiting: list[_Waiting] = field(default_factory=list)
    _taken: deque[_Taken] = field(default_factory=lambda: deque(maxlen=_TAKEN_KEPT))

    @classmethod
    def of(cls, script: "Sequence[Turn] | Callable[[Context], Turn | None]") -> "Script":
        """The script that the options hold."""
        if callable(script):
            return cls(script)
        made = cls()
        made.add(*script)
        return made

    def add(self, *turns: Turn) -> None:
        """Add turns to the end. Raises ValueError if there are too many."""
        if len(self._waiting) + len(turns) > _MOST_TURNS:
            raise ValueError(f"script: got more turns, allowed: at most {_MOST_TURNS}")
        self._waiting += [_Waiting(turn, turn.times) for turn in turns]

    def clear(self) -> None:
        """Forget the turns that wait, and those that were taken."""
        self._waiting.clear()
        self._taken.clear()

    @property
    def waiting(self) -> list[tuple[Turn, int]]:
        """The turns that were not used up, and how often each can still be used."""
        return [(waiting.turn, waiting.left) for waiting in self._waiting]

    def take(self, context: Context) -> Turn | None:
        """The turn that answers this; None: no turn does."""
        again = self._again(context)
        if again is not None and not self._is_asked_for(context):
            return again
        turn = self._next(context)
        if turn is not None and not turn.is_empty and turn.failure is None:
            asked = context.asked[-1] if context.asked else None
            self._taken.append(_Taken(context.session_id, context.heard, asked, turn))
        return turn

    def put_back(self, turn: Turn) -> None:
        """The response was cancelled before anything of the turn was said: it is still to come."""
        waiting = next((one for one in self._waiting if one.turn is turn), None)
        if waiting is None:
            self._waiting.insert(0, _Waiting(turn, 1))
        else:
            waiting.left += 1
        for taken in [one for one in self._taken if one.turn is turn][-1:]:
            self._taken.remove(taken)

    def _again(self, context: Context) -> Turn | None:
        """The turn that was taken for this input already, and was cut, or never heard."""
        said = " ".join(" ".join(line.text for line in context.said).split())
        if said:
            begun = [one for one in reversed(self._taken) if one.turn.is_cut_at(said)]
            same = [one for one in begun if one.heard == context.heard]
            return next((one.turn for one in (*same, *begun)), None)
        asked = context.asked
        if not asked:
            return None
        again = (one for one in reversed(self._taken) if one.is_asked_again(context, asked[-1]))
        return next((one.turn for one in again), None)

    def _is_asked_for(self, context: Context) -> bool:
        """Whether a turn that waits has a predicate of its own that applies: it knows what it answers."""
        return any(callable(one.turn.when) and one.turn.applies(context) for one in self._waiting)

    def _next(self, context: Context) -> Turn | None:
        keyed = (one for one in self._waiting if one.turn.when is not None and one.turn.applies(context))
        waiting = next(keyed, None) or next((one for one in self._waiting if one.turn.when is None), None)
        if waiting is None:
            return self.otherwise(context) if self.otherwise else None
        waiting.left -= 1
        if not waiting.left:
            self._waiting.remove(waiting)
        return waiting.turn
