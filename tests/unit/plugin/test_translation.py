"""The translation session without any I/O: what it sends, when, and what it refuses."""

import base64
import json
from collections.abc import Callable
from typing import Any

import pytest

from livekit.plugins.openai_realtime import errors, events
from livekit.plugins.openai_realtime.options import TranslationOptions
from livekit.plugins.openai_realtime.session_protocol import State
from livekit.plugins.openai_realtime.translation import TranslationProtocol


def message(kind: str, **fields: Any) -> str:
    return json.dumps({"type": kind, "event_id": "ev", **fields})


def session(language: str | None = "fr") -> dict[str, Any]:
    output = {"language": language} if language is not None else {}
    return {"id": "s1", "type": "translation", "model": "m", "expires_at": 99, "audio": {"output": output}}


CREATED = message("session.created", session=session("es"))
UPDATED = message("session.updated", session=session("fr"))
AUDIO = message("session.output_audio.delta", delta="AAAA" * 2 + "AAA=")
SAID = message("session.output_transcript.delta", delta=" bon")
HEARD = message("session.input_transcript.delta", delta=" good")
CLOSED = message("session.closed")


def error(code: str = "invalid_value", event_id: str | None = None) -> str:
    return message("error", error={"type": "t", "code": code, "message": "m", "event_id": event_id})


def connecting(**options: Any) -> TranslationProtocol:
    return TranslationProtocol(TranslationOptions(**{"model": "m", "language": "fr", **options}))


def configuring(**options: Any) -> TranslationProtocol:
    protocol = connecting(**options)
    protocol.receive_text(CREATED)
    return protocol


def opened(**options: Any) -> TranslationProtocol:
    protocol = configuring(**options)
    protocol.receive_text(UPDATED)
    protocol.data_to_send()
    return protocol


def closing() -> TranslationProtocol:
    protocol = opened()
    protocol.close()
    return protocol


def closed() -> TranslationProtocol:
    protocol = closing()
    protocol.receive_text(CLOSED)
    return protocol


def sent(protocol: TranslationProtocol) -> list[dict[str, Any]]:
    return [json.loads(text) for text in protocol.data_to_send()]


MAKERS: dict[State, Callable[[], TranslationProtocol]] = {
    State.CONNECTING: connecting,
    State.CONFIGURING: configuring,
    State.OPEN: opened,
    State.CLOSING: closing,
    State.CLOSED: closed,
}


@pytest.mark.parametrize("state", State)
def test_the_makers_make_what_they_say(state: State) -> None:
    assert MAKERS[state]().state is state


def test_the_url() -> None:
    assert connecting().path == "realtime/translations"
    assert connecting().query == {"model": "m"}


def test_configures_as_soon_as_it_is_created() -> None:
    protocol = connecting(transcription_model="w", noise_reduction="far_field")
    assert sent(protocol) == []
    assert protocol.receive_text(CREATED) == [events.SessionCreated("s1", "m", 99)]
    assert sent(protocol) == [
        {
            "type": "session.update",
            "event_id": "update_1",
            "session": {
                "audio": {
                    "input": {"transcription": {"model": "w"}, "noise_reduction": {"type": "far_field"}},
                    "output": {"language": "fr"},
                }
            },
        }
    ]
    assert sent(protocol) == []
    assert protocol.language is None
    assert protocol.receive_text(UPDATED) == [events.SessionUpdated("fr", None)]
    assert protocol.state is State.OPEN
    assert protocol.language == "fr"


def test_what_is_not_wanted_is_switched_off_explicitly() -> None:
    [update] = sent(configuring())
    assert update["session"]["audio"]["input"] == {"transcription": None, "noise_reduction": None}


def test_append() -> None:
    protocol = opened()
    pcm = bytes(range(256)) * 2
    for chunk in (pcm, bytearray(pcm), memoryview(pcm)):
        protocol.append(chunk)
    messages = sent(protocol)
    assert len(messages) == 3
    for sent_message in messages:
        assert sent_message.keys() == {"type", "audio"}
        assert sent_message["type"] == "session.input_audio_buffer.append"
        assert base64.b64decode(sent_message["audio"]) == pcm


def test_append_refuses_half_a_sample_and_skips_nothing_at_all() -> None:
    protocol = opened()
    with pytest.raises(ValueError, match="3 bytes"):
        protocol.append(b"abc")
    protocol.append(b"")
    assert sent(protocol) == []


