"""The server on loopback, as a fixture that also reports leaked tasks and scripts that failed."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from component.plugin.fake_api import PATH, FakeApi


@pytest.fixture
async def api() -> AsyncIterator[FakeApi]:
    fake = FakeApi()
    app = web.Application()
    app.router.add_get(PATH, fake.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.2, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    fake.base_url = f"http://{host}:{port}/v1"
    yield fake
    await runner.cleanup()
    leaked = asyncio.all_tasks() - {asyncio.current_task()}
    assert fake.failures == []
    assert leaked == set()
