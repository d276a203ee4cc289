"""A connection whose client does not take what is sent."""

import asyncio
import json
from types import SimpleNamespace

from aiohttp import WSMsgType

from parley.simulator import Faults, SessionRecord, SimulatorOptions
from parley.simulator.connection import Connection
from parley.simulator.translation import TranslationSession


class Stuck:
    """A websocket that never runs out of messages, and that takes what is sent only while `takes` is set."""

    def __init__(self):
        self.read = self.sent = 0
        self.takes = asyncio.Event()
        self.blocked = asyncio.Event()
        self.left = 500

    async def receive(self):
        await asyncio.sleep(0)
        self.read += 1
        if self.read > self.left:
            return SimpleNamespace(type=WSMsgType.CLOSE, data=None)
        return SimpleNamespace(type=WSMsgType.TEXT, data=json.dumps({"type": "nope"}))

    async def send_str(self, text):
        if not self.takes.is_set():
            self.blocked.set()
            await self.takes.wait()
        self.sent += 1

    async def close(self, **_):
        pass


async def test_a_client_that_does_not_read_is_not_read_from():
    ws = Stuck()
    now = asyncio.get_running_loop().time()
    record = SessionRecord("sess_1", "translation", "m", now)
    session = TranslationSession(record, SimulatorOptions(), now, 0.0)
    connection = Connection(ws, SimpleNamespace(), session, Faults())
    running = asyncio.create_task(connection.run(0.0))
    async with asyncio.timeout(10):
        await ws.blocked.wait()
        for _ in range(1000):
            await asyncio.sleep(0)
        assert ws.read <= 1
        ws.takes.set()
        await running
    assert len(record.refused) == 256
    assert ws.read == 501
    assert record.close_reason == "client gone"
