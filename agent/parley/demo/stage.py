"""Everything but the people: a livekit-server, the API or its stand-in, and a worker that is ready."""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from livekit import api
from parley.errors import UnavailableError

from .child import child_process
from .livekit_server import livekit_server

if TYPE_CHECKING:
    from parley.simulator import SimulatorOptions

_READY_TIMEOUT_S = 60.0
_POLL_S = 0.1
_WORKER_STOP_S = 15.0


class DemoFailed(UnavailableError):
    """The demo can't go on; `str()` is one line that says why."""


@dataclass(frozen=True)
class _Access:
    url: str
    http_url: str
    key: str
    secret: str = field(repr=False)
    own: bool


@dataclass(frozen=True)
class Stage:
    """Where the people meet."""

    url: str
    http_url: str
    api_key: str
    api_secret: str = field(repr=False)
    own_server: bool
    """False: a server that was running before, named by LIVEKIT_URL."""
    simulated: bool
    """Whether the stand-in for the OpenAI API is at work."""
    room: str
    agent_name: str
    worker_url: str
    """The worker's HTTP server: `/readyz`, `/metrics`."""

    async def call_worker(self) -> None:
        """Ask the server to send the worker into the room."""
        async with api.LiveKitAPI(self.http_url, self.api_key, self.api_secret) as livekit:
            await livekit.agent_dispatch.create_dispatch(
                api.CreateAgentDispatchRequest(agent_name=self.agent_name, room=self.room)
            )

    async def usage(self) -> Usage:
        """What the worker's metrics say now; empty while it doesn't answer."""
        timeout = aiohttp.ClientTimeout(total=2.0)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as http,
                http.get(f"{self.worker_url}/metrics") as response,
            ):
                return usage_of(await response.text())
        except (aiohttp.ClientError, TimeoutError):
            return Usage({}, {})


@dataclass(frozen=True)
class Usage:
    """Sessions that are open and USD spent so far, by kind of session."""

    sessions: Mapping[str, int]
    cost_usd: Mapping[str, float]
    span_s: float | None = None
    """Ear-voice span, the mean of all phrases so far; None before any."""


def usage_of(metrics: str) -> Usage:
    """Read sessions, cost and the ear-voice span in Prometheus's text format."""
    sessions: dict[str, int] = {}
    cost: dict[str, float] = {}
    spans: dict[str, float] = {}
    for family in text_string_to_metric_families(metrics):
        for sample in family.samples:
            kind = sample.labels.get("kind", "")
            if sample.name == "parley_sessions":
                sessions[kind] = int(sample.value)
            elif sample.name == "parley_cost_usd_total":
                cost[kind] = float(sample.value)
            elif family.name == "parley_ear_voice_span_seconds":
                spans[sample.name.rpartition("_")[2]] = float(sample.value)
    phrases = spans.get("count", 0.0)
    return Usage(sessions, cost, spans["sum"] / phrases if phrases else None)


