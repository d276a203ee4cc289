"""What stands around the attempts to connect of a conversation."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from component.plugin.fake_realtime import Realtime, Server, on_line
from livekit.plugins.openai_realtime import ConnectError, ConversationOptions, ResumeOptions

ONE_RETRY = ResumeOptions(retries=1, backoff_s=0.01, backoff_max_s=0.01)


class Gate:
    """Writes down how the attempts ended; lets them through when `open` is set.

    Attributes:
        ended: None for each that succeeded, else what it raised.
    """

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.entered = 0
        self.ended: list[BaseException | None] = []
        self.refusal: ConnectError | None = None

    @asynccontextmanager
    async def __call__(self) -> AsyncIterator[None]:
        self.entered += 1
        await self.open.wait()
        if self.refusal is not None:
            raise self.refusal
        try:
            yield
        except BaseException as error:
            self.ended.append(error)
            raise
        self.ended.append(None)


async def polite(server: Server) -> None:
    await server.greet()
    await server.listen()


async def test_no_attempt_is_made_before_the_gate_opens_and_it_is_left_with_the_session(
    realtime: Realtime,
) -> None:
    gate = Gate()

    async def slow(server: Server) -> None:
        await server.until("session.update")
        assert gate.ended == [], "a socket alone is no session"
        await polite(server)

    async with on_line(realtime, slow, polite, connect_gate=gate) as line:
        await line.until(lambda: gate.entered, "the gate")
        assert realtime.attempts == 0
        gate.open.set()
        await line.until(lambda: gate.ended, "the session")
        assert gate.ended == [None]
        assert line.session.connected
        line.session.update_options(voice="cedar", model="another")
        await line.until(lambda: line.session.counts["rotations"], "the next connection")
        assert gate.ended == [None, None]
    assert gate.entered == len(gate.ended)


async def test_it_is_told_what_an_attempt_failed_with(realtime: Realtime) -> None:
    gate = Gate()
    gate.open.set()
    realtime.refusal = lambda request: web.Response(status=503)

    async def mute(server: Server) -> None:
        realtime.refusal = None
        await server.listen()

    async with on_line(realtime, mute, polite, connect_gate=gate, connect={"connect_timeout_s": 0.3}) as line:
        await line.until(lambda: gate.ended, "the refusal")
        realtime.refusal = None
        await line.until(lambda: None in gate.ended, "the session")
    assert [type(e) for e in gate.ended[-2:]] == [ConnectError, type(None)]
    assert isinstance(gate.ended[0], ConnectError)
    assert gate.ended[0].status == 503


async def test_what_it_raises_is_the_failure_of_the_attempt(realtime: Realtime) -> None:
    gate = Gate()
    gate.open.set()
    gate.refusal = ConnectError("not now")
    async with on_line(realtime, polite, connect_gate=gate, resume=ONE_RETRY) as line:
        await line.until(lambda: line.session.ended, "the end")
        assert [error.error for error in line.errors] == [gate.refusal] * 2
        assert [error.recoverable for error in line.errors] == [True, False]
    assert realtime.attempts == 0


async def test_a_conversation_that_waits_at_the_gate_closes_at_once(realtime: Realtime) -> None:
    gate = Gate()
    async with on_line(realtime, polite, options=ConversationOptions(), connect_gate=gate) as line:
        await line.until(lambda: gate.entered, "the gate")
        async with asyncio.timeout(1.0):
            await line.session.aclose()
    assert realtime.attempts == 0
