"""Everything that a conversation session refuses, in the API's words."""

import base64

import pytest

APPEND = "input_audio_buffer.append"
UPDATE = "session.update"
CREATE = "conversation.item.create"
RESPOND = "response.create"
PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()


def update(**session):
    return {"type": UPDATE, "session": {"type": "realtime", **session}}


def heard(**audio_input):
    return update(audio={"input": audio_input})


def spoken(**audio_output):
    return update(audio={"output": audio_output})


def item(**fields):
    return {"type": CREATE, "item": fields}


def message(role, *content, **fields):
    return item(type="message", role=role, content=list(content), **fields)


def respond(**response):
    return {"type": RESPOND, "response": response}


TEXT = {"type": "input_text", "text": "hi"}
TOOL = {"type": "function", "name": "look", "parameters": {}}

REFUSED = [
    ({}, "missing_required_parameter", "type"),
    ({"type": "session.input_audio_buffer.append", "audio": "AAAA"}, "invalid_value", "type"),
    ({"type": "session.close"}, "invalid_value", "type"),
    ({"type": "transcription_session.update"}, "invalid_value", "type"),
    ({"type": UPDATE}, "missing_required_parameter", "session"),
    ({"type": UPDATE, "session": {}}, "missing_required_parameter", "session.type"),
    ({"type": UPDATE, "session": {"type": "transcription"}}, "invalid_session_type", "session.type"),
    ({"type": UPDATE, "session": {"type": "translation"}}, "invalid_value", "session.type"),
    (update(voice="marin"), "unknown_parameter", "session.voice"),
    (update(modalities=["audio"]), "unknown_parameter", "session.modalities"),
    (update(temperature=0.8), "unknown_parameter", "session.temperature"),
    (update(turn_detection=None), "unknown_parameter", "session.turn_detection"),
    (update(model="gpt-realtime-2"), "invalid_value", "session.model"),
    (update(instructions=None), "invalid_type", "session.instructions"),
    (update(instructions=3), "invalid_type", "session.instructions"),
    (update(output_modalities=["audio", "text"]), "invalid_value", "session.output_modalities"),
    (update(output_modalities=[]), "invalid_value", "session.output_modalities"),
    (update(output_modalities=["video"]), "invalid_value", "session.output_modalities[0]"),
    (update(output_modalities="audio"), "invalid_type", "session.output_modalities"),
    (update(max_output_tokens=0), "integer_below_min_value", "session.max_output_tokens"),
    (update(max_output_tokens=4097), "integer_above_max_value", "session.max_output_tokens"),
    (update(max_output_tokens=None), "invalid_type", "session.max_output_tokens"),
    (update(max_output_tokens="many"), "invalid_value", "session.max_output_tokens"),
    (update(max_output_tokens=1.5), "invalid_type", "session.max_output_tokens"),
    (update(parallel_tool_calls="yes"), "invalid_type", "session.parallel_tool_calls"),
    (update(reasoning={"effort": "huge"}), "invalid_value", "session.reasoning.effort"),
    (update(reasoning=None), "invalid_type", "session.reasoning"),
    (update(truncation="some"), "invalid_value", "session.truncation"),
    (
        update(truncation={"type": "retention_ratio"}),
        "missing_required_parameter",
        "session.truncation.retention_ratio",
    ),
    (
        update(truncation={"type": "retention_ratio", "retention_ratio": 1.1}),
        "decimal_above_max_value",
        "session.truncation.retention_ratio",
    ),
    (update(tracing="on"), "invalid_value", "session.tracing"),
    (update(tracing={"name": "x"}), "unknown_parameter", "session.tracing.name"),
    (update(include=["everything"]), "invalid_value", "session.include[0]"),
    (update(prompt={"version": "1"}), "missing_required_parameter", "session.prompt.id"),
    (update(tool_choice="look"), "invalid_value", "session.tool_choice"),
    (update(tool_choice={"type": "function", "name": "no"}), "invalid_value", "session.tool_choice"),
    (update(tools=[{"name": "x"}]), "missing_required_parameter", "session.tools[0].type"),
    (update(tools=[{"type": "function"}]), "missing_required_parameter", "session.tools[0].name"),
    (update(tools=[{**TOOL, "strict": True}]), "unknown_parameter", "session.tools[0].strict"),
    (update(tools=[TOOL, TOOL]), "invalid_value", "session.tools"),
    (update(tools=[{"type": "mcp"}]), "missing_required_parameter", "session.tools[0].server_label"),
    (
        update(tools=[{"type": "mcp", "server_label": "x", "tunnel_id": "t"}]),
        "invalid_value",
        "session.tools[0].tunnel_id",
    ),
    (
        update(tools=[{"type": "mcp", "server_label": "x", "headers": {"a": 1}}]),
        "invalid_type",
        "session.tools[0].headers.a",
    ),
    (heard(noise_reduction=None), "invalid_type", "session.audio.input.noise_reduction"),
    (heard(transcription=None), "invalid_type", "session.audio.input.transcription"),
    (
        heard(noise_reduction={"type": "mid_field"}),
        "invalid_value",
        "session.audio.input.noise_reduction.type",
    ),
    (
        heard(noise_reduction={"strength": 0.5}),
        "missing_required_parameter",
        "session.audio.input.noise_reduction.type",
    ),
    (heard(transcription={"model": "whisper-9"}), "invalid_value", "session.audio.input.transcription.model"),
    (
        heard(transcription={"language": "en"}),
        "missing_required_parameter",
        "session.audio.input.transcription.model",
    ),
    (
        heard(transcription={"model": "whisper-1", "delay": "low"}),
        "unsupported_parameter",
        "session.audio.input.transcription.delay",
    ),
    (heard(turn_detection={}), "missing_required_parameter", "session.audio.input.turn_detection.type"),
    (heard(turn_detection={"type": "none"}), "invalid_value", "session.audio.input.turn_detection.type"),
    (
        heard(turn_detection={"type": "server_vad", "threshold": 1.5}),
        "decimal_above_max_value",
        "session.audio.input.turn_detection.threshold",
    ),
    (
        heard(turn_detection={"type": "server_vad", "idle_timeout_ms": 4999}),
        "integer_below_min_value",
        "session.audio.input.turn_detection.idle_timeout_ms",
    ),
    (
        heard(turn_detection={"type": "semantic_vad", "threshold": 0.5}),
        "unknown_parameter",
        "session.audio.input.turn_detection.threshold",
    ),
    (
        heard(turn_detection={"type": "semantic_vad", "eagerness": "keen"}),
        "invalid_value",
        "session.audio.input.turn_detection.eagerness",
    ),
    (
        heard(format={"type": "audio/pcm", "rate": 16000}),
        "integer_below_min_value",
        "session.audio.input.format.rate",
    ),
    (heard(format={"type": "audio/mp3"}), "invalid_value", "session.audio.input.format.type"),
    (heard(language="en"), "unknown_parameter", "session.audio.input.language"),
    (spoken(voice="nobody"), "invalid_value", "session.audio.output.voice"),
    (spoken(voice={"name": "x"}), "missing_required_parameter", "session.audio.output.voice.id"),
    (spoken(voice=None), "invalid_type", "session.audio.output.voice"),
    (spoken(speed=2.0), "decimal_above_max_value", "session.audio.output.speed"),
    (spoken(speed="fast"), "invalid_type", "session.audio.output.speed"),
    (spoken(speed=True), "invalid_type", "session.audio.output.speed"),
    ({"type": APPEND}, "missing_required_parameter", "audio"),
    ({"type": APPEND, "audio": ""}, "invalid_value", "audio"),
    ({"type": APPEND, "audio": "AA-_"}, "invalid_value", "audio"),
    ({"type": APPEND, "audio": "AAAA", "item_id": "x"}, "unknown_parameter", "item_id"),
    ({"type": APPEND, "audio": base64.b64encode(b"123").decode()}, "invalid_value", "audio"),
    ({"type": APPEND, "audio": "A" * (15 * 2**20 * 4 // 3 + 8)}, "invalid_value", "audio"),
    ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
    ({"type": "output_audio_buffer.clear"}, "invalid_event", "type"),
    ({"type": CREATE}, "missing_required_parameter", "item"),
    (item(type="message", role="user"), "missing_required_parameter", "item.content"),
    (item(type="message", content=[TEXT]), "missing_required_parameter", "item.role"),
    (item(type="note"), "invalid_value", "item.type"),
    (message("tool", TEXT), "invalid_value", "item.role"),
    (message("assistant", TEXT), "invalid_value", "item.content[0].type"),
    (message("assistant", {"type": "output_audio"}), "invalid_value", "item.content[0].type"),
    (message("assistant", {"type": "text", "text": "hi"}), "invalid_value", "item.content[0].type"),
    (message("user", {"type": "output_text", "text": "hi"}), "invalid_value", "item.content[0].type"),
    (message("user", {"type": "input_text"}), "missing_required_parameter", "item.content[0].text"),
    (message("user", {"text": "hi"}), "missing_required_parameter", "item.content[0].type"),
    (message("user", {"type": "input_audio"}), "missing_required_parameter", "item.content[0].audio"),
    (message("user", {"type": "input_audio", "audio": "A"}), "invalid_value", "item.content[0].audio"),
    (
        message("user", {"type": "input_image", "image_url": "https://example.org/a.png"}),
        "invalid_value",
        "item.content[0].image_url",
    ),
    (
        message("user", {"type": "input_image", "image_url": "data:image/gif;base64,R0lG"}),
        "invalid_value",
        "item.content[0].image_url",
    ),
    (
        message("user", {"type": "input_image", "image_url": PNG.replace("png", "jpeg")}),
        "invalid_value",
        "item.content[0].image_url",
    ),
    (
        message("user", {"type": "input_image", "image_url": PNG, "detail": "sharp"}),
        "invalid_value",
        "item.content[0].detail",
    ),
    (message("user", TEXT, id="x" * 33), "string_above_max_length", "item.id"),
    (message("user", TEXT, id=""), "invalid_value", "item.id"),
    (
        message("assistant", {"type": "output_text", "text": "x"}, phase="commentary"),
        "unknown_parameter",
        "item.phase",
    ),
    (
        {**message("user", TEXT), "previous_item_id": "nope"},
        "item_create_invalid_previous_item_id",
        "previous_item_id",
    ),
    ({**message("user", TEXT), "previous_item_id": None}, "invalid_type", "previous_item_id"),
    (item(type="function_call", name="look"), "missing_required_parameter", "item.arguments"),
    (
        item(type="function_call_output", call_id="call_x", output="1"),
        "invalid_tool_call_id",
        "item.call_id",
    ),
    (item(type="function_call_output", call_id="call_x", output={}), "invalid_type", "item.output"),
    (
        item(type="mcp_approval_response", id="a", approval_request_id="b", approve=True),
        "invalid_approval_request_id",
        "item.approval_request_id",
    ),
    ({"type": "conversation.item.delete", "item_id": "x"}, "item_delete_invalid_item_id", "item_id"),
    ({"type": "conversation.item.delete"}, "missing_required_parameter", "item_id"),
    ({"type": "conversation.item.retrieve", "item_id": "x"}, "item_retrieve_invalid_item_id", "item_id"),
    (
        {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 1},
        "item_truncate_invalid_item_id",
        "item_id",
    ),
    (
        {"type": "conversation.item.truncate", "item_id": "x", "content_index": 0, "audio_end_ms": 1.5},
        "invalid_type",
        "audio_end_ms",
    ),
    ({"type": "response.cancel"}, "response_cancel_not_active", None),
    ({"type": RESPOND, "response": None}, "invalid_type", "response"),
    (respond(modalities=["text"]), "unknown_parameter", "response.modalities"),
    (respond(voice="marin"), "unknown_parameter", "response.voice"),
    (respond(output_modalities=["text", "audio"]), "invalid_value", "response.output_modalities"),
    (respond(conversation="mine"), "invalid_value", "response.conversation"),
    (respond(instructions=None), "invalid_type", "response.instructions"),
    (respond(max_output_tokens=0), "integer_below_min_value", "response.max_output_tokens"),
    (respond(metadata={"a": 1}), "invalid_type", "response.metadata.a"),
    (respond(metadata={str(n): "" for n in range(17)}), "object_above_max_properties", "response.metadata"),
    (respond(metadata={"a": "x" * 513}), "string_above_max_length", "response.metadata"),
    (respond(tool_choice={"type": "function", "name": "no"}), "invalid_value", "response.tool_choice"),
    (respond(input=[{"type": "item_reference", "id": "no"}]), "invalid_value", "response.input[0].id"),
    (
        respond(input=[{"type": "message", "role": "user"}]),
        *("missing_required_parameter",),
        "response.input[0].content",
    ),
    ({"type": "response.cancel", "event_id": "x" * 513}, "string_above_max_length", "event_id"),
]


@pytest.mark.parametrize(("event", "code", "param"), REFUSED)
def test_refused_and_the_session_stays_open(talk, event, code, param):
    driver = talk()
    kind = {"type": event["type"]} if "type" in event else {}
    rest = {name: value for name, value in event.items() if name != "type"}
    (answer,) = driver.session.receive({"event_id": "mine", **kind, **rest}, driver.now)
    error = answer["error"]
    assert (answer["type"], error["code"], error["param"]) == ("error", code, param)
    assert error["type"] == "invalid_request_error"
    assert error["event_id"] == rest.get("event_id", "mine")
    assert driver.record.refused == [code]
    assert driver.record.items == []
    assert driver.record.responses == []
    assert driver.session.ending is None
    assert driver.update()["session"] == driver.last("session.created")["session"]


WORDS = [
    (
        {"type": "input_audio_buffer.commit"},
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, but buffer "
        "only has 0.00ms of audio.",
    ),
    ({"type": "response.cancel"}, "Cancellation failed: no active response found"),
    (
        update(instructions=None),
        "Invalid type for 'session.instructions': expected a string, but got null instead.",
    ),
    (
        heard(format={"type": "audio/pcm", "rate": 16000}),
        "Invalid 'session.audio.input.format.rate': integer below minimum value. Expected a value >= 24000, "
        "but got 16000 instead.",
    ),
    (
        update(output_modalities=["audio", "text"]),
        "Invalid modalities: [\"audio\", \"text\"]. Supported combinations are: ['text'] and ['audio'].",
    ),
    (
        item(type="function_call_output", call_id="call_x", output="1"),
        "Tool call ID 'call_x' not found in conversation.",
    ),
    (
        update(max_output_tokens={}),
        "Invalid type for 'session.max_output_tokens': expected one of an integer or a string, but got an "
        "object instead.",
    ),
]


@pytest.mark.parametrize(("event", "words"), WORDS)
def test_the_words_of_a_refusal(talk, event, words):
    driver = talk()
    (answer,) = driver.session.receive(event, driver.now)
    assert answer["error"]["message"] == words


def test_nulls_can_be_tolerated(talk):
    driver = talk(nulls="tolerated")
    driver.update(audio={"input": {"noise_reduction": {"type": "near_field"}}})
    driver.update(audio={"input": {"transcription": {"model": "whisper-1"}}})
    session = driver.update(audio={"input": {"noise_reduction": None, "transcription": None}})["session"]
    assert "noise_reduction" not in session["audio"]["input"]
    assert "transcription" not in session["audio"]["input"]
    before = session["instructions"]
    assert driver.update(instructions=None)["session"]["instructions"] == before
    driver.type("hi")
    driver.send(RESPOND, response={"instructions": None, "metadata": None})
    assert driver.record.responses[0].instructions == before
    assert driver.update(reasoning=None)["type"] == "error"


def test_reasoning_is_for_models_that_reason(talk):
    driver = talk("gpt-realtime-1.5")
    for given in ({"reasoning": {"effort": "low"}}, {"parallel_tool_calls": False}):
        (name,) = given
        error = driver.update(**given)["error"]
        assert (error["code"], error["param"]) == ("unsupported_parameter", f"session.{name}")
    assert driver.send(RESPOND, response={"reasoning": {"effort": "low"}})[0]["type"] == "error"
    assert driver.record.refused == ["unsupported_parameter"] * 3
