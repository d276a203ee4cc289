"""One visit to one worker: from its start to its end, everything that is measured of it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Protocol

import latency
from meeting import LANGUAGES, Meeting, Talk, idle_room, meeting
from processes import Memory, Meter, busy_s, memory, own_cpu_s, tree
from workers import RunningApi, RunningWorker, new_room, simulated_api, worker

from parley.demo.livekit_server import LiveKitServer

_SETTLE_S = 5.0
_TAIL_S = 5.0
_WARM_S = 2.0
_FURTHER_ROOMS = 2


@dataclass
class Window:
    """CPU of everybody in one stretch of time, in % of one core, and what happened in it."""

    seconds: float
    worker: float
    clients: float
    server: float
    simulator: float
    others: float
    """What the rest of the machine did meanwhile: the more, the less the run proves."""
    threads: dict[str, float]
    """Of the worker, by name."""
    blocked: int
    """Times the worker's event loop stood still for 50 ms or more, by its own log."""
    blocked_by_work: int
    """Of those, the times its own thread was computing, not waiting for a processor."""
    stalled_s: float
    """What the microphones missed; more than 0: the machine was too busy, the window proves nothing."""
    job: float = 0.0
    """Of the worker: the job process."""
    began: float = 0.0
    sent_s: float = 0.0
    """Audio that came to the API."""


@dataclass
class Visit:
    """What one visit found."""

    kind: str
    size: int
    speakers: int
    silent: Window
    speaking: Window | None = None
    talk_s: float = 0.0
    words: latency.Words = field(default_factory=latency.Words)
    own_ms: dict[str, float] = field(default_factory=dict)
    """Means of Parley's own histograms over the speaking window."""

    @property
    def stalled_s(self) -> float:
        """What the microphones missed in both windows."""
        return self.silent.stalled_s + (self.speaking.stalled_s if self.speaking else 0.0)

    def as_json(self) -> dict[str, object]:
        """As JSON values."""
        return asdict(self)


@dataclass
class Footprint:
    """Memory of one worker."""

    kind: str
    idle: Memory
    one_room: Memory
    rooms: Memory
    """With `_FURTHER_ROOMS` more."""

    @property
    def per_further_room(self) -> float:
        """MB of PSS."""
        return (self.rooms.pss - self.one_room.pss) / _FURTHER_ROOMS


class Microphones(Protocol):
    """Those whose microphones have to keep up."""

    def stalled_s(self, since: float) -> float:
        """Seconds that they have missed since then."""


class Clock:
    """The meters of all processes, started together."""

    def __init__(
        self, server: LiveKitServer, running: RunningWorker, sim: RunningApi, people: Microphones
    ) -> None:
        self._running = running
        self._people = people
        self._began = time.monotonic()
        self._blocked = running.blocked()
        pids = {"worker": running.pid, "server": server.pid, "simulator": sim.pid}
        self._meters = {name: Meter(pid) for name, pid in pids.items()}
        self._jobs = [Meter(pid) for pid in tree(running.pid)[1:] if tree(pid) == [pid]]
        self._own = own_cpu_s()
        self._busy = busy_s()

    def stop(self) -> Window:
        """What happened since."""
        seconds = time.monotonic() - self._began
        percent = {name: meter.percent() for name, meter in self._meters.items()}
        blocked, by_work = self._running.blocked()
        clients = 100 * (own_cpu_s() - self._own) / seconds
        everything = 100 * (busy_s() - self._busy) / seconds
        return Window(
            seconds=seconds,
            worker=percent["worker"],
            job=max((meter.percent() for meter in self._jobs), default=0.0),
            clients=clients,
            others=max(0.0, everything - clients - sum(percent.values())),
            server=percent["server"],
            simulator=percent["simulator"],
            threads=self._meters["worker"].threads(),
            blocked=blocked - self._blocked[0],
            blocked_by_work=by_work - self._blocked[1],
            stalled_s=self._people.stalled_s(self._began),
            began=self._began,
        )


async def visit(
    kind: str,
    server: LiveKitServer,
    size: int,
    *,
    seconds: float,
    silent_s: float,
    captions: bool,
    logs: Path,
) -> Visit:
    """Starts a worker, brings `size` people, lets them be silent, then lets half of them speak."""
    speakers = size // 2
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as name:
        directory = Path(name)
        async with contextlib.AsyncExitStack() as stack:
            sim = await stack.enter_async_context(simulated_api(directory))
            running = await stack.enter_async_context(
                worker(kind, server, sim.base_url, LANGUAGES[:size], logs)
            )
            room = await stack.enter_async_context(new_room(server))
            people = await stack.enter_async_context(meeting(server, room, size, speakers, captions=captions))
            await people.served()
            if kind != "floor":
                await people.translated()
                people.speak(_WARM_S)
                await asyncio.sleep(_WARM_S + _TAIL_S)
            await asyncio.sleep(_SETTLE_S)
            clock = Clock(server, running, sim, people)
            await asyncio.sleep(silent_s)
            result = Visit(kind, size, speakers, clock.stop())
            talks = await _speaking(result, seconds, server, running, sim, people)
        # The people keep their recordings, the simulator has written down what it kept.
        await asyncio.to_thread(_read, result, people, talks, directory)
    return result


async def _speaking(
    result: Visit,
    seconds: float,
    server: LiveKitServer,
    running: RunningWorker,
    sim: RunningApi,
    people: Meeting,
) -> dict[str, Talk]:
    before = await running.latencies()
    talks = people.speak(seconds)
    clock = Clock(server, running, sim, people)
    await asyncio.sleep(seconds)
    result.speaking = clock.stop()
    await asyncio.sleep(_TAIL_S)
    for name, (total, count) in (await running.latencies()).items():
        passed = count - before[name][1]
        if passed:
            result.own_ms[name] = 1000 * (total - before[name][0]) / passed
    return talks


def _read(result: Visit, people: Meeting, talks: dict[str, Talk], directory: Path) -> None:
    for window in (result.silent, result.speaking):
        if window is not None:
            window.sent_s = latency.sent_s(directory, window.began, window.began + window.seconds)
    if result.kind != "floor":
        result.talk_s = sum(talk.seconds for talk in talks.values())
        result.words = latency.words_of(people, talks, directory)


async def footprint(kind: str, server: LiveKitServer, *, logs: Path) -> Footprint:
    """Memory of a worker: before any room, with one room, with more."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as name:
        async with contextlib.AsyncExitStack() as stack:
            sim = await stack.enter_async_context(simulated_api(Path(name)))
            running = await stack.enter_async_context(worker(kind, server, sim.base_url, LANGUAGES[:2], logs))
            sizes = []
            for rooms in (0, 1, _FURTHER_ROOMS):
                for _ in range(rooms):
                    room = await stack.enter_async_context(new_room(server))
                    await idle_room(stack, server, room)
                await asyncio.sleep(2 * _SETTLE_S)
                sizes.append(memory(running.pid))
            return Footprint(kind, *sizes)
