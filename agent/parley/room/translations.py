"""The translations of a room: bridges, their tracks, and what follows when one ends."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from time import monotonic

from livekit.rtc.participant import PublishTrackError

from parley.core.model import BridgeKey, BridgeSpec, Roster
from parley.core.own_words import OwnWords
from parley.core.planning import Refusal, limited, plan
from parley.metrics import Metrics
from parley.ports import Bridge, Notices, TextOut

from .capture import Spawn
from .changes import Changes
from .consecutive import RoomTurns
from .layouts import Heard, Layout, Output
from .track_input import Ingress

logger = logging.getLogger("parley.room")

RESTART_S = 1.0
"""How long a bridge that failed, or a track that could not be published, is left before the next try."""

LOOK_S = 0.05
"""How often it is looked whether a phrase is over, while somebody's own words are to change hands."""

NewCaptions = Callable[[BridgeKey, Callable[[], Bridge]], TextOut]
"""Makes the captions of a bridge, which may be made after them."""
NewBridge = Callable[[BridgeSpec, TextOut], Bridge]
"""Makes a bridge that does nothing yet."""


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """How many sessions there may be at a time."""

    room: int
    """Of the room."""
    each: int | None = None
    """Of one participant, as speaker and as listener; None: only the room's limit holds."""


@dataclass(slots=True)
class Running:
    """A bridge and what belongs to it."""

    bridge: Bridge
    output: Output | None = None
    task: "asyncio.Task[None] | None" = field(default=None, repr=False)

    @property
    def spec(self) -> BridgeSpec:
        """Whom it is for."""
        return self.bridge.spec


