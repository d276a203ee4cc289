"""Whole transcription sessions over a real websocket."""

import asyncio
import base64

import aiohttp
import numpy as np
import pytest
from openai.types import realtime

from parley.simulator import Fault, Simulator, SimulatorOptions

from .conftest import quiet, tone

DEADLINE_S = 20.0
TRANSCRIPTION = "conversation.item.input_audio_transcription"
FAST = {"delay_scale": 0.1, "transcription_delay_s": 0.05, "drain_speed": 100.0}


async def whisper(connect, sim, query="intent=transcription", **transcription):
    client = await connect(sim, query, path="/realtime")
    given = {"model": "gpt-realtime-whisper", **transcription}
    heard = {"transcription": given, "turn_detection": None}
    await client.send(type="session.update", session={"type": "transcription", "audio": {"input": heard}})
    await client.until("session.updated")
    return client


async def say(client, *pieces):
    audio = base64.b64encode(np.concatenate(pieces).astype("<i2").tobytes()).decode()
    await client.send(type="input_audio_buffer.append", audio=audio)


async def test_a_whole_session(connect):
    async with Simulator(SimulatorOptions(**FAST)) as sim:
        client = await whisper(connect, sim, language="en")
        for _ in range(2):
            await say(client, tone(400), quiet(400), tone(400), quiet(200))
            await client.until(f"{TRANSCRIPTION}.delta")
            await client.send(type="input_audio_buffer.commit")
            await client.until(f"{TRANSCRIPTION}.completed")
        assert sim.connections_open == 1
        await client.ws.close()
        finals = [e["transcript"] for e in client.events if e["type"] == f"{TRANSCRIPTION}.completed"]
        assert finals == ["[simulated source] word-1 word-2.", "[simulated source] word-3 word-4."]
        (record,) = sim.sessions
        assert (record.kind, record.model) == ("transcription", "gpt-realtime-whisper")
        assert record.audio_received_s == pytest.approx(2.8)
        assert record.usage.transcribed_s == pytest.approx(2.8)
        assert record.refused == []
        assert record.as_json()["transcript"].splitlines() == finals


async def test_the_openai_packages_types_fit_what_is_sent(connect):
    types = {
        "session.created": realtime.SessionCreatedEvent,
        "session.updated": realtime.SessionUpdatedEvent,
        "input_audio_buffer.committed": realtime.InputAudioBufferCommittedEvent,
        "conversation.item.added": realtime.ConversationItemAdded,
        "conversation.item.done": realtime.ConversationItemDone,
        f"{TRANSCRIPTION}.delta": realtime.ConversationItemInputAudioTranscriptionDeltaEvent,
        f"{TRANSCRIPTION}.completed": realtime.ConversationItemInputAudioTranscriptionCompletedEvent,
        f"{TRANSCRIPTION}.failed": realtime.ConversationItemInputAudioTranscriptionFailedEvent,
    }
    async with Simulator(SimulatorOptions(**FAST)) as sim:
        client = await whisper(connect, sim)
        for end in ("completed", "failed"):
            await say(client, tone(400), quiet(200))
            await client.send(type="input_audio_buffer.commit")
            await client.until(f"{TRANSCRIPTION}.{end}")
            sim.faults.add(Fault("fail"))
        await client.ws.close()
    for event in client.events:
        types[event["type"]].model_validate(event, strict=True)
    assert {event["type"] for event in client.events} == set(types)


async def test_what_livekits_own_stt_sends_in_its_order(connect):
    """The model is in the URL too, the update comes before `session.created` was read and says nothing of
    turn detection, frames of 50 ms follow at once, and each pause is committed."""
    async with Simulator(SimulatorOptions(url_model="ignored", **FAST)) as sim:
        query = "intent=transcription&model=gpt-realtime-whisper"
        client = await connect(sim, query, path="/realtime")
        heard = {
            "format": {"type": "audio/pcm", "rate": 24000},
            "transcription": {"model": "gpt-realtime-whisper", "language": "en"},
        }
        await client.send(type="session.update", session={"type": "transcription", "audio": {"input": heard}})
        pcm = np.concatenate([tone(400), quiet(250)])
        for _ in range(2):
            for start in range(0, len(pcm), 1200):
                await say(client, pcm[start : start + 1200])
            await client.send(type="input_audio_buffer.commit")
        for _ in range(2):
            await client.until(f"{TRANSCRIPTION}.completed")
        await client.ws.close()
        assert sim.sessions[0].refused == []
        assert [item.text for item in sim.sessions[0].items] == [
            *("[simulated source] word-1.", "[simulated source] word-2."),
        ]


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (
            "intent=transcription&model=gpt-realtime-whisper",
            'Model "gpt-realtime-whisper" is a transcription model and cannot be used as the realtime',
        ),
        ("model=gpt-live-transcribe", "is a transcription model and cannot be used as the realtime session"),
        ("intent=dictation", "Unknown parameter: 'intent'."),
        ("", "You must provide a model parameter."),
    ],
)
async def test_a_wrong_connect_gets_an_error_and_a_close(connect, query, words):
    async with Simulator(SimulatorOptions()) as sim:
        client = await connect(sim, query, path="/realtime")
        assert await client.end() == 4000
        assert words in client.events[0]["error"]["message"]
        assert sim.sessions == []


