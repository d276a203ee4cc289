"""The voice agents of a room: who has one, its track and its captions, and what follows when it ends."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict, dataclass, field
from time import monotonic
from typing import Protocol

import aiohttp
from livekit.agents import Agent
from livekit.rtc.participant import PublishTrackError

from livekit import api, rtc
from livekit.plugins.openai_realtime import ResumeOptions
from livekit.plugins.openai_realtime.options import ConnectOptions
from parley import agents as registry
from parley import config
from parley.access import Access
from parley.core.language import primary
from parley.core.model import AUTO, ORIGINAL, Participant, Roster
from parley.core.planning import Wanted, wanted
from parley.core.transcript import Segment
from parley.core.usage import Budget
from parley.errors import AgentError
from parley.media.mix import Mixer
from parley.media.speech import SpeechPlayout
from parley.metrics import Metrics
from parley.ports import Notices
from parley.voice.agent import VoiceAgent
from parley.voice.hybrid import HybridAgent
from parley.voice.ports import Ending, Surroundings, Who

from .camera import picture
from .capture import Spawn
from .changes import Changes
from .costs import AgentAccounts, RoomCosts
from .handover import Handover
from .microphone import PROMPT_MS, WINDOW_MS, MixedIn
from .minutes import RoomMinutes
from .text_output import CAPTIONS_TOPIC, Text, TextOutput, attributes_of, microphone_sid
from .track_input import Ingress
from .track_output import TrackOutput, take_back

logger = logging.getLogger("parley.room")

DEFAULT_LANGUAGE = "en"
"""What a hybrid agent reads if it is not known what its participant hears or speaks."""
_READER = "\0"
"""Stands before the key of an agent that reads: no identity of a participant begins so."""
RETRY_S = (1.0, 2.0, 5.0, 10.0, 30.0)
"""How long an agent that failed waits before it is started again, by how often it has."""
FORGET_S = 60.0
"""An agent that worked this long has its earlier failures forgotten."""
LEAVE_S = 13.0
"""How long the agents of a room that is left may take to end: most of it for their last words."""
LAST_WORDS_S = 8.0
PUBLISH_S = 5.0
"""How long a track that is being published is waited for before it is taken back."""

HangUp = Callable[[str], Awaitable[None]]
"""Removes a participant, by identity, from the room."""


class NewTrack(Protocol):
    """Makes an agent's track."""

    def __call__(self, name: str, queue: SpeechPlayout) -> TrackOutput: ...


@dataclass(frozen=True, slots=True)
class AgentPolicy:
    """What the agents of a room are told by the settings."""

    defaults: config.VoiceAgent
    """What holds for an agent that does not say otherwise."""
    connect: ConnectOptions
    say: tuple[str, ...] = ()
    """Identities that may make an agent speak, `*` for everybody; participants of kind agent always may."""


@dataclass(slots=True)
class _Running:
    """An agent, its track and its task."""

    want: Wanted
    agent: VoiceAgent | HybridAgent
    output: TrackOutput
    language: str
    """BCP-47 tag of what the participant hears; empty: not known."""
    meter: AgentAccounts
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)


