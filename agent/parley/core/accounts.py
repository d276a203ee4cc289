"""The accounts of a room: seconds of audio and tokens by session, speaker, language and kind, priced.

    bridge, agent ──open──▶ Account ──spend, charge──▶ Accounts ──▶ the room's budget
                                                         ├──────▶ the budget of each who asked for it
                                                         └──────▶ on_budget: runs low, is spent

Who pays: the room for everything. Beside it each participant has a budget of their own, from which is taken
what they asked for: translations and captions are shared equally among those who hear or read them at that
moment, an agent and the transcription of what is said to it are paid by whom it serves. A speaker never pays
for being listened to: nobody can stop others from listening.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal

from .usage import LIST_PRICES, Budget, BudgetEvent, Prices, Tokens

CostKind = Literal["translation", "captions", "transcription", "voice_agent", "notes"]
KINDS: tuple[CostKind, ...] = ("translation", "captions", "transcription", "voice_agent", "notes")
"""`transcription` is what is said to a voice agent."""

MOST_LINES = 1_000
"""Lines that are kept apart; what is opened beyond them goes to one line per kind and language."""
MOST_PAYERS = 2_000
"""Participants whose spending is known; beyond them, who has not spent anything for longest is forgotten."""
MOST_SESSIONS = 100
"""Ended sessions that are remembered one by one."""


@dataclass(frozen=True, slots=True)
class Line:
    """What is metered together."""

    kind: CostKind
    speaker: str | None
    """Whose speech it is, or whose agent; None: of all those beyond the bound."""
    language: str
    """Into which it is translated, `original` for captions of the speaker's own words, or what is spoken with
    the agent; empty: not known."""


@dataclass(slots=True)
class Metered:
    """What was used of something, and what it cost."""

    sessions: int = 0
    audio_s: float = 0.0
    """Seconds of audio that are charged for by the minute."""
    tokens: Tokens = field(default_factory=Tokens)
    usd: float = 0.0

    def add(self, other: "Metered") -> None:
        """Adds what another one holds."""
        self.sessions += other.sessions
        self.audio_s += other.audio_s
        self.tokens += other.tokens
        self.usd += other.usd


Payers = Callable[[], Collection[str]]
"""The identities who ask for what a session does, at this moment; empty: the room alone pays."""
OnBudget = Callable[[BudgetEvent, str | None, str], None]
"""Called when the budget of the room (None) or of an identity runs low or is spent, with how much of what."""


def payers_of(*asking: Iterable[str]) -> frozenset[str]:
    """Those who pay for a translation: whoever hears it, reads it, or reads what the speaker said."""
    return frozenset().union(*asking)


class Account:
    """One session's side of the accounts."""

    def __init__(self, accounts: "Accounts", line: Line, model: str, payers: Payers) -> None:
        self.line = line
        self.model = model
        self.used = Metered(sessions=1)
        self._accounts = accounts
        self._payers = payers
        self._usd_per_second = accounts.prices.usd_per_second(model)

    @property
    def usd(self) -> float:
        """What this session cost so far."""
        return self.used.usd

    def spend(self, audio_s: float) -> bool:
        """Asks for the price of audio before it is sent.

        False: it does not fit into the room's budget, or into that of anybody who asks for it. Then nothing
        was counted, and nothing may be sent.
        """
        usd = audio_s * self._usd_per_second
        if not self._accounts.take(usd, self._payers()):
            return False
        self._count(Metered(audio_s=audio_s, usd=usd))
        return True

    def charge(self, audio_s: float) -> float:
        """Counts audio by the minute that the API has charged for already; returns its cost in USD."""
        return self._charge(Metered(audio_s=audio_s, usd=audio_s * self._usd_per_second))

    def charge_tokens(self, tokens: Tokens) -> float:
        """Counts tokens, which are known when they are used; returns their cost in USD."""
        return self._charge(Metered(tokens=tokens, usd=self._accounts.prices.usd(self.model, tokens)))

    def close(self) -> None:
        """The session has ended: who pays for it now pays for what is still charged. Twice does nothing."""
        paying = self._payers()
        self._payers = lambda: paying  # what asks for the payers may hold all that the session had
        self._accounts.closed(self)

    def _charge(self, used: Metered) -> float:
        self._count(used)
        self._accounts.pay(used.usd, self._payers())
        return used.usd

    def _count(self, used: Metered) -> None:
        self.used.add(used)
        self._accounts.count(self.line, used)