class RoomTranslations:
    """Owns the translations of one room. `prepare` makes them what is wanted, `start` begins the new ones."""

    def __init__(
        self,
        limits: SessionLimits,
        roster: Callable[[], Roster],
        captions: NewCaptions,
        bridge: NewBridge,
        layout: Layout,
        notices: Notices,
        metrics: Metrics,
        ingress: Ingress,
        changes: Changes,
        spawn: Spawn,
        turns: RoomTurns | None = None,
    ) -> None:
        self._limits = limits
        self._roster = roster
        self._captions = captions
        self._new_bridge = bridge
        self._layout = layout
        self._notices = notices
        self._metrics = metrics
        self._ingress = ingress
        self._changes = changes
        self._spawn = spawn
        self._turns = turns
        self._running: dict[BridgeKey, Running] = {}
        self._finishing: list[Running] = []
        self._starting: list[BridgeKey] = []
        self._refused: tuple[Refusal | BridgeKey, ...] = ()
        self._own_words = OwnWords()
        self._looking: asyncio.TimerHandle | None = None
        self._leaving = False

    @property
    def all(self) -> list[Running]:
        """Those that are wanted, and those whose last words still come out."""
        return [*self._running.values(), *self._finishing]

    @property
    def bridges(self) -> list[Bridge]:
        """Those that are wanted."""
        return [running.bridge for running in self._running.values()]

    @property
    def speakers(self) -> set[str]:
        """Identities whose microphones are wanted."""
        return {key.speaker for key in self._running}

    @property
    def live(self) -> bool:
        """Whether somebody's phrase, or its tail, is being worked on."""
        return any(running.bridge.live for running in self._running.values())

    @property
    def listeners(self) -> Heard:
        """The published tracks, what is on them, and who hears them."""
        roster = self._roster()
        hearing: dict[tuple[frozenset[str], str], list[str]] = {}  # one group of people hears many speakers
        found: list[tuple[Output, BridgeKey, list[str]]] = []
        for running in self.all:
            if running.output is None:
                continue
            listeners, key = running.spec.listeners, running.spec.key
            group = listeners, key.language
            if group not in hearing:
                hearing[group] = [
                    who
                    for who in listeners
                    if who in roster and roster[who].preferences.hears == key.language
                ]
            found.append((running.output, key, hearing[group]))
        return found

    @property
    def heard(self) -> Heard:
        """The same of those that are wanted and work: who hears them needs no original."""
        working = {r.output for r in self._running.values() if r.task is not None and not r.bridge.failing}
        return [track for track in self.listeners if track[0] in working]

    def writer(self, speaker: str, languages: Sequence[str]) -> str:
        """The language of the bridge that writes down what a speaker says in their own words."""
        language = self._own_words.writer(speaker, languages, self._speaking, monotonic())
        if self._own_words.switching and self._looking is None:
            self._looking = asyncio.get_running_loop().call_later(LOOK_S, self._look)
        return language

    async def prepare(self, wanted: dict[BridgeKey, BridgeSpec]) -> None:
        """Stops what nobody wants, changes what runs, and publishes the tracks of what is to start."""
        self._own_words.keep({spec.key.speaker for spec in wanted.values() if spec.source_readers})
        specs = {key: running.spec for key, running in self._running.items()}
        above: tuple[Refusal, ...] = ()
        if self._limits.each is not None:
            wanted, above = limited(wanted, specs, self._limits.each)
        change = plan(wanted, specs, self._limits.room)
        for key in change.stop:
            self._stop(key)
        for spec in change.change:
            self._running[spec.key].bridge.change(spec)
        self._refuse((*above, *change.refused))
        for spec in change.start:
            self._running[spec.key] = Running(self._bridge(spec))
        self._starting += [spec.key for spec in change.start]
        await self._fit_tracks()

    def start(self, held: Callable[[str], bool] = lambda speaker: False) -> None:
        """The tracks are permitted and described: those that are prepared may speak.

        Those of speakers that are `held` by another worker wait for another call.
        """
        waiting = [key for key in self._starting if held(key.speaker)]
        for key in self._starting:
            if key not in waiting and (running := self._running.get(key)) is not None:
                self._ingress.attach(key.speaker, key, running.bridge)
                if running.output is not None:
                    self._layout.begin(key, running.output)
                running.task = self._spawn(self._guard(running), f"bridge into {key.language}")
        self._starting = waiting

    def silence(self, speaker: str) -> None:
        """Consent was withdrawn: what waits to be sent is not sent, and what was sent is not waited for."""
        for running in self.all:
            if running.spec.key.speaker == speaker and running.task is not None:
                # Not before its first step: what it began is ended by itself.
                asyncio.get_running_loop().call_soon(running.task.cancel)

    def carry(self, carries: Callable[[str], bool]) -> None:
        """Whose own voices are mixed into what is heard of this worker."""
        self._layout.carry(carries)

    def release(self, speaker: str) -> None:
        """From now on the speaker is another worker's: what was said still comes out."""
        for key in [key for key in self._running if key.speaker == speaker]:
            self._stop(key)

    async def finish(self, within_s: float) -> None:
        """The room is left: what was said comes out, in `within_s` seconds at most."""
        self._leaving = True
        for key in list(self._running):
            self._stop(key)
        tasks = [running.task for running in self.all if running.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=within_s)

    def cancel(self) -> None:
        """The room is gone: nobody hears any of it."""
        self._leaving = True
        for running in self.all:
            if running.task is not None:
                running.task.cancel()

    def _bridge(self, spec: BridgeSpec) -> Bridge:
        captions = self._captions(spec.key, lambda: bridge)
        bridge = self._new_bridge(spec, captions)
        return bridge

    def _speaking(self, key: BridgeKey) -> bool:
        running = self._running.get(key)
        return running is not None and running.bridge.speaking

    def _look(self) -> None:
        """Looks at the room again when one whose words are to change hands has paused."""
        self._looking = None
        if self._leaving or not self._own_words.switching:
            return
        if self._own_words.due(self._speaking, monotonic()):
            self._changes.add()
        self._looking = asyncio.get_running_loop().call_later(LOOK_S, self._look)

    def _stop(self, key: BridgeKey) -> None:
        """Nobody wants it any more, or its speaker has gone: what was said still comes out."""
        running = self._running.pop(key)
        self._ingress.detach(key.speaker, key)
        speaker = self._roster().get(key.speaker)
        if speaker is not None and not speaker.preferences.consent and running.task is not None:
            running.task.cancel()  # consent withdrawn: what was not sent is not sent
        running.bridge.finish()
        if running.task is None:  # it never started
            self._ended(running)
            if running.output is not None:
                self._spawn(self._close(key, running.output), "unpublish")
            return
        self._finishing.append(running)

    async def _guard(self, running: Running) -> None:
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
            if running.output is not None and not self._leaving:
                await asyncio.shield(self._close(key, running.output))

    def _ended(self, running: Running) -> None:
        if self._running.get(running.spec.key) is running:
            del self._running[running.spec.key]
            self._ingress.detach(running.spec.key.speaker, running.spec.key)
        if running in self._finishing:
            self._finishing.remove(running)
        self._changes.add()

    async def _fit_tracks(self) -> None:
        """Publishes a track for each bridge that somebody hears and that has none; takes back the rest."""
        for running in self._running.values():
            if running.output is not None and not running.spec.listeners and running.bridge.live:
                # What was said for those who listened still comes out.
                asyncio.get_running_loop().call_later(RESTART_S, self._changes.add)
            elif running.output is not None and not running.spec.listeners:
                output, running.output, running.bridge.audio = running.output, None, None
                self._spawn(self._close(running.spec.key, output), "unpublish")
        missing = [r for r in self._running.values() if r.spec.listeners and r.output is None]
        if not missing:
            return
        async with asyncio.TaskGroup() as group:
            for running in missing:
                group.create_task(self._publish(running))

    async def _publish(self, running: Running) -> None:
        key = running.spec.key
        try:
            output = await self._layout.open(key)
        except PublishTrackError as e:
            self._notices.say("session.failed", speaker=key.speaker, language=key.language, detail=str(e))
            asyncio.get_running_loop().call_later(RESTART_S, self._changes.add)
            return
        running.output = output
        running.bridge.audio = audio = output if self._turns is None else self._turns.hold(key, output)
        if running.task is not None:
            self._layout.begin(key, output)  # it had readers before it had a listener
        if running.bridge.live:
            audio.expect()

    async def _close(self, key: BridgeKey, output: Output) -> None:
        if self._turns is not None:
            self._turns.drop(output)
        await self._layout.close(key, output)

    def _refuse(self, refused: tuple[Refusal | BridgeKey, ...]) -> None:
        for one in refused:
            if one in self._refused:
                continue
            key, detail = (
                (one.key, str(one))
                if isinstance(one, Refusal)
                else (one, f"the room may have {self._limits.room} sessions at a time")
            )
            self._notices.say("session.refused", speaker=key.speaker, language=key.language, detail=detail)
        self._refused = refused