class RoomAgents:
    """Owns the voice agents of one room. `fit` makes them what the roster wants."""

    def __init__(
        self,
        room: rtc.Room,
        policy: AgentPolicy,
        http: aiohttp.ClientSession,
        text: TextOutput,
        notices: Notices,
        metrics: Metrics,
        ingress: Ingress,
        changes: Changes,
        new_track: NewTrack,
        spawn: Spawn,
        costs: RoomCosts,
        access: Access,
        hang_up: HangUp | None = None,
        minutes: RoomMinutes | None = None,
    ) -> None:
        self._room = room
        self._policy = policy
        self._http = http
        self._text = text
        self._notices = notices
        self._metrics = metrics
        self._ingress = ingress
        self._changes = changes
        self._new_track = new_track
        self._spawn = spawn
        self._hang_up = hang_up
        self._minutes = minutes
        self._costs = costs
        self._access = access
        self._roster: Roster = {}
        self._running: dict[str, _Running] = {}
        self._ended: dict[str, Wanted] = {}
        self._failures: dict[str, int] = {}
        self._mixers: dict[str, Mixer] = {}
        self._handover = Handover(room, spawn, policy.defaults.history_items)
        room.on("local_track_subscribed", self._subscribed)

    @property
    def speakers(self) -> set[str]:
        """Identities whose microphones are wanted."""
        return {identity for running in self._running.values() for identity in running.want.hears}

    @property
    def transcribed(self) -> set[str]:
        """Identities of whom what they say is written down as part of a conversation."""
        telling = [r for r in self._running.values() if not isinstance(r.agent, HybridAgent)]
        return {identity for r in telling if r.meter.transcribes for identity in r.want.hears}

    @property
    def tracks(self) -> list[tuple[TrackOutput, Wanted]]:
        """The published tracks, and whose they are."""
        return [(running.output, running.want) for running in self._running.values() if running.output.sid]

    @property
    def waiting_s(self) -> float:
        """Seconds of microphones that wait for a session."""
        return sum(running.agent.waiting_s for running in self._running.values())

    def state(self, of: Callable[[str], bool]) -> list[dict[str, object]]:
        """The agents beside those identities for which `of` holds, and what each has used."""
        return [
            {
                "of": running.want.beside,
                "agent": running.want.name,
                "tokens": asdict(running.agent.tokens),
                "usd": round(running.agent.usd, 6),
            }
            for running in self._running.values()
            if of(running.want.beside)
        ]

    def end_for_budget(self, beside: str | None, why: str) -> None:
        """A participant, or the room (None), can afford them no longer: each says so, and ends."""
        for running in self._running.values():
            if beside is None or running.want.beside == beside:
                running.agent.end_for_budget(why)

    def payer(self, reader: str) -> str:
        """Who pays for what a reader asks for: of an agent that reads, the participant whom it serves."""
        running = self._running.get(reader.removeprefix(_READER)) if reader.startswith(_READER) else None
        return reader if running is None else running.want.beside

    async def fit(self, roster: Roster) -> None:
        """Ends the agents that nobody wants any more, starts those that are missing."""
        self._roster = roster
        want = wanted(roster, lambda name: registry.get(name).options.audience)
        for key in [k for k in self._ended if k not in want or want[k].name != self._ended[k].name]:
            del self._ended[key]
            self._failures.pop(key, None)
        for key, running in list(self._running.items()):
            new = want.get(key)
            if new is None or new.name != running.want.name:
                self._end(key, Ending("left"))
            else:
                if new != running.want:
                    self._follow(key, new)
                language = _language(roster.get(new.beside))
                if language != running.language:
                    running.language = language
                    await running.agent.speak_language(language)
        for key, new in want.items():
            if key not in self._running and key not in self._ended and self._costs.affords(new.beside):
                await self._start(key, new)

    def of(self, identity: str) -> VoiceAgent | HybridAgent | None:
        """The agent that serves a participant, if one does."""
        own = self._running.get(f"of {identity}")
        if own is not None:
            return own.agent
        for running in self._running.values():
            if identity in running.want.hears:
                return running.agent
        return None

    async def finish(self) -> None:
        """Ends all of them. In a room that still stands each says a last sentence, and the worker that
        stands by, if one does, is handed the conversations."""
        running = dict(self._running)
        tasks = [r.task for r in running.values() if r.task is not None]
        if tasks and self._room.isconnected():
            for each in running.values():
                each.agent.take_leave(back_soon=self._handover.to is not None)
            await asyncio.wait(tasks, timeout=LAST_WORDS_S)
        for key in list(self._running):
            self._end(key, Ending("left"))
        if (to := self._handover.to) is not None:  # it may have come meanwhile
            known = {key: (each.want.name, each.agent.memory) for key, each in running.items()}
            for key, why in (await self._handover.give(to, known)).items():
                detail = f"its conversation was not handed over: {why}"
                self._tell("agent.ended", running[key].want, detail)
        if tasks:
            await asyncio.wait(tasks, timeout=LEAVE_S - LAST_WORDS_S)

    # One agent

    async def _start(self, key: str, want: Wanted) -> None:
        spec = registry.get(want.name)
        caller = self._caller(want)
        try:
            options, agent = spec.conversation(self._policy.defaults), spec.make(caller)
        except Exception as e:  # noqa: BLE001 - bulkhead: the code of the user's agent
            # The user's own code, and its mistakes: they are told in one line, and the room goes on.
            said = str(e) if isinstance(e, AgentError) else f"{type(e).__name__}: {e}"
            logger.error("the voice agent %s could not be made: %s", want.name, said)
            self._ended[key] = want
            self._tell("agent.failed", want, said)
            return
        queue = SpeechPlayout()
        output = self._new_track(f"parley-agent:{want.beside}", queue)
        lines = _Lines(self)
        transcriber = options.transcription.model if options.transcription is not None else None
        meter = self._costs.agent(want.beside, caller.language, options.model, transcriber)
        around = Surroundings(
            *(self._policy.connect, self._http, lines, self._notices, self._metrics),
            lambda source: picture(self._room, want.beside, source),
            meter,
            self._access,
        )
        budgets = (Budget(spec.options.usd),)
        silence_s = self._policy.defaults.silence_ms / 1000
        defaults = self._policy.defaults
        resume = ResumeOptions(history_items=defaults.history_items, stall_s=defaults.stall_s)
        hybrid = spec.options.mode == "hybrid"
        memory = None if hybrid else self._handover.take(key, want.name)
        if memory is not None:
            await agent.update_chat_ctx(memory)
        goes_on = memory is not None

        def voice(agent: Agent) -> VoiceAgent:
            ports = (around, queue, output, budgets, silence_s, resume)
            return VoiceAgent(spec, agent, caller, options, *ports, listens=not hybrid, goes_on=goes_on)

        fresh = [agent]  # what was made to see that it can be is the first to speak

        def wake() -> VoiceAgent:
            return voice(fresh.pop() if fresh else spec.make(caller))

        made = HybridAgent(spec.name, caller, wake) if hybrid else voice(agent)
        running = lines.running = self._running[key] = _Running(want, made, output, caller.language, meter)
        self._follow(key, want)
        running.task = self._spawn(self._guard(key, running), f"voice agent {want.name}")

    @property
    def readers(self) -> dict[str, str]:
        """Those of them that read what is said in the room, and in which language."""
        return {
            _READER + key: primary(running.language or DEFAULT_LANGUAGE)
            for key, running in self._running.items()
            if isinstance(running.agent, HybridAgent)
        }

    def read(self, readers: Iterable[str], speaker: str, segment: Segment) -> None:
        """A line of the room's transcript, for those of its readers that are agents."""
        if not segment.final:
            return
        for reader in readers:
            running = self._running.get(reader.removeprefix(_READER)) if reader.startswith(_READER) else None
            if running is not None and isinstance(running.agent, HybridAgent):
                running.agent.read(speaker, segment.text)

    def _follow(self, key: str, want: Wanted) -> None:
        """Attaches the agent to the microphones it hears."""
        running = self._running[key]
        for identity in running.want.hears - want.hears:
            self._ingress.detach(identity, key)
            if key in self._mixers:
                self._mixers[key].remove(identity)
        running.want = want
        if not key.startswith("room "):
            self._ingress.attach(want.beside, key, running.agent, WINDOW_MS)
            return
        mixer = self._mixers.setdefault(key, Mixer())
        for identity in want.hears:
            self._ingress.attach(identity, key, MixedIn(identity, mixer, running.agent), PROMPT_MS)

    async def _guard(self, key: str, running: _Running) -> None:
        """The bulkhead around one agent: whatever its code does stays in it."""
        want = running.want
        ending, since = Ending("failed", "it was cut off"), monotonic()
        publishing = self._spawn(self._publish(running), f"track of {want.name}")
        try:
            ending = await running.agent.run()
        except Exception as e:
            # The agent's own code, or the framework under it.
            logger.exception("the voice agent %s failed", want.name)
            ending = Ending("failed", f"{type(e).__name__}: {e}")
        finally:
            self._detach(key, running)
            running.meter.close()
            await asyncio.shield(self._take_back(running.output, publishing))
        await self._after(key, running, ending, since)

    async def _publish(self, running: _Running) -> None:
        """The agent prepares its first words meanwhile."""
        try:
            await running.output.publish(self._room)
        except PublishTrackError as e:
            running.agent.finish(Ending("failed", str(e), retryable=True))
        else:
            self._changes.add()  # who may hear it

    async def _take_back(self, output: TrackOutput, publishing: "asyncio.Task[None]") -> None:
        await asyncio.wait({publishing}, timeout=PUBLISH_S)
        await take_back(output, self._room)

    async def _after(self, key: str, running: _Running, ending: Ending, since: float) -> None:
        want, usd, tokens = running.want, running.agent.usd, running.agent.tokens
        used = f"{usd:.4f} USD, {tokens.input + tokens.cached + tokens.output} tokens"
        if ending.reason == "left":
            logger.info("a voice agent ended", extra={"agent": want.name, "used": used})
            self._changes.add()
            return
        self._ended[key] = want
        failed = ending.reason == "failed"
        detail = f"{ending.detail or ending.reason} ({used})"
        self._tell("agent.failed" if failed else "agent.ended", want, detail)
        if failed and ending.retryable:
            lived_s = monotonic() - since
            count = self._failures[key] = 1 if lived_s > FORGET_S else self._failures.get(key, 0) + 1
            wait_s = RETRY_S[min(count, len(RETRY_S)) - 1]
            asyncio.get_running_loop().call_later(wait_s, self._again, key, want)
        elif ending.reason == "hang_up":
            await self._leave(want)
        self._changes.add()

    def _again(self, key: str, want: Wanted) -> None:
        if self._ended.get(key) == want:
            del self._ended[key]
            self._changes.add()

    async def _leave(self, want: Wanted) -> None:
        """Hung up: a telephone call ends with the conversation."""
        person = self._roster.get(want.beside)
        if person is None or person.kind != "sip" or self._hang_up is None:
            return
        try:
            await self._hang_up(want.beside)
        except (api.TwirpError, OSError, TimeoutError) as e:
            logger.warning("a call could not be ended: %s", e)

    def _end(self, key: str, ending: Ending) -> None:
        running = self._running[key]
        self._failures.pop(key, None)
        self._detach(key, running)
        running.agent.finish(ending)

    def _detach(self, key: str, running: _Running) -> None:
        if self._running.get(key) is running:
            del self._running[key]
            self._mixers.pop(key, None)
            for identity in running.want.hears:
                self._ingress.detach(identity, key)

    def _subscribed(self, track: rtc.Track) -> None:
        for running in self._running.values():
            if running.output.sid == track.sid:
                running.agent.heard_by_somebody()

    def _caller(self, want: Wanted) -> registry.Caller:
        participant = self._room.remote_participants.get(want.beside)
        person = self._roster.get(want.beside)
        return registry.Caller(
            identity=want.beside,
            name=participant.name if participant is not None else "",
            attributes=dict(participant.attributes) if participant is not None else {},
            language=_language(person),
            room=self._room.name,
        )

    def _tell(self, event: str, want: Wanted, detail: str) -> None:
        self._notices.say(event, speaker=want.beside, language=None, detail=f"{want.name}: {detail}")

    def send(self, running: _Running, segment: Segment, who: Who, *, cut: bool) -> None:
        """A line of a conversation, to those who take part in it."""
        want = running.want
        attributes = attributes_of(segment, self._track_sid(running, who), running.language, "agent")
        if cut:
            attributes["parley.interrupted"] = "true"
        sender = self._room.local_participant.identity if who == "agent" else want.beside
        to = tuple(sorted(identity for identity in want.hears if identity in self._roster))
        text = Text(CAPTIONS_TOPIC, segment.text, attributes, to, sender)
        if to:
            self._text.put(text, key=segment.id)
        if self._minutes is not None:
            self._minutes.said(segment, text, want.name if who == "agent" else sender, "agent", want.beside)

    def _track_sid(self, running: _Running, who: Who) -> str:
        if who == "agent":
            return running.output.sid
        return microphone_sid(self._room, running.want.beside)


class _Lines:
    """One agent's captions. Implements `parley.voice.agent.LinesOut`."""

    def __init__(self, agents: RoomAgents) -> None:
        self._agents = agents
        self.running: _Running | None = None

    def send(self, segment: Segment, who: Who, *, cut: bool) -> None:
        """See LinesOut."""
        if self.running is not None:
            self._agents.send(self.running, segment, who, cut=cut)


def _language(person: Participant | None) -> str:
    """What an agent should speak: what the participant hears, else speaks, as far as it is known."""
    if person is None:
        return ""
    wish = person.preferences
    return wish.hears if wish.hears != ORIGINAL else wish.speaks if wish.speaks != AUTO else ""
