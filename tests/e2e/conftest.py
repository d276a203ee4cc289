"""One livekit-server, one simulator and one worker for the tests that do not end them; rooms for each."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import pytest_asyncio
from _pytest.runner import runtestprotocol

from livekit import api
from parley.demo.livekit_server import LiveKitServer, livekit_server

from .contention import Contention
from .dictation import DICTIONARY
from .running import RunningWorker, environment, running_worker
from .venue import CountedSimulator, Venue

HERE = Path(__file__).parent
AGENTS = {
    "PARLEY_AGENTS": str(HERE / "agents_under_test.py"),
    "PARLEY_LIMITS__SAY": "app",
    "PARLEY_LIMITS__HOSTS": "host",
}
THREADS = 4
VENUE = pytest.StashKey[Venue]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All of them run on one loop, the one of the server, the simulator and the worker's watchers."""
    for item in items:
        if item.path.parent == HERE and isinstance(item, pytest.Function):
            item.add_marker(pytest.mark.asyncio(loop_scope="session"), append=False)


@pytest_asyncio.fixture(scope="session", loop_scope="session", autouse=True)
async def _threads_of_the_loop() -> None:
    """The loop's threads live as long as the loop: they start here, so that no test seems to leave them."""
    pool = ThreadPoolExecutor(THREADS, thread_name_prefix="e2e loop")
    together = threading.Barrier(THREADS)
    list(pool.map(lambda _: together.wait(), range(THREADS)))
    asyncio.get_running_loop().set_default_executor(pool)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def server() -> AsyncIterator[LiveKitServer]:
    """The real livekit-server."""
    async with livekit_server() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def livekit(server: LiveKitServer) -> AsyncIterator[api.LiveKitAPI]:
    """The server API."""
    async with api.LiveKitAPI(server.http_url, server.api_key, server.api_secret) as client:
        yield client


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def simulator() -> AsyncIterator[CountedSimulator]:
    """The stand-in for the API; it takes one key only."""
    async with CountedSimulator() as running:
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def worker(server: LiveKitServer, simulator: CountedSimulator) -> AsyncIterator[RunningWorker]:
    """A worker that all tests share; that it exits in order is checked after the last of them."""
    async with running_worker(
        environment(server, simulator.base_url, PARLEY_DRAIN_S="2", **AGENTS)
    ) as running:
        yield running


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """A failure in a run that was starved proves nothing: it is run again, and then skipped."""
    if not item.path.is_relative_to(HERE):
        return None
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports, starved = _run(item, nextitem)
    if starved:
        reports, starved = _run(item, nextitem)
        for report in reports:
            if starved and report.failed and report.when == "call":
                crash = getattr(report.longrepr, "reprcrash", None)
                failure = crash.message if crash is not None else report.longreprtext
                report.longrepr = (str(item.path), 0, f"proves nothing: {starved}; {failure}")
                report.outcome = "skipped"
    for report in reports:
        if report.failed and VENUE in item.stash:
            report.sections.append(("the shared worker's last words", item.stash[VENUE].worker.log[-4000:]))
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _run(item: pytest.Item, nextitem: pytest.Item | None) -> tuple[list[pytest.TestReport], str]:
    """Runs a test once; returns what came of it, and what starved it if it failed."""
    contention = Contention()
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    if not any(report.failed and report.when == "call" for report in reports):
        return reports, ""
    dry = item.stash[VENUE].starved if VENUE in item.stash else []
    return reports, ", ".join(dry + contention.reasons)


@pytest.fixture
def understood(venue: Venue) -> Iterator[None]:
    """The simulated transcription knows the words that people say."""
    options = venue.simulator.options
    venue.simulator.options = replace(options, recognise_word=DICTIONARY.recognise)
    yield
    venue.simulator.options = options


@pytest_asyncio.fixture(loop_scope="session")
async def venue(
    request: pytest.FixtureRequest,
    server: LiveKitServer,
    simulator: CountedSimulator,
    livekit: api.LiveKitAPI,
    worker: RunningWorker,
) -> AsyncIterator[Venue]:
    """Rooms for one test."""
    place = request.node.stash[VENUE] = Venue(server, simulator, livekit, worker)
    try:
        yield place
    finally:
        await place.aclose()
