"""The two workers of `agents.py`, and the simulated API they talk to: each in processes of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
from workers import HERE, RunningWorker

from parley.demo.child import child_process
from parley.demo.livekit_server import LiveKitServer

KINDS = ("parley", "stock")
MODEL = "gpt-realtime-2.1"
SILENCE_MS = 500
_READY_S = 60.0
_STOP_S = 20.0
_COMMANDS = {
    "parley": ("-m", "parley", "start"),
    "stock": ("-m", "livekit.agents", "start", str(HERE / "stock_agents.py")),
}
_ON_CORE = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); os.execv(sys.argv[2], sys.argv[2:])"


@dataclass(frozen=True)
class TalkingApi:
    """The simulator."""

    pid: int
    base_url: str
    directory: Path

    async def set(self, **values: float) -> None:
        """`reply_s`: how long replies are. `round_trip_s`: how far away it is."""
        async with asyncio.timeout(5):
            reader, writer = await asyncio.open_unix_connection(self.directory / "control")
            writer.write(json.dumps(values).encode() + b"\n")
            assert await reader.readline() == b"ok\n"
            writer.close()


@contextlib.asynccontextmanager
async def talking_api(directory: Path) -> AsyncIterator[TalkingApi]:
    """The simulator; what it has kept is in the directory when the block has been left."""
    argv = [sys.executable, str(HERE / "talking_api.py"), str(directory)]
    async with child_process(argv, stdout=asyncio.subprocess.PIPE) as process:
        assert process.stdout is not None
        async with asyncio.timeout(_READY_S):
            base_url = (await process.stdout.readline()).decode().strip()
        if not base_url:
            raise RuntimeError("the simulated API did not start")
        yield TalkingApi(process.pid, base_url, directory)


@contextlib.asynccontextmanager
async def agent_worker(
    kind: str,
    server: LiveKitServer,
    base_url: str,
    logs: Path,
    *,
    core: int | None = None,
    watched: bool = False,
) -> AsyncIterator[RunningWorker]:
    """A worker of one of `KINDS`, ready for rooms; on one core only, if one is given.

    `watched`: it logs stalls of its loops from 50 ms on. Stock does from 100 ms on by default, for as much
    CPU, Parley does not.

    Raises TimeoutError, or RuntimeError if it ended by itself, with the end of its log.
    """
    port = _free_port()
    foreign = ("PARLEY_", "LIVEKIT_", "OPENAI_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    env |= {
        "LIVEKIT_URL": server.url,
        "LIVEKIT_API_KEY": server.api_key,
        "LIVEKIT_API_SECRET": server.api_secret,
        "OPENAI_API_KEY": "simulated",
        "OPENAI_BASE_URL": base_url,
    }
    if watched:
        env["LIVEKIT_AGENTS_LOOP_BLOCK_WARN_MS"] = "50"
    if kind == "parley":
        env |= {"PARLEY_HTTP_HOST": "127.0.0.1", "PARLEY_HTTP_PORT": str(port), "PARLEY_DRAIN_S": "1"}
        env |= {"PARLEY_AGENTS": str(HERE / "parley_agents.py"), "PARLEY_VOICE_AGENT__MODEL": MODEL}
        env["PARLEY_VOICE_AGENT__TURN_DETECTION"] = "server_vad"
        env["PARLEY_VOICE_AGENT__SILENCE_MS"] = str(SILENCE_MS)
    else:
        env |= {"BENCH_MODEL": MODEL, "BENCH_SILENCE_MS": str(SILENCE_MS)}
    argv = [sys.executable, *_COMMANDS[kind]]
    if core is not None:
        argv = [sys.executable, "-c", _ON_CORE, str(core), *argv]
    log_path = logs / f"agents-{kind}.log"
    with log_path.open("wb") as log:
        child = child_process(argv, env=env, cwd=HERE, stdout=log, stderr=log, stop_timeout_s=_STOP_S)
        async with child as process:
            url = f"http://127.0.0.1:{port}" if kind == "parley" else None
            running = RunningWorker(kind, process.pid, log_path, url)
            try:
                async with asyncio.timeout(_READY_S):
                    while process.returncode is None and not await _ready(running):
                        await asyncio.sleep(0.2)
            except TimeoutError:
                raise TimeoutError(f"the {kind} worker did not register: {_end(log_path)}") from None
            if process.returncode is not None:
                raise RuntimeError(f"the {kind} worker did not start: {_end(log_path)}")
            yield running
            if process.returncode is not None:
                raise RuntimeError(f"the {kind} worker ended by itself: {_end(log_path)}")


async def _ready(running: RunningWorker) -> bool:
    if running.http_url is None:
        return "bench: ready" in running.log_path.read_text(errors="replace")
    with contextlib.suppress(aiohttp.ClientError):
        async with aiohttp.ClientSession() as http, http.get(f"{running.http_url}/readyz") as response:
            return response.status == 200
    return False


def _end(log_path: Path) -> str:
    return log_path.read_text(errors="replace")[-2000:]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
