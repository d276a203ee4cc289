"""What a conversation session reports as ``turn`` events, and what things cost: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens of one response, by kind (``response.done`` → ``usage``). Input counts are without the cached
    ones, which are billed at another price; add both for what the model read.
    """

    input_text: int = 0
    input_audio: int = 0
    input_image: int = 0
    cached_text: int = 0
    cached_audio: int = 0
    cached_image: int = 0
    output_text: int = 0
    """Reasoning included."""
    output_audio: int = 0

    @property
    def total(self) -> int:
        """All tokens, read and written."""
        return (
            self.input_text
            + self.input_audio
            + self.input_image
            + self.cached_text
            + self.cached_audio
            + self.cached_image
            + self.output_text
            + self.output_audio
        )


@dataclass(frozen=True, slots=True)
class TranscriptionUsage:
    """What the transcription of one turn cost: seconds of audio or tokens, as the model is billed."""

    seconds: float = 0.0
    input_text: int = 0
    input_audio: int = 0
    output_text: int = 0


@dataclass(frozen=True, slots=True)
class TurnStarted:
    """``input_audio_buffer.speech_started``: the user speaks."""

    item_id: str
    audio_start_ms: int
    """On the session's own clock of appended audio; begins anew with each connection."""


@dataclass(frozen=True, slots=True)
class TurnStopped:
    """``input_audio_buffer.speech_stopped``: the user has stopped."""

    item_id: str
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class TurnCommitted:
    """``input_audio_buffer.committed``: what was said is an item of the conversation now."""

    item_id: str


@dataclass(frozen=True, slots=True)
class TurnTranscribed:
    """The words of a turn: so far (``final`` False), or all of them."""

    item_id: str
    text: str = field(repr=False)
    final: bool
    usage: TranscriptionUsage | None = None
    """With a final one, where the server says it."""


@dataclass(frozen=True, slots=True)
class TurnTimeout:
    """``input_audio_buffer.timeout_triggered``: nobody spoke for ``idle_timeout_ms``, the server will."""

    item_id: str


@dataclass(frozen=True, slots=True)
class ResponseStarted:
    """``response.created``."""

    response_id: str


@dataclass(frozen=True, slots=True)
class ResponseEnded:
    """``response.done``; or the connection was lost under a response, and nothing more of it will come."""

    response_id: str
    status: str
    """``completed``, ``cancelled``, ``failed`` or ``incomplete``."""
    reason: str | None = None
    """``turn_detected``, ``client_cancelled``, ``max_output_tokens``, ``content_filter``, ``connection_lost``
    or the code of an error."""
    usage: TokenUsage | None = None
    """None if the server said nothing about it."""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """One limit of ``rate_limits.updated``."""

    name: str
    """``requests`` or ``tokens``."""
    limit: int
    remaining: int
    reset_s: float


@dataclass(frozen=True, slots=True)
class RateLimits:
    """``rate_limits.updated``: what is left."""

    limits: tuple[RateLimit, ...]


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """The connection is gone or about to be replaced; the conversation goes on with the next one."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reconnected:
    """A new connection has the conversation."""


TurnEvent: TypeAlias = (
    TurnStarted
    | TurnStopped
    | TurnCommitted
    | TurnTranscribed
    | TurnTimeout
    | ResponseStarted
    | ResponseEnded
    | RateLimits
    | Reconnecting
    | Reconnected
)


def _count(source: Mapping[str, Any], name: str) -> int:
    value = source.get(name)
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else 0


def _object(source: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = source.get(name)
    return value if isinstance(value, Mapping) else {}


def read_token_usage(usage: object) -> TokenUsage | None:
    """`TokenUsage` of a ``usage`` object; None if there is none. Never raises."""
    if not isinstance(usage, Mapping) or not usage:
        return None
    read, written = _object(usage, "input_token_details"), _object(usage, "output_token_details")
    cached = _object(read, "cached_tokens_details")
    kept = {kind: _count(cached, f"{kind}_tokens") for kind in ("text", "audio", "image")}
    if not cached:
        kept["text"] = _count(read, "cached_tokens")
    fresh = {kind: max(0, _count(read, f"{kind}_tokens") - kept[kind]) for kind in kept}
    if not read:
        fresh["text"] = _count(usage, "input_tokens")
    return TokenUsage(
        input_text=fresh["text"],
        input_audio=fresh["audio"],
        input_image=fresh["image"],
        cached_text=kept["text"],
        cached_audio=kept["audio"],
        cached_image=kept["image"],
        output_text=_count(written, "text_tokens") if written else _count(usage, "output_tokens"),
        output_audio=_count(written, "audio_tokens"),
    )


def read_transcription_usage(usage: object) -> TranscriptionUsage | None:
    """`TranscriptionUsage` of a ``usage`` object; None if there is none. Never raises."""
    if not isinstance(usage, Mapping) or not usage:
        return None
    if usage.get("type") == "duration":
        seconds = usage.get("seconds")
        return TranscriptionUsage(seconds=float(seconds) if isinstance(seconds, (int, float)) else 0.0)
    read = _object(usage, "input_token_details")
    return TranscriptionUsage(
        input_text=_count(read, "text_tokens"),
        input_audio=_count(read, "audio_tokens") if read else _count(usage, "input_tokens"),
        output_text=_count(usage, "output_tokens"),
    )


def read_rate_limits(event: Mapping[str, Any]) -> RateLimits:
    """`RateLimits` of a ``rate_limits.updated`` event. Never raises."""
    found = event.get("rate_limits")
    limits = [entry for entry in found if isinstance(entry, Mapping)] if isinstance(found, list) else []
    return RateLimits(
        tuple(
            RateLimit(
                name=str(entry.get("name", "")),
                limit=_count(entry, "limit"),
                remaining=_count(entry, "remaining"),
                reset_s=float(_count(entry, "reset_seconds"))
                if not isinstance(entry.get("reset_seconds"), float)
                else entry["reset_seconds"],
            )
            for entry in limits
        )
    )
