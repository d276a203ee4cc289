"""The link between a worker's main process and its jobs: metrics one way, the order to drain the other.

LiveKit's job processes ignore SIGTERM and are not told that their worker drains, and their metrics stay
in their own memory. A Unix socket in a private directory carries both, and what jobs ask of the gatekeeper
(`access`), one JSON value a line: a list is a job's metrics, `{"access": …}` is between the two ends of that.
A job says first which room it serves and says goodbye in the end: one whose socket ends without it has died.
"""

import asyncio
import json
import logging
import os
import tempfile
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
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


@dataclass(frozen=True, slots=True)
class Served:
    """The room that a job serves, and what it takes to have another one serve it."""

    room: str
    identity: str
    """Of the job's own participant."""
    agent_name: str
    metadata: str
    """Of the dispatch."""
    muted: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """identity → SIDs of the microphones that were taken from them."""


class LinkServer:
    """The main process's end."""

    def __init__(
        self,
        sums: Sums,
        gatekeeper: Gatekeeper,
        on_death: Callable[[Served], None] = lambda served: None,
    ) -> None:
        self._sums = sums
        self._gatekeeper = gatekeeper
        self._on_death = on_death
        self._served: dict[int, Served] = {}
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
            if (served := self._served.pop(job, None)) is not None:
                self._on_death(served)

    def _take(self, job: int, said: Any) -> None:
        match said:
            case {"access": dict(message)}:
                self._gatekeeper.take(job, message)
            case {"serves": served}:
                self._served[job] = Served(**served)
            case {"muted": muted} if job in self._served:
                self._served[job] = replace(self._served[job], muted=muted)
            case {"goodbye": _}:
                self._served.pop(job, None)
            case _:
                self._sums.update(job, said)


def _tell(writer: asyncio.StreamWriter, message: object) -> None:
    if not writer.is_closing():
        writer.write(json.dumps(message).encode() + b"\n")


class JobLink:
    """A job's end. Without a path in the environment it reports to nobody."""

    def __init__(
        self, metrics: Metrics, on_drain: Callable[[float], None], access: Access, served: Served
    ) -> None:
        self._metrics = metrics
        self._on_drain = on_drain
        self._access = access
        self._served = served
        self._writer: asyncio.StreamWriter | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Reports while the context lives, and once more at its end; says goodbye unless it failed."""
        path = os.environ.get(PATH_VARIABLE)
        if path is None:
            yield
            return
        reader, writer = await asyncio.open_unix_connection(path)
        self._writer = writer
        self._access.connected(lambda message: _tell(writer, {"access": message}))
        _tell(writer, {"serves": asdict(self._served)})
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
                        _tell(writer, {"goodbye": True})
                    await writer.drain()
            writer.close()

    def muted(self, muted: Mapping[str, Iterable[str]]) -> None:
        """Tells whom which microphones were taken from: should the job die, they are given back."""
        if self._writer is not None:
            _tell(self._writer, {"muted": {who: sorted(sids) for who, sids in muted.items()}})

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with suppress(ConnectionError):  # as good as its end: something was on the way to the main process
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
                self._report_once(writer)
                await writer.drain()
                await asyncio.sleep(REPORT_S)

    def _report_once(self, writer: asyncio.StreamWriter) -> None:
        _tell(writer, snapshot(self._metrics.registry))