async def test_a_conversations_model_makes_it_a_conversation(connect):
    async with Simulator(SimulatorOptions()) as sim:
        client = await connect(sim, "intent=transcription&model=gpt-realtime-2.1", path="/realtime")
        assert (await client.until("session.created"))["session"]["type"] == "realtime"
        await client.send(type="session.update", session={"type": "transcription"})
        message = (await client.until("error"))["error"]["message"]
        assert "Passing a transcription session update event to a realtime session is not allowed" in message
        await client.ws.close()


async def test_sixty_sessions_side_by_side(connect):
    async with Simulator(SimulatorOptions(**FAST)) as sim:
        clients = [await whisper(connect, sim) for _ in range(60)]

        async def one(client):
            await say(client, tone(400), quiet(200))
            await client.send(type="input_audio_buffer.commit")
            return (await client.until(f"{TRANSCRIPTION}.completed"))["transcript"]

        async with asyncio.TaskGroup() as tasks:
            said = [tasks.create_task(one(client)) for client in clients]
        assert {task.result() for task in said} == {"[simulated source] word-1."}
        for client in clients:
            await client.ws.close()


async def test_keys_and_the_bound_on_sessions_hold_for_it(connect):
    async with Simulator(SimulatorOptions(api_keys=frozenset({"k"}), max_connections=1)) as sim:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await connect(sim, "intent=transcription", key="bad", path="/realtime")
        assert refused.value.status == 401
        client = await whisper(connect, sim)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await connect(sim, "intent=transcription", path="/realtime")
        assert refused.value.status == 429
        await client.ws.close()


async def test_an_item_fails_and_the_next_two_come_in_the_other_order(connect):
    async with Simulator(SimulatorOptions(**FAST)) as sim:
        sim.faults.add(Fault("fail", code="server_error", message="It broke."))
        sim.faults.add(Fault("swap", session="transcription", after_audio_s=1.0))
        client = await whisper(connect, sim)
        for _ in range(3):
            await say(client, tone(400), quiet(600))
            await client.send(type="input_audio_buffer.commit")
        assert (await client.until(f"{TRANSCRIPTION}.failed"))["error"]["message"] == "It broke."
        for _ in range(2):
            await client.until(f"{TRANSCRIPTION}.completed")
        ids = [e["item_id"] for e in client.events if e["type"] == "input_audio_buffer.committed"]
        ended = [e["item_id"] for e in client.events if e["type"].endswith((".completed", ".failed"))]
        assert ended == [ids[0], ids[2], ids[1]]
        await client.ws.close()


async def test_drop_close_and_expire_end_it(connect):
    async with Simulator(SimulatorOptions(**FAST)) as sim:
        for fault, code, reason in (
            (Fault("drop", session="transcription", after_audio_s=0.5), 1006, "drop"),
            (Fault("close", session="transcription", close_code=1012, after_audio_s=0.5), 1012, "close"),
            (Fault("expire", session="transcription", after_audio_s=0.5), 1001, "expired"),
        ):
            sim.faults.add(fault)
            client = await whisper(connect, sim)
            await say(client, tone(600))
            assert await client.end() == code
            assert sim.sessions[-1].close_reason == reason
        assert client.events[-1]["error"]["code"] == "session_expired"


async def test_a_stalled_session_answers_later(connect):
    async with Simulator(SimulatorOptions(**FAST)) as sim:
        client = await whisper(connect, sim)
        loop = asyncio.get_running_loop()
        started = loop.time()
        sim.faults.add(Fault("stall", session="transcription", duration_s=0.4))
        await say(client, tone(400), quiet(200))
        await client.send(type="input_audio_buffer.commit")
        await client.until(f"{TRANSCRIPTION}.completed")
        assert loop.time() - started >= 0.4
        await client.ws.close()


async def test_other_kinds_of_sessions_are_not_hit_by_its_faults(connect):
    async with Simulator(SimulatorOptions()) as sim:
        sim.faults.add(Fault("swap"))
        client = await connect(sim)
        await client.language("fr")
        assert [left for _, left in sim.faults.waiting()] == [1]
        await client.ws.close()
