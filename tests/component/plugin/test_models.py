"""The model in LiveKit's own classes, against the server on loopback: words, finals, retries, the tail."""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest
from livekit.agents.beta import translation as beta
from livekit.agents.types import APIConnectOptions
from livekit.agents.voice import io

from component.plugin.fake_api import FakeApi, Peer
from livekit import rtc
from livekit.plugins.openai_realtime import errors, model_session
from livekit.plugins.openai_realtime.models import TranslationModel

pytestmark = pytest.mark.timeout(30)

RETRY = APIConnectOptions(max_retry=2, retry_interval=0.01, timeout=5.0)


def model(api: FakeApi, **more: Any) -> TranslationModel:
    options = {"target_language": "fr", "api_key": "k", "base_url": api.base_url, "conn_options": RETRY}
    return TranslationModel(**{**options, **more})


def frame(value: int, ms: int = 50, rate: int = 24000) -> rtc.AudioFrame:
    samples = rate * ms // 1000
    return rtc.AudioFrame(np.full(samples, value, "<i2").tobytes(), rate, 1, samples)


class Heard:
    """What a session emitted, and a way to wait for it."""

    def __init__(self, session: beta.TranslationModelSession[Any]) -> None:
        self.said: list[tuple[str, bool]] = []
        self.source: list[tuple[str, bool]] = []
        self.errors: list[beta.TranslationModelError] = []
        self._changed = asyncio.Event()
        session.on("output_transcript", lambda ev: self._add(self.said, (ev.text, ev.is_final)))
        session.on("input_transcript", lambda ev: self._add(self.source, (ev.text, ev.is_final)))
        session.on("error", lambda ev: self._add(self.errors, ev))

    def _add(self, where: list[Any], item: Any) -> None:
        where.append(item)
        self._changed.set()

    async def until(self, condition: Any) -> None:
        while not condition():
            self._changed.clear()
            await self._changed.wait()


async def read(session: beta.TranslationModelSession[Any]) -> bytes:
    return b"".join([bytes(ev.frame.data) async for ev in session.audio_stream])  # type: ignore[union-attr]


async def test_what_it_says_about_itself(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ValueError, match="OPENAI_API_KEY"):
        TranslationModel(target_language="fr")
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", "https://gateway.example/v1")
    plain = TranslationModel(target_language="fr")
    assert (plain.model, plain.provider) == ("gpt-realtime-translate", "gateway.example")
    assert plain.capabilities == beta.TranslationCapabilities(output_transcription=True, retargetable=True)
    assert TranslationModel(target_language="fr", transcription_model="w").capabilities.input_transcription


