"""The link between a worker's main process and its jobs: metrics one way, the order to drain the other.

LiveKit's job processes ignore SIGTERM and are not told that their worker drains, and their metrics stay
in their own memory. A Unix socket in a private directory carries both, one JSON object a line. A job says
first which room it serves and says goodbye in the end: one whose socket ends without that has died.
"""

import asyncio
import json
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from .metrics import Metrics, Sums, snapshot

logger = logging.getLogger("parley.worker")

PATH_VARIABLE = "_PARLEY_LINK"
"""How a job learns the socket's path from its parent."""
REPORT_S = 1.0
MAX_LINE = 4 * 1024 * 1024


@contextmanager
def socket_path() -> Iterator[Path]:
    """A path for the socket, in a private directory that goes with the context.

    Enter it before anything is forked: jobs find the path in the environment.
    """
    with tempfile.TemporaryDirectory(prefix="parley-", ignore_cleanup_errors=True) as directory:
        path = Path(directory) / "link"
        os.environ[PATH_VARIABLE] = str(path)
        try:
            yield path
        finally:
            del os.environ[PATH_VARIABLE]


@dataclass(frozen=True, slots=True)
class Served:
    """The room that a job serves, and what it takes to have another one serve it."""

    room: str
    identity: str
    """Of the job's own participant."""
    agent_name: str
    metadata: str
    """Of the dispatch."""


class LinkServer:
    """The main process's end."""

    def __init__(self, sums: Sums, on_death: Callable[[Served], None] = lambda served: None) -> None:
        self._sums = sums
        self._on_death = on_death
        self._jobs: dict[int, asyncio.StreamWriter] = {}
        self._next = 0
        self._drain_s: float | None = None

    @asynccontextmanager
    async def serve(self, path: Path) -> AsyncIterator[None]:
        """Listens on `path` while the context lives."""
        server = await asyncio.start_unix_server(self._job, path, limit=MAX_LINE)
        try:
            yield
        finally:
            server.close()
            for writer in list(self._jobs.values()):
                writer.close()

    def drain(self, deadline_s: float) -> None:
        """Tells all jobs, and those that come later, to leave within `deadline_s`."""
        self._drain_s = deadline_s
        for writer in self._jobs.values():
            self._order(writer)

    def _order(self, writer: asyncio.StreamWriter) -> None:
        if not writer.is_closing():
            writer.write(json.dumps({"drain": self._drain_s}).encode() + b"\n")

    async def _job(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        job = self._next = self._next + 1
        self._jobs[job] = writer
        if self._drain_s is not None:
            self._order(writer)
        served: Served | None = None
        try:
            while line := await reader.readline():
                try:
                    said = json.loads(line)
                    if not isinstance(said, dict):
                        self._sums.update(job, said)
                    elif "serves" in said:
                        served = Served(**said["serves"])
                    else:
                        served = None
                except ValueError as e:
                    logger.warning("a job's report was unreadable: %s", e)
        except (ConnectionError, ValueError) as e:  # ValueError: a line beyond MAX_LINE
            logger.warning("a job's reports became unreadable: %s", e)
        finally:
            del self._jobs[job]
            self._sums.ended(job)
            writer.close()
            if served is not None:
                self._on_death(served)


class JobLink:
    """A job's end. Without a path in the environment it reports to nobody."""

    def __init__(self, metrics: Metrics, on_drain: Callable[[float], None], served: Served) -> None:
        self._metrics = metrics
        self._on_drain = on_drain
        self._served = served

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Reports while the context lives, and once more at its end; says goodbye unless it failed."""
        path = os.environ.get(PATH_VARIABLE)
        if path is None:
            yield
            return
        reader, writer = await asyncio.open_unix_connection(path)
        self._write(writer, {"serves": asdict(self._served)})
        failed = True
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._listen(reader)), group.create_task(self._report(writer))]
                yield
                failed = False
                for task in tasks:
                    task.cancel()
        finally:
            with suppress(ConnectionError, TimeoutError):  # the main process is gone: nobody to tell
                async with asyncio.timeout(1):
                    self._report_once(writer)
                    if not failed:
                        self._write(writer, {"goodbye": True})
                    await writer.drain()
            writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            self._on_drain(float(json.loads(line)["drain"]))
        self._on_drain(0.0)  # the main process is gone: nobody supervises this job any more

    async def _report(self, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # told by _listen
            while True:
                self._report_once(writer)
                await writer.drain()
                await asyncio.sleep(REPORT_S)

    def _report_once(self, writer: asyncio.StreamWriter) -> None:
        self._write(writer, snapshot(self._metrics.registry))

    def _write(self, writer: asyncio.StreamWriter, what: object) -> None:
        writer.write(json.dumps(what).encode() + b"\n")
