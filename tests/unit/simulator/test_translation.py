"""A translation session's life, output and clocks."""

import numpy as np
import pytest

from parley.simulator import language_of


def kinds(driver):
    return [event["type"] for _, event in driver.events]


def test_created_with_the_servers_defaults(drive):
    ((_, created),) = drive(session_lifetime_s=600).events
    session = created["session"]
    assert created["type"] == "session.created"
    assert (session["type"], session["model"]) == ("translation", "gpt-realtime-translate")
    assert session["expires_at"] == 1_700_000_600
    assert session["audio"]["input"] == {"transcription": None, "noise_reduction": None}
    assert session["audio"]["output"] == {"language": "es"}


def test_updated_tells_the_whole_session_and_keeps_what_was_not_named(drive):
    driver = drive()
    near = {"type": "near_field", "strength": 0.5}
    driver.update(input={"noise_reduction": near, "transcription": {"model": "gpt-realtime-whisper"}})
    (answer,) = driver.update(input={"noise_reduction": {"type": "far_field"}}, output={"language": "ja"})
    audio = answer["session"]["audio"]
    assert audio["input"]["noise_reduction"] == {"type": "far_field", "strength": 0.5}
    assert audio["input"]["transcription"] == {"model": "gpt-realtime-whisper"}
    assert audio["output"]["language"] == driver.record.language == "ja"
    (answer,) = driver.update(input={"noise_reduction": None, "transcription": None})
    assert answer["session"]["audio"]["input"] == {"transcription": None, "noise_reduction": None}


def test_each_frame_comes_out_once_the_lag_was_consumed(drive, sound):
    tone, quiet = sound
    driver = drive(model_lag_s=0.8)
    driver.speak(np.concatenate([tone(400), quiet(1600)]))
    heard = driver.audio()
    assert [elapsed for _, elapsed, _ in heard] == [0, 200, 400]
    assert [when for when, _, _ in heard] == pytest.approx([1000.8, 1001.0, 1001.2], abs=0.01)
    assert {len(pcm) for _, _, pcm in heard} == {4800}


def test_model_time_stands_still_while_no_input_comes(drive, sound):
    tone, quiet = sound
    driver = drive()
    driver.speak(tone(400))
    driver.run(30)
    assert driver.audio() == []
    driver.speak(quiet(1000))
    assert len(driver.audio()) == 3


def test_on_the_wall_clock_output_follows_without_input(drive, sound):
    tone, _ = sound
    driver = drive(lag_clock="wall", model_lag_s=0.5)
    driver.speak(tone(400))
    driver.run(5)
    assert [when for when, _, _ in driver.audio()] == pytest.approx([1000.5, 1000.7], abs=0.01)


def test_elapsed_may_count_the_engine_frame(drive, sound):
    tone, quiet = sound
    driver = drive(elapsed_of="engine")
    driver.speak(np.concatenate([tone(200), quiet(1000)]))
    assert driver.audio()[0][1] == 800


@pytest.mark.parametrize("chunk", [100, 4799, 4800, 7000, 24_000])
def test_any_chunking_gives_the_same_output(drive, sound, chunk):
    tone, quiet = sound
    pcm = np.concatenate([quiet(130), tone(410), quiet(390), tone(700)])
    outputs = []
    for size in (chunk, 4800):
        driver = drive()
        driver.speak(pcm, size)
        driver.close()
        outputs.append(np.concatenate([out for _, _, out in driver.audio()]))
    assert np.array_equal(*outputs)


def test_the_close_flushes_everything_then_closed_then_the_socket(drive, sound):
    tone, _ = sound
    driver = drive()
    driver.speak(tone(730), 1200)
    before = len(driver.audio())
    tail = driver.close()
    assert before == 0
    assert [elapsed for _, elapsed, _ in driver.audio()] == [0, 200, 400, 600]
    assert tail[-1]["type"] == "session.closed"
    assert (driver.session.ending.code, driver.session.ending.how) == (1000, "session.close")
    assert driver.session.next_due() is None
    spoken = np.concatenate([pcm for _, _, pcm in driver.audio()])
    assert np.abs(spoken[: len(tone(730))].astype(int) - tone(730)).max() < 500
    assert driver.texts() == ["[simulated es]", " word-1", "."]


def test_an_empty_session_closes_at_once(drive):
    driver = drive()
    assert driver.send({"type": "session.close"})[-1]["type"] == "session.closed"


@pytest.mark.parametrize("clock", ["model", "wall"])
def test_a_burst_drains_no_faster_than_the_engine_runs(drive, sound, clock):
    tone, _ = sound
    driver = drive(drain_speed=4.0, lag_clock=clock, model_lag_s=0.0)
    driver.append(tone(4000))
    driver.run(10)
    times = [when for when, _, _ in driver.audio()]
    assert len(times) == 20
    assert np.diff(times).min() > 0.045
    assert times[-1] - times[0] == pytest.approx(19 * 0.05, abs=0.02)


