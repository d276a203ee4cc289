"""Rooms of the real server with a worker in them, against the simulator."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from livekit import api
from parley.demo.livekit_server import LiveKitServer
from parley.demo.people import Hears, Person
from parley.simulator import SessionRecord, Simulator, SimulatorOptions
from parley.simulator.faults import Kind

from .counting import pronounce, translated
from .running import KEY, RunningWorker, environment, eventually, running_worker

STARVED_S = 0.1
"""A microphone is 0.2 s ahead; where one loses more than this in a test the machine is too busy."""


DISPATCHES = 3
DISPATCH_S = 15.0


class CountedSimulator(Simulator):
    """A simulator that counts who knocks, also those it refuses."""

    def __init__(self) -> None:
        super().__init__(SimulatorOptions(api_keys=frozenset({KEY}), records_kept=5_000, pronounce=pronounce))
        self.attempts = 0

    def _refuse(self, request: web.Request, kind: Kind = "refuse") -> web.StreamResponse | None:
        self.attempts += 1
        return super()._refuse(request, kind)


class Venue:
    """What one test works with; its rooms end with it."""

    def __init__(
        self,
        server: LiveKitServer,
        simulator: CountedSimulator,
        livekit: api.LiveKitAPI,
        worker: RunningWorker,
    ) -> None:
        self.server = server
        self.simulator = simulator
        self.livekit = livekit
        self.worker = worker
        self._rooms: list[str] = []
        self._people: list[Person] = []
        self._before = len(simulator.sessions)

    @property
    def sessions(self) -> list[SessionRecord]:
        """The sessions that were opened since the test began."""
        return self.simulator.sessions[self._before :]

    @property
    def open_sessions(self) -> list[SessionRecord]:
        """Those of them that are open now."""
        return [session for session in self.sessions if session.closed_at is None]

    async def room(self, metadata: str = "", *, dispatch: bool = True, dispatch_metadata: str = "") -> str:
        """A new room, and the worker sent into it."""
        name = f"room-{secrets.token_hex(4)}"
        await self.livekit.room.create_room(api.CreateRoomRequest(name=name, metadata=metadata))
        self._rooms.append(name)
        if dispatch:
            await self.dispatch(name, self.worker, dispatch_metadata)
        return name

    async def dispatch(self, room: str, worker: RunningWorker, metadata: str = "") -> None:
        """Sends a worker into a room, and waits until it is there.

        The server gives up on a worker that answers late, and does not ask again: we do.
        """
        before = len(await self.agents(room))
        request = api.CreateAgentDispatchRequest(agent_name=worker.agent_name, room=room, metadata=metadata)
        for _ in range(DISPATCHES):
            await self.livekit.agent_dispatch.create_dispatch(request)
            deadline = time.monotonic() + DISPATCH_S
            while time.monotonic() < deadline:
                if len(await self.agents(room)) > before:
                    return
                await asyncio.sleep(0.1)
        raise AssertionError(f"no worker came: {worker.log[-3000:]}")

    @contextlib.asynccontextmanager
    async def served(self, **settings: str) -> AsyncIterator[tuple[RunningWorker, str]]:
        """A worker of the test's own, with these settings, and a room that it serves."""
        async with running_worker(environment(self.server, self.simulator.base_url, **settings)) as worker:
            room = await self.room(dispatch=False)
            await self.dispatch(room, worker)
            yield worker, room

    @contextlib.asynccontextmanager
    async def join(
        self,
        room: str,
        identity: str,
        *,
        auto_subscribe: bool = False,
        hears_tracks: Hears | None = translated,
        microphone: bool = True,
        **preferences: str,
    ) -> AsyncIterator[Person]:
        """Somebody with `parley.<name>` = value for each of `preferences`, who asks for all translations."""
        joining = Person.join(
            *(self.server.url, self.server.api_key, self.server.api_secret, room, identity),
            attributes={f"parley.{name}": value for name, value in preferences.items()},
            auto_subscribe=auto_subscribe,
            hears=hears_tracks,
            microphone=microphone,
        )
        async with joining as person:
            self._people.append(person)
            yield person

    @property
    def starved(self) -> list[str]:
        """Whose microphone ran dry: what was not said is heard by nobody."""
        lost = [(person.identity, sum(stall.lost_s for stall in person.stalls)) for person in self._people]
        return [f"{identity} ran dry for {lost_s:.1f} s" for identity, lost_s in lost if lost_s > STARVED_S]

    async def aclose(self) -> None:
        """Ends the rooms, disarms the simulator, and waits until nothing is open there."""
        self.simulator.faults.clear()
        self.simulator.script.clear()
        self.simulator.set_api_keys({KEY})
        for name in self._rooms:
            with contextlib.suppress(api.TwirpError):  # it has ended already
                await self.livekit.room.delete_room(api.DeleteRoomRequest(room=name))
        await eventually(lambda: not self.simulator.connections_open, 30, "all sessions are closed")

    async def agents(self, room: str) -> list[Any]:
        """The agents that are in a room."""
        request = api.ListParticipantsRequest(room=room)
        listed = await self.livekit.room.list_participants(request)
        return [p for p in listed.participants if p.kind == api.ParticipantInfo.AGENT]
