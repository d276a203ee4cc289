"""Faults that sessions are hit by, in process and over HTTP."""

import asyncio

import aiohttp
import pytest

from parley.simulator import Fault, Simulator, SimulatorOptions


async def test_drop_aborts_the_connection(connect, speech):
    async with Simulator(SimulatorOptions()) as sim:
        sim.faults.add(Fault("drop", language="fr", after_audio_s=1.0))
        client = await connect(sim)
        await client.language("fr")
        await client.append(speech[:12_000])
        await client.language("fr")
        await client.append(speech[:12_000])
        assert await client.end() == 1006
        assert sim.sessions[0].close_reason == "drop"
        other = await connect(sim)
        await other.language("fr")
        await other.append(speech)
        await other.send(type="session.close")
        assert await other.end() == 1000


async def test_close_with_a_code(connect):
    async with Simulator(SimulatorOptions()) as sim:
        sim.faults.add(Fault("close", close_code=1012, message="restart", after_s=0.05))
        client = await connect(sim)
        assert await client.end() == 1012
        assert sim.sessions[0].close_reason == "close"


async def test_an_error_leaves_the_session_open(connect):
    async with Simulator(SimulatorOptions()) as sim:
        client = await connect(sim)
        await client.until("session.created")
        sim.faults.add(Fault("error", code="rate_limit_exceeded", message="slow down"))
        error = (await client.until("error"))["error"]
        assert (error["code"], error["message"]) == ("rate_limit_exceeded", "slow down")
        await client.language("de")
        await client.ws.close()


async def test_expire_now(connect):
    async with Simulator(SimulatorOptions()) as sim:
        client = await connect(sim)
        await client.until("session.created")
        sim.faults.add(Fault("expire"))
        assert await client.end() == 1001
        assert client.events[-1]["error"]["code"] == "session_expired"


async def test_a_stalled_session_answers_later(connect):
    async with Simulator(SimulatorOptions()) as sim:
        client = await connect(sim)
        await client.until("session.created")
        loop = asyncio.get_running_loop()
        sim.faults.add(Fault("stall", duration_s=0.5))
        started = loop.time()
        await client.language("it")
        assert loop.time() - started >= 0.4
        await client.ws.close()


async def test_a_session_stalled_for_ever_ends_with_the_simulator(connect):
    async with Simulator(SimulatorOptions()) as sim:
        client = await connect(sim)
        await client.until("session.created")
        sim.faults.add(Fault("stall"))
        ended = asyncio.create_task(client.end())
        await client.send(type="session.close")
    assert await ended == 1001
    assert [event["type"] for event in client.events] == ["session.created"]


async def test_slow_and_silent_over_the_wire(connect, speech):
    async with Simulator(SimulatorOptions(lag_clock="wall", model_lag_s=0.0)) as sim:
        loop = asyncio.get_running_loop()
        client = await connect(sim)
        await client.until("session.created")
        sim.faults.add(Fault("slow", extra_lag_s=0.5))
        await client.language("it")
        started = loop.time()
        await client.append(speech[:4800])
        await client.until("session.output_audio.delta")
        assert loop.time() - started >= 0.4
        await client.ws.close()
        sim.faults.add(Fault("silent"))
        mute = await connect(sim)
        await mute.append(speech)
        await mute.send(type="session.close")
        assert await mute.end() == 1000
        assert [event["type"] for event in mute.events] == ["session.created", "session.closed"]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (401, "invalid_api_key"),
        (403, "unsupported_country_region_territory"),
        (429, "rate_limit_exceeded"),
        (500, "server_error"),
        (503, "server_is_overloaded"),
    ],
)
async def test_refused_once_over_http_and_then_served(connect, http, status, code):
    async with Simulator(SimulatorOptions()) as sim:
        root = sim.base_url.removesuffix("/v1")
        fault = {"kind": "refuse", "status": status, "retry_after_s": 3}
        async with http.post(f"{root}/simulator/faults", json=fault) as response:
            assert response.status == 201
        async with http.get(f"{root}/simulator/faults") as response:
            (waiting,) = (await response.json())["faults"]
            assert (waiting["kind"], waiting["left"]) == ("refuse", 1)
        url = f"{sim.base_url}/realtime/translations?model=gpt-realtime-translate"
        async with http.get(url, headers={"Authorization": "Bearer k"}) as response:
            body = await response.json()
            assert (response.status, body["error"]["code"]) == (status, code)
            assert response.headers["Retry-After"] == "3"
        client = await connect(sim)
        await client.until("session.created")
        await client.ws.close()


async def test_control_over_http(connect, http, speech):
    async with Simulator(SimulatorOptions()) as sim:
        root = sim.base_url.removesuffix("/v1")
        async with http.get(f"{root}/healthz") as response:
            assert response.status == 200
        client = await connect(sim)
        await client.language("hi")
        await client.append(speech[:4800])
        await client.language("hi")
        async with http.get(f"{root}/simulator/sessions") as response:
            body = await response.json()
        assert (body["connections_open"], body["sessions"][0]["language"]) == (1, "hi")
        assert body["audio_received_s"] == pytest.approx(0.2)
        async with http.post(f"{root}/simulator/api_keys", json={"api_keys": ["only"]}) as response:
            assert response.status == 200
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await connect(sim)
        async with http.post(f"{root}/simulator/api_keys", json={"api_keys": None}) as response:
            assert response.status == 200
        sim.faults.add(Fault("refuse"))
        async with http.delete(f"{root}/simulator/faults") as response:
            assert response.status == 200
        await (await connect(sim)).ws.close()
        await client.ws.close()


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("faults", b"{", "body"),
        ("faults", b'{"kind": "x"}', "kind"),
        ("faults", b'{"kind": "drop", "when": 1}', "when"),
        ("faults", b"[]", "fault"),
        ("api_keys", b'{"api_keys": "k"}', "api_keys"),
        ("api_keys", b'{"keys": []}', "body"),
    ],
)
async def test_bad_input_is_named(http, path, body, field):
    async with Simulator(SimulatorOptions()) as sim:
        root = sim.base_url.removesuffix("/v1")
        async with http.post(f"{root}/simulator/{path}", data=body) as response:
            error = (await response.json())["error"]
            assert (response.status, error["param"]) == (400, field)
            assert "got" in error["message"]
            assert "allowed" in error["message"]
