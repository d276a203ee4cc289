"""One visit to one worker by people whose words are written down: all that is measured of it."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
from caption_people import STAGGER_S, People, people
from caption_words import PAUSE_S, PERIOD_S, PHRASE, Read
from processes import Memory, memory
from visit import Clock, Window
from workers import RunningApi, new_room, simulated_api, worker

from parley.demo.livekit_server import LiveKitServer

KINDS = {"parley": "parley", "stock": "stock-captions"}
FAULTS = ("drop", "expire")
_IDLE_S = 8.0
_SETTLE_S = 3.0
_FAULT_PHRASES = 3
_IN_PHRASE_S = 3.4 * PERIOD_S
_PHRASE_S = PHRASE * PERIOD_S + PAUSE_S
DELAY = "medium"
"""What the API does where nothing is said, as the stock plugin can't."""


@dataclass
class CaptionVisit:
    """What one visit found."""

    kind: str
    size: int
    idle: Memory
    silent: Window
    speaking: Window
    talk_s: float
    """How long all the phrases were in the stretch of talk, with the gaps between their words."""
    talk: Read
    faults: dict[str, Read] = field(default_factory=dict)
    unasked: int = 0
    """Lines, each version counted, that came to the one who asked for none."""
    refused: list[str] = field(default_factory=list)
    """What the API refused."""
    tracebacks: int = 0
    """In the worker's log."""

    @property
    def stalled_s(self) -> float:
        """What the microphones missed while something was measured."""
        return self.silent.stalled_s + self.speaking.stalled_s

    def as_json(self) -> dict[str, object]:
        """As JSON values."""
        return asdict(self)


async def visit(
    kind: str, server: LiveKitServer, size: int, *, seconds: float, silent_s: float, faults: bool, logs: Path
) -> CaptionVisit:
    """Starts a worker, brings `size` speakers and a reader, and lets them be silent, talk, and be failed."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as name:
        async with contextlib.AsyncExitStack() as stack:
            api = simulated_api(
                Path(name), "caption_api.py", BENCH_VOICES=str(size), OPENBLAS_NUM_THREADS="1"
            )
            sim = await stack.enter_async_context(api)
            starting = worker(KINDS[kind], server, sim.base_url, (), logs, PARLEY_CAPTIONS__DELAY=DELAY)
            running = await stack.enter_async_context(starting)
            await asyncio.sleep(_IDLE_S)
            idle = memory(running.pid)
            room = await stack.enter_async_context(new_room(server))
            company = await stack.enter_async_context(people(server, room, size))
            await company.served()
            await asyncio.sleep(_SETTLE_S)
            clock = Clock(server, running, sim, company)
            await asyncio.sleep(silent_s)
            silent = clock.stop()
            phrases = max(1, round(seconds / _PHRASE_S))
            sent_s = (await _told(sim))["audio_received_s"]
            talk = await company.say(phrases)
            clock = Clock(server, running, sim, company)
            await asyncio.sleep(phrases * _PHRASE_S)
            speaking = clock.stop()
            read = await company.read(talk)
            speaking.sent_s = (await _told(sim))["audio_received_s"] - sent_s
            talk_s = size * phrases * PHRASE * PERIOD_S
            result = CaptionVisit(kind, size, idle, silent, speaking, talk_s, read)
            for fault in FAULTS if faults else ():
                result.faults[fault] = await _failed(fault, sim, company, size)
            result.unasked = company.unasked
            sessions = (await _told(sim))["sessions"]
            result.refused = [code for session in sessions for code in session["refused"]]
        result.tracebacks = running.log_path.read_text(errors="replace").count("Traceback")
    return result


async def _failed(kind: str, sim: RunningApi, company: People, size: int) -> Read:
    """Some phrases; in the middle of the first one the API fails everybody's session."""
    talk = await company.say(_FAULT_PHRASES)
    begins = min(said[0].ended for said in talk.values())
    await asyncio.sleep(begins + _IN_PHRASE_S + STAGGER_S * size / 2 - time.monotonic())
    fault = {"kind": kind, "session": "transcription", "times": size}
    async with aiohttp.ClientSession() as http:
        async with http.post(f"{_root(sim)}/simulator/faults", json=fault) as answer:
            answer.raise_for_status()
        read = await company.read(talk)
        async with http.delete(f"{_root(sim)}/simulator/faults") as answer:
            answer.raise_for_status()
    return read


async def _told(sim: RunningApi) -> dict[str, Any]:
    """What the simulator tells of its sessions."""
    async with aiohttp.ClientSession() as http, http.get(f"{_root(sim)}/simulator/sessions") as answer:
        body: dict[str, Any] = await answer.json()
        return body


def _root(sim: RunningApi) -> str:
    return sim.base_url.removesuffix("/v1")
