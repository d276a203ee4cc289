"""The supervisor of one room: what changed → roster → routes → plan → bridges, tracks and permissions."""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, field
from time import monotonic, thread_time
from typing import Any

import aiohttp

from livekit import rtc
from parley.bridges.credential import Credential
from parley.bridges.translation import BridgePolicy, Surroundings
from parley.core.model import BridgeKey, BridgeSpec, Preferences, Route
from parley.core.planning import desired
from parley.core.preferences import Allowed, Rejection
from parley.core.routing import routes
from parley.media.gate import GatePolicy
from parley.metrics import Metrics
from parley.ports import Dial, Notices

from .agents import AgentPolicy, HangUp, RoomAgents
from .changes import ROOM, Changes
from .costs import CostPolicy, Leave, RoomCosts
from .native import NativeLayer, native_layer
from .permissions import Permissions, table
from .reading import Reading
from .requests import Requests, state_of
from .roster import People
from .succession import Succession
from .text_output import RoomNotices, TextOutput
from .track_input import FRAME_MS, Ingress
from .track_output import Player, TrackOutput
from .translations import RoomTranslations

logger = logging.getLogger("parley.room")

SETTLE_S = 0.03
"""Changes that come together are looked at together."""
PHRASE_S = 8.0
"""How long a phrase that lives when the room is left may go on."""
FINISH_S = 45.0
"""How long what was said may take to come out when the room is left."""
TAKE_S = 10.0
"""How long a worker that stands by may take to listen to the microphones."""
HANDOVER_TICK_S = 0.05
GAUGES_S = 1.0


@dataclass(frozen=True, slots=True)
class RoomPolicy:
    """What a room is told by the settings."""

    bridge: BridgePolicy
    gate: GatePolicy
    defaults: Preferences
    allowed: Allowed
    sessions: int
    costs: CostPolicy = field(default_factory=CostPolicy)
    agents: AgentPolicy | None = None
    """None: there are no voice agents."""


