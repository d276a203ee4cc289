"""Whole translation sessions over a real websocket."""

import asyncio

import aiohttp
import pytest

from parley.simulator import LANGUAGES, Simulator, SimulatorOptions, language_of


async def whole(client, language, speech):
    await client.until("session.created")
    await client.language(language)
    for start in range(0, len(speech), 4800):
        await client.append(speech[start : start + 4800])
    await client.send(type="session.close")
    return await client.end()


async def test_a_whole_session(connect, speech):
    async with Simulator(SimulatorOptions()) as sim:
        client = await connect(sim)
        assert await whole(client, "fr", speech) == 1000
        assert client.events[-1]["type"] == "session.closed"
        assert client.text() == "[simulated fr] word-1 word-2 word-3."
        assert language_of(client.audio()) == "fr"
        (record,) = sim.sessions
        assert (record.kind, record.language, record.close_reason) == ("translation", "fr", "session.close")
        assert record.audio_received_s == pytest.approx(sim.audio_received_s)
        assert sim.audio_received_s == pytest.approx(len(speech) / 24_000)
        assert record.opened_at <= record.updated_at <= record.closed_at
        assert sim.connections_open == 0


async def test_sixty_sessions_side_by_side(connect, speech):
    async with Simulator(SimulatorOptions(drain_speed=50)) as sim:
        clients = [await connect(sim) for _ in range(60)]
        assert sim.connections_open == 60
        async with asyncio.TaskGroup() as tasks:
            for place, client in enumerate(clients):
                tasks.create_task(whole(client, LANGUAGES[place % 13], speech))
        for place, client in enumerate(clients):
            language = LANGUAGES[place % 13]
            assert language_of(client.audio()) == language
            assert client.text().count("word-") == 3
        assert sim.connections_open == 0
        assert {record.close_reason for record in sim.sessions} == {"session.close"}


async def test_what_is_no_text_and_no_json_is_no_event(connect):
    async with Simulator(SimulatorOptions()) as sim:
        client = await connect(sim)
        await client.ws.send_bytes(b'{"type": "session.close"}')
        assert (await client.until("error"))["error"]["code"] == "invalid_event"
        await client.ws.send_str("{")
        assert (await client.until("error"))["error"]["code"] == "invalid_event"
        await client.language("de")
        assert sim.sessions[0].refused == ["invalid_event", "invalid_event"]
        await client.ws.close()


async def test_expiry_is_an_error_and_code_1001(connect):
    async with Simulator(SimulatorOptions(session_lifetime_s=0.3)) as sim:
        client = await connect(sim)
        assert await client.end() == 1001
        assert client.events[-1]["error"]["code"] == "session_expired"
        assert sim.sessions[0].close_reason == "expired"


async def test_a_client_that_goes_is_gone(connect):
    async with Simulator(SimulatorOptions()) as sim:
        client = await connect(sim)
        await client.until("session.created")
        await client.ws.close()
    assert sim.sessions[0].close_reason == "client gone"


async def test_the_end_of_the_simulator_ends_the_sessions(connect):
    async with Simulator(SimulatorOptions()) as sim:
        client = await connect(sim)
        await client.until("session.created")
        ended = asyncio.create_task(client.end())
    assert await ended == 1001
    assert sim.sessions[0].close_reason == "simulator closed"


@pytest.mark.parametrize(
    ("query", "headers", "code"),
    [
        ("", {}, "missing_model"),
        ("model=gpt-realtime-translate&intent=translation", {}, "unknown_parameter"),
        ("model=gpt-realtime-2.1", {}, "invalid_model"),
        ("model=gpt-realtime-translate", {"OpenAI_Beta": "realtime=v1"}, "beta_api_shape_disabled"),
    ],
)
async def test_a_wrong_connect_gets_an_error_and_a_close(connect, query, headers, code):
    async with Simulator(SimulatorOptions()) as sim:
        client = await connect(sim, query, **headers)
        assert await client.end() == 4000
        (event,) = client.events
        assert (event["type"], event["error"]["code"]) == ("error", code)
        assert sim.sessions == []


async def test_keys(connect, http):
    async with Simulator(SimulatorOptions(api_keys=frozenset({"good"}))) as sim:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await connect(sim, key="bad")
        assert refused.value.status == 401
        url = f"{sim.base_url}/realtime/translations?model=gpt-realtime-translate"
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": "Basic good"}):
            async with http.get(url, headers=headers) as response:
                body = await response.json()
                assert (response.status, body["error"]["code"]) == (401, "invalid_api_key")
                assert body["error"]["message"]
        sim.set_api_keys(["bad"])
        client = await connect(sim, key="bad")
        await client.ws.close()


async def test_what_is_not_there_says_so(http):
    headers = {"Authorization": "Bearer k"}
    async with Simulator(SimulatorOptions()) as sim:
        for path, status, code in (
            ("/realtime/nothing", 404, "unknown_url"),
            ("/realtime?model=gpt-realtime-2.1", 400, "websocket_upgrade_required"),
            ("/realtime?call_id=rtc_1", 501, "not_simulated"),
            ("/realtime/calls", 404, "unknown_url"),
            ("/realtime?intent=transcription", 400, "websocket_upgrade_required"),
            ("/realtime/translations?model=gpt-realtime-translate", 400, "websocket_upgrade_required"),
        ):
            async with http.get(sim.base_url + path, headers=headers) as response:
                assert (response.status, (await response.json())["error"]["code"]) == (status, code)
        async with http.get(sim.base_url + "/realtime?call_id=rtc_1", headers=headers) as response:
            assert "does not simulate sessions attached" in (await response.json())["error"]["message"]


async def test_too_many_sessions_and_the_records_bound(connect):
    async with Simulator(SimulatorOptions(max_connections=1, records_kept=2)) as sim:
        client = await connect(sim)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await connect(sim)
        assert refused.value.status == 429
        assert refused.value.headers["Retry-After"] == "1"
        await client.send(type="session.close")
        await client.end()
        for _ in range(3):
            client = await connect(sim)
            await client.send(type="session.close")
            await client.end()
        assert len(sim.sessions) == 2
