"""The text model for meeting notes, asked by the openai package."""

import aiohttp
import openai
import pytest
from openai.types.responses import Response

from parley.simulator import Fault, Simulator, SimulatorOptions

LINES = "ann: good morning\nbob: the parcel comes on Friday\nann: see you"
NOTES = "[simulated notes] 3 lines, 12 words. First: ann: good morning. Last: ann: see you."


def client(sim, key="k", retries=0):
    return openai.AsyncOpenAI(api_key=key, base_url=sim.base_url, max_retries=retries)


async def test_notes_by_responses():
    async with Simulator(SimulatorOptions()) as sim, client(sim) as api:
        response = await api.responses.create(model="gpt-5-mini", instructions="In French.", input=LINES)
        assert response.output_text == NOTES
        assert response.status == "completed"
        assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens > 0
        Response.model_validate(response.model_dump(), strict=True)
        again = await api.responses.create(model="gpt-5-mini", input=[{"role": "user", "content": LINES}])
        assert again.output_text == NOTES
        first, second = sim.texts
        assert (first.model, first.instructions, first.input) == ("gpt-5-mini", "In French.", LINES)
        assert (first.answer, second.instructions) == (NOTES, "")


async def test_notes_by_chat_completions():
    async with Simulator(SimulatorOptions()) as sim, client(sim) as api:
        messages = [{"role": "system", "content": "In French."}, {"role": "user", "content": LINES}]
        completion = await api.chat.completions.create(model="gpt-5-mini", messages=messages)
        assert completion.choices[0].message.content == NOTES
        assert completion.choices[0].finish_reason == "stop"
        assert completion.usage.prompt_tokens == sim.texts[0].input_tokens
        assert sim.texts[0].instructions == "In French."


async def test_an_answer_ends_at_the_bound_of_the_request():
    async with Simulator(SimulatorOptions()) as sim, client(sim) as api:
        response = await api.responses.create(model="gpt-5-mini", input=LINES, max_output_tokens=16)
        assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
        assert response.output_text == NOTES[:64]
        messages = [{"role": "user", "content": LINES}]
        completion = await api.chat.completions.create(model="m", messages=messages, max_completion_tokens=16)
        assert completion.choices[0].finish_reason == "length"


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ({"input": LINES}, "missing_required_parameter", "model"),
        ({"model": "gpt-5-mini"}, "missing_required_parameter", "input"),
        ({"model": "gpt-5-mini", "input": ""}, "invalid_value", "input"),
        ({"model": "gpt-5-mini", "input": 5}, "invalid_type", "input"),
        ({"model": "gpt-5-mini", "input": []}, "empty_array", "input"),
        (
            {"model": "gpt-5-mini", "input": [{"role": "user"}]},
            "missing_required_parameter",
            "input[0].content",
        ),
        (
            {"model": "gpt-5-mini", "input": [{"role": "me", "content": "x"}]},
            "invalid_value",
            "input[0].role",
        ),
        ({"model": "gpt-5-mini", "input": LINES, "messages": []}, "unknown_parameter", "messages"),
        ({"model": "gpt-5-mini", "input": LINES, "max_output_tokens": 5}, "integer_below_min_value", None),
        ({"model": "gpt-5-mini", "input": "x" * 500}, "context_length_exceeded", "input"),
        ({"model": 5, "input": LINES}, "invalid_type", "model"),
        ([], "invalid_type", None),
    ],
)
async def test_what_is_wrong_is_refused_in_the_apis_form(http, given, code, param):
    async with Simulator(SimulatorOptions(text_context_tokens=100)) as sim:
        headers = {"Authorization": "Bearer k"}
        async with http.post(f"{sim.base_url}/responses", json=given, headers=headers) as response:
            error = (await response.json())["error"]
            assert (response.status, error["code"]) == (400, code)
            assert error["type"] == "invalid_request_error"
            assert param in (None, error["param"])
            assert error["message"]
        assert sim.texts == []


async def test_the_errors_that_the_openai_package_knows():
    async with Simulator(SimulatorOptions(api_keys=frozenset({"k"}))) as sim, client(sim) as api:
        async with client(sim, "bad") as stranger:
            with pytest.raises(openai.AuthenticationError):
                await stranger.responses.create(model="gpt-5-mini", input=LINES)
        with pytest.raises(openai.NotFoundError) as refused:
            await api.responses.create(model="gpt-realtime-whisper", input=LINES)
        assert refused.value.code == "model_not_found"
        with pytest.raises(openai.InternalServerError) as refused:
            await api.responses.create(model="gpt-5-mini", input=LINES, stream=True)
        assert (refused.value.status_code, refused.value.code) == (501, "not_simulated")


async def test_faults_refuse_requests_and_no_sessions(connect, http):
    async with Simulator(SimulatorOptions()) as sim, client(sim) as api:
        sim.faults.add(Fault("refuse_text", status=429, retry_after_s=0))
        sim.faults.add(Fault("refuse_text", status=500, message="It broke."))
        session = await connect(sim)
        await session.ws.close()
        with pytest.raises(openai.RateLimitError):
            await api.responses.create(model="gpt-5-mini", input=LINES)
        with pytest.raises(openai.InternalServerError, match=r"It broke\."):
            await api.responses.create(model="gpt-5-mini", input=LINES)
        sim.faults.add(Fault("refuse_text", status=429, retry_after_s=0.01))
        async with client(sim, retries=1) as patient:
            response = await patient.responses.create(model="gpt-5-mini", input=LINES)
        assert response.output_text == NOTES
        async with http.get(sim.base_url.removesuffix("/v1") + "/simulator/texts") as found:
            (text,) = (await found.json())["texts"]
        assert (text["input"], text["answer"]) == (LINES, NOTES)


async def test_a_session_fault_does_not_refuse_the_text_model(connect):
    async with Simulator(SimulatorOptions(max_connections=1)) as sim, client(sim) as api:
        session = await connect(sim)
        sim.faults.add(Fault("refuse"))
        assert (await api.responses.create(model="gpt-5-mini", input=LINES)).output_text == NOTES
        await session.ws.close()
        with pytest.raises(aiohttp.WSServerHandshakeError):
            await connect(sim)
