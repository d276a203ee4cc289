"""How much audio waits in a room, and what its native layer dropped, kept current for the operator."""

import asyncio

from parley.metrics import Metrics

from .agents import RoomAgents
from .microphone import FRAME_MS
from .native import NativeLayer
from .translations import RoomTranslations

PERIOD_S = 1.0


async def keep_gauges(
    metrics: Metrics, translations: RoomTranslations, agents: RoomAgents | None, layer: NativeLayer | None
) -> None:
    """Sets them every second, for ever."""
    told = 0
    while True:
        await asyncio.sleep(PERIOD_S)
        running = translations.all
        waiting_s = agents.waiting_s if agents is not None else 0.0
        metrics.waiting("session", waiting_s + sum(r.bridge.waiting_s for r in running))
        metrics.waiting("playout", sum(r.output.waiting_s for r in running if r.output))
        if layer is not None and layer.dropped_frames > told:
            metrics.dropped("ingress", (layer.dropped_frames - told) * FRAME_MS / 1000)
            told = layer.dropped_frames
