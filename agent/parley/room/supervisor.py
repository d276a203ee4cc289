"""The supervisor of one room: what changed → roster → routes → plan → bridges, tracks and permissions."""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine, Iterable, Mapping
from time import monotonic, thread_time
from typing import Any

import aiohttp

from livekit import rtc
from parley.access import Access
from parley.core.model import BridgeKey, BridgeSpec
from parley.core.own_words import for_record
from parley.core.planning import desired
from parley.core.preferences import Rejection
from parley.core.routing import routes
from parley.metrics import Metrics
from parley.ports import Dial, Notices
from parley.state import StateFile

from .agents import HangUp, RoomAgents
from .blip import Blip
from .bridge_maker import BridgeMaker
from .changes import ROOM, Changes
from .consecutive import RoomTurns
from .costs import Leave, RoomCosts
from .estate import Estate
from .gauges import keep_gauges
from .layouts import Around, Track, layout_of
from .media_watch import MediaWatch
from .minutes import NewTranscripts, RoomMinutes
from .minutes_handover import MinutesHandover
from .minutes_requests import MinutesRequests
from .native import native_layer
from .originals import Originals, originals_of
from .permissions import Permissions, table
from .policy import RoomPolicy
from .reading import Reading
from .requests import Requests, state_of
from .roster import People
from .safekeeping import Safekeeping
from .set_preferences import SetPreferences
from .succession import Succession
from .takeover import PHRASE_S, Takeover
from .text_output import RoomNotices, TextOutput
from .track_input import Ingress
from .track_output import Player, TrackOutput
from .translations import RoomTranslations, SessionLimits

logger = logging.getLogger("parley.room")