@contextlib.asynccontextmanager
async def stage(
    logs: Path,
    *,
    report: Callable[[str], None],
    environ: Mapping[str, str] | None = None,
    simulator: SimulatorOptions | None = None,
    agents: Sequence[str] = (),
) -> AsyncIterator[Stage]:
    """Start what is not running, in order, and end it in reverse order when the block is left.

    `logs`: a directory for `livekit-server.log` and `worker.log`. `report`: gets one status line at a time.
    LIVEKIT_URL (with its key and secret) names a server to use instead of an own one; OPENAI_API_KEY
    chooses the real API. `simulator`: how the stand-in behaves, where it is at work. `agents`: modules and
    files for `parley start --agents`.

    Raises DemoFailed, LiveKitServerUnavailable.
    """
    environ = os.environ if environ is None else environ
    token = secrets.token_hex(3)
    async with contextlib.AsyncExitStack() as resources:
        access = await _server(resources, environ, logs, report)
        openai, simulated = await _openai(resources, environ, simulator)
        worker_port = _free_port()
        result = Stage(
            url=access.url,
            http_url=access.http_url,
            api_key=access.key,
            api_secret=access.secret,
            own_server=access.own,
            simulated=simulated,
            room=f"parley-demo-{token}",
            agent_name=f"parley-demo-{token}",
            worker_url=f"http://127.0.0.1:{worker_port}",
        )
        settings = dict(environ) | openai
        settings |= {
            "LIVEKIT_URL": result.url,
            "LIVEKIT_API_KEY": result.api_key,
            "LIVEKIT_API_SECRET": result.api_secret,
            "PARLEY_AGENT_NAME": result.agent_name,
            "PARLEY_HTTP_HOST": "127.0.0.1",
            "PARLEY_HTTP_PORT": str(worker_port),
        }
        if simulated:
            settings.pop("PARLEY_VOICE_AGENT__BASE_URL", None)
        report("starting the worker …")
        command = [sys.executable, "-m", "parley", "start", *(f"--agents={source}" for source in agents)]
        await resources.enter_async_context(
            _worker(command, settings, logs / "worker.log", result.worker_url)
        )
        yield result


async def _server(
    resources: contextlib.AsyncExitStack,
    environ: Mapping[str, str],
    logs: Path,
    report: Callable[[str], None],
) -> _Access:
    url = environ.get("LIVEKIT_URL", "")
    if not url:
        log_path = logs / "livekit-server.log"
        server = await resources.enter_async_context(livekit_server(log_path=log_path, report=report))
        return _Access(server.url, server.http_url, server.api_key, server.api_secret, own=True)
    for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET"):
        if not environ.get(name):
            raise DemoFailed(
                f"LIVEKIT_URL is set and {name} is not: set all three, or none for a server of its own"
            )
    http_url = url.replace("ws", "http", 1) if url.startswith("ws") else url
    return _Access(url, http_url, environ["LIVEKIT_API_KEY"], environ["LIVEKIT_API_SECRET"], own=False)


async def _openai(
    resources: contextlib.AsyncExitStack, environ: Mapping[str, str], options: SimulatorOptions | None
) -> tuple[dict[str, str], bool]:
    """Settings of the API for the worker, and whether it is the stand-in."""
    if environ.get("OPENAI_API_KEY"):
        return {}, False
    from parley.simulator import Simulator, SimulatorOptions

    simulator = await resources.enter_async_context(Simulator(options or SimulatorOptions()))
    return {"OPENAI_API_KEY": "simulated", "OPENAI_BASE_URL": simulator.base_url}, True


@contextlib.asynccontextmanager
async def _worker(
    command: Sequence[str], settings: Mapping[str, str], log_path: Path, url: str
) -> AsyncIterator[None]:
    with log_path.open("ab") as log:
        running = child_process(
            command,
            env=settings,
            stdout=log,
            stderr=log,
            stop_timeout_s=_WORKER_STOP_S,
        )
        async with running as process:
            try:
                async with asyncio.timeout(_READY_TIMEOUT_S):
                    await _ready(process, url)
            except TimeoutError:
                raise DemoFailed(
                    f"the worker is not ready after {_READY_TIMEOUT_S:g} s: {_last_line(log_path)}"
                ) from None
            if process.returncode is not None:
                raise DemoFailed(f"the worker ended with status {process.returncode}: {_last_line(log_path)}")
            yield


async def _ready(process: asyncio.subprocess.Process, url: str) -> None:
    """Wait until the worker is registered with the server, or has ended."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2.0)) as http:
        while process.returncode is None:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                async with http.get(f"{url}/readyz") as response:
                    if response.status == 200:
                        return
            await asyncio.sleep(_POLL_S)


def _last_line(log_path: Path) -> str:
    lines = [line for line in log_path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1].strip()[-400:] if lines else "it wrote nothing"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
