"""A voice agent: one AgentSession beside one participant, from the greeting to the goodbye.

microphone ──▶ Ears ──▶ AgentSession ⇄ RealtimeSession (the plugin) ⇄ the API
    │                       │
    └──voice──▶ Floor ──▶ Mouth ──▶ track          Lines ──▶ captions
"""

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from functools import partial
from time import monotonic
from typing import Any

from livekit.agents import Agent, AgentSession, ErrorEvent, SpeechCreatedEvent, UserInputTranscribedEvent, llm

from livekit.plugins.openai_realtime import (
    ConversationOptions,
    Reconnecting,
    ResponseEnded,
    ResumeOptions,
    TurnCommitted,
    TurnEvent,
    TurnTranscribed,
)
from parley.access import Refused
from parley.agents import Caller, Conversation, Registered
from parley.core.framing import seconds
from parley.core.patience import Patience
from parley.core.transcript import Segment
from parley.core.usage import Budget, BudgetEvent, Tokens
from parley.media.speech import SpeechPlayout

from . import prompts
from .approval import Approval
from .departure import Departure
from .ears import Ears
from .entry import Entry
from .floor import Floor, Reply, turn_policy
from .hooks import guard_hooks
from .lines import Lines
from .model import TurnsModel, decided_here, decides_after_s, hears_silence, new_session
from .mouth import Mouth, SpeechTrack
from .ports import Ending, Surroundings
from .spending import KIND, Spending
from .tools import Guard
from .utterance import GATHER_S, Utterance

logger = logging.getLogger("parley.voice")

TICK_S = 0.1
"""How often time is looked at while something is undecided; else once a second."""
CLOSE_S = 8.0
"""How long the end of a session may take."""
MOST_WAITING = 10
"""Requests to speak up that may wait for the session; the newest of them."""