@pytest.mark.parametrize("state", [state for state in State if state is not State.OPEN])
@pytest.mark.parametrize("action", ["append", "update"])
def test_audio_and_updates_are_refused_unless_open(state: State, action: str) -> None:
    protocol = MAKERS[state]()
    protocol.data_to_send()
    with pytest.raises(errors.SessionNotOpen, match=state.name):
        protocol.append(b"\0\0") if action == "append" else protocol.update(language="de")
    assert sent(protocol) == []


@pytest.mark.parametrize(
    ("state", "text", "after"),
    [
        (State.CONNECTING, CREATED, State.CONFIGURING),
        (State.CONFIGURING, UPDATED, State.OPEN),
        (State.OPEN, UPDATED, State.OPEN),
        (State.OPEN, AUDIO, State.OPEN),
        (State.OPEN, SAID, State.OPEN),
        (State.OPEN, HEARD, State.OPEN),
        (State.OPEN, error(), State.OPEN),
        (State.OPEN, CLOSED, State.CLOSED),
        (State.CLOSING, UPDATED, State.CLOSING),
        (State.CLOSING, AUDIO, State.CLOSING),
        (State.CLOSING, SAID, State.CLOSING),
        (State.CLOSING, HEARD, State.CLOSING),
        (State.CLOSING, error(), State.CLOSING),
        (State.CLOSING, CLOSED, State.CLOSED),
    ],
)
def test_legal_moves(state: State, text: str, after: State) -> None:
    protocol = MAKERS[state]()
    assert protocol.receive_text(text) != []
    assert protocol.state is after
    assert protocol.failure is None


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (State.CONNECTING, UPDATED),
        (State.CONNECTING, CLOSED),
        (State.CONFIGURING, CREATED),
        (State.CONFIGURING, CLOSED),
        (State.OPEN, CREATED),
        (State.CLOSING, CREATED),
        (State.OPEN, "{"),
        (State.OPEN, '{"type": "session.output_audio.delta", "delta": "AAAA"}'),
    ],
)
def test_illegal_moves(state: State, text: str) -> None:
    protocol = MAKERS[state]()
    assert protocol.receive_text(text) == []
    assert protocol.state is State.CLOSED
    assert isinstance(protocol.failure, errors.ProtocolViolation)


@pytest.mark.parametrize("state", [State.CONNECTING, State.CONFIGURING])
@pytest.mark.parametrize("text", [AUDIO, SAID, HEARD])
def test_output_in_the_default_language_is_dropped_and_counted(state: State, text: str) -> None:
    protocol = MAKERS[state]()
    assert protocol.receive_text(text) == []
    assert protocol.state is state
    assert protocol.ignored.total() == 1


@pytest.mark.parametrize("state", [state for state in State if state is not State.CLOSED])
def test_unknown_types_are_counted_and_ignored(state: State) -> None:
    protocol = MAKERS[state]()
    for _ in range(2):
        assert protocol.receive_text(message("session.brand_new", delta="x")) == []
    assert protocol.state is state
    assert protocol.ignored == {"session.brand_new": 2}


@pytest.mark.parametrize("text", [CREATED, UPDATED, AUDIO, CLOSED, error("invalid_api_key"), "{"])
def test_nothing_is_taken_after_the_end(text: str) -> None:
    protocol = closed()
    assert protocol.receive_text(text) == []
    protocol.receive_eof(1006)
    assert protocol.failure is None


@pytest.mark.parametrize("state", [State.CONNECTING, State.CONFIGURING])
def test_an_error_before_it_is_open_ends_it(state: State) -> None:
    protocol = MAKERS[state]()
    assert protocol.receive_text(error("invalid_value")) == []
    assert isinstance(protocol.failure, errors.RequestRejected)
    assert protocol.state is State.CLOSED


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("session_expired", errors.SessionExpired),
        ("insufficient_quota", errors.QuotaError),
        ("invalid_api_key", errors.AuthenticationError),
    ],
)
def test_a_fatal_error_ends_an_open_session(code: str, kind: type) -> None:
    protocol = opened()
    assert protocol.receive_text(error(code)) == []
    assert isinstance(protocol.failure, kind)
    with pytest.raises(errors.SessionNotOpen) as caught:
        protocol.append(b"\0\0")
    assert caught.value.__cause__ is protocol.failure


