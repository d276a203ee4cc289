"""Transcription sessions on virtual time; every event is checked against the schemas that are shipped."""

import numpy as np
import pytest

from parley.simulator.transcription_settings import DELAYS_S
from parley.simulator.wire import ApiError


def types(driver):
    return [event["type"].removeprefix("conversation.item.") for _, event in driver.events]


def test_created_with_the_servers_defaults(dictate):
    driver = dictate(session_lifetime_s=600)
    ((_, created),) = driver.events
    session = created["session"]
    assert created["type"] == "session.created"
    assert (session["type"], session["object"]) == ("transcription", "realtime.transcription_session")
    assert session["expires_at"] == 1_700_000_600
    assert session["audio"]["input"]["turn_detection"]["type"] == "server_vad"
    assert "transcription" not in session["audio"]["input"]
    assert session["include"] == []


def test_words_are_written_before_the_commit_and_whole_after_it(dictate, sound):
    tone, quiet = sound
    driver = dictate(transcription_delay_s=0.3)
    driver.whisper(delay="low", language="en")
    driver.speak(quiet(300), tone(400), quiet(430), tone(400), quiet(700))
    assert [text for _, text in driver.deltas()] == ["[simulated source]", " word-1", " word-2", "."]
    assert [when for when, _ in driver.deltas()] == pytest.approx([1.1, 1.1, 1.93, 2.13], abs=0.03)
    assert not driver.finals()
    driver.commit()
    driver.run(5)
    assert driver.finals() == ["[simulated source] word-1 word-2."]
    assert types(driver)[2:] == [
        *["input_audio_transcription.delta"] * 4,
        *("input_audio_buffer.committed", "added", "done"),
        "input_audio_transcription.completed",
    ]
    completed = driver.all(".completed")[0]
    assert completed["usage"] == {"type": "duration", "seconds": 2.23}
    assert driver.record.usage.transcribed_s == pytest.approx(2.23)
    when = next(when for when, event in driver.events if event is completed)
    assert when - 1000 == pytest.approx(2.23 + 0.3, abs=0.03)


@pytest.mark.parametrize("delay", DELAYS_S)
def test_the_delay_is_counted_from_the_end_of_a_word_and_can_be_scaled(dictate, sound, delay):
    tone, quiet = sound
    for scale in (1.0, 0.5):
        driver = dictate(delay_scale=scale)
        driver.whisper(delay=delay)
        driver.speak(tone(400), quiet(3000))
        when = driver.deltas()[0][0]
        assert when == pytest.approx(0.4 + scale * DELAYS_S[delay], abs=0.03)


def test_delays_grow_with_their_names():
    assert list(DELAYS_S) == ["minimal", "low", "medium", "high", "xhigh"]
    assert list(DELAYS_S.values()) == sorted(DELAYS_S.values())


def test_the_deltas_before_a_commit_carry_the_id_that_the_commit_gives(dictate, sound):
    tone, quiet = sound
    driver = dictate()
    driver.whisper(delay="minimal")
    for _ in range(2):
        driver.speak(tone(400), quiet(800))
        driver.commit()
    driver.run(3)
    first, second = driver.all("buffer.committed")
    assert first["previous_item_id"] is None
    assert second["previous_item_id"] == first["item_id"] != second["item_id"]
    for item in (first["item_id"], second["item_id"]):
        assert {event["item_id"] for event in driver.all("transcription.delta")} >= {item}
        text = "".join(e["delta"] for e in driver.all("transcription.delta") if e["item_id"] == item)
        (final,) = [e["transcript"] for e in driver.all(".completed") if e["item_id"] == item]
        assert text == final
    assert [event["item"]["id"] for event in driver.all("item.added")] == [
        first["item_id"],
        second["item_id"],
    ]
    assert [item.text for item in driver.record.items] == driver.finals()
    assert driver.record.transcript.splitlines() == driver.finals()


def test_what_is_left_of_a_committed_item_is_said_before_it_is_completed(dictate, sound):
    tone, quiet = sound
    driver = dictate(transcription_delay_s=0.3)
    driver.whisper(delay="xhigh")
    driver.speak(tone(400), quiet(200))
    driver.commit()
    driver.run(0.31)
    assert [text for _, text in driver.deltas()] == ["[simulated source]", " word-1", "."]
    assert driver.finals() == ["[simulated source] word-1."]