class VoiceAgent:
    """`hear` feeds it, `run` works until the conversation is over and says why."""

    def __init__(
        self,
        spec: Registered,
        agent: Agent,
        caller: Caller,
        options: ConversationOptions,
        around: Surroundings,
        queue: SpeechPlayout,
        track: SpeechTrack,
        budgets: Sequence[Budget] = (),
        silence_s: float = 0.5,
        resume: ResumeOptions | None = None,
        *,
        listens: bool = True,
        goes_on: bool = False,
    ) -> None:
        """`agent` is a fresh one, made for this conversation; `silence_s` ends a turn that Parley's own VAD
        found, where the options leave turns to it. One that does not listen is told what there is to know,
        and the microphone only tells it when to stop. `goes_on`: another worker began the conversation, and
        the agent's chat context has it."""
        self.name = spec.name
        self.caller = caller
        self._agent = agent
        self._own = own = spec.options
        self._around = around
        self._track = track
        self._spending = Spending(around.metrics, options, budgets, self._on_budget, around.meter)
        self._ears = Ears()
        self._lines = Lines(f"a-{id(self):x}", lambda line, cut: around.lines.send(line, "agent", cut=cut))
        self._mouth = Mouth(queue, track, self._lines)
        self._mouth.hold("alone")
        self._guard = Guard(own.tool_timeout_s, own.slow_tool_s, self._slow_tool, self._tool_trouble)
        options = decided_here(options)
        approve = Approval(own.approve_mcp, caller, own.tool_timeout_s, self._tool_trouble)
        self._entry = Entry(around.access, self._tell_trouble)
        self._model = TurnsModel(
            options,
            connect=around.connect,
            http_session=around.http,
            resume=resume,
            approve_mcp=approve,
            connect_gate=self._entry.attempt,
        )
        self._model.on_turn = self._on_turn
        self._conversation = Conversation(
            caller, hang_up=self._hang_up, see=around.see, show=self._model.show
        )
        self._session: AgentSession[Conversation] | None = None
        self._floor: Floor | None = None
        self._own_vad = options.turn_detection is None
        self._listens = listens
        over, ends_s = self._end_of_turn if self._own_vad else None, decides_after_s(options)
        self._utterance = Utterance(self._push, over, silence_s, hears_silence(options), ends_s)
        self._departure = Departure(lambda: self.busy)
        self._goes_on = goes_on
        self._started = asyncio.Event()
        self._wake = asyncio.Event()
        self._group: asyncio.TaskGroup
        self._tasks: set[asyncio.Task[None]] = set()
        self._patience = Patience(own.idle_s if listens else None, own.idle_goodbye_s, monotonic())
        self._pushed_s = 0.0
        self._waiting: list[Reply] = []

    @property
    def waiting_s(self) -> float:
        """Seconds of the microphone that wait for the session."""
        return self._ears.waiting_s

    @property
    def tokens(self) -> Tokens:
        """What the conversation has used so far."""
        return self._spending.tokens

    @property
    def usd(self) -> float:
        """What that cost, at list prices."""
        return self._spending.usd

    @property
    def memory(self) -> llm.ChatContext:
        """See TurnsModel."""
        return self._model.memory

    @property
    def busy(self) -> bool:
        """Whether it speaks, or is about to."""
        return self._floor is not None and self._floor.busy

    async def started(self) -> None:
        """Returns when the session takes what it is told."""
        await self._started.wait()

    # From the room

    def hear(
        self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float = 0.0
    ) -> float:
        """What the participant's microphone delivered; see Hearer. Called on the loop; never blocks."""
        if voiced_s > 0:
            self._patience.active(at, by_person=True)
        if self._floor is not None:
            self._floor.heard(at, voiced_s)
            if self._floor.open:
                self._wake.set()
        if self._listens:
            self._utterance.hear(pcm, at, speaking, pre_roll, voiced_s)
        idle = self._floor is not None and not (self._floor.busy or self._floor.open)
        return GATHER_S if idle and self._utterance.patient(at) else 0.0

    def _end_of_turn(self) -> None:
        """Parley's own VAD has heard the end of a turn."""
        if self._session is not None and self._floor is not None and self._started.is_set():
            self._floor.tick(monotonic())
            self._session.commit_user_turn()

    def _push(self, pcm: bytes) -> None:
        if not pcm:
            return  # of several microphones this one was not the last
        self._ears.push(pcm)
        self._pushed_s += seconds(len(pcm))

    def heard_by_somebody(self) -> None:
        """The participant gets the track now: what waited for that is played."""
        self._mouth.let_go("alone")

    def say(self, instructions: str, *, interrupt: bool) -> None:
        """Makes the agent speak up, after what it is saying, or instead of it."""

        def reply(session: AgentSession[Conversation], floor: Floor) -> None:
            if interrupt:
                floor.interrupt()
            session.generate_reply(instructions=instructions)

        self._when_started(reply)

    async def tell(self, text: str) -> None:
        """Something to know, from the application: it does not make the agent speak."""
        await self._model.tell(text)

    async def speak_language(self, language: str) -> None:
        """The participant hears another language now (BCP-47 tag; empty: not known): the agent speaks it."""
        self._conversation.language = language
        agent = self._session.current_agent if self._session is not None else self._agent
        told = agent.instructions
        if isinstance(told, str) and (instructions := prompts.in_language(told, language)) != told:
            await agent.update_instructions(instructions)

    def hear_text(self, text: str) -> None:
        """The participant has typed something: as good as said, also while the agent speaks."""

        def reply(session: AgentSession[Conversation], floor: Floor) -> None:
            floor.interrupt()
            session.generate_reply(user_input=text)
            self._patience.active(monotonic(), by_person=True)

        self._when_started(reply)

    def end_for_budget(self, detail: str) -> None:
        """Says that the budget is spent, and goodbye; then `run` returns."""
        self._end_with(prompts.SPENT, Ending("budget", detail))

    def finish(self, reason: Ending) -> None:
        """`run` returns as soon as the session is closed."""
        self._departure.now(reason)

    def take_leave(self, *, back_soon: bool) -> None:
        """Says goodbye in one short sentence, or that it will be back in a moment; then `run` returns."""
        session, floor = self._session, self._floor
        if session is None or floor is None or not self._started.is_set():
            self.finish(Ending("left"))
        elif self._departure.ending is None:
            self._departure.decide(Ending("left"))
            words = prompts.BACK_SOON if back_soon else prompts.LEAVING
            say = partial(session.generate_reply, instructions=words, tool_choice="none")
            self._spawn(self._departure.with_last_words(floor.interrupt, say))

    # The conversation

    async def run(self) -> Ending:
        """Opens the session as soon as it may, greets, and works until `finish`."""
        async with AsyncExitStack() as stack:
            try:
                await self._departure.unless_over(stack.enter_async_context(self._entry.stream()))
            except Refused as e:
                return Ending("failed", str(e), retryable=True)
            if self._departure.ending is None:
                await self._work(self._agent)
        return self._departure.ending or Ending("left")

    async def _work(self, agent: Agent) -> None:
        await self._guard.install(agent)
        guard_hooks(agent, lambda what: self._tell_trouble("agent.failed", what))
        await self.speak_language(self.caller.language)
        session = self._session_of(agent)
        try:
            await session.start(agent, record=False)
            with self._around.metrics.session(KIND):
                await self._converse(session)
        finally:
            self._ears.close()
            await asyncio.shield(self._close(session))

    async def _converse(self, session: "AgentSession[Conversation]") -> None:
        """Until the conversation is over."""
        async with asyncio.TaskGroup() as self._group:
            self._spawn(self._watch())
            self._greet(session)
            self._started.set()
            self._patience.active(monotonic())
            waiting, self._waiting = self._waiting, []
            for reply in waiting:
                self._when_started(reply)
            await self._departure.wait()
            for task in self._tasks:
                task.cancel()

    def _session_of(self, agent: Agent) -> "AgentSession[Conversation]":
        session = new_session(self._model, self._conversation, own_vad=self._own_vad)
        own, policy = self._own, turn_policy(self._own, own_vad=self._own_vad)
        self._floor = Floor(policy, session, self._mouth, self._working, interruptions=own.interruptions)
        self._mouth.on_begin = self._floor.began
        self._mouth.on_silent = self._silent
        session.input.audio = self._ears
        session.output.audio = self._mouth
        session.output.transcription = self._lines
        session.on("speech_created", self._on_speech_created)
        session.on("user_input_transcribed", self._on_words)
        session.on("error", self._on_error)
        session.on("close", lambda _: self.finish(Ending("failed", "the session closed", retryable=True)))
        self._session = session
        return session

    def _working(self) -> bool:
        return self._guard.running > 0

    def _greet(self, session: "AgentSession[Conversation]") -> None:
        options = self._own
        if self._goes_on:
            session.generate_reply(instructions=prompts.BACK, tool_choice="none")
            return
        if options.disclosure and self._listens:
            session.generate_reply(instructions=prompts.exactly(options.disclosure), tool_choice="none")
        if options.greeting and self._listens:
            session.generate_reply(instructions=options.greeting, tool_choice="none")

    def _when_started(self, reply: Reply) -> None:
        """Makes the agent reply, as soon as it can; not when it is about to end."""
        if self._departure.ending is not None:
            return
        self._patience.active(monotonic())
        if not self._started.is_set():
            self._waiting = [*self._waiting, reply][-MOST_WAITING:]
        elif self._session is not None and self._floor is not None:
            reply(self._session, self._floor)

    async def _close(self, session: "AgentSession[Conversation]") -> None:
        try:
            async with asyncio.timeout(CLOSE_S):
                await session.aclose()
                await self._model.aclose()
        except TimeoutError:
            logger.warning("a voice agent's session did not close in %g s", CLOSE_S)

    # Turns

    def _on_turn(self, event: TurnEvent) -> None:
        if self._floor is None:
            return
        self._floor.on_event(event)
        match event:
            case TurnCommitted():
                self._utterance.answered(monotonic())
            case ResponseEnded():
                self._response_ended(event)
            case Reconnecting(reason=reason) if reason != "rotation":
                self._entry.lost(reason)
            case TurnTranscribed(usage=usage) if usage is not None:
                self._spending.transcription(usage)
        if self._floor.open:
            self._wake.set()

    def _on_speech_created(self, event: SpeechCreatedEvent) -> None:
        assert self._floor is not None
        self._floor.created(event.speech_handle, by_api=not event.user_initiated)
        self._track.expect()

    def _silent(self) -> None:
        assert self._floor is not None
        self._patience.active(monotonic())
        self._floor.silent()

    def _on_words(self, event: UserInputTranscribedEvent) -> None:
        if event.transcript.strip() and event.item_id:
            now = monotonic()
            segment = Segment(f"p-{event.item_id}", event.transcript.strip(), event.is_final, now, now)
            self._around.lines.send(segment, "person", cut=False)

    def _response_ended(self, event: ResponseEnded) -> None:
        self._patience.active(monotonic())
        if event.usage is not None:
            self._spending.response(event.usage)
        if event.status == "incomplete" and event.reason == "content_filter":
            self._tell_trouble("agent.filtered", "the API stopped an answer by its content filter")
            self.say(prompts.FILTERED, interrupt=False)

    # Trouble

    def _on_error(self, event: ErrorEvent) -> None:
        error = event.error
        cause: Any = getattr(error, "error", error)
        self._around.metrics.session_failed(KIND, type(cause).__name__)
        if not getattr(error, "recoverable", False):
            self.finish(Ending("failed", str(cause), retryable=bool(getattr(cause, "retryable", False))))

    def _tool_trouble(self, tool: str, what: str) -> None:
        self._tell_trouble("tool.failed", f"{tool}: {what}")

    def _tell_trouble(self, event: str, detail: str) -> None:
        self._around.notices.say(
            event, speaker=self.caller.identity, language=None, detail=f"{self.name}: {detail}"
        )

    def _slow_tool(self, tool: str) -> None:
        if self._session is not None and not self._mouth.speaking and self._departure.ending is None:
            self._session.generate_reply(instructions=prompts.SLOW_TOOL.format(tool=tool), tool_choice="none")

    def _on_budget(self, event: BudgetEvent, detail: str) -> None:
        """A budget that is spent ends the conversation, said aloud."""
        self._tell_trouble(f"budget.{event}", detail)
        if event == "exceeded":
            self.end_for_budget(detail)

    # Time

    def _hang_up(self, reason: str) -> None:
        if self._departure.ending is None:
            self._departure.decide(Ending("hang_up", reason))
            self._spawn(self._departure.after_last_words())

    def _end_with(self, instructions: str, ending: Ending) -> None:
        """Says something last, then ends."""

        def last(session: AgentSession[Conversation], _: Floor) -> None:
            session.generate_reply(instructions=instructions, tool_choice="none")
            self._departure.decide(ending)
            self._spawn(self._departure.after_last_words())

        self._when_started(last)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """For as long as the conversation lasts."""
        task = self._group.create_task(work, name=f"voice agent {self.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _watch(self) -> None:
        """Looks at the time: open verdicts, and people who have gone quiet."""
        assert self._floor is not None
        while True:
            self._wake.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(TICK_S if self._floor.open else 1.0):
                    await self._wake.wait()
            if self._floor.open:
                await asyncio.sleep(TICK_S / 2)
            now = monotonic()
            self._floor.tick(now)
            self._idle(now)
            self._count()

    def _count(self) -> None:
        """Meters what went to the session and what came from it."""
        metrics = self._around.metrics
        sent_s, self._pushed_s = self._pushed_s, 0.0
        metrics.sent(KIND, None, sent_s)
        metrics.received(KIND, self._mouth.take_received_s())
        metrics.dropped("session", self._ears.take_dropped_s())

    def _idle(self, now: float) -> None:
        assert self._floor is not None
        if self._floor.busy or self._departure.ending is not None:
            return
        match self._patience.due(now):
            case "ask":
                self.say(prompts.STILL_THERE, interrupt=False)
            case "goodbye":
                self._end_with(prompts.GOODBYE, Ending("idle", "nobody answered any more"))
