"""The server's messages as values.

One dataclass per message that matters, closed by a union per kind of session. `parse` reads a translation
session; another kind of session brings its own table of readers and calls `parse_with`.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from .errors import ProtocolViolation, RealtimeError, from_error_event
from .options import SAMPLE_RATE_HZ
from .turn_events import TranscriptionUsage, read_transcription_usage


@dataclass(frozen=True, slots=True)
class SessionCreated:
    """``session.created``: the server has a session, with its own defaults."""

    session_id: str
    model: str
    """Empty for a transcription session, which has none before it is configured."""
    expires_at: int
    """Unix time in seconds at which the server ends the session; 0 if a transcription session is not told."""


@dataclass(frozen=True, slots=True)
class SessionUpdated:
    """``session.updated``: the settings now in force; None where the server names none."""

    language: str | None
    transcription_model: str | None


@dataclass(frozen=True, slots=True)
class OutputAudio:
    """``session.output_audio.delta``: translated speech, of any length."""

    pcm: bytes = field(repr=False)
    """int16[n] little endian, mono."""
    sample_rate: int
    """Hz; 24000 unless the server says otherwise."""
    elapsed_ms: int | None
    """Alignment with the input, milliseconds; neither unique nor always there."""


@dataclass(frozen=True, slots=True)
class OutputTranscript:
    """``session.output_transcript.delta``: translated text, to be appended as it is (no space invented)."""

    delta: str = field(repr=False)
    elapsed_ms: int | None


@dataclass(frozen=True, slots=True)
class InputTranscript:
    """``session.input_transcript.delta``: source text, to be appended as it is (no space invented)."""

    delta: str = field(repr=False)
    elapsed_ms: int | None


@dataclass(frozen=True, slots=True)
class SessionClosed:
    """``session.closed``: everything said has been delivered; the socket closes next."""


@dataclass(frozen=True, slots=True)
class TranscriptionUpdated:
    """``session.updated`` of a transcription session; None where the server names nothing."""

    language: str | None
    model: str | None
    turn_detection: str | None
    """Type of the server's own turn detection; None: it has none, as it must be."""


@dataclass(frozen=True, slots=True)
class Committed:
    """``input_audio_buffer.committed``: what was appended since the last commit is an item now."""

    item_id: str
    previous_item_id: str | None


@dataclass(frozen=True, slots=True)
class Cleared:
    """``input_audio_buffer.cleared``: what was appended since the last commit is forgotten."""


@dataclass(frozen=True, slots=True)
class Words:
    """``conversation.item.input_audio_transcription.delta``: to be appended as it is (no space invented).

    It may come before the item is committed.
    """

    item_id: str
    delta: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Transcribed:
    """``conversation.item.input_audio_transcription.completed``. The order of items is not kept."""

    item_id: str
    transcript: str = field(repr=False)
    usage: TranscriptionUsage | None
    """What it cost, where the server says it."""
    confidence: float | None
    """0 to 1, from the ``logprobs`` of the tokens (their geometric mean); None without them."""


@dataclass(frozen=True, slots=True)
class NotTranscribed:
    """``conversation.item.input_audio_transcription.failed``: there is no more than the deltas."""

    item_id: str
    error: RealtimeError


@dataclass(frozen=True, slots=True)
class ErrorReported:
    """``error``: something was refused or failed; ``error.fatal_to_session`` says whether the session goes
    on.
    """

    error: RealtimeError


@dataclass(frozen=True, slots=True)
class Unknown:
    """A type this version does not know: to be counted and ignored."""

    type: str


TranslationEvent: TypeAlias = (
    SessionCreated
    | SessionUpdated
    | OutputAudio
    | OutputTranscript
    | InputTranscript
    | SessionClosed
    | ErrorReported
    | Unknown
)

TranscriptionEvent: TypeAlias = (
    SessionCreated
    | TranscriptionUpdated
    | Committed
    | Cleared
    | Words
    | Transcribed
    | NotTranscribed
    | ErrorReported
    | Unknown
)

Message: TypeAlias = Mapping[str, Any]
EventT = TypeVar("EventT")
_T = TypeVar("_T")


def parse(message: str) -> TranslationEvent:
    """The event in one text message of a translation session. Raises ProtocolViolation for malformed ones."""
    return parse_with(TRANSLATION_READERS, message)


def parse_transcription(message: str) -> TranscriptionEvent:
    """The event in one text message of a transcription session. Raises ProtocolViolation likewise."""
    return parse_with(TRANSCRIPTION_READERS, message)


def parse_with(readers: Mapping[str, Callable[[Message], EventT]], message: str) -> EventT | Unknown:
    """Dispatch on ``type`` alone, never on shape: an unknown type is `Unknown`, whatever it looks like."""
    try:
        document = json.loads(message)
    except (ValueError, RecursionError) as exc:
        raise ProtocolViolation(f"message of {len(message)} characters is not JSON") from exc
    if not isinstance(document, dict):
        raise ProtocolViolation(f"message is a JSON {type(document).__name__}, not an object")
    kind = _get(document, "type", str)
    reader = readers.get(kind)
    return reader(document) if reader is not None else Unknown(kind)


def read_session_created(message: Message) -> SessionCreated:
    session = _get(message, "session", dict)
    return SessionCreated(
        session_id=_get(session, "id", str),
        model=_get(session, "model", str),
        expires_at=_get(session, "expires_at", int),
    )


