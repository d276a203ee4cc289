"""Every server message becomes the value it is, an unknown one is never taken for another."""

import base64
import json
from typing import Any

import pytest

from livekit.plugins.openai_realtime import events
from livekit.plugins.openai_realtime.errors import ProtocolViolation, RequestRejected

SESSION = {"id": "sess_1", "type": "translation", "model": "m", "expires_at": 1700003600, "audio": {}}


def parse(**message: Any) -> events.TranslationEvent:
    return events.parse(json.dumps(message))


def audio(pcm: bytes = b"\1\2\3\4", **more: Any) -> events.TranslationEvent:
    return parse(type="session.output_audio.delta", delta=base64.b64encode(pcm).decode(), **more)


def test_session_created() -> None:
    assert parse(type="session.created", event_id="e", session=SESSION) == events.SessionCreated(
        "sess_1", "m", 1700003600
    )


@pytest.mark.parametrize(
    ("audio_settings", "language", "transcription"),
    [
        ({"output": {"language": "fr"}, "input": {"transcription": {"model": "w"}}}, "fr", "w"),
        ({"output": {"language": "fr"}, "input": {"transcription": None}}, "fr", None),
        ({"output": None, "input": None}, None, None),
        ({}, None, None),
    ],
)
def test_session_updated(audio_settings: Any, language: str | None, transcription: str | None) -> None:
    event = parse(type="session.updated", event_id="e", session={**SESSION, "audio": audio_settings})
    assert event == events.SessionUpdated(language, transcription)


def test_output_audio() -> None:
    assert audio() == events.OutputAudio(b"\1\2\3\4", 24000, None)
    assert audio(sample_rate=16000, channels=1, format="pcm16", elapsed_ms=400) == events.OutputAudio(
        b"\1\2\3\4", 16000, 400
    )
    assert audio(sample_rate=None, elapsed_ms=1.6) == events.OutputAudio(b"\1\2\3\4", 24000, 1)


def test_transcripts_keep_their_spaces() -> None:
    assert parse(
        type="session.output_transcript.delta", delta=" hé", elapsed_ms=200
    ) == events.OutputTranscript(" hé", 200)
    assert parse(type="session.input_transcript.delta", delta=" a ") == events.InputTranscript(" a ", None)


def test_closed() -> None:
    assert parse(type="session.closed", event_id="e") == events.SessionClosed()


def test_error() -> None:
    event = parse(type="error", event_id="e", error={"type": "invalid_request_error", "message": "no"})
    assert isinstance(event, events.ErrorReported)
    assert isinstance(event.error, RequestRejected)


def test_unknown_type_is_unknown_whatever_it_looks_like() -> None:
    event = parse(type="totally.unknown", event_id="e", error={"type": "server_error", "message": "m"})
    assert event == events.Unknown("totally.unknown")


@pytest.mark.parametrize(
    "message",
    [
        "",
        "{",
        "[]",
        "7",
        '"session.closed"',
        "{}",
        '{"type": 7}',
        '{"type": "error"}',
        '{"type": "error", "error": "text"}',
        '{"type": "session.created"}',
        '{"type": "session.created", "session": {"id": "s", "model": "m", "expires_at": "soon"}}',
        '{"type": "session.created", "session": {"id": "s", "model": "m", "expires_at": true}}',
        '{"type": "session.output_audio.delta"}',
        '{"type": "session.output_audio.delta", "delta": "not base64!"}',
        '{"type": "session.output_audio.delta", "delta": "AAA"}',
        '{"type": "session.output_audio.delta", "delta": "AAAA"}',
        '{"type": "session.output_audio.delta", "delta": "é"}',
        '{"type": "session.output_audio.delta", "delta": "AAA=", "sample_rate": 0}',
        '{"type": "session.output_audio.delta", "delta": "AAA=", "channels": 2}',
        '{"type": "session.output_audio.delta", "delta": "AAA=", "format": "g711"}',
        '{"type": "session.output_transcript.delta", "delta": null}',
        '{"type": "session.input_transcript.delta", "delta": ["a"]}',
        "[" * 100_000,
    ],
)
def test_malformed(message: str) -> None:
    with pytest.raises(ProtocolViolation):
        events.parse(message)


def test_spoken_words_are_in_no_repr() -> None:
    assert "word" not in repr(events.OutputTranscript("word", 1))
    assert "word" not in repr(events.InputTranscript("word", 1))


def test_another_kind_of_session_brings_its_own_table() -> None:
    readers = {"conversation.created": lambda message: events.SessionClosed()}
    assert events.parse_with(readers, '{"type": "conversation.created"}') == events.SessionClosed()
    assert events.parse_with(readers, '{"type": "session.closed"}') == events.Unknown("session.closed")
