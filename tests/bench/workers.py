"""The workers that are compared, and the simulated API they talk to: each in processes of its own."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from livekit import api
from parley.demo.child import child_process
from parley.demo.livekit_server import LiveKitServer

HERE = Path(__file__).resolve().parent
KINDS = ("parley", "stock", "floor")
_READY_S = 120.0
_BLOCKED = re.compile(r"^.*event loop blocked for.*?$", re.MULTILINE)
_SPENT = re.compile(r"""\b(duration|cpu_time)\W{1,3}([\d.]+)""")
_STOCK = ("-m", "livekit.agents", "start")
_COMMANDS = {
    "parley": ("-m", "parley", "start"),
    "stock": (*_STOCK, str(HERE / "stock_worker.py")),
    "floor": (*_STOCK, str(HERE / "floor_worker.py")),
    "stock-captions": (*_STOCK, str(HERE / "stock_captions.py")),
}


@dataclass(frozen=True)
class RunningWorker:
    """A worker that is registered with the server."""

    kind: str
    pid: int
    log_path: Path
    http_url: str | None
    """Of Parley's probes and metrics."""

    def blocked(self) -> tuple[int, int]:
        """How often it has said so far that an event loop stood still for 50 ms or more: in all, and by its
        own work, that is with the loop's thread computing for at least half of the time.

        The log says at most five a minute of each process.
        """
        lines = set(_BLOCKED.findall(self.log_path.read_text(errors="replace")))
        spent = [dict(_SPENT.findall(line)) for line in lines]
        own = sum(float(s.get("cpu_time", 0)) >= float(s.get("duration", 0)) / 2 for s in spent)
        return len(lines), own

    async def latencies(self) -> dict[str, tuple[float, float]]:
        """(sum, count) of Parley's own histograms of its two paths, by name; of no other worker."""
        if self.http_url is None:
            return {}
        text = await _get(f"{self.http_url}/metrics")
        wanted = ("parley_ingress_seconds", "parley_egress_seconds")
        values = {
            sample.name: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if family.name in wanted
        }
        return {name: (values[f"{name}_sum"], values[f"{name}_count"]) for name in wanted}


@dataclass(frozen=True)
class RunningApi:
    """The simulator."""

    pid: int
    base_url: str


@contextlib.asynccontextmanager
async def simulated_api(
    directory: Path, script: str = "simulated_api.py", **more: str
) -> AsyncIterator[RunningApi]:
    """The simulator; what it has kept is in the directory when the block has been left.

    `more`: environment variables of its process.
    """
    argv = [sys.executable, str(HERE / script), str(directory)]
    async with child_process(argv, env={**os.environ, **more}, stdout=asyncio.subprocess.PIPE) as process:
        assert process.stdout is not None
        async with asyncio.timeout(_READY_S):
            base_url = (await process.stdout.readline()).decode().strip()
        yield RunningApi(process.pid, base_url)


@contextlib.asynccontextmanager
async def worker(
    kind: str, server: LiveKitServer, base_url: str, languages: tuple[str, ...], directory: Path, **more: str
) -> AsyncIterator[RunningWorker]:
    """A worker, ready for rooms: one of `KINDS`, or `stock-captions`. `more`: environment variables.

    Raises TimeoutError with the end of its log.
    """
    port = _free_port()
    env = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PARLEY_")},
        "LIVEKIT_URL": server.url,
        "LIVEKIT_API_KEY": server.api_key,
        "LIVEKIT_API_SECRET": server.api_secret,
        "OPENAI_API_KEY": "simulated",
        "OPENAI_BASE_URL": base_url,
        "LIVEKIT_AGENTS_LOOP_BLOCK_WARN_MS": "50",
        "BENCH_LANGUAGES": ",".join(languages),
        **more,
    }
    if kind == "parley":
        env |= {"PARLEY_HTTP_HOST": "127.0.0.1", "PARLEY_HTTP_PORT": str(port), "PARLEY_DRAIN_S": "1"}
    if kind == "floor":
        env["LIVEKIT_AGENTS_PRELOAD_LOCAL_INFERENCE"] = "0"
    log_path = directory / f"{kind}.log"
    with log_path.open("wb") as log:
        argv = [sys.executable, *_COMMANDS[kind]]
        async with child_process(argv, env=env, cwd=HERE, stdout=log, stderr=log) as process:
            url = f"http://127.0.0.1:{port}" if kind == "parley" else None
            running = RunningWorker(kind, process.pid, log_path, url)
            try:
                async with asyncio.timeout(_READY_S):
                    while not await _ready(running):
                        await asyncio.sleep(0.2)
            except TimeoutError:
                words = log_path.read_text(errors="replace")[-2000:]
                raise TimeoutError(f"the {kind} worker did not register: {words}") from None
            yield running


async def _ready(running: RunningWorker) -> bool:
    if running.http_url is None:
        return "bench: ready" in running.log_path.read_text(errors="replace")
    with contextlib.suppress(aiohttp.ClientError):
        return (await _get(f"{running.http_url}/readyz")).startswith("ready")
    return False


async def _get(url: str) -> str:
    async with aiohttp.ClientSession() as http, http.get(url) as response:
        return await response.text()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.asynccontextmanager
async def new_room(server: LiveKitServer) -> AsyncIterator[str]:
    """The name of a room that is deleted at the end, so that the worker's job ends with it."""
    name = f"bench-{secrets.token_hex(4)}"
    try:
        yield name
    finally:
        async with api.LiveKitAPI(server.http_url, server.api_key, server.api_secret) as livekit:
            with contextlib.suppress(api.TwirpError):
                await livekit.room.delete_room(api.DeleteRoomRequest(room=name))
