"""Everything that a translation session refuses, in the API's words."""

import base64
import json

import pytest

from parley.simulator.validation import validate
from parley.simulator.wire import ApiError, error_body, parse, schemas

APPEND = "session.input_audio_buffer.append"
UPDATE = "session.update"


def update(**session):
    return {"type": UPDATE, "session": session}


REFUSED = [
    ({}, "missing_required_parameter", "type"),
    ({"type": 3}, "invalid_value", "type"),
    ({"type": "input_audio_buffer.append", "audio": "AAAA"}, "invalid_value", "type"),
    ({"type": "response.create"}, "invalid_value", "type"),
    ({"type": UPDATE}, "missing_required_parameter", "session"),
    ({"type": UPDATE, "session": None}, "invalid_type", "session"),
    ({"type": UPDATE, "session": "x"}, "invalid_type", "session"),
    ({"type": UPDATE, "session": {}, "foo": 1}, "unknown_parameter", "foo"),
    (update(x=1), "unknown_parameter", "session.x"),
    (update(type="translation"), "unknown_parameter", "session.type"),
    (update(model="gpt-realtime-translate"), "unknown_parameter", "session.model"),
    (update(instructions="be kind"), "unknown_parameter", "session.instructions"),
    (update(audio=[]), "invalid_type", "session.audio"),
    (update(audio={"input": {"language": "en"}}), "unknown_parameter", "session.audio.input.language"),
    (
        update(audio={"input": {"format": {"type": "audio/pcm", "rate": 16000}}}),
        "unknown_parameter",
        "session.audio.input.format",
    ),
    (update(audio={"output": {"voice": "marin"}}), "unknown_parameter", "session.audio.output.voice"),
    (update(audio={"output": {"language": None}}), "invalid_type", "session.audio.output.language"),
    (update(audio={"output": {"language": "zho"}}), "invalid_value", "session.audio.output.language"),
    (update(audio={"output": {"language": "en-US"}}), "invalid_value", "session.audio.output.language"),
    (
        update(audio={"input": {"transcription": {}}}),
        "missing_required_parameter",
        "session.audio.input.transcription.model",
    ),
    (
        update(audio={"input": {"noise_reduction": {"type": "mid_field"}}}),
        "invalid_value",
        "session.audio.input.noise_reduction.type",
    ),
    (
        update(audio={"input": {"noise_reduction": {"type": "near_field", "strength": True}}}),
        "invalid_type",
        "session.audio.input.noise_reduction.strength",
    ),
    ({"type": APPEND}, "missing_required_parameter", "audio"),
    ({"type": APPEND, "audio": 5}, "invalid_type", "audio"),
    ({"type": APPEND, "audio": ""}, "invalid_value", "audio"),
    ({"type": APPEND, "audio": "AAA"}, "invalid_value", "audio"),
    ({"type": APPEND, "audio": "AA\nAA"}, "invalid_value", "audio"),
    ({"type": APPEND, "audio": "AA-_"}, "invalid_value", "audio"),
    ({"type": APPEND, "audio": base64.b64encode(b"123").decode()}, "invalid_value", "audio"),
    ({"type": APPEND, "audio": "A" * (15 * 2**20 * 4 // 3 + 8)}, "invalid_value", "audio"),
    ({"type": "session.close", "event_id": "x" * 513}, "string_above_max_length", "event_id"),
    ({"type": "session.close", "session": {}}, "unknown_parameter", "session"),
]


@pytest.mark.parametrize(("event", "code", "param"), REFUSED)
def test_refused_and_the_session_stays_open(drive, event, code, param):
    driver = drive()
    (answer,) = driver.send({"event_id": "mine", **event})
    error = answer["error"]
    assert (answer["type"], error["code"], error["param"]) == ("error", code, param)
    assert error["type"] == "invalid_request_error"
    assert error["event_id"] == {"event_id": "mine", **event}["event_id"]
    assert driver.record.refused == [code]
    assert driver.record.audio_received_s == 0
    assert driver.session.ending is None
    assert driver.update(output={"language": "fr"})[0]["type"] == "session.updated"


def test_the_words_of_a_refusal(drive):
    driver = drive()
    assert driver.send(update(x=1))[0]["error"]["message"] == "Unknown parameter: 'session.x'."
    message = driver.send({"type": UPDATE})[0]["error"]["message"]
    assert message == "Missing required parameter: 'session'."
    message = driver.update(output={"language": "zho"})[0]["error"]["message"]
    assert message.startswith("Invalid value: 'zho'. Supported values are: 'es', 'pt', ")
    assert message.endswith("'it', and 'en'.")
    message = driver.send({"type": "nope"})[0]["error"]["message"]
    known = "'session.update', 'session.input_audio_buffer.append', and 'session.close'"
    assert message == f"Invalid value: 'nope'. Supported values are: {known}."


def test_a_refused_update_changes_nothing(drive):
    driver = drive()
    bad = {"input": {"transcription": {"model": "gpt-realtime-whisper"}}, "output": {"language": "xx"}}
    assert driver.update(**bad)[0]["type"] == "error"
    (answer,) = driver.update()
    assert answer["session"]["audio"]["input"]["transcription"] is None
    assert answer["session"]["audio"]["output"]["language"] == "es"


@pytest.mark.parametrize("late", [{"type": APPEND, "audio": "AAAA"}, {"type": "session.close"}, update()])
def test_nothing_is_taken_after_the_close(drive, sound, late):
    tone, _ = sound
    driver = drive()
    driver.speak(tone(400))
    driver.send({"type": "session.close"})
    (answer,) = driver.send(late)
    assert (answer["type"], answer["error"]["code"]) == ("error", "invalid_event")
    driver.run(5)
    assert [event["type"] for _, event in driver.events].count("session.closed") == 1


@pytest.mark.parametrize("text", ["", "{", "nope", "[1]", "3", '"x"', "null", "[" * 5000])
def test_what_is_no_json_object_is_no_event(text):
    with pytest.raises(ApiError) as refused:
        parse(text)
    assert refused.value.code == "invalid_event"
    assert json.dumps(error_body(refused.value))


def test_the_schemas_ship_the_seven_server_events_and_the_three_client_events():
    shipped = schemas("translation")
    assert len(shipped["server"]) == 7
    assert list(shipped["client"]) == [UPDATE, APPEND, "session.close"]
    assert validate({"type": "session.close", "event_id": "x" * 512}, shipped["client"]) == "session.close"
