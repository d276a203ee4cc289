"""The model in LiveKit's own classes, over many sessions: the next is open before the last is let go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest
from aiohttp import web
from livekit.agents.beta import translation as beta

from component.plugin.fake_api import FakeApi, Peer, polite
from component.plugin.test_models import Heard, frame, model, read
from livekit.plugins.openai_realtime import model_session

pytestmark = pytest.mark.timeout(30)

LOUD = 8000
EXPIRES_AT = 4_000_000_000
"""As the server says, Unix time."""


@pytest.fixture(autouse=True)
def rotates(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first session is to be replaced after 0.3 s, the others not."""
    first: Iterator[float] = iter([0.3])
    monkeypatch.setattr(model_session, "rotate_in_s", lambda expires_at, now: next(first, None))


async def speak(
    session: beta.TranslationModelSession[None], over: Callable[[], bool], value: int = LOUD
) -> int:
    """Pushes numbered frames of 10 ms until it is over; returns how many."""
    pushed = 0
    while not over():
        pushed += 1
        session.push_audio(frame(value + pushed, ms=10))
        await asyncio.sleep(0.005)
    return pushed


def received(api: FakeApi) -> np.ndarray[tuple[int], np.dtype[np.int16]]:
    sent = np.frombuffer(b"".join(peer.pcm for peer in api.peers), "<i2")
    return sent[sent > 0]


async def test_the_first_session_is_fed_until_the_second_is_open(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_session, "_PART_S", 0.1)
    greeted = asyncio.Event()
    fed_meanwhile: list[int] = []

    async def script(peer: Peer) -> None:
        if len(api.peers) == 2:
            before = len(api.peers[0].pcm)
            await asyncio.wait_for(greeted.wait(), 10)
            fed_meanwhile.append(len(api.peers[0].pcm) - before)
        await polite(peer)

    api.script = script
    async with model(api) as translator:
        session = translator.session()
        heard = Heard(session)
        pushed = await speak(session, lambda: len(api.peers) == 2)
        pushed += await speak(session, lambda: len(api.peers[0].pcm) > 12 * 9600, LOUD + pushed)
        greeted.set()
        pushed += await speak(session, lambda: len(api.peers[1].pcm) > 9600, LOUD + pushed)
        await session.aclose()
    assert heard.errors == []
    assert fed_meanwhile[0] > 9600
    assert [peer.received[-1]["type"] for peer in api.peers] == ["session.close"] * 2
    np.testing.assert_array_equal(received(api), LOUD + np.repeat(np.arange(1, pushed + 1), 240))


async def test_what_the_first_one_says_last_comes_before_what_the_second_says_first(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet()
        if len(api.peers) == 2:
            await peer.next()
            await peer.send_audio(2400, value=2)
            await peer.say("second")
            said.set()
        await peer.until("session.close")
        if peer is api.peers[0]:
            await asyncio.wait_for(said.wait(), 10)
            await peer.send_audio(2400, value=1)
            await peer.say("first")
        await peer.send("session.closed")

    api.script = script
    async with model(api) as translator:
        session = translator.session()
        heard = Heard(session)
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read(session))
            await speak(session, said.is_set, 1)
            await heard.until(lambda: "second" in [text for text, _ in heard.said])
            await session.aclose()
    assert [text for text, final in heard.said if not final] == ["first", "second"]
    assert reading.result() == b"\1\0" * 2400 + b"\2\0" * 2400


async def test_a_pause_is_waited_for_before_the_second_is_fed(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_session, "_PART_S", 60.0)
    async with model(api) as translator:
        session = translator.session()
        await speak(session, lambda: len(api.peers) == 2)
        await speak(session, lambda: len(api.peers[0].pcm) > 20 * 9600)
        assert not api.peers[1].pcm, "in the middle of a word"
        await speak(session, lambda: len(api.peers[1].pcm) > 0, 1)
        await session.aclose()
    assert np.frombuffer(api.peers[0].pcm, "<i2")[-1] < 1000


async def test_a_replacement_that_cannot_be_opened_is_tried_again_while_the_first_goes_on(
    api: FakeApi,
) -> None:
    refused = 0

    def refuse(_: web.Request) -> web.Response:
        nonlocal refused
        refused += 1
        if refused == 2:
            api.refusal = None
        return web.Response(status=503)

    async with model(api) as translator:
        session = translator.session()
        heard = Heard(session)
        pushed = await speak(session, lambda: bool(api.peers), 0)
        api.refusal = refuse
        pushed += await speak(session, lambda: len(api.peers) == 2 and bool(api.peers[1].pcm), pushed)
        await session.aclose()
    assert [error.recoverable for error in heard.errors] == [True, True]
    np.testing.assert_array_equal(received(api), np.repeat(np.arange(1, pushed + 1), 240))


async def test_a_session_that_nothing_replaces_in_time_is_ended_for_its_tail(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_session, "_LATEST_S", EXPIRES_AT - time.time() - 0.8)

    async def hanging(peer: Peer) -> None:
        if len(api.peers) == 2:
            await peer.socket.receive()  # never greets
            return
        await polite(peer)

    api.script = hanging
    async with model(api) as translator:
        session = translator.session()
        heard = Heard(session)
        pushed = await speak(session, lambda: len(api.peers) == 3 and bool(api.peers[2].pcm), 0)
        await session.aclose()
    assert heard.errors == []
    assert api.peers[0].received[-1]["type"] == "session.close"
    np.testing.assert_array_equal(received(api), np.repeat(np.arange(1, pushed + 1), 240))


async def test_a_tail_that_is_lost_does_not_end_the_session_that_goes_on(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.until("session.close")
        if peer is api.peers[0]:
            await peer.socket.close(code=1011)
            return
        await peer.send("session.closed")

    api.script = script
    async with model(api) as translator:
        session = translator.session()
        heard = Heard(session)
        await speak(session, lambda: len(api.peers) == 2 and bool(api.peers[1].pcm), 0)
        await heard.until(lambda: heard.errors)
        await session.aclose()
    assert [error.recoverable for error in heard.errors] == [True]
    assert len(api.peers) == 2


async def test_one_that_is_stopped_while_another_is_dialled_ends_at_once(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        if len(api.peers) == 2:
            await peer.socket.receive()
            return
        await polite(peer)

    api.script = script
    async with model(api) as translator:
        session = translator.session()
        await speak(session, lambda: len(api.peers) == 2, 0)
        async with asyncio.timeout(5):
            await session.aclose()
    assert api.peers[0].received[-1]["type"] == "session.close"
