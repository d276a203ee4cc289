"""A supervisor over a room without a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fakes.room import FakeRoom
from parley.bridges.translation import BridgePolicy
from parley.core.model import BridgeKey, Preferences
from parley.core.preferences import Allowed
from parley.media.gate import GatePolicy
from parley.metrics import Metrics
from parley.room import supervisor
from parley.room.policy import RoomPolicy
from parley.room.supervisor import RoomSupervisor
from parley.room.track_input import Ingress
from parley.testing import ScriptedDial


def watched_room(monkeypatch: pytest.MonkeyPatch) -> FakeRoom:
    """A room in which the attaching of microphones is written down too: (speaker, language or what for)."""
    room = FakeRoom()
    attach, detach = Ingress.attach, Ingress.detach

    def purpose(key: Any) -> str:
        return key.language if isinstance(key, BridgeKey) else str(key)

    def attached(self: Ingress, speaker: str, key: Any, hearer: Any, frame_ms: int = 50) -> None:
        room.do("attach", (speaker, purpose(key)))
        attach(self, speaker, key, hearer, frame_ms)

    def detached(self: Ingress, speaker: str, key: Any) -> None:
        room.do("detach", (speaker, purpose(key)))
        detach(self, speaker, key)

    monkeypatch.setattr(Ingress, "attach", attached)
    monkeypatch.setattr(Ingress, "detach", detached)
    monkeypatch.setattr(supervisor, "native_layer", lambda loop, logs: None)
    return room


def policy(**more: Any) -> RoomPolicy:
    """What most rooms are told, and more."""
    return RoomPolicy(
        **{
            "bridge": BridgePolicy("m", "t"),
            "gate": GatePolicy(),
            "defaults": Preferences(),
            "allowed": Allowed(("de", "en", "fr")),
            "sessions": 9,
            **more,
        }
    )


@asynccontextmanager
async def serving(
    room: FakeRoom, told: RoomPolicy | None = None, metadata: str = "", **more: Any
) -> AsyncIterator[RoomSupervisor]:
    """A supervisor that serves the room until the block ends."""
    served = RoomSupervisor(room, told or policy(), ScriptedDial(), Metrics(), metadata, **more)  # type: ignore[arg-type]
    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        group.create_task(served.run())
        yield served
        served.leave()
