"""What a transcription session's update may say."""

import pytest

WHERE = "session.audio.input"
MODEL = {"model": "gpt-realtime-whisper"}


def test_an_update_is_merged_and_told_whole(dictate):
    driver = dictate()
    driver.whisper(language="en", delay="low")
    driver.update(noise_reduction={"type": "near_field"})
    answer = driver.update(transcription={"language": "fr"})
    heard = answer["session"]["audio"]["input"]
    assert heard["transcription"] == {"model": "gpt-realtime-whisper", "language": "fr"}
    assert heard["noise_reduction"] == {"type": "near_field", "strength": 1.0}
    assert heard["turn_detection"] is None
    assert driver.record.model == "gpt-realtime-whisper"
    assert driver.record.settings == answer["session"]
    answer = driver.update(noise_reduction=None, transcription=None)
    assert set(answer["session"]["audio"]["input"]) == {"format", "turn_detection"}


def test_a_prompt_can_come_anew_while_it_runs(dictate):
    driver = dictate()
    driver.update(transcription={"model": "gpt-4o-transcribe", "prompt": "Names: Ann."}, turn_detection=None)
    answer = driver.update(transcription={"prompt": "Names: Bob."})
    assert answer["session"]["audio"]["input"]["transcription"]["prompt"] == "Names: Bob."


@pytest.mark.parametrize("model", ["gpt-realtime-whisper", "gpt-live-transcribe"])
@pytest.mark.parametrize("kind", ["server_vad", "semantic_vad"])
def test_turn_detection_is_refused_for_models_that_stream(dictate, model, kind):
    driver = dictate()
    answer = driver.update(transcription={"model": model}, turn_detection={"type": kind})
    assert answer["error"]["message"] == "Turn detection is not supported for this transcription model."
    assert answer["error"]["param"] == f"{WHERE}.turn_detection"
    assert driver.record.model == ""


def test_turn_detection_that_is_left_out_is_off_or_refused(dictate):
    answer = dictate().update(transcription=MODEL)
    assert answer["session"]["audio"]["input"]["turn_detection"] is None
    answer = dictate(turn_detection_omitted="refused").update(transcription=MODEL)
    assert answer["error"]["message"] == "Turn detection is not supported for this transcription model."


@pytest.mark.parametrize(
    ("heard", "code", "param"),
    [
        ({"transcription": {**MODEL, "prompt": "x"}}, "unsupported_parameter", "transcription.prompt"),
        ({"transcription": {**MODEL, "keywords": ["x"]}}, "unsupported_parameter", "transcription.keywords"),
        (
            {"transcription": {**MODEL, "languages": ["en"]}},
            "unsupported_parameter",
            "transcription.languages",
        ),
        (
            {"transcription": {"model": "gpt-live-transcribe", "delay": "low"}},
            *("unsupported_parameter", "transcription.delay"),
        ),
        (
            {"transcription": {"model": "gpt-4o-transcribe-diarize", "prompt": "x"}},
            *("unsupported_parameter", "transcription.prompt"),
        ),
        ({"transcription": {**MODEL, "delay": "none"}}, "invalid_value", "transcription.delay"),
        (
            {"transcription": {**MODEL, "language": "en-US"}},
            "invalid_language_format",
            "transcription.language",
        ),
        ({"transcription": {**MODEL, "temperature": 0}}, "unknown_parameter", "transcription.temperature"),
        ({"transcription": {"model": "whisper-9"}}, "invalid_value", "transcription.model"),
        ({"transcription": {"language": "en"}}, "missing_required_parameter", "transcription.model"),
        ({"format": {"type": "audio/pcm", "rate": 16000}}, "integer_below_min_value", "format.rate"),
        ({"noise_reduction": {"type": "loud"}}, "invalid_value", "noise_reduction.type"),
        ({"language": "en"}, "unknown_parameter", "language"),
    ],
)
def test_what_a_model_does_not_take_is_refused_and_changes_nothing(dictate, heard, code, param):
    driver = dictate()
    before = driver.record.settings
    error = driver.update(**{"turn_detection": None, **heard})["error"]
    assert (error["code"], error["param"]) == (code, f"{WHERE}.{param}")
    assert driver.record.settings == before
    assert driver.record.refused == [code]


def test_keywords_and_languages_are_for_the_models_that_take_them(dictate):
    given = {"model": "gpt-live-transcribe", "keywords": ["Parley"], "languages": ["en", "fr"], "prompt": "x"}
    answer = dictate().update(transcription=given, turn_detection=None)
    assert answer["session"]["audio"]["input"]["transcription"]["languages"] == ["en", "fr"]


@pytest.mark.parametrize("name", ["voice", "tools", "instructions", "output_modalities", "model"])
def test_what_only_conversations_have_is_unknown(dictate, name):
    driver = dictate()
    error = driver.send("session.update", session={"type": "transcription", name: "x"})[0]["error"]
    assert (error["code"], error["param"]) == ("unknown_parameter", f"session.{name}")
    session = {"type": "transcription", "audio": {"output": {"voice": "alloy"}}}
    error = driver.send("session.update", session=session)[0]["error"]
    assert (error["code"], error["param"]) == ("unknown_parameter", "session.audio.output")


def test_the_other_kinds_of_sessions_update_is_refused(dictate, talk):
    error = dictate().send("session.update", session={"type": "realtime"})[0]["error"]
    assert "Passing a realtime session update event to a transcription session" in error["message"]
    error = talk().send("session.update", session={"type": "transcription"})[0]["error"]
    expected = "Passing a transcription session update event to a realtime session is not allowed."
    assert error["message"] == expected
    error = dictate().send("session.update", session={})[0]["error"]
    assert (error["code"], error["param"]) == ("missing_required_parameter", "session.type")


@pytest.mark.parametrize(
    "kind",
    [
        *("response.create", "response.cancel", "conversation.item.create", "conversation.item.truncate"),
        *("output_audio_buffer.clear", "session.close", "transcription_session.update"),
    ],
)
def test_what_a_transcription_has_no_use_for_is_refused(dictate, kind):
    error = dictate().send(kind, event_id="mine")[0]["error"]
    assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", "type", "mine")
    assert "'input_audio_buffer.commit'" in error["message"]
