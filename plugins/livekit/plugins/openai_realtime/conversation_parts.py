"""What conversation options are made of: turn detection, transcription, prompts, and how each is checked."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias

from .options import DELAYS, WHISPER, Delay

Eagerness = Literal["low", "medium", "high", "auto"]
Payload: TypeAlias = dict[str, Any]


def refuse(name: str, given: object, allowed: str) -> ValueError:
    return ValueError(f"{name}: given {given!r}, allowed {allowed}")


def one_of(name: str, given: object, allowed: tuple[object, ...]) -> None:
    if given not in allowed:
        raise refuse(name, given, "are " + ", ".join(str(value) for value in allowed))


def text(name: str, given: object) -> None:
    if not isinstance(given, str) or not given.strip():
        raise ValueError(f"{name}: given {given!r}, a text that is not empty is needed")


def number(name: str, given: object, least: float, most: float, kind: type = float) -> None:
    fits = isinstance(given, int if kind is int else (int, float)) and not isinstance(given, bool)
    if not fits or not math.isfinite(given) or not least <= given <= most:  # type: ignore[arg-type,operator]
        what = "an integer" if kind is int else "a number"
        raise refuse(name, given, f"is {what} from {least:g} to {most:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SemanticVad:
    """``semantic_vad``: the model judges from the words whether a turn has ended."""

    eagerness: Eagerness = "auto"
    """How soon: ``low`` waits 8 s at most, ``medium`` (``auto``) 4 s, ``high`` 2 s."""
    create_response: bool = True
    """Whether the server answers each turn by itself. False: the client does (`generate_reply`)."""
    interrupt_response: bool = True
    """Whether speech stops the running reply. False: the client decides; the session then reports speech as
    a ``turn`` event only, because LiveKit's ``input_speech_started`` would interrupt the agent."""

    def __post_init__(self) -> None:
        one_of("turn_detection.eagerness", self.eagerness, ("low", "medium", "high", "auto"))
        _check_flags(self)

    def payload(self) -> Payload:
        """As it stands in ``session.audio.input.turn_detection``."""
        return {"type": "semantic_vad", "eagerness": self.eagerness, **_flags(self)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerVad:
    """``server_vad``: a turn ends after silence. Left out (None): the server's own default."""

    threshold: float | None = None
    """0 to 1; higher needs louder speech. The server's default is 0.5."""
    prefix_padding_ms: int | None = None
    """Audio kept from before the speech. The server's default is 300."""
    silence_duration_ms: int | None = None
    """Silence that ends the turn. The server's default is 500."""
    idle_timeout_ms: int | None = None
    """5000 to 30000: after this long without speech the server speaks up by itself. Default: never."""
    create_response: bool = True
    """See `SemanticVad.create_response`."""
    interrupt_response: bool = True
    """See `SemanticVad.interrupt_response`."""

    def __post_init__(self) -> None:
        for name, least, most, kind in (
            ("threshold", 0, 1, float),
            ("prefix_padding_ms", 0, 10_000, int),
            ("silence_duration_ms", 0, 60_000, int),
            ("idle_timeout_ms", 5_000, 30_000, int),
        ):
            if getattr(self, name) is not None:
                number(f"turn_detection.{name}", getattr(self, name), least, most, kind)
        _check_flags(self)

    def payload(self) -> Payload:
        """As it stands in ``session.audio.input.turn_detection``."""
        names = ("threshold", "prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms")
        set_ones = {name: value for name in names if (value := getattr(self, name)) is not None}
        return {"type": "server_vad", **set_ones, **_flags(self)}


TurnDetection: TypeAlias = SemanticVad | ServerVad


def _check_flags(detection: TurnDetection) -> None:
    for name in ("create_response", "interrupt_response"):
        one_of(f"turn_detection.{name}", getattr(detection, name), (True, False))


def _flags(detection: TurnDetection) -> Payload:
    return {
        "create_response": detection.create_response,
        "interrupt_response": detection.interrupt_response,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcription:
    """Transcription of what the user says, by a model of its own."""

    model: str = WHISPER
    """Name of the model."""
    language: str | None = None
    """ISO 639-1; None (default): detected."""
    delay: Delay | None = None
    """How long gpt-realtime-whisper waits before it commits to words; None (default): the server's own."""

    def __post_init__(self) -> None:
        text("transcription.model", self.model)
        if self.language is not None:
            text("transcription.language", self.language)
        if self.delay is not None:
            one_of("transcription.delay", self.delay, DELAYS)

    def payload(self) -> Payload:
        """As it stands in ``session.audio.input.transcription``."""
        more = {"language": self.language, "delay": self.delay}
        return {"model": self.model, **{name: value for name, value in more.items() if value is not None}}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt stored at OpenAI (``prompt``)."""

    id: str
    """Its id, ``pmpt_…``."""
    version: str | None = None
    """Default: the current one."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """Values for its placeholders."""

    def __post_init__(self) -> None:
        text("prompt.id", self.id)
        if self.version is not None:
            text("prompt.version", self.version)
        for name, value in self.variables.items():
            if not isinstance(value, str):
                raise ValueError(f"prompt.variables[{name!r}]: given {value!r}, a text is needed")

    def payload(self) -> Payload:
        """As it stands in ``session.prompt``."""
        return {
            "id": self.id,
            **({"version": self.version} if self.version is not None else {}),
            **({"variables": dict(self.variables)} if self.variables else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionRatio:
    """``truncation``: when the context is full, cut it to a part of it, so that the cache is kept longer."""

    retention_ratio: float
    """Part of the context that stays, 0 to 1; 0.8 is a good choice."""
    post_instructions: int | None = None
    """Tokens the conversation may have after the instructions; None (default): what the model holds."""

    def __post_init__(self) -> None:
        number("truncation.retention_ratio", self.retention_ratio, 0, 1)
        if self.post_instructions is not None:
            number("truncation.post_instructions", self.post_instructions, 0, 1_000_000, int)

    def payload(self) -> Payload:
        """As it stands in ``session.truncation``."""
        limits = {"token_limits": {"post_instructions": self.post_instructions}}
        return {
            "type": "retention_ratio",
            "retention_ratio": self.retention_ratio,
            **(limits if self.post_instructions is not None else {}),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing:
    """``tracing``: how the session is filed in OpenAI's traces. Cannot be changed in a running session."""

    workflow_name: str | None = None
    group_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def payload(self) -> Payload:
        """As it stands in ``session.tracing``."""
        names = {"workflow_name": self.workflow_name, "group_id": self.group_id}
        known = {name: value for name, value in names.items() if value is not None}
        return {**known, **({"metadata": dict(self.metadata)} if self.metadata else {})}
