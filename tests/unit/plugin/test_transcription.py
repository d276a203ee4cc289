"""The transcription session without any I/O: what it sends, when, and what it refuses."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from livekit.plugins.openai_realtime import errors, events
from livekit.plugins.openai_realtime.options import TranscriptionOptions
from livekit.plugins.openai_realtime.session_protocol import State
from livekit.plugins.openai_realtime.transcription import TranscriptionProtocol

TRANSCRIPTION = "conversation.item.input_audio_transcription"


def message(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, "event_id": "ev", **fields})


def updated(
    language: str | None = None, turn_detection: Any = None, model: str = "gpt-realtime-whisper"
) -> str:
    transcription = {"model": model, **({"language": language} if language is not None else {})}
    audio = {"input": {"transcription": transcription, "turn_detection": turn_detection}}
    return message("session.updated", session={"id": "s1", "type": "transcription", "audio": audio})


CREATED = message("session.created", session={"id": "s1", "type": "transcription", "expires_at": 99})
COMMITTED = message("input_audio_buffer.committed", item_id="i1", previous_item_id=None)
WORDS = message(f"{TRANSCRIPTION}.delta", item_id="i1", delta=" Hello")
DONE = message(f"{TRANSCRIPTION}.completed", item_id="i1", transcript="Hello")
FAILED = message(f"{TRANSCRIPTION}.failed", item_id="i1", error={"code": "server_error", "message": "m"})


def error(code: str = "invalid_value", event_id: str | None = None) -> str:
    return message("error", error={"type": "t", "code": code, "message": "m", "event_id": event_id})


def configuring(**options: Any) -> TranscriptionProtocol:
    protocol = TranscriptionProtocol(TranscriptionOptions(**options))
    protocol.receive_text(CREATED)
    return protocol


def opened(**options: Any) -> TranscriptionProtocol:
    protocol = configuring(**options)
    protocol.receive_text(updated(options.get("language")))
    protocol.data_to_send()
    assert protocol.state is State.OPEN
    return protocol


def sent(protocol: TranscriptionProtocol) -> list[dict[str, Any]]:
    return [json.loads(text) for text in protocol.data_to_send()]


def test_the_kind_of_session_is_in_the_address_and_the_model_is_not() -> None:
    protocol = TranscriptionProtocol(TranscriptionOptions())
    assert protocol.path == "realtime"
    assert protocol.query == {"intent": "transcription"}


def test_turn_detection_is_switched_off_in_as_many_words() -> None:
    protocol = configuring(language="en-GB", delay="low", noise_reduction="near_field", logprobs=True)
    (update,) = sent(protocol)
    assert update["type"] == "session.update"
    assert update["session"] == {
        "type": "transcription",
        "audio": {
            "input": {
                "format": {"type": "audio/pcm", "rate": 24000},
                "transcription": {"model": "gpt-realtime-whisper", "language": "en", "delay": "low"},
                "noise_reduction": {"type": "near_field"},
                "turn_detection": None,
            }
        },
        "include": ["item.input_audio_transcription.logprobs"],
    }


def test_what_was_not_asked_for_is_not_named() -> None:
    (update,) = sent(configuring())
    assert update["session"]["audio"]["input"]["transcription"] == {"model": "gpt-realtime-whisper"}
    assert "include" not in update["session"]


@pytest.mark.parametrize("action", ["append", "commit", "clear", "update"])
@pytest.mark.parametrize("state", [State.CONNECTING, State.CONFIGURING, State.CLOSING, State.CLOSED])
def test_nothing_is_sent_unless_the_session_is_open(action: str, state: State) -> None:
    makers: dict[State, Callable[[], TranscriptionProtocol]] = {
        State.CONNECTING: lambda: TranscriptionProtocol(TranscriptionOptions()),
        State.CONFIGURING: configuring,
        State.CLOSING: opened,
        State.CLOSED: opened,
    }
    protocol = makers[state]()
    if state is State.CLOSING:
        protocol.commit()
    if state in (State.CLOSING, State.CLOSED):
        protocol.close()
    assert protocol.state is state
    protocol.data_to_send()
    with pytest.raises(errors.SessionNotOpen, match=state.name):
        protocol.append(b"\0\0") if action == "append" else getattr(protocol, action)()
    assert sent(protocol) == []


def test_a_session_that_keeps_its_turn_detection_is_refused() -> None:
    protocol = configuring()
    protocol.receive_text(updated(turn_detection={"type": "server_vad"}))
    assert protocol.state is State.CLOSED
    assert isinstance(protocol.failure, errors.RequestRejected)
    assert protocol.failure.code == "turn_detection_not_confirmed"


def test_a_session_of_another_model_or_language_is_refused() -> None:
    protocol = configuring()
    protocol.receive_text(updated(model="whisper-1"))
    assert protocol.failure is not None
    assert protocol.failure.param == "session.audio.input.transcription.model"
    protocol = configuring(language="de")
    protocol.receive_text(updated("fr"))
    assert protocol.failure is not None
    assert protocol.failure.code == "language_not_confirmed"


def test_a_dated_name_of_the_model_is_the_model_and_no_language_named_is_no_refusal() -> None:
    protocol = configuring(language="de")
    protocol.receive_text(updated(None, model="gpt-realtime-whisper-2026-05-06"))
    assert protocol.state is State.OPEN
    assert protocol.language == "de"


@pytest.mark.parametrize("early", [COMMITTED, WORDS, DONE, FAILED, error()])
def test_nothing_may_come_before_the_settings_are_confirmed(early: str) -> None:
    protocol = configuring()
    assert protocol.receive_text(early) == []
    assert protocol.failure is not None


def test_an_item_from_its_commit_to_its_words() -> None:
    protocol = opened()
    protocol.append(b"\1\0")
    protocol.commit("c1")
    append, commit = sent(protocol)
    assert append == {"type": "input_audio_buffer.append", "audio": "AQA="}
    assert commit == {"type": "input_audio_buffer.commit", "event_id": "c1"}
    assert protocol.owed == 1
    assert protocol.receive_text(COMMITTED) == [events.Committed("i1", None)]
    assert protocol.receive_text(WORDS) == [events.Words("i1", " Hello")]
    assert protocol.owed == 1
    assert protocol.receive_text(DONE) == [events.Transcribed("i1", "Hello", None, None)]
    assert protocol.owed == 0


def test_a_close_waits_for_what_is_owed_and_for_nothing_else() -> None:
    protocol = opened()
    protocol.append(b"\0\0")
    protocol.close()
    assert protocol.state is State.CLOSED
    protocol = opened()
    protocol.commit()
    protocol.close()
    protocol.receive_text(COMMITTED)
    assert protocol.state is State.CLOSING
    assert len(protocol.receive_text(FAILED)) == 1
    assert protocol.state is State.CLOSED
    assert protocol.failure is None


def test_an_end_with_something_owed_is_a_loss_however_polite() -> None:
    protocol = opened()
    protocol.commit()
    protocol.close()
    protocol.receive_eof(1000)
    assert isinstance(protocol.failure, errors.ConnectionLost)


@pytest.mark.parametrize("event_id", ["c2", None])
def test_a_refused_commit_owes_nothing(event_id: str | None) -> None:
    protocol = opened()
    protocol.commit("c2")
    (event,) = protocol.receive_text(error("input_audio_buffer_commit_empty", event_id))
    assert isinstance(event, events.ErrorReported)
    assert protocol.owed == 0
    assert protocol.state is State.OPEN


def test_an_expired_session_is_over() -> None:
    protocol = opened()
    protocol.receive_text(error("session_expired"))
    assert isinstance(protocol.failure, errors.SessionExpired)


def test_the_language_of_a_running_session_can_change() -> None:
    protocol = opened(language="en")
    protocol.update()
    assert sent(protocol) == []
    protocol.update(language="pt-BR")
    (update,) = sent(protocol)
    assert update["session"]["audio"]["input"]["transcription"]["language"] == "pt"
    assert update["session"]["audio"]["input"]["turn_detection"] is None
    assert len(protocol.receive_text(updated("pt"))) == 1
    assert protocol.language == "pt"
    protocol.update(language="ja")
    assert len(protocol.receive_text(updated("pt"))) == 2
    assert protocol.state is State.OPEN


def test_items_and_turns_that_say_nothing_new_are_counted_and_ignored() -> None:
    protocol = opened()
    assert protocol.receive_text(message("conversation.item.added", item={})) == []
    assert protocol.ignored["conversation.item.added"] == 1


def test_what_a_transcript_cost_and_how_sure_the_model_is() -> None:
    logprobs = [{"token": "a", "logprob": -0.1}, {"token": "b", "logprob": -0.3}]
    usage = {"type": "duration", "seconds": 1.5}
    text = message(f"{TRANSCRIPTION}.completed", item_id="i", transcript="ab", usage=usage, logprobs=logprobs)
    event = events.parse_transcription(text)
    assert isinstance(event, events.Transcribed)
    assert event.usage is not None
    assert event.usage.seconds == 1.5
    assert event.confidence == pytest.approx(0.8187, abs=0.001)
    bare = events.parse_transcription(message(f"{TRANSCRIPTION}.completed", item_id="i", logprobs=[]))
    assert bare == events.Transcribed("i", "", None, None)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"model": " "}, "model"),
        ({"language": "English"}, "language"),
        ({"language": ""}, "language"),
        ({"delay": "soon"}, "delay"),
        ({"model": "gpt-live-transcribe", "delay": "low"}, "delay: given for model 'gpt-live-transcribe'"),
        ({"prompt": "names"}, "prompt: given for model 'gpt-realtime-whisper', this model takes none"),
        ({"keywords": ("Parley",)}, "keywords: given for model 'gpt-realtime-whisper'"),
        ({"noise_reduction": "loud"}, "noise_reduction"),
    ],
)
def test_settings_that_cannot_work_are_refused(given: dict[str, Any], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        TranscriptionOptions(**given)


def test_settings_of_the_models_that_take_them() -> None:
    options = TranscriptionOptions(model="gpt-live-transcribe", keywords=("Parley",), language="zh-Hant-TW")
    assert options.language == "zh"
    (update,) = sent(configuring(model="gpt-live-transcribe", keywords=("Parley",), prompt="p"))
    transcription = update["session"]["audio"]["input"]["transcription"]
    assert transcription == {"model": "gpt-live-transcribe", "keywords": ["Parley"], "prompt": "p"}
