"""Whole conversations over a real websocket."""

import asyncio
import base64

import aiohttp
import numpy as np
import pytest

from parley.simulator import Call, Fault, Simulator, SimulatorOptions, Turn, voice_of


def audio_of(client):
    deltas = [e["delta"] for e in client.events if e["type"] == "response.output_audio.delta"]
    return np.frombuffer(b"".join(base64.b64decode(delta) for delta in deltas), "<i2")


async def speak(client, pcm, chunk=24_000):
    for start in range(0, len(pcm), chunk):
        audio = base64.b64encode(pcm[start : start + chunk].astype("<i2").tobytes()).decode()
        await client.send(type="input_audio_buffer.append", audio=audio)


@pytest.fixture
def words():
    """Three words of 400 ms, 200 ms apart, and a second of quiet: one turn."""
    tone = (4600 * np.sin(2 * np.pi * 310 * np.arange(9600) / 24_000)).astype(np.int16)
    quiet = np.zeros(4800, np.int16)
    return np.concatenate([*[tone, quiet] * 3, *[quiet] * 5])


@pytest.fixture
def talk(connect):
    async def connected(sim, query="model=gpt-realtime-2.1", **headers):
        return await connect(sim, query, path="/realtime", **headers)

    return connected


async def test_a_whole_turn(talk, words):
    async with Simulator(SimulatorOptions(reply_speed=20.0)) as sim:
        client = await talk(sim)
        await client.until("session.created")
        session = {"type": "realtime", "audio": {"output": {"voice": "verse"}}}
        await client.send(type="session.update", session=session)
        await client.until("session.updated")
        await speak(client, words)
        done = (await client.until("response.done"))["response"]
        assert done["status"] == "completed"
        assert done["output"][0]["content"][0]["transcript"] == "[simulated] word-1 word-2 word-3"
        assert voice_of(audio_of(client)) == "verse"
        record = sim.sessions[-1]
        assert (record.kind, record.model, record.refused) == ("conversation", "gpt-realtime-2.1", [])
        assert record.audio_received_s == pytest.approx(len(words) / 24_000)
        assert record.audio_sent_s == pytest.approx(len(audio_of(client)) / 24_000)
        await client.ws.close()


async def test_a_turn_with_a_tool(talk, http):
    script = [Turn(calls=(Call("weather", {"city": "Rome"}),)), Turn(say="It rains.")]
    async with Simulator(SimulatorOptions(script=script, reply_speed=20.0)) as sim:
        client = await talk(sim)
        content = [{"type": "input_text", "text": "the weather?"}]
        item = {"type": "message", "role": "user", "content": content}
        await client.send(type="conversation.item.create", item=item)
        await client.send(type="response.create")
        (call,) = (await client.until("response.done"))["response"]["output"]
        output = {"type": "function_call_output", "call_id": call["call_id"], "output": "rain"}
        await client.send(type="conversation.item.create", item=output)
        await client.send(type="response.create")
        done = (await client.until("response.done"))["response"]
        assert done["output"][0]["content"][0]["transcript"] == "It rains."
        responses = sim.sessions[-1].responses
        assert responses[1].context == ["the weather?", 'weather({"city": "Rome"})', "rain"]
        async with http.get(sim.base_url.removesuffix("/v1") + "/simulator/sessions") as response:
            (shown,) = (await response.json())["sessions"]
        assert [one["calls"] for one in shown["responses"]] == [["weather"], []]
        assert shown["transcript"] == "It rains.\n"
        await client.ws.close()


async def test_turns_over_http(talk, http):
    async with Simulator(SimulatorOptions(reply_speed=20.0)) as sim:
        url = sim.base_url.removesuffix("/v1") + "/simulator/script"
        turns = [{"say": "one"}, {"when": "two", "say": "second", "calls": [{"name": "look"}]}]
        async with http.post(url, json={"turns": turns}) as response:
            assert response.status == 201
        async with http.get(url) as response:
            listed = (await response.json())["turns"]
        assert [turn["say"] for turn in listed] == ["one", "second"]
        assert listed[1]["calls"] == [{"name": "look", "arguments": "{}"}]
        async with http.post(url, json={"turns": [{"says": "x"}]}) as response:
            assert (response.status, (await response.json())["error"]["param"]) == (400, "says")
        client = await talk(sim)
        await client.send(type="response.create")
        done = (await client.until("response.done"))["response"]
        assert done["output"][0]["content"][0]["transcript"] == "one"
        async with http.delete(url) as response:
            assert (await response.json()) == {"turns": []}
        assert sim.script.waiting == []
        await client.ws.close()


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        ("", {}, "missing_model"),
        ("model=gpt-realtime-translate", {}, "invalid_model"),
        ("model=gpt-realtime-whisper", {}, "invalid_model"),
        ("model=gpt-4.1", {}, "model_not_found"),
        ("model=gpt-realtime-2.1&intent=conversation", {}, "unknown_parameter"),
        ("model=gpt-realtime-2.1", {"OpenAI_Beta": "realtime=v1"}, "beta_api_shape_disabled"),
    ],
)
async def test_a_wrong_connect_gets_an_error_and_a_close(talk, query, headers, code):
    async with Simulator(SimulatorOptions()) as sim:
        client = await talk(sim, query, **headers)
        assert await client.end() == 4000
        (event,) = client.events
        assert (event["type"], event["error"]["code"]) == ("error", code)


