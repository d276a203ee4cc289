"""The real connection against a server that is late, refuses, drops, or never says goodbye."""

from __future__ import annotations

import asyncio
import socket
from contextlib import AsyncExitStack

import aiohttp
import pytest
from aiohttp import web

from component.plugin.fake_api import FakeApi, Peer
from livekit.plugins.openai_realtime import errors, events
from livekit.plugins.openai_realtime.connection import Connection, connect, new_http_session
from livekit.plugins.openai_realtime.options import ConnectOptions, TranslationOptions
from livekit.plugins.openai_realtime.translation import TranslationProtocol

pytestmark = pytest.mark.timeout(30)

BLOCK = b"\1\0" * 4800


def protocol(language: str = "fr") -> TranslationProtocol:
    return TranslationProtocol(TranslationOptions(model="gpt-realtime-translate", language=language))


async def collect(connection: Connection) -> list[events.TranslationEvent]:
    return [event async for event in connection]


async def test_a_whole_session(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet(expires_at=4_000_000_001)
        assert await peer.until("session.input_audio_buffer.append")
        await peer.say("bonjour")
        assert await peer.until("session.close")
        await peer.send_audio(9600)
        await peer.say(" le monde")
        await peer.send("session.closed")

    api.script = script
    async with connect(protocol(), api.options(headers={"X-More": "1"})) as connection:
        assert connection.expires_at == 4_000_000_001
        assert connection.opened_at <= asyncio.get_running_loop().time()
        await connection.append(BLOCK)
        await connection.close()
        await connection.close()
        received = await collect(connection)
    assert received == [
        events.SessionCreated("sess_1", "m", 4_000_000_001),
        events.SessionUpdated("fr", None),
        events.OutputTranscript("bonjour", None),
        events.OutputAudio(b"\1\0" * 9600, 24000, 200),
        events.OutputTranscript(" le monde", None),
        events.SessionClosed(),
    ]
    [peer] = api.peers
    assert peer.request.headers["Authorization"] == "Bearer sk-test"
    assert peer.request.headers["X-More"] == "1"
    assert "Sec-WebSocket-Extensions" not in peer.request.headers
    assert peer.request.query == {"model": "gpt-realtime-translate"}
    assert peer.pcm == BLOCK
    assert [m["type"] for m in peer.received].count("session.close") == 1


async def test_it_opens_only_when_the_language_is_confirmed(api: FakeApi) -> None:
    asked, confirm = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.send_session("session.created")
        assert await peer.next()
        asked.set()
        await confirm.wait()
        peer.language = "fr"
        await peer.send_session("session.updated")
        await peer.next()

    api.script = script
    opened = asyncio.Event()

    async def client() -> None:
        async with connect(protocol(), api.options()):
            opened.set()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(client())
        await asked.wait()
        assert not opened.is_set()
        confirm.set()
    assert opened.is_set()


async def test_authorization_can_be_replaced(api: FakeApi) -> None:
    async with connect(protocol(), api.options(headers={"authorization": "Other x"})):
        pass
    assert api.peers[0].request.headers.getall("Authorization") == ["Other x"]


async def test_a_session_in_another_language_is_refused(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.send_session("session.created")
        await peer.next()
        await peer.send_session("session.updated")
        await peer.next()

    api.script = script
    with pytest.raises(errors.RequestRejected, match="speaks 'es'"):
        async with connect(protocol(), api.options()):
            pytest.fail("it opened")


@pytest.mark.parametrize(
    ("status", "body", "expected", "retry_after_s"),
    [
        (
            401,
            '{"error": {"code": "invalid_api_key", "message": "bad key"}}',
            errors.AuthenticationError,
            None,
        ),
        (429, "", errors.RateLimitError, 3.0),
        (429, '{"error": {"type": "insufficient_quota", "message": "pay"}}', errors.QuotaError, 3.0),
        (500, "<html>", errors.ConnectError, None),
        (404, "", errors.RequestRejected, None),
    ],
)
@pytest.mark.parametrize("own_session", [True, False])
async def test_a_refused_upgrade(
    api: FakeApi, status: int, body: str, expected: type, retry_after_s: float | None, own_session: bool
) -> None:
    headers = {"Retry-After": "3"} if retry_after_s else {}
    api.refusal = lambda request: web.Response(status=status, text=body, headers=headers)
    if expected is errors.QuotaError and not own_session:
        expected = errors.RateLimitError  # a foreign HTTP session throws the body away
    async with aiohttp.ClientSession() as foreign:
        with pytest.raises(errors.RealtimeError) as caught:
            async with connect(protocol(), api.options(), http=None if own_session else foreign):
                pytest.fail("it opened")
    assert type(caught.value) is expected
    assert caught.value.status == status
    assert caught.value.retry_after_s == retry_after_s


async def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        options = ConnectOptions(api_key="k", base_url=f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
        with pytest.raises(errors.ConnectError):
            async with connect(protocol(), options):
                pytest.fail("it opened")


@pytest.mark.parametrize("said", ["nothing", "created"])
async def test_a_server_that_stays_silent_is_given_up(api: FakeApi, said: str) -> None:
    async def script(peer: Peer) -> None:
        if said == "created":
            await peer.send_session("session.created")
        await peer.until("never")

    api.script = script
    with pytest.raises(errors.ConnectError, match=r"within 0\.2 s"):
        async with connect(protocol(), api.options(connect_timeout_s=0.2)):
            pytest.fail("it opened")
    await api.peers[0].left.wait()


async def test_an_error_during_set_up_is_the_reason(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.send_error("insufficient_quota")

    api.script = script
    with pytest.raises(errors.QuotaError, match="words of the server"):
        async with connect(protocol(), api.options()):
            pytest.fail("it opened")


async def test_a_timeout_of_the_body_is_the_bodys_own(api: FakeApi) -> None:
    with pytest.raises(TimeoutError, match="mine"):
        async with connect(protocol(), api.options()):
            raise TimeoutError("mine")


@pytest.mark.parametrize(("close_code", "expected_code"), [(1001, 1001), (1011, 1011), (None, None)])
async def test_a_drop_in_mid_stream(api: FakeApi, close_code: int | None, expected_code: int | None) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.say("half a wo")
        if close_code is None:
            assert peer.request.transport is not None
            peer.request.transport.abort()
        else:
            await peer.socket.close(code=close_code, message=b"max duration")

    api.script = script
    received = []
    async with connect(protocol(), api.options()) as connection:
        with pytest.raises(errors.ConnectionLost) as caught:
            received.extend([event async for event in connection])
        with pytest.raises(errors.ConnectionLost):
            await anext(connection)
        with pytest.raises(errors.ConnectionLost):
            await connection.append(BLOCK)
    assert caught.value.close_code == expected_code
    assert caught.value.reason == ("max duration" if close_code else caught.value.reason)


async def test_what_came_before_a_drop_is_delivered(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.say("last words")
        await peer.socket.close(code=1011)

    api.script = script
    async with connect(protocol(), api.options()) as connection:
        received = []
        with pytest.raises(errors.ConnectionLost):  # noqa: PT012
            async for event in connection:
                received.append(event)  # noqa: PERF401 - a comprehension would lose what came before
    assert received[-1] == events.OutputTranscript("last words", None)


async def test_expiry_is_told_apart_from_a_drop(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.send_error("session_expired")
        await peer.socket.close(code=1001)

    api.script = script
    async with connect(protocol(), api.options()) as connection:
        with pytest.raises(errors.SessionExpired):
            await collect(connection)


async def test_sending_on_a_dead_socket_says_why_it_died(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.next()
        await peer.send_error("insufficient_quota")
        assert peer.request.transport is not None
        peer.request.transport.close()

    api.script = script
    async with connect(protocol(), api.options()) as connection:
        with pytest.raises(errors.QuotaError):  # noqa: PT012
            while True:  # nobody iterates: only sending can find out
                await connection.append(BLOCK)
                await asyncio.sleep(0.01)


async def test_an_error_that_is_not_fatal_is_an_event(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.send_error("rate_limit_exceeded")
        await peer.until("session.close")
        await peer.send("session.closed")

    api.script = script
    async with connect(protocol(), api.options()) as connection:
        async for event in connection:
            if isinstance(event, events.ErrorReported):
                assert isinstance(event.error, errors.RateLimitError)
                await connection.append(BLOCK)
                await connection.close()
    assert api.peers[0].pcm == BLOCK


async def test_retarget(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        update = await peer.until("session.update")
        assert update is not None
        peer.language = update["session"]["audio"]["output"]["language"]
        await peer.send_session("session.updated")
        await peer.until("session.close")
        await peer.send("session.closed")

    api.script = script
    async with connect(protocol(), api.options()) as connection:
        await connection.update(language="de")
        languages = []
        async for event in connection:
            if isinstance(event, events.SessionUpdated):
                languages.append(event.language)
                if event.language == "de":
                    await connection.close()
    assert languages == ["fr", "de"]


async def test_aclose_collects_the_tail(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.until("session.close")
        for word in ("a", "b", "c"):
            await peer.say(word)
        await peer.send("session.closed")

    api.script = script
    async with connect(protocol(), api.options()) as connection:
        assert await connection.aclose() is True
        said = [
            event.delta for event in await collect(connection) if isinstance(event, events.OutputTranscript)
        ]
        assert said == ["a", "b", "c"]
        with pytest.raises(errors.SessionNotOpen):
            await connection.append(BLOCK)


async def test_aclose_beside_a_reader_takes_nothing_from_it_and_delays_nothing(api: FakeApi) -> None:
    words = [str(number) for number in range(20)]
    heard = {word: asyncio.Event() for word in words}

    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.until("session.close")
        for word in words:
            await peer.say(word)
            await heard[word].wait()  # the next message comes only after the reader has had this one
        await peer.send("session.closed")

    async def read(connection: Connection) -> None:
        async for event in connection:
            if isinstance(event, events.OutputTranscript):
                heard[event.delta].set()

    api.script = script
    async with connect(protocol(), api.options()) as connection, asyncio.TaskGroup() as tasks:
        tasks.create_task(read(connection))
        closing = tasks.create_task(connection.aclose(timeout_s=10.0))
    assert closing.result() is True
    assert all(word.is_set() for word in heard.values())


async def test_aclose_does_not_wait_for_ever(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.until("never")

    api.script = script
    async with connect(protocol(), api.options(close_timeout_s=0.2)) as connection:
        assert await connection.aclose(timeout_s=0.1) is False
        with pytest.raises(errors.ConnectionLost, match=r"not ended 0\.1 s after its close"):
            await collect(connection)


@pytest.mark.parametrize("chatty", [False, True])
async def test_leaving_does_not_wait_for_a_closing_handshake_for_ever(api: FakeApi, chatty: bool) -> None:
    release = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet()
        while not release.is_set():  # reads nothing, so the close frame is never answered
            if chatty:
                await peer.say("on and on")
            await asyncio.sleep(0.02)

    api.script = script
    async with connect(protocol(), api.options(close_timeout_s=0.2)) as connection:
        socket = connection._wire._socket
    assert socket.closed
    release.set()


@pytest.mark.parametrize("cancels", [1, 3])
async def test_cancelling_closes_the_socket_and_stays_a_cancellation(api: FakeApi, cancels: int) -> None:
    release, opened = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet()
        await release.wait()

    api.script = script
    http = new_http_session()
    seen: list[aiohttp.ClientWebSocketResponse] = []

    async def client() -> None:
        async with connect(protocol(), api.options(close_timeout_s=0.2), http=http) as connection:
            seen.append(connection._wire._socket)
            opened.set()
            await collect(connection)

    task = asyncio.create_task(client())
    await opened.wait()
    for _ in range(cancels):
        task.cancel()
        await asyncio.sleep(0)
    with pytest.raises(asyncio.CancelledError):
        await task
    assert seen[0].closed
    assert not [other for other in asyncio.all_tasks() if other.get_name() == "closing handshake"]
    release.set()
    await http.close()


async def test_cancelling_the_iteration_loses_nothing(api: FakeApi) -> None:
    speak = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet()
        await speak.wait()
        await peer.say("still here")
        await peer.until("session.close")
        await peer.send("session.closed")

    api.script = script
    async with connect(protocol(), api.options()) as connection:
        assert isinstance(await anext(connection), events.SessionCreated)
        assert isinstance(await anext(connection), events.SessionUpdated)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await anext(connection)
        speak.set()
        assert await anext(connection) == events.OutputTranscript("still here", None)
        assert await connection.aclose() is True


async def test_a_stalled_path_is_found_by_the_heartbeat(api: FakeApi) -> None:
    release = asyncio.Event()
    api.autoping = False

    async def script(peer: Peer) -> None:
        await peer.greet()
        await release.wait()  # reads nothing: no ping is answered

    api.script = script
    async with connect(protocol(), api.options(heartbeat_s=0.2, close_timeout_s=0.2)) as connection:
        with pytest.raises(errors.ConnectionLost, match="PONG"):
            await collect(connection)
    release.set()


async def test_a_malformed_message_ends_the_session(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.socket.send_str("{")
        await peer.next()

    api.script = script
    async with connect(protocol(), api.options()) as connection:
        with pytest.raises(errors.ProtocolViolation):
            await collect(connection)


async def test_more_sessions_than_any_default_limit_at_once(api: FakeApi) -> None:
    http = new_http_session()
    async with AsyncExitStack() as stack:
        stack.push_async_callback(http.close)
        opened = [
            await stack.enter_async_context(connect(protocol(), api.options(), http=http)) for _ in range(120)
        ]
        assert len(api.peers) == 120
        assert not any(peer.left.is_set() for peer in api.peers)
        assert all([await connection.aclose() for connection in opened])
