"""Appending, committing and clearing."""

import numpy as np
import pytest

from parley.simulator.input_buffer import InputBuffer
from parley.simulator.wire import ApiError

SERVER = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}


@pytest.fixture
def tone(sound):
    return lambda ms: sound[0](ms).astype("<i2").tobytes()


def test_a_commit_takes_everything(tone):
    buffer = InputBuffer()
    buffer.append(tone(60))
    buffer.append(tone(60))
    assert len(buffer.take()) == 120 * 24
    assert (buffer.held_ms, buffer.end_ms) == (0, 120)


def test_too_little_is_no_commit_and_is_kept(tone):
    buffer = InputBuffer()
    buffer.append(tone(99))
    with pytest.raises(ApiError, match=r"buffer only has 99\.00ms of audio") as refused:
        buffer.take()
    assert refused.value.code == "input_audio_buffer_commit_empty"
    buffer.append(tone(1))
    assert len(buffer.take()) == 2400


def test_a_cleared_buffer_is_empty(tone):
    buffer = InputBuffer()
    buffer.append(tone(500))
    buffer.clear()
    with pytest.raises(ApiError, match=r"only has 0\.00ms"):
        buffer.take()


def test_with_detection_only_the_padding_is_kept_of_a_silence():
    buffer = InputBuffer()
    buffer.configure(SERVER)
    for _ in range(100):
        buffer.append(bytes(2 * 2400))
        assert buffer.next_mark() is None
        assert buffer.held_ms <= 400


def test_an_utterance_is_taken_with_padding_and_silence(tone):
    buffer = InputBuffer()
    buffer.configure(SERVER)
    buffer.append(bytes(48 * 1000) + tone(400) + bytes(48 * 700))
    started = buffer.next_mark()
    assert (started.kind, started.at_ms) == ("started", 700)
    stopped = buffer.next_mark()
    assert (stopped.kind, stopped.at_ms) == ("stopped", 1900)
    assert len(buffer.take(judged=True)) == 1200 * 24
    assert buffer.next_mark() is None


def test_settings_in_the_middle_begin_anew(tone):
    buffer = InputBuffer()
    buffer.append(tone(405))
    buffer.configure(SERVER)
    buffer.append(tone(200))
    assert buffer.next_mark().kind == "started"
    buffer.append(bytes(48 * 600))
    stopped = buffer.next_mark()
    assert stopped.at_ms == pytest.approx(1105, abs=20)
    assert buffer.speaking is False


def test_it_is_bounded(tone, monkeypatch):
    monkeypatch.setattr("parley.simulator.input_buffer._MOST_SAMPLES", 24_000)
    buffer = InputBuffer()
    for _ in range(30):
        buffer.append(tone(100))
    assert (buffer.held_ms, buffer.end_ms) == (1000, 3000)
    assert isinstance(buffer.take(), np.ndarray)