@pytest.mark.parametrize("code", ["server_error", "rate_limit_exceeded", "invalid_value", "brand_new"])
def test_other_errors_leave_it_open(code: str) -> None:
    protocol = opened()
    [event] = protocol.receive_text(error(code))
    assert isinstance(event, events.ErrorReported)
    protocol.append(b"\0\0")


@pytest.mark.parametrize("confirmed", ["es", None])
def test_a_session_in_another_language_never_opens(confirmed: str | None) -> None:
    protocol = configuring()
    assert protocol.receive_text(message("session.updated", session=session(confirmed))) == []
    assert isinstance(protocol.failure, errors.RequestRejected)
    assert "'fr'" in str(protocol.failure)


def test_retarget() -> None:
    protocol = opened()
    protocol.update(language="de")
    protocol.update(transcription_model="w")
    protocol.update(language="it", transcription_model=None)
    protocol.update()
    assert [m["session"]["audio"] for m in sent(protocol)] == [
        {"output": {"language": "de"}},
        {"input": {"transcription": {"model": "w"}}},
        {"input": {"transcription": None}, "output": {"language": "it"}},
    ]
    for language in ("de", "de", "it"):
        [event] = protocol.receive_text(message("session.updated", session=session(language)))
        assert event == events.SessionUpdated(language, None)
        assert protocol.language == language


def test_retarget_that_is_not_confirmed_is_reported_and_the_session_goes_on() -> None:
    protocol = opened()
    protocol.update(language="de")
    updated, reported = protocol.receive_text(UPDATED)
    assert updated == events.SessionUpdated("fr", None)
    assert isinstance(reported, events.ErrorReported)
    assert isinstance(reported.error, errors.RequestRejected)
    assert protocol.language == "fr"
    assert protocol.state is State.OPEN


@pytest.mark.parametrize("names_our_event", [True, False])
def test_a_refused_update_does_not_spoil_the_next(names_our_event: bool) -> None:
    protocol = opened()
    protocol.update(language="xx")
    protocol.update(language="de")
    refused, _ = sent(protocol)
    protocol.receive_text(error(event_id=refused["event_id"] if names_our_event else None))
    assert protocol.receive_text(message("session.updated", session=session("de"))) == [
        events.SessionUpdated("de", None)
    ]


def test_close_is_sent_once() -> None:
    protocol = opened()
    protocol.close()
    protocol.close()
    assert sent(protocol) == [{"type": "session.close"}]
    [event] = protocol.receive_text(CLOSED)
    protocol.close()
    assert event == events.SessionClosed()
    assert sent(protocol) == []
    assert protocol.failure is None


@pytest.mark.parametrize("state", [State.CONNECTING, State.CONFIGURING])
def test_closing_before_it_is_open_sends_no_close(state: State) -> None:
    protocol = MAKERS[state]()
    protocol.data_to_send()
    protocol.close()
    assert sent(protocol) == []
    assert protocol.state is State.CLOSED


@pytest.mark.parametrize(
    ("state", "close_code", "proper"),
    [
        (State.CONNECTING, 1000, False),
        (State.CONFIGURING, None, False),
        (State.OPEN, 1000, False),
        (State.OPEN, 1001, False),
        (State.OPEN, None, False),
        (State.CLOSING, 1000, True),
        (State.CLOSING, 1011, False),
        (State.CLOSING, None, False),
        (State.CLOSED, None, True),
    ],
)
def test_end_of_the_socket(state: State, close_code: int | None, proper: bool) -> None:
    protocol = MAKERS[state]()
    protocol.receive_eof(close_code, "why")
    assert protocol.state is State.CLOSED
    if proper:
        assert protocol.failure is None
    else:
        assert isinstance(protocol.failure, errors.ConnectionLost)
        assert (protocol.failure.close_code, protocol.failure.reason) == (close_code, "why")


def test_an_error_right_before_the_end_is_the_reason() -> None:
    protocol = opened()
    protocol.receive_text(error("missing_model"))
    protocol.receive_eof(1000)
    assert isinstance(protocol.failure, errors.RequestRejected)


def test_an_error_long_before_the_end_is_not_the_reason() -> None:
    protocol = opened()
    protocol.receive_text(error("invalid_value"))
    protocol.receive_text(SAID)
    protocol.receive_eof(1006)
    assert isinstance(protocol.failure, errors.ConnectionLost)