def read_session_updated(message: Message) -> SessionUpdated:
    audio = _get_optional(_get(message, "session", dict), "audio", dict) or {}
    output = _get_optional(audio, "output", dict) or {}
    transcription = _get_optional(_get_optional(audio, "input", dict) or {}, "transcription", dict) or {}
    return SessionUpdated(
        language=_get_optional(output, "language", str),
        transcription_model=_get_optional(transcription, "model", str),
    )


def read_output_audio(message: Message) -> OutputAudio:
    if message.get("format", "pcm16") != "pcm16" or message.get("channels", 1) != 1:
        raise ProtocolViolation(
            f"output audio is {message.get('format')!r}, {message.get('channels')!r} channels: not pcm16 mono"
        )
    sample_rate = _get_optional(message, "sample_rate", int)
    if sample_rate is None:
        sample_rate = SAMPLE_RATE_HZ
    if sample_rate <= 0:
        raise ProtocolViolation(f"output audio has sample_rate {sample_rate}")
    return OutputAudio(
        pcm=read_pcm16(_get(message, "delta", str)),
        sample_rate=sample_rate,
        elapsed_ms=_get_optional(message, "elapsed_ms", int),
    )


def read_pcm16(encoded: str) -> bytes:
    """The bytes of base64 PCM16. Raises ProtocolViolation for bad base64 or half a sample."""
    try:
        pcm = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as exc:
        raise ProtocolViolation("output audio is not base64") from exc
    if len(pcm) % 2:
        raise ProtocolViolation(f"output audio has {len(pcm)} bytes, half a sample too many")
    return pcm


def read_error(message: Message) -> ErrorReported:
    return ErrorReported(from_error_event(_get(message, "error", dict)))


TRANSLATION_READERS: Mapping[str, Callable[[Message], TranslationEvent]] = {
    "session.created": read_session_created,
    "session.updated": read_session_updated,
    "session.output_audio.delta": read_output_audio,
    "session.output_transcript.delta": lambda message: OutputTranscript(
        _get(message, "delta", str), _get_optional(message, "elapsed_ms", int)
    ),
    "session.input_transcript.delta": lambda message: InputTranscript(
        _get(message, "delta", str), _get_optional(message, "elapsed_ms", int)
    ),
    "session.closed": lambda message: SessionClosed(),
    "error": read_error,
}
"""``type`` of the seven server events of ``/v1/realtime/translations`` → its reader."""


def read_transcription_created(message: Message) -> SessionCreated:
    session = _get(message, "session", dict)
    return SessionCreated(
        session_id=_get(session, "id", str),
        model="",
        expires_at=_get_optional(session, "expires_at", int) or 0,
    )


def read_transcription_updated(message: Message) -> TranscriptionUpdated:
    audio = _get_optional(_get(message, "session", dict), "audio", dict) or {}
    settings = _get_optional(audio, "input", dict) or {}
    transcription = _get_optional(settings, "transcription", dict) or {}
    detection = _get_optional(settings, "turn_detection", dict)
    return TranscriptionUpdated(
        language=_get_optional(transcription, "language", str),
        model=_get_optional(transcription, "model", str),
        turn_detection=str(detection.get("type", "")) if detection is not None else None,
    )


def read_transcribed(message: Message) -> Transcribed:
    return Transcribed(
        item_id=_get(message, "item_id", str),
        transcript=_get_optional(message, "transcript", str) or "",
        usage=read_transcription_usage(message.get("usage")),
        confidence=_confidence(message.get("logprobs")),
    )


def _confidence(logprobs: object) -> float | None:
    """Geometric mean of the tokens' probabilities."""
    if not isinstance(logprobs, list):
        return None
    values = [token.get("logprob") for token in logprobs if isinstance(token, dict)]
    known = [min(0.0, float(value)) for value in values if isinstance(value, (int, float))]
    return math.exp(sum(known) / len(known)) if known else None


TRANSCRIPTION_READERS: Mapping[str, Callable[[Message], TranscriptionEvent]] = {
    "session.created": read_transcription_created,
    "session.updated": read_transcription_updated,
    "input_audio_buffer.committed": lambda message: Committed(
        _get(message, "item_id", str), _get_optional(message, "previous_item_id", str)
    ),
    "input_audio_buffer.cleared": lambda message: Cleared(),
    "conversation.item.input_audio_transcription.delta": lambda message: Words(
        _get(message, "item_id", str), _get_optional(message, "delta", str) or ""
    ),
    "conversation.item.input_audio_transcription.completed": read_transcribed,
    "conversation.item.input_audio_transcription.failed": lambda message: NotTranscribed(
        _get(message, "item_id", str), from_error_event(_get_optional(message, "error", dict) or {})
    ),
    "error": read_error,
}
"""``type`` of the server events of a transcription session that matter → its reader."""


def _get(message: Message, name: str, kind: type[_T]) -> _T:
    """A required field. Raises ProtocolViolation if it is absent or of another type."""
    value = _get_optional(message, name, kind)
    if value is None:
        raise ProtocolViolation(f"message {message.get('type', '')!r} has no {name!r}")
    return value


def _get_optional(message: Message, name: str, kind: type[_T]) -> _T | None:
    """A field that may be absent or null. An integer may come as a float, cut off; a bool is no integer."""
    value = message.get(name)
    if kind is int and isinstance(value, float) and math.isfinite(value):
        value = int(value)
    if value is not None and (not isinstance(value, kind) or (kind is int and isinstance(value, bool))):
        raise ProtocolViolation(
            f"message {message.get('type', '')!r}: {name!r} is {type(value).__name__}, not {kind.__name__}"
        )
    return value