class Accounts:
    """What a room has spent, on what, and whether it may spend more. All of it is synchronous."""

    def __init__(
        self,
        prices: Prices = LIST_PRICES,
        *,
        usd: float | None = None,
        usd_per_participant: float | None = None,
        on_budget: OnBudget = lambda event, identity, detail: None,
    ) -> None:
        self.prices = prices
        self.room = Budget(usd)
        self._usd_per_participant = usd_per_participant
        self._on_budget = on_budget
        self._payers: OrderedDict[str, Budget] = OrderedDict()
        self._lines: dict[Line, Metered] = {}
        self._open: dict[Account, None] = {}
        self._ended: deque[Account] = deque(maxlen=MOST_SESSIONS)
        self._spent_out: set[str] = set()
        self.inherited_usd = 0.0
        """What workers before this one have spent: part of the room's budget, and of no line."""

    # Spending

    def open(self, line: Line, model: str, payers: Payers) -> Account:
        """A session of `model` has begun; `payers` is asked again at every expense."""
        if line not in self._lines and len(self._lines) >= MOST_LINES:
            line = Line(line.kind, None, line.language)
        account = Account(self, line, model, payers)
        self._open[account] = None
        self.count(line, Metered(sessions=1))
        return account

    def closed(self, account: Account) -> None:
        """Remembers what an ended session has used, as one of the newest."""
        if account in self._open:
            del self._open[account]
            self._ended.append(account)

    def count(self, line: Line, used: Metered) -> None:
        """Adds to a line."""
        self._lines.setdefault(line, Metered()).add(used)

    def take(self, usd: float, payers: Collection[str]) -> bool:
        """Takes `usd` from the room and, in equal parts, from those `payers` who can pay: all or nothing."""
        if not self.room.fits(usd):
            self._say(self.room.stop(), None)
            return False
        paying = [identity for identity in payers if identity not in self._spent_out]
        while paying:
            short = [p for p in paying if not self._budget(p).fits(usd / len(paying))]
            if not short:
                break
            for identity in short:
                self._say(self._budget(identity).stop(), identity)
                paying.remove(identity)
        if payers and not paying:
            return False
        self.pay(usd, paying)
        return True

    def pay(self, usd: float, payers: Collection[str]) -> None:
        """Takes `usd` that is owed already, whatever is left."""
        for identity in payers:
            self._say(self._budget(identity).spend(usd / len(payers)), identity)
        self._say(self.room.spend(usd), None)

    def inherit(self, usd: float) -> None:
        """Takes what another worker has spent on this room from the room's budget; on what is not known."""
        self.inherited_usd += usd
        self._say(self.room.spend(usd), None)

    def resume(self, lines: Iterable[tuple[Line, Metered]], inherited_usd: float) -> None:
        """Goes on with what a job that died had metered, and what it had inherited itself."""
        usd = inherited_usd
        for line, used in lines:
            if line not in self._lines and len(self._lines) >= MOST_LINES:
                line = Line(line.kind, None, line.language)
            self.count(line, used)
            usd += used.usd
        self.inherited_usd += inherited_usd
        self._say(self.room.spend(usd), None)

    def inherit_from(self, identity: str, usd: float) -> None:
        """Takes what an identity has spent at another worker from their budget; the room's is told apart."""
        self._say(self._budget(identity).spend(usd), identity)

    def _budget(self, identity: str) -> Budget:
        budget = self._payers.get(identity)
        if budget is None:
            budget = self._payers[identity] = Budget(self._usd_per_participant)
            if len(self._payers) > MOST_PAYERS:
                forgotten, _ = self._payers.popitem(last=False)
                self._spent_out.discard(forgotten)
        self._payers.move_to_end(identity)
        return budget

    def _say(self, event: BudgetEvent | None, identity: str | None) -> None:
        if event is None:
            return
        budget = self.room if identity is None else self._budget(identity)
        if identity is not None and budget.exceeded:
            self._spent_out.add(identity)
        self._on_budget(event, identity, f"{'the room' if identity is None else 'a participant'}: {budget}")

    # What was spent

    @property
    def spent_out(self) -> Collection[str]:
        """Identities whose own budget is spent: nothing is translated for them, and they have no agent."""
        return frozenset(self._spent_out)

    @property
    def limits_participants(self) -> bool:
        """Whether participants have budgets of their own."""
        return self._usd_per_participant is not None

    @property
    def usd(self) -> float:
        """What the room has cost so far."""
        return self.room.spent_usd

    def usd_of(self, identity: str) -> float:
        """What an identity has asked for so far."""
        budget = self._payers.get(identity)
        return 0.0 if budget is None else budget.spent_usd

    @property
    def spending(self) -> dict[str, float]:
        """What each identity has asked for so far, in USD."""
        return {identity: budget.spent_usd for identity, budget in self._payers.items()}

    @property
    def lines(self) -> dict[Line, Metered]:
        """All that was metered. Not a copy."""
        return self._lines

    @property
    def sessions(self) -> tuple[Account, ...]:
        """Open sessions, and the newest that have ended."""
        return (*self._ended, *self._open)

    def view(self, seen: Callable[[Line], bool] = lambda line: True) -> dict[str, Any]:
        """The cost as `parley.state` tells it; of the speakers only lines that are `seen`."""
        by_speaker = _sums((line.speaker, used) for line, used in self._lines.items() if seen(line))
        return {
            "usd": rounded(self.usd),
            "limit_usd": self.room.limit_usd,
            "inherited_usd": rounded(self.inherited_usd),
            "by_kind": _sums((line.kind, used) for line, used in self._lines.items()),
            "by_language": _sums((line.language, used) for line, used in self._lines.items()),
            "by_speaker": {speaker: usd for speaker, usd in by_speaker.items() if speaker is not None},
            "prices_as_of": self.prices.as_of,
        }


rounded = partial(round, ndigits=6)
"""An amount as it is shown: in millionths."""


def _sums(parts: Iterable[tuple[str | None, Metered]]) -> dict[str | None, float]:
    sums: dict[str | None, float] = {}
    for key, used in parts:
        sums[key] = sums.get(key, 0.0) + used.usd
    return {key: rounded(usd) for key, usd in sums.items()}