class RoomSupervisor:
    """Owns everything that runs for one room. `run` it once."""

    def __init__(
        self,
        room: rtc.Room,
        policy: RoomPolicy,
        dial: Dial,
        metrics: Metrics,
        dispatch_metadata: str = "",
        *,
        http: aiohttp.ClientSession | None = None,
        hang_up: HangUp | None = None,
        leaving: Callable[[Notices], Leave] | None = None,
    ) -> None:
        self._room = room
        self._policy = policy
        self._metrics = metrics
        self._changes = Changes()
        self._layer: NativeLayer | None = native_layer(asyncio.get_running_loop())
        self._text = TextOutput(room, self._layer)
        notices = RoomNotices(self._text, lambda: room.local_participant.identity)
        self._costs = RoomCosts(room.name, policy.costs, metrics, notices, self._spent)
        self._notices = self._costs.notices
        self._leave_behind = leaving(notices) if leaving is not None else None
        self._permissions = Permissions(room)
        self._succession = Succession(room)
        self._player = Player(metrics)
        self._people = People(policy.defaults, policy.allowed, dispatch_metadata, self._rejected)
        credential = Credential()
        self._reading = Reading(room, self._text, lambda: self._people.roster, lambda: self._agents)
        self._described = "{}"
        self._standby = True
        self._handing_over = False
        self._holding: frozenset[str] | None = None
        self._inherited_usd = 0.0
        self._leaving = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._ingress = Ingress(self._layer, policy.gate, self._spawn)
        self._translations = RoomTranslations(
            room,
            policy.bridge,
            policy.sessions,
            lambda: self._people.roster,
            self._reading.captions,
            lambda text: Surroundings(
                dial,
                text,
                self._notices,
                metrics,
                credential,
                lambda spec: self._costs.translation(spec, self._payer),
                self._costs.record.span,
            ),
            lambda name: TrackOutput(self._player, name, self._layer, metrics),
            self._notices,
            metrics,
            self._ingress,
            self._changes,
            self._spawn,
        )
        self._agents: RoomAgents | None = None
        self._requests: Requests | None = None
        if policy.agents is not None and http is not None:
            self._agents = RoomAgents(
                room,
                policy.agents,
                http,
                self._text,
                self._notices,
                metrics,
                self._ingress,
                self._changes,
                lambda name, queue: TrackOutput(self._player, name, self._layer, metrics, queue),
                self._spawn,
                self._costs,
                hang_up,
            )
            self._requests = Requests(
                room,
                self._agents,
                policy.agents.say,
                self._state,
                lambda: self._people.roster,
                lambda: self._standby,
                self._spawn,
            )

    async def run(self) -> None:
        """Serves the room until it is gone or `leave` was called. Cancelling it drops what is being said."""
        self._permissions.apply({})
        self._changes.listen(self._room)
        self._room.on("local_track_republished", self._republished)
        self._changes.add(ROOM)
        for identity in self._room.remote_participants:
            self._changes.add(identity)
        if self._requests is not None:
            self._requests.listen()
        try:
            async with self._group:
                background = [
                    self._spawn(self._player.run(), "player"),
                    self._spawn(self._text.run(), "text output"),
                    self._spawn(self._gauges(), "gauges"),
                ]
                await self._follow()
                if not self._changes.closed:
                    await self._finish()
                else:
                    if self._agents is not None:
                        await self._agents.finish()
                    await self._leave()
                self._translations.cancel()
                for task in background:
                    task.cancel()
        finally:
            self._metrics.rooms.set(0)
            self._metrics.participants.set(0)
            if self._requests is not None:
                self._requests.close()
            await self._ingress.aclose()
            if self._layer is not None:
                self._layer.close()

    def drain(self, deadline_s: float) -> None:
        """Tells the room that the worker will leave when it is empty, or in `deadline_s` at the latest."""
        self._notices.say(
            "worker.draining",
            speaker=None,
            language=None,
            detail=f"leaves in {deadline_s:.0f} s at the latest",
        )

    def leave(self) -> None:
        """Finish what is being said, tell the room, and return from `run`."""
        self._leaving.set()
        self._changes.add(ROOM)

    @property
    def empty(self) -> bool:
        """Whether nobody is there whom this worker serves."""
        return self._standby or self._people.people == 0

    # The loop

    async def _follow(self) -> None:
        settle_s = SETTLE_S
        while not self._changes.closed and not self._leaving.is_set():
            changed = await self._changes.take(settle_s)
            if self._changes.closed:
                return
            started = thread_time()
            await self._reconcile(changed)
            # However fast somebody makes changes, looking at them takes a tenth of a core at most.
            settle_s = min(1.0, max(SETTLE_S, 10 * (thread_time() - started)))

    async def _reconcile(self, changed: Iterable[str]) -> None:
        """One iteration: makes what runs fit what is wanted."""
        participants = dict(self._room.remote_participants)
        was_standby, self._standby = self._standby, self._succession.standby
        standby = self._standby
        if self._people.set_room_metadata(self._room.metadata or "") or was_standby != standby:
            changed = list(participants)
        for identity in changed:
            if identity != ROOM:
                self._people.update(identity, participants.get(identity))
        self._metrics.rooms.set(0 if standby else 1)
        self._metrics.participants.set(0 if standby else self._people.people)
        self._costs.follow({} if standby else self._people.roster)
        agents = self._agents
        if agents is not None and self._holding is None:
            await agents.fit({} if standby or self._succession.agents_held else self._people.roster)
        translations = self._translations
        await translations.prepare({} if standby else self._wanted())
        self._permit()
        await self._describe()
        translations.start(self._succession.held)
        heard = translations.speakers | (agents.speakers if agents is not None else set())
        await self._ingress.follow(heard, participants)
        if not standby:
            await self._succeed(participants)

    def _wanted(self) -> dict[BridgeKey, BridgeSpec]:
        wanted = desired(self._costs.affordable(self._routes(), self._payer))
        holding = self._holding
        return wanted if holding is None else {k: spec for k, spec in wanted.items() if k.speaker in holding}

    def _routes(self) -> frozenset[Route]:
        roster = self._people.roster
        return routes(roster) | (self._agents.routes(roster) if self._agents is not None else set())

    def _payer(self, reader: str) -> str:
        return reader if self._agents is None else self._agents.payer(reader)

    def _spent(self, identity: str | None, why: str) -> None:
        """The budget of the room (None), or of a participant, is spent."""
        self._changes.add(ROOM)
        if self._agents is not None:
            self._agents.end_for_budget(identity, why)

    # Who may hear what

    def _permit(self, *, again: bool = False) -> None:
        roster = self._people.roster
        tracks = [(output.sid, hearing) for output, _, hearing in self._translations.listeners]
        for output, want in self._agents.tracks if self._agents is not None else ():
            tracks.append((output.sid, [listener for listener in want.hears if listener in roster]))
        self._permissions.apply(table(tracks), again=again)

    def _republished(self, publication: rtc.LocalTrackPublication, previous_sid: str) -> None:
        """A full reconnect gave a track a new SID: heard by nobody until the table names it."""
        self._permit(again=True)
        self._changes.add(ROOM)

    async def _describe(self) -> None:
        """Says in the worker's attribute which track is what."""
        tracks: dict[str, dict[str, str | None]] = {}
        for output, key, _ in self._translations.listeners:
            tracks[output.sid] = _description(key.speaker, key.language, "translation")
        for output, want in self._agents.tracks if self._agents is not None else ():
            tracks[output.sid] = _description(want.beside, None, "agent")
        described = json.dumps(tracks, ensure_ascii=False, sort_keys=True)
        if described != self._described:
            self._described = described
            await self._room.local_participant.set_attributes({"parley.tracks": described})

    def _state(self, own: Callable[[str], bool]) -> dict[str, Any]:
        """What RPC `parley.state` answers; `own`: whose agents the asker may know about."""
        agents = self._agents.state(own) if self._agents is not None else []
        bridges = self._translations.bridges
        return state_of(self._people.roster, bridges, agents, self._described, self._costs.state(own))

    # What is told

    def _rejected(self, identity: str | None, rejection: Rejection) -> None:
        if self._standby:
            return  # the worker that serves the room says it
        self._notices.say("preference.rejected", speaker=identity, language=None, detail=str(rejection))

    # Other workers

    async def _succeed(self, participants: Mapping[str, rtc.RemoteParticipant]) -> None:
        """Takes over from a worker that leaves, if one does."""
        if not self._succession.predecessor:
            if self._holding is None and not self._handing_over:
                await self._succession.serve()
            return
        inherited = max(0.0, self._succession.spent_usd - self._inherited_usd)
        self._inherited_usd += inherited
        self._costs.accounts.inherit(inherited)
        speakers = (participants.get(identity) for identity in self._translations.speakers)
        if all(p is None or self._ingress.captures(p) for p in speakers):
            await self._succession.take()

    @property
    def successor(self) -> bool:
        """Whether another worker stands by."""
        return self._succession.successor and not self._standby

    async def hand_over(self) -> bool:
        """Gives the room to the worker that stands by, each speaker at a pause.

        Returns whether it has taken over: if not, the room is served on.
        """
        self._handing_over = True
        await self._succession.hold(None, agents=True, usd=self._costs.accounts.usd)
        deadline = monotonic() + TAKE_S
        while not self._succession.taken:
            if monotonic() > deadline or not self._succession.successor:
                self._handing_over = False
                await self._succession.serve()
                return False
            await asyncio.sleep(HANDOVER_TICK_S)
        await self._release()
        return True

    async def _release(self) -> None:
        """Lets go of the speakers, those who speak at the end of their phrase, and of the agents."""
        ending = self._spawn(self._agents.finish(), "agents") if self._agents is not None else None
        holding, told = set(self._translations.speakers), None
        deadline = monotonic() + PHRASE_S
        while True:
            for speaker in list(holding):
                if not self._ingress.speaking(speaker) or monotonic() > deadline:
                    self._translations.release(speaker)
                    holding.discard(speaker)
            self._holding = frozenset(holding)
            agents = ending is not None and not ending.done()
            if told != (told := (self._holding, agents)):
                await self._succession.hold(holding, agents=agents, usd=self._costs.accounts.usd)
            if not holding and not agents:
                return
            await asyncio.sleep(HANDOVER_TICK_S)

    # The end

    async def _finish(self) -> None:
        """Phrases end, tails play, the room is told."""
        deadline = monotonic() + PHRASE_S
        while self._translations.live and monotonic() < deadline:
            await asyncio.sleep(0.1)
        await self._ingress.follow((), dict(self._room.remote_participants))
        if self._agents is not None:
            await self._agents.finish()
        await self._translations.finish(FINISH_S)
        await self._leave()
        self._notices.say("worker.left", speaker=None, language=None, detail="the room is left")
        try:
            async with asyncio.timeout(5):
                await self._text.sent()
        except TimeoutError:
            logger.warning("the room could not be told that the worker left")

    async def _leave(self) -> None:
        """Hands over what the room leaves behind."""
        if self._leave_behind is not None:
            await self._costs.leave(self._leave_behind)

    async def _gauges(self) -> None:
        """Keeps the gauges of all queues current."""
        told = 0
        while True:
            await asyncio.sleep(GAUGES_S)
            running = self._translations.all
            waiting_s = self._agents.waiting_s if self._agents is not None else 0.0
            self._metrics.waiting("session", waiting_s + sum(r.bridge.waiting_s for r in running))
            self._metrics.waiting("playout", sum(r.output.waiting_s for r in running if r.output))
            if self._layer is not None and self._layer.dropped_frames > told:
                self._metrics.dropped("ingress", (self._layer.dropped_frames - told) * FRAME_MS / 1000)
                told = self._layer.dropped_frames

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        return self._group.create_task(work, name=name)


def _description(speaker: str, language: str | None, kind: str) -> dict[str, str | None]:
    """One entry of `parley.tracks`."""
    return {"speaker": speaker, "language": language, "kind": kind}