async def test_every_sample_arrives_in_order_and_the_tail_comes_back(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.until("session.close")
        await peer.send_audio(4800, value=7)
        await peer.send("session.closed")

    api.script = script
    async with model(api) as translator:
        session = translator.session()
        for value in range(1, 10):  # 450 ms, so the last append is padded
            session.push_audio(frame(value))
        async with asyncio.TaskGroup() as tasks:
            reading = tasks.create_task(read(session))
            tasks.create_task(session.aclose())
    sent = np.frombuffer(api.peers[0].pcm, "<i2")
    assert len(sent) == 3 * 4800
    np.testing.assert_array_equal(sent[: 9 * 1200], np.repeat(np.arange(1, 10), 1200))
    assert not sent[9 * 1200 :].any()
    assert reading.result() == b"\7\0" * 4800


async def test_transcripts_are_segmented(api: FakeApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_session, "_SEGMENT_IDLE_S", 0.05)

    async def script(peer: Peer) -> None:
        await peer.greet()
        for delta in ("Bon", "jour.", " Ça va"):
            await peer.say(delta)
        for delta in ("Hel", "lo."):
            await peer.send("session.input_transcript.delta", delta=delta)
        await peer.until("session.close")
        await peer.send("session.closed")

    api.script = script
    async with model(api, transcription_model="w") as translator:
        session = translator.session()
        heard = Heard(session)
        await heard.until(lambda: len(heard.said) >= 5 and len(heard.source) >= 3)
    assert heard.said == [("Bon", False), ("jour.", False), ("", True), (" Ça va", False), ("", True)]
    assert heard.source == [("Hel", False), ("Hello.", False), ("Hello.", True)]
    assert heard.errors == []


async def test_silence_follows_speech_so_that_its_last_word_comes_out(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_session, "_GAP_S", 0.01)
    monkeypatch.setattr(model_session, "_SILENCE_MAX_S", 0.4)
    padded = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.greet()
        for _ in range(3):
            await peer.until("session.input_audio_buffer.append")
        padded.set()
        await peer.until("session.close")
        await peer.send("session.closed")

    api.script = script
    async with model(api) as translator:
        session = translator.session()
        session.push_audio(frame(5, ms=200))
        await padded.wait()
    sent = np.frombuffer(api.peers[0].pcm, "<i2")
    assert np.count_nonzero(sent) == 4800
    assert len(sent) == 3 * 4800


async def test_a_dropped_connection_is_opened_again(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        if len(api.peers) == 1:
            assert peer.request.transport is not None
            peer.request.transport.abort()
            return
        await peer.say("back")
        await peer.until("session.close")
        await peer.send("session.closed")

    api.script = script
    async with model(api) as translator:
        heard = Heard(translator.session())
        await heard.until(lambda: heard.said)
    assert [type(report.error) for report in heard.errors] == [errors.ConnectionLost]
    assert heard.errors[0].recoverable


async def test_retries_are_counted_and_end(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.socket.close(code=1011)

    api.script = script
    async with model(api) as translator:
        session = translator.session()
        heard = Heard(session)
        assert await read(session) == b""
    assert [report.recoverable for report in heard.errors] == [True, True, False]
    assert api.attempts == 3


async def test_a_fatal_error_is_not_retried(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.send_error("insufficient_quota")
        await peer.next()

    api.script = script
    async with model(api) as translator:
        session = translator.session()
        heard = Heard(session)
        await read(session)
    assert [(type(r.error), r.recoverable) for r in heard.errors] == [(errors.QuotaError, False)]
    assert api.attempts == 1


async def test_it_rotates_before_it_expires_and_no_sample_is_lost(
    api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = iter([0.3])
    monkeypatch.setattr(model_session, "rotate_in_s", lambda expires_at, now: next(first, None))
    async with model(api) as translator:
        session = translator.session()
        heard = Heard(session)
        value = 0
        while len(api.peers) < 2 or not api.peers[1].pcm:
            value += 1
            session.push_audio(frame(value, ms=10))
            await asyncio.sleep(0.005)
        await session.aclose()
    assert heard.errors == []
    assert len(api.peers) == 2
    assert all(peer.received[-1]["type"] == "session.close" for peer in api.peers)
    sent = np.frombuffer(api.peers[0].pcm + api.peers[1].pcm, "<i2")
    np.testing.assert_array_equal(sent[sent > 0], np.repeat(np.arange(1, value + 1), 240))


async def test_retargeting_a_running_session(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.say("bonjour")
        refused = await peer.until("session.update")
        assert refused is not None
        await peer.send_error("invalid_value")
        update = await peer.until("session.update")
        assert update is not None
        peer.language = update["session"]["audio"]["output"]["language"]
        await peer.send_session("session.updated")
        await peer.say(" hallo")
        await peer.until("session.close")
        await peer.send("session.closed")

    api.script = script
    async with model(api) as translator:
        session = translator.session()
        heard = Heard(session)
        await heard.until(lambda: len(heard.said) == 1)
        session.update_options(target_language="xx")
        await heard.until(lambda: heard.errors)
        session.update_options(target_language="de")
        await heard.until(lambda: len(heard.said) == 2)
    assert [type(report.error) for report in heard.errors] == [errors.RequestRejected]
    assert heard.errors[0].recoverable
    assert api.peers[0].language == "de"
    assert api.attempts == 1


async def test_closing_while_it_cannot_connect_does_not_wait(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.until("never")

    api.script = script
    translator = model(api, drain_timeout_s=20.0)
    translator.session()
    loop = asyncio.get_running_loop()
    began = loop.time()
    await translator.aclose()
    assert loop.time() - began < 10


class Speaker(io.AudioOutput):
    """A sink for the stock runtime that keeps what it was given."""

    def __init__(self) -> None:
        super().__init__(
            label="test", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=24000
        )
        self.pcm = b""
        self.flushed = asyncio.Event()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self.pcm += bytes(frame.data)

    def flush(self) -> None:
        super().flush()
        self.flushed.set()

    def clear_buffer(self) -> None: ...


async def test_the_stock_runtime_plays_the_tail_when_drained_first(api: FakeApi) -> None:
    async def script(peer: Peer) -> None:
        await peer.greet()
        await peer.say("un")
        await peer.until("session.close")
        await peer.send_audio(9600, value=3)
        await peer.send("session.closed")

    api.script = script
    translator = model(api)
    runtime = beta.TranslationSession[None](model=translator, output_segment_timeout=0.05)
    speaker = Speaker()
    opened = asyncio.Event()
    runtime.output.audio = speaker
    runtime.on("translation_transcribed", lambda ev: opened.set())
    await runtime.start()
    await opened.wait()
    await translator.drain()
    await speaker.flushed.wait()
    await runtime.aclose()
    await translator.aclose()
    assert speaker.pcm == b"\3\0" * 9600
