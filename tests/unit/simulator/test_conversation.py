"""Whole conversations on virtual time; every event is checked against the schemas that are shipped."""

import numpy as np
import pytest

from parley.simulator import voice_of

LISTEN = [
    "input_audio_buffer.speech_started",
    "input_audio_buffer.speech_stopped",
    "input_audio_buffer.committed",
    "conversation.item.added",
    "conversation.item.done",
]
REPLY = [
    "response.created",
    "rate_limits.updated",
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
    "response.output_audio_transcript.delta",
    "response.output_audio.delta",
    "response.output_audio.done",
    "response.output_audio_transcript.done",
    "response.content_part.done",
    "response.output_item.done",
    "conversation.item.done",
    "response.done",
]


@pytest.fixture
def words(sound):
    tone, quiet = sound

    def made(count=2, before=500, after=1000):
        spoken = [np.concatenate([tone(400), quiet(200)]) for _ in range(count)]
        return np.concatenate([quiet(before), *spoken, quiet(after)])

    return made


def test_a_turn_in_the_order_of_the_api(talk, words):
    driver = talk()
    driver.speak(words(1))
    driver.run(10)
    assert driver.types() == LISTEN + REPLY
    assert driver.record.refused == []


def test_the_session_says_what_it_is(talk):
    session = talk().last("session.created")["session"]
    assert (session["type"], session["object"], session["model"]) == (
        *("realtime", "realtime.session"),
        "gpt-realtime-2.1",
    )
    assert session["expires_at"] == 1_700_003_600
    detection = session["audio"]["input"]["turn_detection"]
    assert (detection["type"], detection["silence_duration_ms"]) == ("server_vad", 500)
    assert session["reasoning"] == {"effort": "low"}
    assert "reasoning" not in talk("gpt-realtime-mini").last("session.created")["session"]


def test_places_in_the_audio_include_padding_and_silence(talk, words):
    driver = talk()
    driver.speak(words(1))
    driver.run(10)
    assert driver.last("input_audio_buffer.speech_started")["audio_start_ms"] == 200
    stopped = driver.last("input_audio_buffer.speech_stopped")
    assert stopped["audio_end_ms"] == 1400
    (item,) = [one for one in driver.record.items if one.role == "user"]
    assert item.audio_ms == 1200
    committed = driver.last("input_audio_buffer.committed")
    assert (committed["item_id"], committed["previous_item_id"]) == (stopped["item_id"], None)


def test_the_reply_repeats_the_words_in_the_agents_voice(talk, words):
    driver = talk()
    driver.update(audio={"output": {"voice": "cedar"}})
    driver.speak(words(3))
    driver.run(10)
    (response,) = driver.record.responses
    assert response.text == "[simulated] word-1 word-2 word-3"
    assert driver.text() == response.text
    assert voice_of(driver.audio()) == "cedar"
    assert len(driver.audio()) / 24 == pytest.approx(response.audio_ms, abs=1)
    assert 1500 <= response.audio_ms <= 2000


def test_audio_comes_after_the_latency_and_faster_than_it_plays(talk, words):
    driver = talk(response_latency_s=0.7, reply_speed=4.0, reply_delta_ms=100)
    driver.manual()
    driver.append(words(3))
    driver.send("input_audio_buffer.commit")
    created = driver.now
    driver.respond()
    deltas = [when for when, event in driver.events if event["type"] == "response.output_audio.delta"]
    assert deltas[0] - created == pytest.approx(0.7)
    assert np.diff(deltas) == pytest.approx(0.025)


def test_a_fast_append_gives_the_same_turns(talk, words):
    driver = talk()
    driver.append(np.concatenate([words(1), words(2)]))
    driver.run(10)
    first, second = driver.record.responses
    assert (first.status, first.reason) == ("cancelled", "turn_detected")
    assert second.context == ["[simulated] word-1", "[simulated] word-2 word-3"]
    started = [event["audio_start_ms"] for event in driver.all("input_audio_buffer.speech_started")]
    assert started == [200, 2300]


