"""The server on loopback, as a fixture that also reports leaked tasks and scripts that failed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from component.plugin import talk
from component.plugin.fake_api import PATH, FakeApi
from component.plugin.fake_realtime import PATH as CONVERSATION_PATH
from component.plugin.fake_realtime import Realtime


@asynccontextmanager
async def _served(path: str, fake: FakeApi | Realtime) -> AsyncIterator[None]:
    """The fake on a free loopback port, while the block lasts."""
    app = web.Application()
    app.router.add_get(path, fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.2, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    fake.base_url = f"http://{host}:{port}/v1"
    yield
    await runner.cleanup()


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    fake = FakeApi()
    async with _served(PATH, fake):
        yield fake
    leaked = asyncio.all_tasks() - {asyncio.current_task()}
    assert fake.failures == []
    assert leaked == set()


@pytest.fixture
async def realtime() -> AsyncIterator[Realtime]:
    fake = Realtime()
    async with _served(CONVERSATION_PATH, fake):
        yield fake
    assert fake.failures == []


@pytest.fixture(autouse=True)
def _sent_is_valid() -> Iterator[None]:
    """Every client event of every conversation here keeps to the published schema."""
    talk.SENT.clear()
    yield
    talk.check_sent()


@pytest.fixture(autouse=True)
def _understood(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No server event was too much for its handler."""
    yield
    failed = [record for record in caplog.get_records("call") if "was not understood" in record.getMessage()]
    assert [(record.getMessage(), record.exc_info) for record in failed] == []
