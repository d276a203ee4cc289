"""The floor: who may speak now. Obeys the turn-taker's verdicts on the AgentSession's replies.

The API answers a turn by itself as soon as it is over, without another round trip. Whether what was heard
over the agent's voice was a turn at all is decided here; an answer to what was none is taken back.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from time import monotonic
from typing import Any

from livekit.agents import AgentSession
from livekit.agents.voice import SpeechHandle

from livekit.plugins.openai_realtime import (
    Reconnecting,
    ResponseEnded,
    ResponseStarted,
    TurnCommitted,
    TurnEvent,
    TurnStarted,
    TurnStopped,
    TurnTranscribed,
)
from parley.agents import AgentOptions
from parley.core.turns import TurnPolicy, TurnTaker, Verdict

from .mouth import Mouth

logger = logging.getLogger("parley.voice")

UNANSWERED_S = 1.0
"""A turn to which the API has begun no answer in this time is answered on request."""


Reply = Callable[[AgentSession[Any], "Floor"], None]
"""Makes an AgentSession reply."""


def turn_policy(options: AgentOptions, *, own_vad: bool) -> TurnPolicy:
    """What an agent's options say of interruptions; `own_vad`: turns are found by Parley's own VAD."""
    policy = TurnPolicy(backchannels=frozenset(options.backchannels))
    if options.false_interruption_s is None:
        return replace(policy, certain_s=0.0)
    # With its own VAD a turn is over when it is judged, and its words come with the answer.
    return replace(policy, unread_s=0.0 if own_vad else options.false_interruption_s)


class Floor:
    """One conversation's. All methods are called on the loop and return at once."""

    def __init__(
        self,
        policy: TurnPolicy,
        session: AgentSession[Any],
        mouth: Mouth,
        working: Callable[[], bool],
        *,
        interruptions: bool = True,
    ) -> None:
        self._turns = TurnTaker(policy)
        self._session = session
        self._mouth = mouth
        self._working = working
        self._interruptions = interruptions
        self._replies: list[SpeechHandle] = []
        self._in_doubt: list[SpeechHandle] = []
        self._generating = False
        self._committed: str | None = None
        self._unanswered_since: float | None = None
        self._cleared: list[SpeechHandle] = []

    @property
    def busy(self) -> bool:
        """Whether the agent speaks, or is about to."""
        return self._mouth.speaking or self._generating or self._working()

    @property
    def open(self) -> bool:
        """Whether somebody must look at the time: a verdict or an answer is outstanding."""
        return self._turns.in_doubt or self._unanswered_since is not None

    def heard(self, now: float, voiced_s: float) -> None:
        """A frame of the person's microphone with so much voice in it."""
        if not self._interruptions:
            return
        if voiced_s > 0:
            self._obey(self._turns.voice(now, voiced_s, busy=self.busy and not self._protected))
        elif self._turns.in_doubt:
            self._obey(self._turns.tick(now))

    def tick(self, now: float) -> None:
        """Time passes."""
        if self._turns.in_doubt:
            self._obey(self._turns.tick(now))
        since = self._unanswered_since
        if since is None or now - since < UNANSWERED_S or self._generating or self._turns.in_doubt:
            return
        self._unanswered_since = None
        logger.debug("the API did not answer a turn: asking for it")
        self._session.generate_reply(input_modality="audio")

    def began(self) -> None:
        """A reply begins to be played: not while the person is speaking."""
        now = monotonic()
        if self._interruptions and not self._protected and self._turns.speaking(now):
            self._obey(self._turns.voice(now, 0.0, busy=True))

    def silent(self) -> None:
        """A reply is over."""
        if self.busy or not self._turns.in_doubt:
            return
        self._turns.over()
        self._replies += self._in_doubt
        self._in_doubt = []
        self._mouth.let_go("doubt")

    def created(self, reply: SpeechHandle, *, by_api: bool) -> None:
        """The AgentSession has made a reply; `by_api`: nobody here asked for it."""
        self._replies = [r for r in self._replies if not r.done()]
        if by_api and self._turns.is_false(self._committed):
            self._give_up([reply])  # the answer to what was no turn
            return
        if by_api and self._turns.in_doubt:
            self._in_doubt.append(reply)
        else:
            self._replies.append(reply)

    def on_event(self, event: TurnEvent) -> None:
        """What the API reports."""
        now = monotonic()
        match event:
            case TurnStarted(item_id=item_id):
                self._obey(self._turns.started(now, item_id))
            case TurnStopped(item_id=item_id):
                self._turns.stopped(item_id)
            case TurnCommitted(item_id=item_id):
                self._turns.stopped(item_id)
                self._committed = item_id
                if not self._turns.is_false(item_id):
                    self._unanswered_since = now
            case TurnTranscribed(item_id=item_id, text=text, final=final):
                again = self._turns.is_false(item_id)
                verdict = self._turns.transcribed(now, item_id, text, final=final)
                self._obey(verdict)
                if again and verdict == "interrupt":
                    self._unanswered_since = now - UNANSWERED_S
            case Reconnecting():
                self._turns.lost()
            case ResponseStarted():
                self._generating = True
                self._unanswered_since = None
            case ResponseEnded():
                self._generating = False
                self.silent()
            case _:
                pass

    def interrupt(self) -> None:
        """Gives up what is being said, and what was going to be."""
        self._give_up(self._replies)

    def _obey(self, verdict: Verdict | None) -> None:
        if verdict is not None:
            logger.debug("turn-taking: %s", verdict)
        match verdict:
            case "pause":
                self._mouth.hold("doubt")
            case "resume":
                self._give_up(self._in_doubt)
                self._unanswered_since = None
                self._mouth.let_go("doubt")
            case "interrupt":
                given_up = self._give_up(self._replies)
                self._replies += self._in_doubt
                self._in_doubt = []
                if given_up and self._mouth.speaking:
                    self._mouth.hold("doubt")  # until the AgentSession has cleared it
                elif all(reply.done() for reply in self._cleared):
                    self._mouth.let_go("doubt")

    @property
    def _protected(self) -> bool:
        """Whether what is being said may not be interrupted."""
        return any(not reply.allow_interruptions and not reply.done() for reply in self._replies)

    def _give_up(self, replies: list[SpeechHandle]) -> bool:
        """Interrupts those of them that may be, and takes them off the list; whether there were any."""
        live = [reply for reply in replies if not reply.done() and not reply.interrupted]
        mine = [reply for reply in live if reply.allow_interruptions]
        for reply in mine:
            reply.interrupt()
        replies[:] = [reply for reply in live if not reply.allow_interruptions]
        if mine:
            self._cleared = mine
        return bool(mine)