def test_less_than_a_tenth_of_a_second_is_not_committed(dictate, sound):
    tone, _ = sound
    driver = dictate()
    driver.whisper()
    driver.commit()
    assert driver.error()["code"] == "input_audio_buffer_commit_empty"
    driver.append(tone(90))
    driver.commit()
    assert "Expected at least 100ms of audio, but buffer only has 90.00ms" in driver.error()["message"]
    driver.append(tone(10))
    assert driver.commit()[0]["type"] == "input_audio_buffer.committed"


def test_cleared_audio_is_never_written(dictate, sound):
    tone, quiet = sound
    driver = dictate()
    driver.whisper(delay="medium")
    driver.speak(tone(400), quiet(200))
    assert driver.send("input_audio_buffer.clear")[0]["type"] == "input_audio_buffer.cleared"
    driver.run(5)
    assert driver.deltas() == []
    driver.speak(tone(400), quiet(200))
    driver.commit()
    driver.run(5)
    assert driver.finals() == ["[simulated source] word-2."]


def test_a_word_that_the_commit_cuts_is_a_word_of_each_half(dictate, sound):
    tone, quiet = sound
    driver = dictate()
    driver.whisper()
    driver.speak(tone(200))
    driver.commit()
    driver.speak(tone(200), quiet(300))
    driver.commit()
    driver.run(5)
    assert driver.finals() == ["[simulated source] word-1.", "[simulated source] word-2."]
    driver.speak(tone(60), quiet(100))
    driver.commit()
    driver.run(5)
    assert driver.finals()[-1] == ""


def test_a_recogniser_names_the_words_by_their_sound(dictate, sound):
    tone, quiet = sound
    heard = []

    def recognise(pcm: np.ndarray) -> list[str]:
        heard.append(len(pcm) / 24)
        return ["alpha", "bravo"] if len(heard) == 1 else ["charlie"]

    driver = dictate(recognise_word=recognise)
    driver.whisper(delay="minimal")
    driver.speak(quiet(500), tone(150), quiet(80), tone(150), quiet(700), tone(300))
    driver.commit()
    driver.run(5)
    assert [text for _, text in driver.deltas()] == ["alpha", " bravo", " charlie"]
    assert driver.finals() == ["alpha bravo charlie"]
    assert heard == [pytest.approx(40 + 380 + 80, abs=41), pytest.approx(300, abs=61)]


def test_audio_in_a_burst_is_written_as_fast_as_the_engine_hears(dictate, sound):
    tone, quiet = sound
    driver = dictate(drain_speed=4.0)
    driver.whisper(delay="minimal")
    driver.append(np.concatenate([tone(400), quiet(1600)] * 4))
    driver.commit()
    driver.run(10)
    words = [when for when, text in driver.deltas() if "word" in text]
    assert words == [pytest.approx(0.5 * place + 0.1 + 0.2, abs=0.03) for place in range(4)]
    completed = next(when for when, event in driver.events if event["type"].endswith(".completed"))
    assert completed - 1000 >= 2.0


def test_logprobs_come_when_they_are_included(dictate, sound):
    tone, quiet = sound
    driver = dictate()
    driver.whisper()
    driver.speak(tone(400), quiet(200))
    driver.commit()
    driver.run(5)
    assert not any("logprobs" in event for event in driver.all("delta") + driver.all(".completed"))
    driver.whisper(["item.input_audio_transcription.logprobs"])
    driver.speak(tone(400), quiet(200))
    driver.commit()
    driver.run(5)
    final = driver.all(".completed")[-1]
    assert "".join(one["token"] for one in final["logprobs"]) == final["transcript"] != ""
    assert driver.all("transcription.delta")[-1]["logprobs"][0]["token"] == "."


