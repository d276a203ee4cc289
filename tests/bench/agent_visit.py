"""One visit to one worker by people with agents: from its start to its end, all that is measured of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import tempfile
import time
from collections.abc import Coroutine, Iterable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import ear
from agent_workers import TalkingApi, agent_worker, talking_api
from processes import Memory, Meter, busy_s, memory, own_cpu_s, tree
from talker import Talker, agent_track
from workers import RunningWorker, new_room

from parley.demo.livekit_server import LiveKitServer
from parley.demo.people import Person

SHORT_S = 2.5
LONG_S = 14.0
_SETTLE_S = 4.0
_MOST_SPOILT = 0.1


@dataclass(frozen=True)
class Plan:
    """What happens in a visit."""

    seconds: float
    """Of asking and answering, in which the CPU is measured."""
    interruptions: int
    """Of each person, at each distance of the API."""
    round_trips_s: tuple[float, ...] = (0.0, 0.15)
    core: int | None = None
    """The one core that the worker gets; everybody else gets the others."""
    watched: bool = False
    """Whether stalls of the worker's loops are counted; that costs CPU."""


@dataclass
class AgentVisit:
    """What one visit found; CPU in % of one core, over the time of asking and answering."""

    kind: str
    size: int
    idle: Memory
    seconds: float = 0.0
    job: float = 0.0
    """Of the job process."""
    worker: float = 0.0
    """Of all processes of the worker."""
    clients: float = 0.0
    server: float = 0.0
    simulator: float = 0.0
    others: float = 0.0
    """What the rest of the machine did meanwhile: the more, the less the run proves."""
    foreign: float | None = None
    """What others than the worker used of its core, where it has one of its own."""
    stalled_s: float = 0.0
    """What the microphones missed, all together, from the first to the last."""
    blocked: tuple[int, int] | None = None
    """Times the worker's event loop stood still for 50 ms or more, and those by its own work; if watched."""
    tracebacks: int = 0
    """In the worker's log."""
    found: ear.Found = field(default_factory=ear.Found)

    @property
    def starved(self) -> bool:
        """Whether the microphones ran dry too often for the run to prove anything."""
        return self.found.spoilt > _MOST_SPOILT * (self.found.asked + self.found.spoilt)

    def as_json(self) -> dict[str, object]:
        """As JSON values."""
        return asdict(self)


class _Clock:
    """The meters of all processes, started together."""

    def __init__(
        self, server: LiveKitServer, running: RunningWorker, sim: TalkingApi, core: int | None
    ) -> None:
        self._core, self._core_busy = core, _core_busy_s(core)
        self._meters = {"worker": Meter(running.pid), "server": Meter(server.pid), "sim": Meter(sim.pid)}
        self._jobs = [Meter(pid) for pid in tree(running.pid)[1:] if tree(pid) == [pid]]
        self._began, self._own, self._busy = time.monotonic(), own_cpu_s(), busy_s()

    def stop(self, result: AgentVisit) -> None:
        """Writes down what was used since."""
        result.seconds = time.monotonic() - self._began
        result.job = max((meter.percent() for meter in self._jobs), default=0.0)
        result.worker = self._meters["worker"].percent()
        result.server = self._meters["server"].percent()
        result.simulator = self._meters["sim"].percent()
        result.clients = 100 * (own_cpu_s() - self._own) / result.seconds
        everything = 100 * (busy_s() - self._busy) / result.seconds
        known = result.worker + result.server + result.simulator + result.clients
        result.others = max(0.0, everything - known)
        if self._core is not None:
            used = 100 * (_core_busy_s(self._core) - self._core_busy) / result.seconds
            result.foreign = max(0.0, used - result.worker)


async def visit(kind: str, server: LiveKitServer, size: int, plan: Plan, logs: Path) -> AgentVisit:
    """Starts a worker, brings `size` people who each have an agent, and lets them talk."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as name:
        directory = Path(name)
        async with contextlib.AsyncExitStack() as stack:
            sim = await stack.enter_async_context(talking_api(directory))
            worker = agent_worker(kind, server, sim.base_url, logs, core=plan.core, watched=plan.watched)
            running = await stack.enter_async_context(worker)
            await asyncio.sleep(_SETTLE_S)
            result = AgentVisit(kind, size, memory(running.pid))
            room = await stack.enter_async_context(new_room(server))
            talkers = await _enter(stack, server, room, size)
            await sim.set(reply_s=SHORT_S)
            clock = _Clock(server, running, sim, plan.core)
            await _all(talker.ask(plan.seconds) for talker in talkers)
            clock.stop(result)
            for round_trip_s in plan.round_trips_s if plan.interruptions else ():
                await _all(talker.rested() for talker in talkers)
                await sim.set(reply_s=LONG_S, round_trip_s=round_trip_s)
                await _all(talker.interrupt(plan.interruptions, round_trip_s) for talker in talkers)
            await asyncio.sleep(_SETTLE_S)
            result.stalled_s = sum(stall.lost_s for t in talkers for stall in t.person.stalls)
            result.blocked = running.blocked() if plan.watched else None
        result.tracebacks = running.log_path.read_text(errors="replace").count("Traceback")
        result.found = await asyncio.to_thread(ear.found_in, talkers, directory)
    return result


async def _enter(
    stack: contextlib.AsyncExitStack, server: LiveKitServer, room: str, size: int
) -> list[Talker]:
    """The people join; each talks over the first words of an agent of their own before the next one comes:
    who joins takes so much of the machine that microphones run dry."""
    talkers = []
    for number in range(size):
        identity = f"p{number}"
        joining = Person.join(
            *(server.url, server.api_key, server.api_secret, room, identity),
            attributes={"parley.agent": "talker"},
            auto_subscribe=False,
            hears=partial(agent_track, identity),
        )
        talker = Talker(identity, number, await stack.enter_async_context(joining))
        await talker.greeted()
        talkers.append(talker)
    await _all(talker.rested() for talker in talkers)
    return talkers


async def _all(work: Iterable[Coroutine[Any, Any, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for one in work:
            group.create_task(one)


def _core_busy_s(core: int | None) -> float:
    """CPU seconds that one core has worked so far, and what the machine's host took from it."""
    if core is None:
        return 0.0
    found = re.search(rf"^cpu{core} (.*)$", Path("/proc/stat").read_text(), re.MULTILINE)
    assert found is not None
    user, nice, system, _idle, _io, irq, soft, steal, *_ = map(int, found[1].split())
    return (user + nice + system + irq + soft + steal) / os.sysconf("SC_CLK_TCK")