def test_deltas_of_400_ms_and_an_odd_one_before_silence(drive, sound):
    tone, quiet = sound
    driver = drive(delta_ms=400)
    driver.speak(np.concatenate([tone(600), quiet(400), tone(200)]))
    driver.close()
    shape = [(elapsed, len(pcm) // 4800) for _, elapsed, pcm in driver.audio()]
    assert shape == [(0, 2), (400, 2), (1000, 1)]


@pytest.mark.parametrize(("silent_deltas", "deltas"), [(False, 0), (True, 5)])
def test_silence_gives_no_deltas_or_digital_silence(drive, sound, silent_deltas, deltas):
    _, quiet = sound
    driver = drive(silent_deltas=silent_deltas)
    driver.speak(quiet(1000))
    driver.close()
    assert len(driver.audio()) == deltas
    assert not any(pcm.any() for _, _, pcm in driver.audio())
    assert driver.texts() == []


def test_the_language_changes_with_the_next_frame(drive, sound):
    tone, quiet = sound
    driver = drive()
    driver.update(output={"language": "fr"})
    driver.speak(np.concatenate([tone(400), quiet(400)]))
    driver.update(output={"language": "zh"})
    driver.speak(np.concatenate([tone(400), quiet(1000)]))
    driver.close()
    said = [language_of(pcm) for _, elapsed, pcm in driver.audio() if elapsed in (0, 200, 800, 1000)]
    assert said == ["fr", "fr", "zh", "zh"]
    assert driver.texts() == ["[simulated fr]", " word-1", ".", "[simulated zh]", "word-2", "。"]


def test_the_source_is_written_sooner_and_only_when_asked_for(drive, sound):
    tone, quiet = sound
    speech = np.concatenate([tone(300), quiet(1500)])
    driver = drive()
    driver.speak(speech)
    assert driver.texts("input") == []
    driver.update(input={"transcription": {"model": "gpt-realtime-whisper"}})
    driver.speak(speech)
    assert driver.texts("input") == ["[simulated source]", " word-2", "."]
    times = {event["delta"]: when for when, event in driver.events if "word-2" in event.get("delta", "")}
    source, output = (when for when, event in driver.events if event.get("delta") == " word-2")
    assert times
    assert output - source == pytest.approx(0.4, abs=0.01)
    assert driver.record.input_transcript == "[simulated source] word-2."


def test_a_burst_of_30_s_is_taken_and_a_wrong_rate_is_refused(drive, sound):
    tone, _ = sound
    driver = drive()
    assert driver.append(tone(30_000)) == []
    driver.run(20)
    driver.append(tone(20_000))
    assert driver.record.refused == []
    refused = driver.append(tone(1000))[0]
    assert refused["error"]["code"] == "rate_limit_exceeded"
    assert driver.record.audio_received_s == pytest.approx(50)

    twice = drive()
    for _ in range(400):
        twice.append(tone(400))
        twice.run(0.2)
    assert twice.record.refused
    assert set(twice.record.refused) == {"rate_limit_exceeded"}


def test_speech_in_real_time_is_never_refused(drive, sound):
    tone, _ = sound
    driver = drive()
    for _ in range(600):
        driver.append(tone(200))
        driver.run(0.2)
    assert driver.record.refused == []
    assert len(driver.session._interpreter._output.items) <= 5


def test_at_expires_at_the_error_and_code_1001(drive):
    driver = drive(session_lifetime_s=100)
    driver.run(99.9)
    assert driver.session.ending is None
    driver.run(0.2)
    _, last = driver.events[-1]
    assert last["error"]["code"] == "session_expired"
    assert (driver.session.ending.code, driver.session.ending.how) == (1001, "expired")


def test_slow_and_silent(drive, sound):
    tone, quiet = sound
    driver = drive()
    driver.session.slow(1.0, driver.now + 0.1)
    driver.speak(np.concatenate([tone(200), quiet(2000)]))
    assert driver.audio()[0][0] == pytest.approx(1001.8, abs=0.01)
    driver.session.silence(driver.now + 3)
    driver.speak(np.concatenate([tone(200), quiet(2000)]))
    driver.run(1)
    said = len(driver.audio())
    driver.speak(np.concatenate([tone(200), quiet(2000)]))
    assert len(driver.audio()) == said + 2
    assert "word-2" not in driver.record.transcript
    assert "word-3" in driver.record.transcript


def test_the_record_counts_and_is_bounded(drive, sound):
    tone, quiet = sound
    driver = drive()
    driver.speak(np.concatenate([tone(400), quiet(1600)]), 240)
    assert driver.record.audio_received_s == pytest.approx(2.0)
    assert driver.record.audio_sent_s == pytest.approx(0.6)
    assert driver.record.appends[0] == (1000.0, 240)
    for _ in range(1500):
        driver.append(quiet(10))
        driver.run(0.01)
        driver.send({"type": "nope"})
    assert len(driver.record.appends) == 1024
    assert len(driver.record.refused) == 256
    assert driver.record.as_json()["appends"] == 1024
