"""What a conversation session can be set to, and what stays as it was."""

import pytest

from parley.simulator import voice_of

TOOL = {"type": "function", "name": "look", "description": "looks", "parameters": {"type": "object"}}
ACCEPTED = [
    {"model": "gpt-realtime-2.1"},
    {"instructions": ""},
    {"output_modalities": ["text"]},
    {"tools": [TOOL], "tool_choice": {"type": "function", "name": "look"}},
    {"tools": [], "tool_choice": "none"},
    {"max_output_tokens": 4096},
    {"max_output_tokens": "inf"},
    {"truncation": "disabled"},
    {
        "truncation": {
            "type": "retention_ratio",
            "retention_ratio": 0.8,
            "token_limits": {"post_instructions": 8000},
        }
    },
    {"prompt": {"id": "pmpt_1", "version": "2", "variables": {"city": "Rome"}}},
    {"prompt": None},
    {"tracing": None},
    {"tracing": {"workflow_name": "w", "group_id": "g", "metadata": {"a": 1}}},
    {"include": ["item.input_audio_transcription.logprobs"]},
    {"reasoning": {"effort": "xhigh"}},
    {"audio": {"output": {"voice": {"id": "voice_1"}, "speed": 0.25}}},
    {"audio": {"output": {"voice": "verse", "speed": 1.5, "format": {"type": "audio/pcm", "rate": 24000}}}},
    {"audio": {"input": {"turn_detection": None}}},
    {"audio": {"input": {"turn_detection": {"type": "semantic_vad", "eagerness": "low"}}}},
    {"audio": {"input": {"noise_reduction": {"type": "far_field", "strength": 0.5}}}},
    {"audio": {"input": {"transcription": {"model": "gpt-transcribe", "languages": ["en"], "prompt": "p"}}}},
]


def _is_part(part, whole):
    if isinstance(part, dict):
        return all(name in whole and _is_part(value, whole[name]) for name, value in part.items())
    return part == whole


@pytest.mark.parametrize("given", ACCEPTED, ids=lambda given: ",".join(given))
def test_accepted_and_echoed(talk, given):
    driver = talk()
    answer = driver.update(**given)
    assert answer["type"] == "session.updated"
    voice = given.get("audio", {}).get("output", {}).get("voice")
    if isinstance(voice, dict):
        assert answer["session"]["audio"]["output"]["voice"] == "voice_1"
        return
    assert _is_part(given, answer["session"])
    assert driver.record.settings == answer["session"]


def test_an_update_leaves_what_it_does_not_name(talk):
    driver = talk()
    driver.update(instructions="be kind", audio={"input": {"transcription": {"model": "whisper-1"}}})
    driver.update(audio={"input": {"turn_detection": {"type": "server_vad", "silence_duration_ms": 700}}})
    driver.update(audio={"input": {"turn_detection": {"type": "server_vad", "threshold": 0.7}}})
    session = driver.update(audio={"output": {"speed": 1.2}})["session"]
    assert session["instructions"] == "be kind"
    heard = session["audio"]["input"]
    assert heard["transcription"] == {"model": "whisper-1"}
    assert (heard["turn_detection"]["silence_duration_ms"], heard["turn_detection"]["threshold"]) == (
        700,
        0.7,
    )
    detection = {"type": "semantic_vad"}
    heard = driver.update(audio={"input": {"turn_detection": detection}})["session"]["audio"]["input"]
    assert heard["turn_detection"] == {
        **{"type": "semantic_vad", "eagerness": "auto"},
        **{"create_response": True, "interrupt_response": True},
    }


def test_a_refused_update_changes_nothing(talk):
    driver = talk()
    assert driver.update(instructions="new", max_output_tokens=0)["type"] == "error"
    assert driver.update()["session"] == driver.last("session.created")["session"]


def test_the_voice_is_locked_by_the_first_audio(talk):
    driver = talk()
    driver.update(audio={"output": {"voice": "ash"}})
    driver.type("hi")
    driver.respond()
    error = driver.update(audio={"output": {"voice": "marin"}})["error"]
    assert (error["code"], error["param"]) == ("cannot_update_voice", "session.audio.output.voice")
    assert driver.update(audio={"output": {"voice": "ash"}})["type"] == "session.updated"
    answer = driver.send("response.create", response={"audio": {"output": {"voice": "marin"}}})[0]
    assert answer["error"]["code"] == "cannot_update_voice"


def test_a_voice_for_one_response(talk):
    driver = talk()
    driver.type("hi there my friend")
    response = driver.respond(audio={"output": {"voice": "sage"}})
    assert response["audio"]["output"]["voice"] == "sage"
    assert voice_of(driver.audio()) == "sage"


def test_tracing_stays_as_it_was_once_it_is_on(talk):
    driver = talk()
    driver.update(tracing="auto")
    assert driver.update(tracing="auto")["type"] == "session.updated"
    assert driver.update(tracing=None)["error"]["code"] == "cannot_update_tracing"


def test_custom_voices_sound_like_none_of_the_apis(talk):
    driver = talk()
    driver.update(audio={"output": {"voice": {"id": "voice_1"}}})
    driver.type("hi there my friend")
    driver.respond()
    assert voice_of(driver.audio()) == "custom"
