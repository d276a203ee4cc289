"""What responses say and call, how they fail, are cancelled and go on, and who may have one."""

import json

import numpy as np
import pytest

from parley.simulator import Approval, Call, McpCall, Script, Turn, word_sound
from parley.simulator.speech import voiced

TOOLS = [
    {"type": "function", "name": "look", "parameters": {"type": "object"}},
    {"type": "function", "name": "listen", "parameters": {"type": "object"}},
]


def answer(driver, text="hi", **response):
    driver.type(text)
    return driver.respond(**response)


def test_a_scripted_turn_is_voiced(talk):
    driver = talk(script=[Turn(say="Good morning all.")])
    response = answer(driver)
    assert response["output"][0]["content"] == [{"type": "output_audio", "transcript": "Good morning all."}]
    assert driver.text() == "Good morning all."
    first = word_sound("good")
    heard = driver.audio()[: len(first)]
    assert np.abs(heard.astype(int) - first).max() < 600
    assert len(driver.audio()) == -(-sum(len(one.pcm) for one in voiced("Good morning all.")) // 480) * 480


def test_words_can_be_pronounced_and_audio_given(talk):
    driver = talk(
        pronounce=lambda word: np.full(480 * len(word), 1000, np.int16),
        script=[Turn(say="ab abc"), Turn(say="two words", say_audio=np.full(9600, 2000, np.int16))],
    )
    answer(driver)
    assert len(driver.audio()) == 480 * 5 + 2 * 2400
    response = answer(driver)
    assert len(driver.audio(response["id"])) == 9600
    assert driver.text(response["id"]) == "two words"


def test_text_goes_along_with_the_audio(talk):
    driver = talk(reply_delta_ms=20, script=[Turn(say="one two three four")])
    answer(driver)
    starts, at = {}, 0
    for _, event in driver.events:
        if event["type"] == "response.output_audio.delta":
            at += 480
        elif event["type"] == "response.output_audio_transcript.delta":
            starts[event["delta"]] = at
    expected = np.cumsum([0, *(len(one.pcm) for one in voiced("one two three four"))])[:4]
    assert list(starts) == ["one", " two", " three", " four"]
    assert np.abs(np.array(list(starts.values())) - expected).max() <= 480


def test_a_preamble_is_a_message_of_its_own(talk):
    driver = talk(script=[Turn(preamble="Let me see.", wait_s=1.5, say="It rains.")])
    response = answer(driver)
    assert [item["phase"] for item in response["output"]] == ["commentary", "final_answer"]
    added = driver.all("response.output_item.added")
    assert [event["output_index"] for event in added] == [0, 1]
    assert "phase" not in added[0]["item"]
    times = {
        event["output_index"]: when
        for when, event in driver.events
        if event["type"].endswith("item.added") and "output_index" in event
    }
    assert times[1] - times[0] > 1.5
    shown = talk(phase_on_added=True, script=[Turn(preamble="Let me see.", say="x")])
    answer(shown)
    assert shown.all("response.output_item.added")[0]["item"]["phase"] == "commentary"
    plain = talk("gpt-realtime-1.5", script=[Turn(say="x")])
    assert "phase" not in answer(plain)["output"][0]


def test_parallel_calls_and_what_comes_after(talk):
    calls = (Call("look", {"where": "Roma è bella, e lontana"}), Call("listen", "{}"))
    driver = talk(script=[Turn(preamble="One moment.", calls=calls)])
    driver.update(tools=TOOLS)
    response = answer(driver)
    assert [item["type"] for item in response["output"]] == ["message", "function_call", "function_call"]
    first, second = response["output"][1:]
    assert json.loads(first["arguments"]) == {"where": "Roma è bella, e lontana"}
    assert (second["name"], second["status"], first["call_id"] != second["call_id"]) == (
        *("listen", "completed"),
        True,
    )
    deltas = driver.all("response.function_call_arguments.delta")
    assert (
        "".join(event["delta"] for event in deltas if event["call_id"] == first["call_id"])
        == first["arguments"]
    )
    assert driver.all("response.function_call_arguments.done")[0]["name"] == "look"
    for call, output in ((first, "it rains"), (second, "a bird sings")):
        item = {"type": "function_call_output", "call_id": call["call_id"], "output": output}
        driver.send("conversation.item.create", item=item)
    driver.respond()
    assert driver.record.responses[1].text == "[simulated] it rains a bird sings"
    assert driver.record.responses[1].context[1:] == [
        *("One moment.", 'look({"where": "Roma è bella, e lontana"})', "listen({})"),
        *("it rains", "a bird sings"),
    ]
    assert driver.record.responses[0].calls == ["look", "listen"]
    assert driver.record.refused == []


@pytest.mark.parametrize(
    ("choice", "called"),
    [
        ("auto", []),
        ("required", ["look"]),
        ({"type": "function", "name": "listen"}, ["listen"]),
        ("none", []),
    ],
)
def test_a_call_can_be_demanded(talk, choice, called):
    driver = talk()
    driver.update(tools=TOOLS)
    answer(driver, tool_choice=choice)
    assert driver.record.responses[0].calls == called


def test_nothing_is_called_where_nothing_may_be(talk):
    driver = talk(script=[Turn(say="no", calls=(Call("look"),))])
    answer(driver, tool_choice="none")
    assert driver.record.responses[0].calls == []
    assert driver.record.responses[0].text == "no"


@pytest.mark.parametrize(
    "code", ["server_error", "rate_limit_exceeded", "inference_rate_limit_exceeded", "insufficient_quota"]
)
def test_a_failure_at_once(talk, code):
    driver = talk(script=[Turn(say="never", failure=code)])
    response = answer(driver)
    assert (response["status"], response["status_details"]["error"]["code"]) == ("failed", code)
    assert response["output"] == []
    assert driver.codes() == []
    record = driver.record.responses[0]
    assert (record.status, record.reason, record.text) == ("failed", code, "")


def test_a_failure_in_the_middle(talk):
    driver = talk(script=[Turn(say="one two three four five", failure="content_filter", failure_after_s=0.6)])
    response = answer(driver)
    assert response["status_details"] == {"type": "incomplete", "reason": "content_filter"}
    assert response["output"][0]["status"] == "incomplete"
    assert driver.record.responses[0].audio_ms == 600


def test_a_turn_without_anything_is_an_empty_response(talk):
    driver = talk(script=[Turn()])
    response = answer(driver)
    assert (response["status"], response["output"], response["usage"]["output_tokens"]) == (
        "completed",
        [],
        0,
    )


def test_too_many_tokens_are_incomplete(talk):
    driver = talk()
    response = answer(driver, "one two three four five six seven", max_output_tokens=25)
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert response["usage"]["output_tokens"] <= 25
    assert response["output"][0]["status"] == "incomplete"


def test_a_slow_turn_and_effort(talk):
    driver = talk(script=[Turn(say="x", latency_s=2.0)], effort_step_s=0.5)
    driver.update(reasoning={"effort": "high"})
    answer(driver)
    record = driver.record.responses[0]
    assert record.first_audio_at - record.created_at == pytest.approx(0.3 + 2.0 + 3 * 0.5)


def test_text_only(talk):
    driver = talk(script=[Turn(say="Good morning.")])
    response = answer(driver, output_modalities=["text"])
    assert response["output"][0]["content"] == [{"type": "output_text", "text": "Good morning."}]
    assert [event["delta"] for event in driver.all("response.output_text.delta")] == ["Good", " morning."]
    assert driver.all("response.content_part.added")[0]["part"] == {"type": "text", "text": ""}
    assert driver.all("response.output_audio.delta") == []
    assert driver.record.audio_sent_s == 0


def test_one_response_at_a_time(talk):
    driver = talk(reply_speed=1.0)
    driver.type("one two three")
    driver.send("response.create")
    error = driver.send("response.create")[0]["error"]
    assert error["code"] == "conversation_already_has_active_response"
    assert driver.record.responses[0].id in error["message"]
    assert len(driver.record.responses) == 1
    driver.run(30)
    assert driver.respond()["status"] == "completed"


def test_cancelled_by_the_client(talk):
    driver = talk(reply_speed=1.0)
    driver.type("one two three")
    driver.send("response.create")
    driver.run(1.0)
    events = driver.send("response.cancel")
    assert [event["type"] for event in events][-3:] == [
        *("response.output_item.done", "conversation.item.done", "response.done"),
    ]
    assert events[-1]["response"]["status_details"]["reason"] == "client_cancelled"
    assert driver.send("response.cancel")[0]["error"]["code"] == "response_cancel_not_active"
    driver.type("one two three")
    created = driver.send("response.create")[0]["response"]
    driver.send("response.cancel", response_id=created["id"])
    assert driver.last("response.done")["response"]["output"] == []


def test_out_of_band_beside_the_conversation(talk):
    driver = talk(reply_speed=1.0)
    driver.type("one two three four five")
    driver.send("response.create")
    driver.run(0.5)
    before = len(driver.record.items)
    content = [{"type": "input_text", "text": "what is this about"}]
    given = {
        "conversation": "none",
        "input": [{"type": "message", "role": "user", "content": content}],
        "instructions": "Summarise.",
        "metadata": {"topic": "summary"},
        "output_modalities": ["text"],
    }
    driver.send("response.create", response=given)
    driver.run(2)
    done = driver.last("response.done")["response"]
    assert (done["metadata"], "conversation_id" in done) == ({"topic": "summary"}, False)
    assert done["output"][0]["content"][0]["text"] == "[simulated] what is this about"
    first, second = driver.record.responses
    assert (first.status, second.status, second.conversation) == ("in_progress", "completed", "none")
    assert (second.context, second.instructions) == (["what is this about"], "Summarise.")
    assert len(driver.record.items) == before
    driver.run(30)
    assert first.status == "completed"


def test_an_own_input_refers_to_items(talk):
    driver = talk()
    driver.type("one")
    driver.type("two")
    item_id = driver.record.items[1].id
    driver.respond(input=[{"type": "item_reference", "id": item_id}])
    assert driver.record.responses[0].context == ["two"]
    call = {"type": "function_call", "call_id": "call_own", "name": "look", "arguments": "{}"}
    output = {"type": "function_call_output", "call_id": "call_own", "output": "rain"}
    driver.respond(conversation="none", input=[call, output])
    assert driver.record.responses[1].text == "[simulated] rain"
    driver.respond(conversation="none", input=[])
    assert driver.record.responses[2].context == []


def test_instructions_of_its_own_replace_the_sessions(talk):
    driver = talk()
    driver.update(instructions="Be kind.")
    driver.respond(instructions="Greet the caller.")
    assert driver.record.responses[0].instructions == "Greet the caller."
    assert driver.record.responses[0].text == "[simulated] Greet the caller."
    driver.respond(instructions="Say goodbye.")
    assert driver.record.responses[1].text == "[simulated] Say goodbye."
    driver.respond()
    assert driver.record.responses[2].instructions == "Be kind."


@pytest.mark.parametrize("script", [(), [Turn(say="[simulated] one two three four")]])
def test_a_cut_reply_is_gone_on_with(talk, script):
    driver = talk(script=script)
    driver.type("one two three four")
    driver.respond()
    reply = driver.record.items[-1]
    driver.send("conversation.item.delete", item_id=reply.id)
    driver.type("[simulated] one two", role="assistant")
    response = driver.respond()
    assert driver.text(response["id"]) == "three four"
    expected = sum(len(word_sound(word)) + 2400 for word in ("three", "four"))
    assert len(driver.audio(response["id"])) == -(-expected // 480) * 480


@pytest.mark.parametrize(
    ("heard", "rest"),
    [("Let me", "see. it rains now"), ("Let me see.", "it rains now"), ("Let me see. it", "rains now")],
)
def test_a_cut_preamble_is_gone_on_with(talk, heard, rest):
    driver = talk(script=[Turn(preamble="Let me see.", say="it rains now")])
    answer(driver)
    for item in driver.record.items[1:]:
        driver.send("conversation.item.delete", item_id=item.id)
    driver.type(heard, role="assistant")
    driver.respond()
    assert driver.record.responses[1].text == rest


def test_an_answered_question_is_not_answered_where_instructions_say_what_to_say(talk):
    driver = talk()
    driver.type("one two")
    driver.respond()
    driver.respond(instructions="Ask for more.")
    assert driver.record.responses[1].text == "[simulated] Ask for more."


def test_a_cut_reply_is_gone_on_with_in_a_new_session(talk):
    script = Script.of([Turn(say="one two three four"), Turn(say="next")])
    first = talk(script=script)
    answer(first, "tell me")
    second = talk(name="sess_ffffffffffffffffffffffff", script=script)
    second.type("tell me")
    second.type("one two three", role="assistant")
    assert second.text(second.respond()["id"]) == "four"
    assert answer(second, "and")["output"][0]["content"][0]["transcript"] == "next"


def test_a_truncated_reply_is_gone_on_with(talk):
    driver = talk(script=[Turn(say="one two three four")], pronounce=lambda _: np.full(7200, 900, np.int16))
    answer(driver)
    item_id = driver.record.items[-1].id
    driver.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=900)
    assert driver.text(driver.respond()["id"]) == "three four"


def test_a_call_that_is_approved_is_made(talk):
    driver = talk(script=[Turn(approval=Approval("shop", "buy", "{}", "bought"))])
    (request,) = answer(driver)["output"]
    ids = {"approval_request_id": request["id"], "type": "mcp_approval_response"}
    driver.send("conversation.item.create", item={**ids, "id": "no", "approve": False})
    driver.run(1)
    assert not [event for _, event in driver.events if event["type"].startswith("response.mcp_call.")]
    driver.send("conversation.item.create", item={**ids, "id": "ok", "approve": True})
    driver.run(1)
    kinds = [event["type"] for _, event in driver.events if event["type"].startswith("response.mcp_call.")]
    assert kinds == ["response.mcp_call.in_progress", "response.mcp_call.completed"]
    done = [event["item"] for _, event in driver.events if event["type"] == "conversation.item.done"][-1]
    assert (done["type"], done["output"]) == ("mcp_call", "bought")


def test_a_request_for_approval_and_a_call_on_a_server(talk):
    driver = talk(
        script=[
            Turn(approval=Approval("shop", "buy", '{"what": "milk"}')),
            Turn(mcp_call=McpCall("shop", "buy", "{}", "bought"), say="Done."),
            Turn(mcp_call=McpCall("shop", "buy")),
        ]
    )
    response = answer(driver)
    (request,) = response["output"]
    assert (request["type"], request["server_label"]) == ("mcp_approval_request", "shop")
    given = {
        "type": "mcp_approval_response",
        "id": "ok",
        "approval_request_id": request["id"],
        "approve": True,
    }
    driver.send("conversation.item.create", item=given)
    response = driver.respond()
    assert [item["type"] for item in response["output"]] == ["mcp_call", "message"]
    assert response["output"][0]["output"] == "bought"
    assert len(driver.all("response.mcp_call.completed")) == 1
    assert answer(driver)["output"][0]["error"]["type"] == "tool_execution_error"
    assert driver.record.refused == []


def test_the_tools_of_servers_are_listed_once(talk):
    driver = talk(mcp_failing=frozenset({"down"}))
    tools = [
        {
            "type": "mcp",
            "server_label": "shop",
            "server_url": "https://example.org",
            "allowed_tools": ["buy"],
        },
        {"type": "mcp", "server_label": "down", "server_url": "https://example.org"},
    ]
    driver.update(tools=tools)
    driver.run(1)
    driver.update(tools=tools)
    driver.run(1)
    assert driver.types() == [
        *("conversation.item.added", "mcp_list_tools.in_progress"),
        *("conversation.item.added", "mcp_list_tools.in_progress"),
        *("mcp_list_tools.completed", "conversation.item.done", "mcp_list_tools.failed"),
    ]
    assert [tool["name"] for tool in driver.last("conversation.item.done")["item"]["tools"]] == ["buy"]
    driver.type("hi")
    driver.respond()
    assert driver.record.responses[0].text == "[simulated] hi"
