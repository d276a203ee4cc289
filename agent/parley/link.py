"""The link between a worker's main process and its jobs: metrics one way, the order to drain the other.

LiveKit's job processes ignore SIGTERM and are not told that their worker drains, and their metrics stay
in their own memory. A Unix socket in a private directory carries both, and what jobs ask of the gatekeeper
(`access`), one JSON value a line: a list is a job's metrics, `{"access": …}` is between the two ends of that.
"""

import asyncio
import json
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from .access import Access, Gatekeeper
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


class LinkServer:
    """The main process's end."""

    def __init__(self, sums: Sums, gatekeeper: Gatekeeper) -> None:
        self._sums = sums
        self._gatekeeper = gatekeeper
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
            self._gatekeeper.close()
            for writer in list(self._jobs.values()):
                writer.close()

    def drain(self, deadline_s: float) -> None:
        """Tells all jobs, and those that come later, to leave within `deadline_s`."""
        self._drain_s = deadline_s
        for writer in self._jobs.values():
            _tell(writer, {"drain": self._drain_s})

    async def _job(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        job = self._next = self._next + 1
        self._jobs[job] = writer
        self._gatekeeper.enter(job, lambda answer: _tell(writer, {"access": answer}))
        if self._drain_s is not None:
            _tell(writer, {"drain": self._drain_s})
        try:
            while line := await reader.readline():
                try:
                    self._take(job, json.loads(line))
                except ValueError as e:
                    logger.warning("a job's report was unreadable: %s", e)
        except (ConnectionError, ValueError) as e:  # ValueError: a line beyond MAX_LINE
            logger.warning("a job's reports became unreadable: %s", e)
        finally:
            del self._jobs[job]
            self._sums.ended(job)
            self._gatekeeper.leave(job)
            writer.close()

    def _take(self, job: int, said: Any) -> None:
        if isinstance(said, dict) and isinstance(said.get("access"), dict):
            self._gatekeeper.take(job, said["access"])
        else:
            self._sums.update(job, said)


def _tell(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    if not writer.is_closing():
        writer.write(json.dumps(message).encode() + b"\n")


class JobLink:
    """A job's end. Without a path in the environment it reports to nobody."""

    def __init__(self, metrics: Metrics, on_drain: Callable[[float], None], access: Access) -> None:
        self._metrics = metrics
        self._on_drain = on_drain
        self._access = access

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Reports while the context lives, and once more at its end."""
        path = os.environ.get(PATH_VARIABLE)
        if path is None:
            yield
            return
        reader, writer = await asyncio.open_unix_connection(path)
        self._access.connected(lambda message: _tell(writer, {"access": message}))
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._listen(reader)), group.create_task(self._report(writer))]
                yield
                for task in tasks:
                    task.cancel()
        finally:
            with suppress(ConnectionError, TimeoutError):  # the main process is gone: nobody to tell
                async with asyncio.timeout(1):
                    self._write(writer)
                    await writer.drain()
            writer.close()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            match json.loads(line):
                case {"access": answer}:
                    self._access.take(answer)
                case {"drain": within_s}:
                    self._on_drain(float(within_s))
        self._access.disconnected()
        self._on_drain(0.0)  # the main process is gone: nobody supervises this job any more

    async def _report(self, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):  # told by _listen
            while True:
                self._write(writer)
                await writer.drain()
                await asyncio.sleep(REPORT_S)

    def _write(self, writer: asyncio.StreamWriter) -> None:
        writer.write(json.dumps(snapshot(self._metrics.registry)).encode() + b"\n")
