"""A worker as an operator runs it: a child process that is watched, ended, and looked for leftovers."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import IO

import aiohttp
import psutil

from parley.demo.child import child_process
from parley.demo.livekit_server import LiveKitServer

KEY = "the right key"
START_S = 40.0
EXIT_S = 40.0
_ADDRESS = re.compile(r"address=\('127\.0\.0\.1', (\d+)\)")

MARK = "E2E_WORKER"
"""The variable by which the processes of one worker are known, whoever their parent is now."""


async def eventually(condition: Callable[[], object], within_s: float, what: str) -> None:
    """Waits until `condition()` holds, looked at twenty times a second; AssertionError after `within_s`."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {within_s:g} s: {what}")
        await asyncio.sleep(0.05)


def processes_of(name: str) -> dict[int, str]:
    """Processes that live with `name` in their environment, whoever their parent is now: id → command."""
    found = {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if name.encode() in (entry / "environ").read_bytes():
                found[int(entry.name)] = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
    return found


class RunningWorker:
    """`parley start` in a process tree of its own. Use `running_worker`."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        mark: str,
        agent_name: str,
        log_path: Path,
        directory: Path,
        http: aiohttp.ClientSession,
    ) -> None:
        self.process = process
        self.agent_name = agent_name
        """The name by which it is dispatched."""
        self._mark = mark
        self.directory = directory
        """Where its temporary files are; nothing else is in it."""
        self._log_path = log_path
        self._log = ""
        self._http = http

    @property
    def log(self) -> str:
        """What it has written so far."""
        if self._log_path.exists():
            self._log = self._log_path.read_text(errors="replace")
        return self._log

    @property
    def processes(self) -> dict[int, str]:
        """Its own process and all that came from it."""
        return processes_of(self._mark)

    @property
    def resident_mb(self) -> dict[int, float]:
        """How much memory each of its processes has, in MiB, by its id."""
        found = {}
        for number in self.processes:
            with contextlib.suppress(psutil.Error):
                found[number] = psutil.Process(number).memory_info().rss / 2**20
        return found

    async def probe(self, path: str) -> tuple[int, str]:
        """Status and body of `/livez`, `/readyz` or `/metrics`; (0, "") where nobody answers."""
        address = _ADDRESS.search(self.log)
        if address is None:
            return 0, ""
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self._http.get(f"http://127.0.0.1:{address[1]}{path}") as response:
                return response.status, await response.text()
        return 0, ""

    async def until(self, path: str, status: int, within_s: float) -> None:
        """Waits until a probe answers with `status`."""
        deadline = time.monotonic() + within_s
        while (got := (await self.probe(path))[0]) != status:
            assert self.process.returncode is None, f"the worker ended: {self.log[-2000:]}"
            assert time.monotonic() < deadline, f"{path} says {got}, not {status}: {self.log[-2000:]}"
            await asyncio.sleep(0.05)

    async def metrics(self) -> dict[str, float]:
        """All samples of /metrics: name with labels → value."""
        _, text = await self.probe("/metrics")
        lines = [line.rsplit(" ", 1) for line in text.splitlines() if line and not line.startswith("#")]
        return {name: float(value) for name, value in lines}

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the main process."""
        self.process.send_signal(number)

    async def exit(self, within_s: float = EXIT_S) -> int:
        """Waits for its end; returns the status."""
        try:
            async with asyncio.timeout(within_s):
                return await self.process.wait()
        except TimeoutError:
            raise AssertionError(f"it goes on after {within_s:g} s: {self.log[-3000:]}") from None

    async def nothing_left(self, within_s: float = 10.0) -> None:
        """Waits until no process of it lives."""
        try:
            await eventually(lambda: not self.processes, within_s, "no process is left")
        except AssertionError:
            left = self.processes
            for number in left:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(number, signal.SIGKILL)
            raise AssertionError(f"processes were left: {left}") from None


def environment(server: LiveKitServer | None, base_url: str, **settings: str) -> dict[str, str]:
    """What a worker is told, with nothing of this process's own settings in it."""
    foreign = ("PARLEY_", "_PARLEY_", "LIVEKIT_", "OPENAI_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    env |= {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": base_url, "PYTHONFAULTHANDLER": "1"}
    if server is not None:
        env["LIVEKIT_URL"] = server.url
        env |= {"LIVEKIT_API_KEY": server.api_key, "LIVEKIT_API_SECRET": server.api_secret}
    return env | settings


@contextlib.contextmanager
def _place() -> Iterator[tuple[Path, Path, IO[bytes]]]:
    """A directory for temporary files, and a log; all gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="e2e-") as place:
        directory, log_path = Path(place, "tmp"), Path(place, "log")
        directory.mkdir()
        with log_path.open("wb") as log:
            yield directory, log_path, log


@contextlib.asynccontextmanager
async def running_worker(
    env: Mapping[str, str],
    *,
    command: tuple[str, ...] = ("-m", "parley", "start"),
    ready: bool = True,
    beside: RunningWorker | None = None,
) -> AsyncIterator[RunningWorker]:
    """A worker that is dispatched by a name of its own, or by that of the one `beside`, ready to be.

    One that still runs at the end gets SIGTERM and must exit with 0. However it ended: no process may be
    left of it, no exception may stand in its log.
    """
    mark = secrets.token_hex(8)
    agent_name = f"e2e-{secrets.token_hex(6)}" if beside is None else beside.agent_name
    async with contextlib.AsyncExitStack() as stack:
        directory, log_path, log = stack.enter_context(_place())
        own = {"PARLEY_AGENT_NAME": agent_name, "TMPDIR": str(directory), MARK: mark}
        own |= {"PARLEY_HTTP_HOST": "127.0.0.1", "PARLEY_HTTP_PORT": "0"}
        argv = [sys.executable, *command]
        process = await stack.enter_async_context(
            child_process(argv, env={**env, **own}, stdout=log, stderr=log)
        )
        http = await stack.enter_async_context(aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)))
        worker = RunningWorker(process, mark, agent_name, log_path, directory, http)
        if ready:
            await worker.until("/readyz", 200, START_S)
        yield worker
        if process.returncode is None:
            worker.signal(signal.SIGTERM)
            assert await worker.exit() == 0, worker.log[-3000:]
        await worker.nothing_left()
        assert "Traceback" not in worker.log, worker.log