@pytest.mark.parametrize("model", ["gpt-4o-transcribe", "gpt-transcribe"])
def test_other_models_write_what_was_committed_and_are_billed_by_tokens(dictate, sound, model):
    tone, quiet = sound
    driver = dictate()
    driver.update(transcription={"model": model, "language": "en"}, turn_detection=None)
    driver.speak(tone(400), quiet(1600))
    assert driver.deltas() == []
    driver.commit()
    driver.run(5)
    final = driver.all(".completed")[-1]
    assert final["transcript"] == "[simulated source] word-1."
    assert final["usage"]["type"] == "tokens"
    assert final["usage"]["input_token_details"] == {"audio_tokens": 20, "text_tokens": 0}
    assert driver.record.usage.audio_in == 20
    assert final.get("languages") == ([{"code": "en"}] if model == "gpt-transcribe" else None)


def test_the_servers_turn_detection_commits_for_models_that_have_it(dictate, sound):
    tone, quiet = sound
    driver = dictate()
    driver.update(transcription={"model": "gpt-4o-transcribe"})
    driver.speak(quiet(500), tone(400), quiet(700))
    driver.run(3)
    (started,) = driver.all("speech_started")
    (committed,) = driver.all("buffer.committed")
    assert started["item_id"] == committed["item_id"]
    assert driver.all("speech_stopped")[0]["audio_end_ms"] > started["audio_start_ms"]
    assert driver.finals() == ["[simulated source] word-1."]


def test_without_a_model_nothing_is_written(dictate, sound):
    tone, quiet = sound
    driver = dictate()
    driver.update(turn_detection=None)
    driver.speak(tone(400), quiet(200))
    assert driver.commit()[0]["type"] == "input_audio_buffer.committed"
    driver.run(5)
    assert not driver.all(".completed")


def test_finals_may_come_in_the_other_order(dictate, sound):
    tone, quiet = sound
    driver = dictate()
    driver.whisper()
    driver.session.swap_next()
    for _ in range(3):
        driver.speak(tone(400), quiet(600))
        driver.commit()
    driver.run(5)
    ids = [event["item_id"] for event in driver.all("buffer.committed")]
    assert [event["item_id"] for event in driver.all(".completed")] == [ids[1], ids[0], ids[2]]


def test_a_final_that_waits_for_another_comes_late_where_none_follows(dictate, sound):
    tone, quiet = sound
    driver = dictate()
    driver.whisper()
    driver.session.swap_next()
    driver.speak(tone(400), quiet(600))
    driver.commit()
    driver.run(4)
    assert driver.finals() == []
    driver.run(2)
    assert driver.finals() == ["[simulated source] word-1."]


def test_a_transcription_can_fail(dictate, sound):
    tone, quiet = sound
    driver = dictate()
    driver.whisper()
    driver.session.fail_next(ApiError("server_error", "It broke.", type="server_error"))
    for _ in range(2):
        driver.speak(tone(400), quiet(600))
        driver.commit()
        driver.run(3)
    (failed,) = driver.all(".failed")
    assert failed["error"] == {"type": "server_error", "code": "server_error", "message": "It broke."}
    first, second = driver.all("buffer.committed")
    assert failed["item_id"] == first["item_id"]
    assert [event["item_id"] for event in driver.all(".completed")] == [second["item_id"]]
    assert driver.record.usage.transcribed_s == pytest.approx(1.0)


def test_slow_says_it_later_and_silence_never(dictate, sound):
    tone, quiet = sound
    driver = dictate()
    driver.whisper(delay="minimal")
    driver.session.slow(1.0, driver.now + 1)
    driver.speak(tone(400), quiet(2000))
    assert driver.deltas()[0][0] == pytest.approx(1.6, abs=0.03)
    before = driver.deltas()
    driver.session.silence(driver.now + 1)
    driver.speak(tone(400), quiet(800))
    driver.commit()
    driver.run(5)
    assert driver.deltas() == before
    assert driver.finals() == ["[simulated source] word-1. [simulated source] word-2."]
    driver.session.silence(driver.now + 3)
    driver.speak(tone(400), quiet(800))
    driver.commit()
    driver.run(5)
    assert len(driver.finals()) == 1


def test_the_sessions_time_is_over(dictate):
    driver = dictate(session_lifetime_s=60)
    driver.whisper()
    driver.run(61)
    assert driver.error()["code"] == "session_expired"
    assert driver.session.ending.code == 1001
    assert driver.session.next_due() is None
    assert driver.session.tick(driver.now) == []
