"""The real livekit-server: several side by side, and none left when the parent is killed."""

from __future__ import annotations

import asyncio
import os
import select
import subprocess
import sys

import aiohttp
import pytest

from livekit import api
from parley.demo.livekit_server import livekit_server

PARENT = """
import asyncio
from parley.demo.livekit_server import livekit_server
async def main():
    async with livekit_server() as server:
        print(server.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


async def test_two_side_by_side_each_with_its_own_keys() -> None:
    async with livekit_server() as one, livekit_server() as two, aiohttp.ClientSession() as http:
        for server in (one, two):
            async with http.get(server.http_url) as response:
                assert (await response.text()).strip() == "OK"
            async with http.get(server.metrics_url) as response:
                assert "livekit_" in await response.text()
        async with api.LiveKitAPI(one.http_url, two.api_key, two.api_secret, session=http) as wrong:
            with pytest.raises(api.TwirpError):
                await wrong.room.list_rooms(api.ListRoomsRequest())
    for server in (one, two):
        with pytest.raises(ProcessLookupError):
            os.kill(server.pid, 0)


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="waits by pidfd")
async def test_dies_with_a_parent_that_is_killed() -> None:
    def run() -> bool:
        with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE, text=True) as parent:
            assert parent.stdout is not None
            watched = os.pidfd_open(int(parent.stdout.readline()))
            parent.kill()
        try:
            return bool(select.select([watched], [], [], 15)[0])
        finally:
            os.close(watched)

    assert await asyncio.to_thread(run)
