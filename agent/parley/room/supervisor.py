"""The supervisor of one room: what changed → roster → routes → plan → bridges, tracks and permissions."""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from time import monotonic, thread_time
from typing import Any

import aiohttp
from livekit.rtc.participant import PublishTrackError

from livekit import rtc
from parley.access import Access
from parley.bridges.translation import BridgePolicy, Surroundings, TranslationBridge
from parley.core.model import BridgeKey, BridgeSpec, Preferences, Route
from parley.core.planning import desired, plan
from parley.core.preferences import Allowed, Rejection
from parley.core.routing import routes
from parley.core.usage import Budget
from parley.media.gate import GatePolicy
from parley.metrics import Metrics
from parley.ports import Dial

from .agents import AgentPolicy, HangUp, RoomAgents
from .changes import ROOM, Changes
from .native import NativeLayer, native_layer
from .permissions import Permissions, table
from .reading import Reading
from .requests import Requests, state_of
from .roster import People, stands_by
from .text_output import RoomNotices, TextOutput
from .track_input import FRAME_MS, Ingress
from .track_output import Player, TrackOutput, take_back

logger = logging.getLogger("parley.room")

SETTLE_S = 0.03
"""Changes that come together are looked at together."""
PHRASE_S = 8.0
"""How long a phrase that lives when the room is left may go on."""
FINISH_S = 45.0
"""How long what was said may take to come out when the room is left."""
RESTART_S = 1.0
GAUGES_S = 1.0


@dataclass(frozen=True, slots=True)
class RoomPolicy:
    """What a room is told by the settings."""

    bridge: BridgePolicy
    gate: GatePolicy
    defaults: Preferences
    allowed: Allowed
    sessions: int
    usd: float | None = None
    """Budget of the room at list prices, in USD; None: none. Spent, all sessions end."""
    agents: AgentPolicy | None = None
    """None: there are no voice agents."""


