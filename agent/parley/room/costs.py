"""What a room spends and goes through: its accounts and its record, and what follows from a spent budget."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from time import monotonic
from typing import Any

from parley.core.accounts import Account, Accounts, Line, payers_of
from parley.core.estimate import Models
from parley.core.model import ORIGINAL, RECORD, BridgeSpec, Preferences, Roster
from parley.core.summary import Record
from parley.core.usage import BudgetEvent, Tokens
from parley.metrics import Metrics
from parley.ports import Notices

Spent = Callable[[str | None, str], None]
"""Called when the budget of the room (None) or of a participant is spent, with how much of what."""
Leave = Callable[[dict[str, Any]], Awaitable[None]]
"""Hands the room's summary over."""


@dataclass(frozen=True, slots=True)
class CostPolicy:
    """What a room may spend, in USD; None: there is no limit."""

    usd: float | None = None
    usd_per_participant: float | None = None
    translation_model: str = "gpt-realtime-translate"
    captions_model: str = "gpt-realtime-whisper"
    own_words: bool = False
    """Everybody's are written down, also where nobody reads them: an estimate counts that."""


class RoomCosts:
    """Owns the accounts and the record of one room."""

    def __init__(
        self, room: str, policy: CostPolicy, metrics: Metrics, notices: Notices, spent: Spent
    ) -> None:
        self.accounts = Accounts(
            metrics.prices,
            usd=policy.usd,
            usd_per_participant=policy.usd_per_participant,
            on_budget=self._on_budget,
        )
        models = Models(policy.translation_model, policy.captions_model, prices=metrics.prices)
        self.record = Record(room, self.accounts, monotonic(), models=models, own_words=policy.own_words)
        self.notices: Notices = _Remembered(notices, self.record)
        """Says what it is told, and remembers it for the summary."""
        self._policy = policy
        self._metrics = metrics
        self._spent = spent
        self._here: dict[str, Preferences] = {}

    def follow(self, roster: Roster) -> None:
        """The people who are there now, and what they want."""
        now = monotonic()
        here = {identity: p.preferences for identity, p in roster.items() if p.is_person}
        for identity in self._here.keys() - here.keys():
            self.record.left(identity, now)
        for identity, preferences in here.items():
            if self._here.get(identity) != preferences:
                self.record.present(identity, preferences, now)
        self._here = here

    def affords(self, identity: str) -> bool:
        """Whether something may be started that this participant pays for."""
        return not self.accounts.room.exceeded and identity not in self.accounts.spent_out

    def bridge(self, spec: Callable[[], BridgeSpec], payer: Callable[[str], str]) -> Account:
        """Opens the account of one session of a bridge; `spec`: whom it is for, at that moment."""
        key = spec().key
        captions = key.language == ORIGINAL

        def payers() -> frozenset[str]:
            now = spec()
            asking = payers_of(now.listeners, now.readers, now.source_readers)
            if captions and RECORD in asking:
                return frozenset()  # it is there whoever reads along: nobody's budget may end it
            return frozenset(map(payer, asking - {RECORD}))

        model = self._policy.captions_model if captions else self._policy.translation_model
        line = Line("captions" if captions else "translation", key.speaker, key.language)
        return self.accounts.open(line, model, payers)

    def agent(self, beside: str, language: str, model: str, transcriber: str | None) -> "AgentAccounts":
        """Opens the accounts of one voice agent."""
        return AgentAccounts(self.accounts, beside, language, model, transcriber)

    def notes(self, model: str, language: str, used: Tokens) -> None:
        """A text model wrote notes: the room pays."""
        account = self.accounts.open(Line("notes", None, language), model, lambda: ())
        account.charge_tokens(used)
        account.close()

    def state(self, own: Callable[[str], bool]) -> dict[str, Any]:
        """The cost as `parley.state` tells it; `own`: whose agents the asker may know about."""
        return self.accounts.view(
            lambda line: (
                line.kind in ("translation", "captions", "notes")
                or (line.speaker is not None and own(line.speaker))
            )
        )

    def keep(self) -> dict[str, Any]:
        """The record, for a job that replaces this one."""
        return self.record.keep(monotonic(), self._metrics.dropped_s)

    @property
    def news(self) -> object:
        """Differs from what it was before if there is more to be kept than how much time has passed."""
        return self.accounts.usd, self.record.events, dict(self._here)

    async def leave(self, leave: Leave) -> None:
        """Hands the summary over, if anybody was ever served."""
        self.follow({})
        if self.record.served:
            for where, lost_s in self._metrics.dropped_s.items():
                self.record.lost(where, lost_s)
            await leave(self.record.summary(monotonic()))

    def _on_budget(self, event: BudgetEvent, identity: str | None, detail: str) -> None:
        self.notices.say(f"budget.{event}", speaker=identity, language=None, detail=detail)
        if event == "exceeded":
            self._spent(identity, detail)


class AgentAccounts:
    """What one voice agent uses, paid by the participant beside whom it is."""

    def __init__(
        self, accounts: Accounts, beside: str, language: str, model: str, transcriber: str | None
    ) -> None:
        def payers() -> tuple[str]:
            return (beside,)

        self._agent = accounts.open(Line("voice_agent", beside, language), model, payers)
        self._transcription = (
            accounts.open(Line("transcription", beside, language), transcriber, payers)
            if transcriber
            else None
        )

    @property
    def transcribes(self) -> bool:
        """Whether what is said to the agent is written down."""
        return self._transcription is not None

    def tokens(self, used: Tokens) -> None:
        """What one response used."""
        self._agent.charge_tokens(used)

    def transcribed(self, audio_s: float) -> None:
        """What the transcription of one turn used."""
        if self._transcription is not None:
            self._transcription.charge(audio_s)

    def close(self) -> None:
        """The agent has ended."""
        self._agent.close()
        if self._transcription is not None:
            self._transcription.close()


class _Remembered:
    """Notices that the record of the room hears too."""

    def __init__(self, notices: Notices, record: Record) -> None:
        self._notices = notices
        self._record = record

    def say(self, event: str, *, speaker: str | None, language: str | None, detail: str) -> None:
        """See Notices."""
        self._record.said(event, speaker, language, detail, monotonic())
        self._notices.say(event, speaker=speaker, language=language, detail=detail)