@pytest.mark.parametrize("model", ["gpt-realtime-2", "gpt-realtime-2.1-mini", "gpt-realtime"])
async def test_models(talk, model):
    async with Simulator(SimulatorOptions()) as sim:
        client = await talk(sim, f"model={model}")
        session = (await client.until("session.created"))["session"]
        assert session["model"] == model
        await client.ws.close()


async def test_dropped_in_the_middle_of_a_reply(talk, words):
    async with Simulator(SimulatorOptions()) as sim:
        sim.faults.add(Fault("drop", session="conversation", after_sent_s=0.5))
        client = await talk(sim)
        await speak(client, words, len(words))
        assert await client.end() == 1006
        record = sim.sessions[-1]
        assert 0.5 <= record.audio_sent_s < 1.0
        assert (record.close_reason, record.responses[0].status) == ("drop", "in_progress")


async def test_closed_in_the_middle_of_an_utterance(talk, words):
    async with Simulator(SimulatorOptions()) as sim:
        sim.faults.add(Fault("close", after_audio_s=0.3, close_code=1012))
        client = await talk(sim)
        await speak(client, words[:9600])
        assert await client.end() == 1012
        kinds = [event["type"] for event in client.events]
        assert "input_audio_buffer.committed" not in kinds


async def test_expired_in_the_middle_of_a_reply(talk, words):
    async with Simulator(SimulatorOptions()) as sim:
        sim.faults.add(Fault("expire", after_sent_s=0.2))
        client = await talk(sim)
        await speak(client, words)
        assert await client.end() == 1001
        assert client.events[-1]["error"]["code"] == "session_expired"


async def test_stalled_silent_and_slow(talk):
    async with Simulator(SimulatorOptions(reply_speed=50.0)) as sim:
        loop = asyncio.get_running_loop()
        client = await talk(sim)
        await client.until("session.created")
        sim.faults.add(Fault("stall", duration_s=0.4))
        started = loop.time()
        await client.send(type="session.update", session={"type": "realtime"})
        await client.until("session.updated")
        assert loop.time() - started >= 0.3
        sim.faults.add(Fault("slow", extra_lag_s=0.5, duration_s=5.0))
        await client.send(type="session.update", session={"type": "realtime"})
        await client.until("session.updated")
        await client.send(type="response.create")
        await client.until("response.done")
        (response,) = sim.sessions[-1].responses
        assert response.first_audio_at - response.created_at >= 0.7
        await client.ws.close()


@pytest.mark.parametrize("status", [401, 429, 503])
async def test_a_refused_connect(talk, status):
    async with Simulator(SimulatorOptions()) as sim:
        sim.faults.add(Fault("refuse", status=status))
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await talk(sim)
        assert refused.value.status == status
        client = await talk(sim)
        await client.until("session.created")
        await client.ws.close()


async def test_an_error_leaves_the_session_open(talk):
    async with Simulator(SimulatorOptions()) as sim:
        client = await talk(sim)
        await client.until("session.created")
        sim.faults.add(Fault("error", code="server_error"))
        assert (await client.until("error"))["error"]["code"] == "server_error"
        await client.send(type="session.update", session={"type": "realtime"})
        await client.until("session.updated")
        assert sim.sessions[-1].refused == []
        await client.ws.close()


async def test_twenty_conversations_side_by_side(talk, words):
    async def one(client):
        await speak(client, words)
        return (await client.until("response.done"))["response"]["status"]

    async with Simulator(SimulatorOptions(reply_speed=50.0)) as sim:
        clients = [await talk(sim) for _ in range(20)]
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(one(client)) for client in clients]
        assert {task.result() for task in running} == {"completed"}
        for client in clients:
            await client.ws.close()
        for record in sim.sessions:
            assert record.refused == []