@dataclass(slots=True)
class _Running:
    """A bridge and what belongs to it."""

    bridge: TranslationBridge
    output: TrackOutput | None
    finishing: bool = False
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)

    @property
    def spec(self) -> BridgeSpec:
        return self.bridge.spec


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
        access: Access | None = None,
    ) -> None:
        self._room = room
        self._policy = policy
        self._metrics = metrics
        self._changes = Changes()
        self._layer: NativeLayer | None = native_layer(asyncio.get_running_loop())
        self._text = TextOutput(room, self._layer)
        self._notices = RoomNotices(self._text, lambda: room.local_participant.identity)
        self._permissions = Permissions(room)
        self._player = Player(metrics)
        self._people = People(policy.defaults, policy.allowed, dispatch_metadata, self._rejected)
        self._dial = dial
        self._access = access or Access()
        self._reading = Reading(room, self._text, lambda: self._people.roster, lambda: self._agents)
        self._running: dict[BridgeKey, _Running] = {}
        self._finishing: list[_Running] = []
        self._refused: tuple[BridgeKey, ...] = ()
        self._budget = Budget(policy.usd)
        self._ended_usd = 0.0
        self._counted_usd = 0.0
        self._described = "{}"
        self._standby = True
        self._leaving = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._ingress = Ingress(self._layer, policy.gate, self._spawn)
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
                self._budget,
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
                elif self._agents is not None:
                    await self._agents.finish()
                for task in (*background, *(r.task for r in self._all() if r.task is not None)):
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
        """Whether nobody is there to be served."""
        return self._people.people == 0

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
        was_standby, self._standby = self._standby, stands_by(self._room)
        standby = self._standby
        if self._people.set_room_metadata(self._room.metadata or "") or was_standby != standby:
            changed = list(participants)
        for identity in changed:
            if identity != ROOM:
                self._people.update(identity, participants.get(identity))
        self._metrics.rooms.set(0 if standby else 1)
        self._metrics.participants.set(0 if standby else self._people.people)
        agents = self._agents
        if agents is not None:
            await agents.fit({} if standby else self._people.roster)
        wanted = {} if standby or self._budget.exceeded else desired(self._routes())
        specs = {key: running.spec for key, running in self._running.items()}
        change = plan(wanted, specs, self._policy.sessions)
        for key in change.stop:
            self._stop(key)
        for spec in change.change:
            self._running[spec.key].bridge.change(spec)
        self._refuse(change.refused)
        for spec in change.start:
            self._running[spec.key] = _Running(self._bridge(spec), None)
        await self._fit_tracks()
        self._permit()
        await self._describe()
        for spec in change.start:
            if (running := self._running.get(spec.key)) is not None:
                self._ingress.attach(spec.key.speaker, spec.key, running.bridge)
                running.task = self._spawn(self._guard(running), f"bridge into {spec.key.language}")
        heard = {key.speaker for key in self._running} | (agents.speakers if agents is not None else set())
        await self._ingress.follow(heard, participants)

    def _routes(self) -> frozenset[Route]:
        roster = self._people.roster
        return routes(roster) | (self._agents.routes(roster) if self._agents is not None else set())

    def _bridge(self, spec: BridgeSpec) -> TranslationBridge:
        captions = self._reading.captions(spec.key, lambda: bridge)
        around = Surroundings(self._dial, captions, self._notices, self._metrics, self._access)
        bridge = TranslationBridge(spec, self._policy.bridge, around, None)
        return bridge

    def _stop(self, key: BridgeKey) -> None:
        """Nobody wants it any more, or its speaker has gone: what was said still comes out."""
        running = self._running.pop(key)
        self._ingress.detach(key.speaker, key)
        speaker = self._people.roster.get(key.speaker)
        running.finishing = True
        if speaker is not None and not speaker.preferences.consent and running.task is not None:
            running.task.cancel()  # consent withdrawn: what was not sent is not sent
        running.bridge.finish()
        self._finishing.append(running)

    async def _guard(self, running: _Running) -> None:
        """The bulkhead around one bridge: whatever happens in it stays in it."""
        key = running.spec.key
        try:
            await running.bridge.run()
        except Exception as e:
            logger.exception("a translation bridge failed")
            self._metrics.session_failed("translation", type(e).__name__)
            self._notices.say("session.failed", speaker=key.speaker, language=key.language, detail=str(e))
            await asyncio.sleep(RESTART_S)
        finally:
            self._ended(running)
            if running.output is not None and not self._leaving.is_set():
                await asyncio.shield(take_back(running.output, self._room))

    def _ended(self, running: _Running) -> None:
        if self._running.get(running.spec.key) is running:
            del self._running[running.spec.key]
            self._ingress.detach(running.spec.key.speaker, running.spec.key)
        if running in self._finishing:
            self._finishing.remove(running)
        self._ended_usd += running.bridge.usd
        self._changes.add(ROOM)

    # Tracks

    def _all(self) -> list[_Running]:
        return [*self._running.values(), *self._finishing]

    async def _fit_tracks(self) -> None:
        """Publishes a track for each bridge that somebody hears and that has none; takes back the rest."""
        for running in self._running.values():
            if running.output is not None and not running.spec.listeners:
                output, running.output, running.bridge.audio = running.output, None, None
                self._spawn(take_back(output, self._room), "unpublish")
        missing = [r for r in self._running.values() if r.spec.listeners and r.output is None]
        if not missing:
            return
        async with asyncio.TaskGroup() as group:
            for running in missing:
                group.create_task(self._publish(running))

    async def _publish(self, running: _Running) -> None:
        key = running.spec.key
        output = TrackOutput(self._player, f"parley:{key.speaker}:{key.language}", self._layer, self._metrics)
        try:
            await output.publish(self._room)
        except PublishTrackError as e:
            await output.unpublish(self._room)
            self._notices.say("session.failed", speaker=key.speaker, language=key.language, detail=str(e))
            asyncio.get_running_loop().call_later(RESTART_S, self._changes.add)
            return
        running.output = output
        running.bridge.audio = output
        if running.bridge.live:
            output.expect()

    def _permit(self, *, again: bool = False) -> None:
        roster = self._people.roster
        tracks = []
        for running in self._all():
            if running.output is None:
                continue
            language = running.spec.key.language
            tracks.append(
                (
                    running.output.sid,
                    [
                        listener
                        for listener in running.spec.listeners
                        if listener in roster and roster[listener].preferences.hears == language
                    ],
                )
            )
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
        for running in self._all():
            if running.output is not None:
                key = running.spec.key
                tracks[running.output.sid] = _description(key.speaker, key.language, "translation")
        for output, want in self._agents.tracks if self._agents is not None else ():
            tracks[output.sid] = _description(want.beside, None, "agent")
        described = json.dumps(tracks, ensure_ascii=False, sort_keys=True)
        if described != self._described:
            self._described = described
            await self._room.local_participant.set_attributes({"parley.tracks": described})

    def _state(self, own: Callable[[str], bool]) -> dict[str, Any]:
        """What RPC `parley.state` answers; `own`: whose agents the asker may know about."""
        agents = self._agents.state(own) if self._agents is not None else []
        bridges = [running.bridge for running in self._running.values()]
        return state_of(self._people.roster, bridges, agents, self._described, self._budget.spent_usd)

    # What is told

    def _rejected(self, identity: str | None, rejection: Rejection) -> None:
        if self._standby:
            return  # the worker that serves the room says it
        self._notices.say("preference.rejected", speaker=identity, language=None, detail=str(rejection))

    def _refuse(self, refused: tuple[BridgeKey, ...]) -> None:
        for key in refused:
            if key not in self._refused:
                self._notices.say(
                    "session.refused",
                    speaker=key.speaker,
                    language=key.language,
                    detail=f"the room may have {self._policy.sessions} sessions at a time",
                )
        self._refused = refused

    # The end

    async def _finish(self) -> None:
        """Phrases end, tails play, the room is told."""
        deadline = monotonic() + PHRASE_S
        while any(r.bridge.live for r in self._running.values()) and monotonic() < deadline:
            await asyncio.sleep(0.1)
        await self._ingress.follow((), dict(self._room.remote_participants))
        if self._agents is not None:
            await self._agents.finish()
        for key in list(self._running):
            self._stop(key)
        tasks = [running.task for running in self._all() if running.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=FINISH_S)
        self._notices.say("worker.left", speaker=None, language=None, detail="the room is left")
        try:
            async with asyncio.timeout(5):
                await self._text.sent()
        except TimeoutError:
            logger.warning("the room could not be told that the worker left")

    async def _gauges(self) -> None:
        """Keeps the gauges of all queues current."""
        told = 0
        while True:
            await asyncio.sleep(GAUGES_S)
            self._count()
            running = self._all()
            waiting_s = self._agents.waiting_s if self._agents is not None else 0.0
            self._metrics.waiting("session", waiting_s + sum(r.bridge.waiting_s for r in running))
            self._metrics.waiting("playout", sum(r.output.waiting_s for r in running if r.output))
            if self._layer is not None and self._layer.dropped_frames > told:
                self._metrics.dropped("ingress", (self._layer.dropped_frames - told) * FRAME_MS / 1000)
                told = self._layer.dropped_frames

    def _count(self) -> None:
        """Takes what the translations have cost from the room's budget, and looks what is left."""
        usd = self._ended_usd + sum(running.bridge.usd for running in self._all())
        event = self._budget.spend(usd - self._counted_usd)
        self._counted_usd = usd
        if event is not None:
            detail = f"the room: {self._budget}"
            self._notices.say(f"budget.{event}", speaker=None, language=None, detail=detail)
        if self._budget.exceeded and self._running:
            self._changes.add(ROOM)
        if event == "exceeded" and self._agents is not None:
            self._agents.end_all("the room's budget is spent")

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        return self._group.create_task(work, name=name)


def _description(speaker: str, language: str | None, kind: str) -> dict[str, str | None]:
    """One entry of `parley.tracks`."""
    return {"speaker": speaker, "language": language, "kind": kind}