SETTLE_S = 0.03
"""Changes that come together are looked at together."""
FINISH_S = 45.0
"""How long what was said may take to come out when the room is left."""
GIVE_BACK_S = 5.0
"""How long the original voices may take to be given back when the room is left."""


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
        originals: Originals | None = None,
        access: Access | None = None,
        leaving: Callable[[Notices], Leave] | None = None,
        transcripts: NewTranscripts | None = None,
        state: StateFile | None = None,
    ) -> None:
        self._room = room
        self._policy = policy
        self._metrics = metrics
        self._changes = Changes()
        self._layer = native_layer(asyncio.get_running_loop(), logs=policy.native_logs)
        self._text = TextOutput(room, self._layer)
        notices = RoomNotices(self._text, lambda: room.local_participant.identity)
        self._costs = RoomCosts(room.name, policy.costs, metrics, notices, self._spent)
        self._notices = self._costs.notices
        self._leave_behind = leaving(notices) if leaving is not None else None
        self._standby = True
        self._minutes = RoomMinutes(policy.minutes, self._text, self._notices, transcripts)
        self._permissions = Permissions(room)
        self._originals = originals
        self._succession = Succession(room)
        self._player = Player(metrics)
        self._people = People(
            policy.defaults,
            policy.allowed,
            dispatch_metadata,
            self._rejected,
            self._look_again,
            policy.vocabulary,
        )
        self._record = MinutesHandover(room, self._minutes, self._succession.precedes, self._spawn)
        estate = Estate(
            *(room, self._people, self._costs.accounts, self._succession, self._record),
            *(self._set, self._spawn),
        )
        self._safekeeping = Safekeeping(state, estate, self._costs, metrics, lambda: not self._standby)
        self._setting = SetPreferences(
            *(room, self._people, policy.hosts, self._set, lambda: self._standby),
            self._safekeeping.pass_on,
        )
        self._asking = MinutesRequests(
            *(room, self._minutes, policy.minutes, policy.hosts, self._people),
            *(metrics, self._notices, self._costs.notes),
            lambda: self._standby,
        )
        access = access or Access()
        self._reading = Reading(room, self._text, self._people, lambda: self._agents, self._minutes)
        self._described = "{}"
        self._leaving = asyncio.Event()
        self._group = asyncio.TaskGroup()
        self._ingress = Ingress(
            self._layer, policy.gate, self._spawn, self._costs.record.spoke, self._not_heard
        )
        around = Around(
            *(room, self._player, self._layer, metrics, self._notices),
            *(self._ingress, self._changes, self._spawn),
        )
        self._layout = layout_of(policy.layout, around)
        self._turns: RoomTurns | None = None
        if policy.layout.mode == "consecutive":
            self._turns = RoomTurns(
                *(self._ingress, self._notices, metrics),
                lambda: self._translations.listeners,
                lambda attributes: room.local_participant.set_attributes(attributes),
            )
        self._translations = RoomTranslations(
            SessionLimits(policy.sessions, policy.sessions_each),
            lambda: self._people.roster,
            self._reading.captions,
            BridgeMaker(
                *(policy.bridge, policy.captions, dial, self._notices, metrics, access),
                *(self._costs, self._payer, self._reading.hints, self._changes.add),
            ),
            self._layout,
            self._notices,
            metrics,
            self._ingress,
            self._changes,
            self._spawn,
            self._turns,
        )
        self._agents: RoomAgents | None = None
        self._requests: Requests | None = None
        if policy.agents is not None and http is not None:
            self._agents = RoomAgents(
                *(room, policy.agents, http, self._text, self._notices, metrics),
                *(self._ingress, self._changes),
                lambda name, queue: TrackOutput(self._player, name, self._layer, metrics, queue),
                self._spawn,
                self._costs,
                access,
                hang_up,
                self._minutes,
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
        self._takeover = Takeover(
            self._succession,
            self._translations,
            self._agents,
            self._costs.accounts,
            estate,
            self._ingress,
            self._spawn,
        )

    async def run(self) -> None:
        """Serves the room until it is gone or `leave` was called. Cancelling it drops what is being said."""
        self._permissions.apply({})
        self._changes.listen(self._room)
        Blip(self._room, self._player, lambda: {t.sid for t in self._tracks() if t.listeners})
        self._room.on("reconnected", lambda: self._permit(again=True))
        self._changes.add(ROOM)
        for identity in self._room.remote_participants:
            self._changes.add(identity)
        self._room.on("participant_attributes_changed", lambda _, p: self._heed(p.identity))
        self._ingress.listen(self._room)
        self._setting.listen()
        if self._requests is not None:
            self._requests.listen()
        try:
            async with self._group:
                background = [
                    self._spawn(self._player.run(), "player"),
                    self._spawn(self._text.run(), "text output"),
                    self._spawn(
                        keep_gauges(self._metrics, self._translations, self._agents, self._layer), "gauges"
                    ),
                    self._spawn(self._asking.run(), "minutes"),
                    self._spawn(MediaWatch(self._room, self._ingress, self._player).run(), "media"),
                    self._spawn(self._safekeeping.run(), "safekeeping"),
                ]
                if self._originals is not None:
                    background.append(self._spawn(self._originals.run(), "originals"))
                if self._turns is not None:
                    background.append(self._spawn(self._turns.run(), "turns"))
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
            self._setting.close()
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
        await self._succession.appear()
        if not self._succession.standby:
            await self._safekeeping.take_up(handed_over=self._succession.predecessor)
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
        if agents is not None and not self._takeover.released:
            await agents.fit({} if standby or self._succession.agents_held else self._people.roster)
        translations = self._translations
        if not standby:
            self._record.begin()
        # Just before: from then on those who begin to read get what is said.
        self._minutes.follow({} if standby else self._people.roster, self._affords)
        wanted = {} if standby else self._wanted()
        translations.carry(self._takeover.carries)
        await self._ingress.expect({key.speaker for key in wanted}, participants)
        await translations.prepare(wanted)
        await self._layout.fit(translations.listeners, {} if standby else self._people.roster)
        self._permit()
        await self._describe()
        translations.start(self._succession.held)
        heard = (
            translations.speakers | self._layout.speakers | (agents.speakers if agents is not None else set())
        )
        await self._ingress.follow(heard, participants)
        self._take_originals(participants)
        if not standby:
            await self._takeover.succeed(participants)

    def _wanted(self) -> dict[BridgeKey, BridgeSpec]:
        agents = self._agents
        readers = self._minutes.readers | (agents.readers if agents is not None else {})
        found = routes(self._people.roster, readers, self._affords)
        found = for_record(found, agents.transcribed if agents is not None else ())
        return self._takeover.held(desired(found, self._translations.writer))

    def _affords(self, reader: str) -> bool:
        return self._costs.affords(self._payer(reader))

    def _payer(self, reader: str) -> str:
        return reader if self._agents is None else self._agents.payer(reader)

    def _spent(self, identity: str | None, why: str) -> None:
        """The budget of the room (None), or of a participant, is spent."""
        self._changes.add(ROOM)
        if self._agents is not None:
            self._agents.end_for_budget(identity, why)

    # Who may hear what

    def _permit(self, *, again: bool = False) -> None:
        self._permissions.apply(table((t.sid, t.listeners) for t in self._tracks()), again=again)

    def _tracks(self) -> list[Track]:
        tracks = self._layout.tracks(self._translations.listeners)
        roster = self._people.roster
        for output, want in self._agents.tracks if self._agents is not None else ():
            listeners = [listener for listener in want.hears if listener in roster]
            tracks.append(Track(output.sid, want.beside, None, "agent", listeners))
        return tracks

    def _take_originals(self, participants: Mapping[str, rtc.RemoteParticipant]) -> None:
        """Those who hear a translation do not hear the original, if that is how the room is set."""
        if self._originals is None or self._succession.predecessor or self._takeover.released:
            return  # the one that leaves gives back what it took when it is gone
        taken = self._layout.taken(self._translations.listeners, self._translations.heard)
        self._originals.fit(originals_of(taken, participants), participants)

    async def _describe(self) -> None:
        """Says in the worker's attribute which track is what."""
        tracks = {
            track.sid: {"speaker": track.speaker, "language": track.language, "kind": track.kind}
            for track in self._tracks()
        }
        described = json.dumps(tracks, ensure_ascii=False, sort_keys=True)
        if described != self._described:
            self._described = described
            await self._room.local_participant.set_attributes({"parley.tracks": described})

    def _state(self, own: Callable[[str], bool]) -> dict[str, Any]:
        """What RPC `parley.state` answers; `own`: whose agents the asker may know about."""
        agents = self._agents.state(own) if self._agents is not None else []
        bridges = self._translations.bridges
        cost = self._costs.state(own)
        state = state_of(self._people.roster, bridges, agents, self._described, cost)
        muted = self._originals.muted if self._originals is not None else {}
        return state | {"muted": {listener: sorted(sids) for listener, sids in muted.items()}}

    # What is told

    def _rejected(self, identity: str | None, rejection: Rejection) -> None:
        if self._standby:
            return  # the worker that serves the room says it
        self._notices.say("preference.rejected", speaker=identity, language=None, detail=str(rejection))

    def _not_heard(self, speaker: str, duration_s: float) -> None:
        """The worker's connection, or its media, were away: what was said meanwhile is lost."""
        self._metrics.dropped("ingress", duration_s)
        detail = f"{duration_s:.1f} s were not heard: the worker's connection was away"
        self._notices.say("audio.dropped", speaker=speaker, language=None, detail=detail)

    # What participants ask for

    def _look_again(self, delay_s: float, identity: str) -> None:
        asyncio.get_running_loop().call_later(delay_s, self._changes.add, identity)

    def _set(self, identity: str) -> None:
        self._heed(identity)
        self._changes.add(identity)

    def _heed(self, identity: str) -> None:
        """Who withdraws consent is heard by nobody from this moment on; what waits is not sent."""
        participant = self._room.remote_participants.get(identity)
        if participant is None:
            return
        consents = self._people.consents(participant)
        self._ingress.silence(identity, not consents)
        if not consents:
            self._translations.silence(identity)
            self._minutes.forget(identity)
            self._costs.record.declined(identity)

    # Other workers

    @property
    def successor(self) -> bool:
        """Whether another worker stands by."""
        return self._succession.successor and not self._standby

    async def hand_over(self) -> bool:
        """Gives the room to the worker that stands by; returns whether it has it: if not, it is served on."""
        return await self._takeover.hand_over()

    # The end

    async def _finish(self) -> None:
        """Phrases end, tails play, the room is told."""
        await self._takeover.bequeath()
        deadline = monotonic() + PHRASE_S
        while self._translations.live and monotonic() < deadline:
            await asyncio.sleep(0.1)
        await self._ingress.follow((), dict(self._room.remote_participants))
        if self._agents is not None:
            await self._agents.finish()
        await self._translations.finish(FINISH_S)
        if not self._takeover.released:
            await self._give_back()
        await self._leave()
        self._notices.say("worker.left", speaker=None, language=None, detail="the room is left")
        try:
            async with asyncio.timeout(5):
                await self._text.sent()
        except TimeoutError:
            logger.warning("the room could not be told that the worker left")
        await self._give_back()  # the other worker takes them again when this one is gone

    async def _give_back(self) -> None:
        if self._originals is not None:
            await self._originals.give_back(GIVE_BACK_S)

    async def _leave(self) -> None:
        """Hands over what the room leaves behind."""
        if not await self._record.leave():
            await self._asking.leave()
        if self._leave_behind is not None:
            await self._costs.leave(self._leave_behind)
        await self._safekeeping.end()

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        return self._group.create_task(work, name=name)
