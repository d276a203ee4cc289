"""The bridge over the plugin's connection and the simulator on loopback: the real classes, in real time."""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest

from component.bridges.conftest import Rig, piece
from livekit.plugins.openai_realtime.connection import new_http_session
from livekit.plugins.openai_realtime.options import ConnectOptions
from parley.access import Access, Gatekeeper
from parley.bridges.translation import BridgePolicy
from parley.core.breaker import Breaker, BreakerPolicy
from parley.room.dial import Dialler
from parley.simulator import Fault, Simulator, SimulatorOptions, language_of

POLICY = BridgePolicy("gpt-realtime-translate", "gpt-realtime-whisper", idle_s=30.0)


def word(hz: float) -> bytes:
    """A tone of 400 ms, to be found again under the simulator's pilot tone."""
    return (6000 * np.sin(2 * np.pi * hz * np.arange(9600) / 24_000)).astype("<i2").tobytes()


TONES_HZ = (400.0, 700.0, 1000.0, 1300.0, 1600.0)


def tones(pcm: bytes) -> list[float]:
    """The words in what came out, in order: in each 50 ms the loudest of the tones, repeats as one."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float64)
    found: list[float | None] = []
    step = 1200
    t = np.arange(step) / 24_000
    for i in range(0, len(samples) - step + 1, step):
        part = samples[i : i + step] * np.hanning(step)
        power = [abs(np.dot(part, np.exp(-2j * np.pi * hz * t))) / (step / 4) for hz in TONES_HZ]
        best = int(np.argmax(power))
        found.append(TONES_HZ[best] if power[best] > 1500 else None)
    return [hz for hz, before in zip(found, [None, *found], strict=False) if hz is not None and hz != before]


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorOptions(model_lag_s=0.4, api_keys=frozenset({"good"}))) as simulator:
        yield simulator


@pytest.fixture
async def dialler(simulator: Simulator) -> AsyncIterator[Dialler]:
    async with new_http_session() as http:
        yield Dialler(ConnectOptions(api_key="good", base_url=simulator.base_url), http)


async def say(r: Rig, words: tuple[float, ...]) -> None:
    """The words, each with 200 ms of quiet behind it, three times as fast as they are spoken."""
    for hz in words:
        for pcm in (
            word(hz)[:4800],
            word(hz)[4800:9600],
            word(hz)[9600:14400],
            word(hz)[14400:],
            *[piece(0)] * 2,
        ):
            r.bridge.hear(pcm, asyncio.get_running_loop().time(), True, ())
            await asyncio.sleep(0.03)


async def test_words_go_through_and_their_tail_too(simulator: Simulator, dialler: Dialler) -> None:
    r = Rig(dialler, POLICY, source_readers=["cat"])
    async with r.running() as task:
        await say(r, TONES_HZ)
        r.bridge.finish()
        await task
    assert tones(bytes(r.audio.pcm)) == list(TONES_HZ)
    assert language_of(np.frombuffer(bytes(r.audio.pcm), "<i2")) == "fr"
    assert len(simulator.sessions) == 1
    record = simulator.sessions[0]
    assert (record.close_reason, record.refused) == ("session.close", [])
    assert r.text.finals("translation")
    assert r.text.finals("source")
    assert r.notices.events == []
    assert r.value("parley_audio_sent_seconds_total", kind="translation") == pytest.approx(
        record.audio_received_s
    )


@pytest.mark.parametrize("kind", ["drop", "close", "expire"])
async def test_a_session_that_breaks_loses_no_word_and_says_none_twice(
    simulator: Simulator, dialler: Dialler, kind: str
) -> None:
    simulator.faults.add(Fault(kind, after_audio_s=1.6))  # type: ignore[arg-type]
    r = Rig(dialler, POLICY)
    async with r.running() as task:
        await say(r, TONES_HZ)
        r.bridge.finish()
        await task
    assert tones(bytes(r.audio.pcm)) == list(TONES_HZ)
    assert len(simulator.sessions) == 2
    assert r.notices.events == ["session.failed", "session.recovered"]


async def test_a_refused_key_is_said_once_and_words_go_on_when_it_is_mended(
    simulator: Simulator, dialler: Dialler
) -> None:
    simulator.set_api_keys(["other"])
    r = Rig(dialler, POLICY, access=Access(Gatekeeper(breaker=Breaker(BreakerPolicy(refused_s=0.3)))))
    async with r.running() as task:
        await say(r, TONES_HZ[:2])
        assert r.notices.events == ["session.failed"]
        assert "good" not in r.notices.said[0].detail
        simulator.set_api_keys(None)
        await say(r, TONES_HZ[2:])
        async with asyncio.timeout(5):
            while r.notices.events != ["session.failed", "session.recovered"]:
                await asyncio.sleep(0.01)
        r.bridge.finish()
        await task
    assert tones(bytes(r.audio.pcm)) == list(TONES_HZ)
    assert r.notices.events == ["session.failed", "session.recovered"]


async def test_cancelled_it_closes_the_socket(simulator: Simulator, dialler: Dialler) -> None:
    r = Rig(dialler, POLICY)
    task = asyncio.create_task(r.bridge.run())
    await say(r, TONES_HZ[:2])
    assert simulator.connections_open == 1
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled()
    async with asyncio.timeout(5):
        while simulator.connections_open:
            await asyncio.sleep(0.01)
