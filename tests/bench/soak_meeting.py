"""A room's whole life on virtual time: the supervisor, its room, its people, and what is left at the end."""

from __future__ import annotations

import asyncio
import gc
import json
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from typing import Any

from bench.soak_clock import run_virtually
from bench.soak_flat import Samples, held
from bench.soak_room import Heard, Probabilities, Room, Source
from bench.soak_talk import Manners, Talk
from parley.bridges.translation import BridgePolicy
from parley.core.model import Preferences
from parley.core.preferences import Allowed
from parley.media.gate import GatePolicy
from parley.metrics import Metrics
from parley.room.costs import CostPolicy
from parley.room.policy import RoomPolicy
from parley.room.supervisor import RoomSupervisor
from parley.simulator import SimulatorOptions

_FOLLOW_S = 20.0
_WIND_DOWN_S = 60.0
"""In an empty room: after it nothing of what was translated in it is left."""
_GONE = ("TranslationBridge", "Translating", "Feed", "Microphone", "TranslationProtocol")
"""What lives no longer than the room."""


@dataclass(frozen=True)
class Meeting:
    """What is held."""

    seed: int
    duration_s: float
    manners: Manners
    people: tuple[tuple[str, str], ...] = ()
    """Identity and language of those who are there from the beginning."""
    lag_s: float = 2.0
    lifetime_s: float = 3600.0
    sample_s: float = 600.0
    most_wall_s: float = inf
    """Real seconds after which it ends before its time."""


@dataclass
class Outcome:
    """What became of it."""

    did: Counter[str]
    events: Counter[str]
    spoken_s: float
    held_s: float
    samples: Samples
    summary: dict[str, Any]
    words: int = 0
    """That were fed to translations, once for each."""
    lost: int = 0
    doubled: int = 0
    translations: int = 0
    sessions: int = 0
    left: dict[str, int] = field(default_factory=dict)
    """What the room left behind."""


def hold(meeting: Meeting, told: Callable[[str], None] = lambda text: None) -> Outcome:
    """Holds a meeting on virtual time."""
    return run_virtually(lambda: _Stage(meeting, told).run(), meeting.seed)


class _Stage:
    def __init__(self, meeting: Meeting, told: Callable[[str], None]) -> None:
        self._meeting = meeting
        self._told = told
        self._room = Room(SimulatorOptions(model_lag_s=meeting.lag_s, session_lifetime_s=meeting.lifetime_s))
        self._talk = Talk(self._room, meeting.manners, random.Random(meeting.seed))
        self._metrics = Metrics()
        self._outcome = Outcome(self._talk.did, self._room.layer.events, 0.0, 0.0, Samples(), {})
        self._before = Source.open, Probabilities.open

    async def run(self) -> Outcome:
        meeting, outcome = self._meeting, self._outcome
        with self._room.watched():
            supervisor = self._supervisor()
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(supervisor.run())
                watching = [group.create_task(self._count()), group.create_task(self._sample())]
                await asyncio.sleep(1.0)
                began, tasks = asyncio.get_running_loop().time(), len(asyncio.all_tasks())
                for identity, language in meeting.people:
                    self._talk.join(identity, language)
                await self._talk.run(meeting.duration_s, meeting.most_wall_s)
                outcome.held_s = asyncio.get_running_loop().time() - began
                self._talk.end()
                await asyncio.sleep(_WIND_DOWN_S)
                self._look_what_is_left(len(asyncio.all_tasks()) - tasks)
                supervisor.leave()
                await serving
                for task in watching:
                    task.cancel()
        outcome.spoken_s = self._talk.spoken_s
        for heard in self._room.heard:
            self._settle(heard)
        return outcome

    def _supervisor(self) -> RoomSupervisor:
        policy = RoomPolicy(
            BridgePolicy("gpt-realtime-translate", "gpt-realtime-whisper"),
            GatePolicy(),
            Preferences(),
            Allowed(self._meeting.manners.languages),
            sessions=200,
            costs=CostPolicy(),
        )

        async def leave(summary: dict[str, Any]) -> None:
            self._outcome.summary = summary

        room: Any = self._room
        return RoomSupervisor(room, policy, self._room.api, self._metrics, leaving=lambda notices: leave)

    async def _count(self) -> None:
        """Follows the words, and forgets the translations of which nothing more will come."""
        while True:
            await asyncio.sleep(_FOLLOW_S)
            for heard in self._room.heard:
                heard.count()
            for heard in [h for h in self._room.heard if not h.open and (h.sink is None or h.sink.closed)]:
                self._room.heard.remove(heard)
                self._settle(heard)

    def _settle(self, heard: Heard) -> None:
        heard.count(final=True)
        outcome = self._outcome
        outcome.words += heard.words
        outcome.lost += heard.lost
        outcome.doubled += heard.doubled
        outcome.translations += 1
        if heard.lost or heard.doubled:
            self._told(f"{heard.speaker} → {heard.language}: {heard.lost} lost, {heard.doubled} doubled")

    async def _sample(self) -> None:
        loop, room = asyncio.get_running_loop(), self._room
        began = loop.time()
        while True:
            await asyncio.sleep(self._meeting.sample_s)
            waiting = {
                f"waiting in {where}, s": self._metrics.registry.get_sample_value(
                    "parley_queue_seconds", {"where": where}
                )
                or 0.0
                for where in ("session", "playout")
            }
            more = {
                "people": float(len(self._talk.people)),
                "open sessions": float(len(room.api.open)),
                "tracks": float(Source.open - self._before[0]),
                "microphone streams": float(len(room.layer.streams)),
                **waiting,
            }
            self._outcome.samples.take(loop.time() - began, more)
            self._told(f"{(loop.time() - began) / 3600:6.2f} h  {_short(self._outcome.samples)}")

    def _look_what_is_left(self, tasks: int) -> None:
        room, source, vad = self._room, *self._before
        gc.collect()
        objects, _ = held()
        starts = self._metrics.registry.get_sample_value(
            "parley_session_starts_total", {"kind": "translation"}
        )
        self._outcome.sessions = round(starts or 0)
        self._outcome.left = {
            "tasks": tasks,
            "sessions": len(room.api.open),
            "streams": len(room.layer.streams),
            "microphones": Probabilities.open - vad,
            "tracks": Source.open - source,
            "permissions": len(room.permitted),
            "described tracks": len(json.loads(room.local_participant.attributes["parley.tracks"])),
            **{name: objects[name] for name in _GONE},
            # The player's clock knows the one that it played last.
            "outputs": max(0, objects["TrackOutput"] - 1),
        }


def _short(samples: Samples) -> str:
    shown = ("RSS, MB", "memory blocks", "tasks", "people", "open sessions", "tracks")
    return "  ".join(f"{name} {samples.of[name][-1]:.0f}" for name in shown)