def test_barge_in_cancels_what_is_said(talk, words, sound):
    tone, quiet = sound
    driver = talk(reply_speed=1.0)
    driver.speak(words(5))
    driver.run_until("response.output_audio.delta")
    driver.run(0.5)
    driver.speak(np.concatenate([tone(400), quiet(100)]))
    (response,) = driver.record.responses
    assert (response.status, response.reason) == ("cancelled", "turn_detected")
    done = driver.last("response.done")["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert done["output"][0]["status"] == "incomplete"
    assert 1000 <= response.audio_ms <= 1400
    item = driver.record.items[1]
    driver.send("conversation.item.truncate", item_id=item.id, content_index=0, audio_end_ms=480)
    assert driver.last("conversation.item.truncated")["audio_end_ms"] == 480
    driver.speak(quiet(800))
    driver.run(10)
    assert driver.record.responses[1].context == [
        *("[simulated] word-1 word-2 word-3 word-4 word-5", "[simulated] word-1"),
        "[simulated] word-6",
    ]
    assert driver.record.refused == []
    assert (item.truncated_at_ms, item.audio_ms) == (480, 480)


def test_without_interruption_it_speaks_on_and_answers_nothing(talk, words):
    driver = talk(reply_speed=1.0)
    driver.update(audio={"input": {"turn_detection": {"type": "server_vad", "interrupt_response": False}}})
    driver.speak(words(5))
    driver.run_until("response.output_audio.delta")
    driver.speak(words(1, before=0))
    assert len(driver.all("input_audio_buffer.speech_started")) == 2
    assert len(driver.all("input_audio_buffer.committed")) == 2
    driver.run(20)
    (response,) = driver.record.responses
    assert response.status == "completed"


def test_turn_detection_without_responses_only_says_what_it_hears(talk, words):
    driver = talk()
    detection = {"type": "server_vad", "create_response": False, "interrupt_response": False}
    driver.update(audio={"input": {"turn_detection": detection}})
    driver.speak(words(1))
    driver.run(10)
    assert driver.types() == LISTEN


def test_manual_turns(talk, words):
    driver = talk()
    driver.manual()
    driver.speak(words(2))
    assert driver.types() == []
    assert [event["type"] for event in driver.send("input_audio_buffer.commit")] == LISTEN[2:]
    driver.respond()
    assert driver.types() == LISTEN[2:] + REPLY[:5] + driver.types()[8:]
    assert driver.record.responses[0].text == "[simulated] word-1 word-2"


def test_input_transcription_comes_later_and_apart(talk, words):
    driver = talk(transcription_delay_s=2.0, recognise=lambda _: ["alpha", "bravo"])
    driver.update(audio={"input": {"transcription": {"model": "gpt-4o-transcribe"}}})
    driver.speak(words(2))
    committed = next(when for when, e in driver.events if e["type"] == "input_audio_buffer.committed")
    driver.run(10)
    kind = "conversation.item.input_audio_transcription"
    (when,) = [when for when, event in driver.events if event["type"] == f"{kind}.completed"]
    assert when - committed == pytest.approx(2.0)
    completed = driver.last(f"{kind}.completed")
    assert completed["transcript"] == "alpha bravo"
    assert "".join(event["delta"] for event in driver.all(f"{kind}.delta")) == "alpha bravo"
    assert completed["item_id"] == driver.last("input_audio_buffer.committed")["item_id"]
    assert completed["usage"]["type"] == "tokens"
    assert completed["usage"]["total_tokens"] == completed["usage"]["input_tokens"] + 3
    assert driver.record.responses[0].text == "[simulated] alpha bravo"
    assert driver.record.input_transcript == "alpha bravo\n"


def test_logprobs_where_they_are_asked_for(talk, words):
    driver = talk(recognise=lambda _: ["alpha"])
    include = ["item.input_audio_transcription.logprobs"]
    driver.update(audio={"input": {"transcription": {"model": "whisper-1"}}}, include=include)
    driver.speak(words(1))
    driver.run(5)
    completed = driver.last("conversation.item.input_audio_transcription.completed")
    assert [one["token"] for one in completed["logprobs"]] == ["alpha"]
    assert completed["usage"] == {"type": "duration", "seconds": 1.2}


def test_a_silence_that_is_too_long_is_broken(talk, words, sound):
    _, quiet = sound
    driver = talk(reply_speed=1.0)
    driver.update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}})
    driver.speak(words(1))
    driver.run_until("response.done")
    done = driver.now
    driver.speak(quiet(4900))
    assert driver.all("input_audio_buffer.timeout_triggered") == []
    event = driver.run_until("input_audio_buffer.timeout_triggered")
    assert driver.now - done == pytest.approx(5.0, abs=0.1)
    driver.run(5)
    assert event["audio_end_ms"] - event["audio_start_ms"] == pytest.approx(5000, abs=150)
    assert driver.all("input_audio_buffer.committed")[-1]["item_id"] == event["item_id"]
    assert len(driver.record.responses) == 2
    assert driver.record.responses[1].text == "[simulated] nothing heard"


def test_speech_keeps_the_silence_from_being_broken(talk, words):
    driver = talk()
    driver.update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": 5000}}})
    for _ in range(3):
        driver.speak(words(1))
        driver.run(4)
    assert driver.all("input_audio_buffer.timeout_triggered") == []


def test_expiry_is_an_error_and_the_end(talk):
    driver = talk(session_lifetime_s=60)
    driver.run(61)
    assert driver.codes() == ["session_expired"]
    assert (driver.session.ending.code, driver.session.ending.how) == (1001, "expired")
    assert driver.session.next_due() is None


def test_slow_and_silent(talk):
    driver = talk()
    driver.type("hi")
    driver.session.slow(2.0, driver.now + 1)
    driver.respond()
    response = driver.record.responses[0]
    assert response.first_audio_at - response.created_at == pytest.approx(2.3)
    driver.session.silence(driver.now + 60)
    driver.send("response.create")
    before = len(driver.events)
    driver.run(30)
    assert len(driver.events) == before
    driver.type("hello")
    assert driver.last("conversation.item.done")["item"]["content"][0]["text"] == "hello"


def test_ids_are_short_and_their_own(talk, words):
    driver = talk()
    driver.speak(words(2))
    driver.run(10)
    ids = [event["event_id"] for _, event in driver.events]
    assert len(set(ids)) == len(ids)
    assert all(len(item.id) <= 32 for item in driver.record.items)


def test_the_record_as_json(talk, words):
    driver = talk()
    driver.speak(words(1))
    driver.run(10)
    shown = driver.record.as_json()
    assert [item["role"] for item in shown["items"]] == ["user", "assistant"]
    assert shown["responses"][0]["status"] == "completed"
    assert (
        shown["usage"]["audio_out"] == driver.record.responses[0].output_tokens - shown["usage"]["text_out"]
    )
    assert shown["settings"]["model"] == "gpt-realtime-2.1"
