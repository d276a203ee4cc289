"""Settings of a conversation session: frozen values under the API's names, checked when they are made.

Every check raises ValueError with one line: the name, what was given, what is allowed. What the server alone
can decide (does this voice, model or language exist) is left to the server.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from .mcp import McpServer
from .options import SAMPLE_RATE_HZ, NoiseReduction

ReasoningEffort = Literal["minimal", "low", "medium", "high", "xhigh"]
Eagerness = Literal["low", "medium", "high", "auto"]
Payload: TypeAlias = dict[str, Any]

VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
"""The voices that have names. The server decides; this list is for menus."""

REASONING_EFFORTS = ("minimal", "low", "medium", "high", "xhigh")
LOGPROBS = "item.input_audio_transcription.logprobs"
_WITHOUT_REASONING = ("gpt-realtime-1", "gpt-realtime-mini", "gpt-realtime-20", "gpt-4o", "gpt-audio")
_DELAYS = ("minimal", "low", "medium", "high", "xhigh")


def _refuse(name: str, given: object, allowed: str) -> ValueError:
    return ValueError(f"{name}: given {given!r}, allowed {allowed}")


def _one_of(name: str, given: object, allowed: tuple[object, ...]) -> None:
    if given not in allowed:
        raise _refuse(name, given, "are " + ", ".join(str(value) for value in allowed))


def _text(name: str, given: object) -> None:
    if not isinstance(given, str) or not given.strip():
        raise ValueError(f"{name}: given {given!r}, a text that is not empty is needed")


def _number(name: str, given: object, least: float, most: float, kind: type = float) -> None:
    fits = isinstance(given, int if kind is int else (int, float)) and not isinstance(given, bool)
    if not fits or not math.isfinite(given) or not least <= given <= most:  # type: ignore[arg-type,operator]
        what = "an integer" if kind is int else "a number"
        raise _refuse(name, given, f"is {what} from {least:g} to {most:g}")


def is_reasoning_model(model: str) -> bool | None:
    """Whether a model reasons; None for a name this version does not know (a deployment, a gateway's)."""
    if model == "gpt-realtime" or model.startswith(_WITHOUT_REASONING):
        return False
    return True if model.startswith("gpt-realtime-2") else None


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
        _one_of("turn_detection.eagerness", self.eagerness, ("low", "medium", "high", "auto"))
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
                _number(f"turn_detection.{name}", getattr(self, name), least, most, kind)
        _check_flags(self)

    def payload(self) -> Payload:
        """As it stands in ``session.audio.input.turn_detection``."""
        names = ("threshold", "prefix_padding_ms", "silence_duration_ms", "idle_timeout_ms")
        set_ones = {name: value for name in names if (value := getattr(self, name)) is not None}
        return {"type": "server_vad", **set_ones, **_flags(self)}


TurnDetection: TypeAlias = SemanticVad | ServerVad


def _check_flags(detection: TurnDetection) -> None:
    for name in ("create_response", "interrupt_response"):
        _one_of(f"turn_detection.{name}", getattr(detection, name), (True, False))


def _flags(detection: TurnDetection) -> Payload:
    return {
        "create_response": detection.create_response,
        "interrupt_response": detection.interrupt_response,
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Transcription:
    """Transcription of what the user says, by a model of its own."""

    model: str = "gpt-realtime-whisper"
    """Name of the model."""
    language: str | None = None
    """ISO 639-1; None (default): detected."""
    delay: Literal["minimal", "low", "medium", "high", "xhigh"] | None = None
    """How long gpt-realtime-whisper waits before it commits to words; None (default): the server's own."""

    def __post_init__(self) -> None:
        _text("transcription.model", self.model)
        if self.language is not None:
            _text("transcription.language", self.language)
        if self.delay is not None:
            _one_of("transcription.delay", self.delay, _DELAYS)

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
        _text("prompt.id", self.id)
        if self.version is not None:
            _text("prompt.version", self.version)
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
        _number("truncation.retention_ratio", self.retention_ratio, 0, 1)
        if self.post_instructions is not None:
            _number("truncation.post_instructions", self.post_instructions, 0, 1_000_000, int)

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ConversationOptions:
    """What a conversation session is asked to do. Raises ValueError, naming the field."""

    model: str = "gpt-realtime-2.1"
    """Name of the model, or of the deployment: part of the URL, fixed for the session's life."""
    voice: str | Mapping[str, str] = "marin"
    """One of `VOICES`, or a custom voice ``{"id": "voice_…"}``. Fixed once the session has spoken."""
    output_modalities: Literal["audio", "text"] = "audio"
    """``audio``: speech with its transcript. ``text``: text only, for a TTS behind it."""
    prompt: Prompt | None = None
    """A stored prompt; None (default): none."""
    reasoning_effort: ReasoningEffort | None = None
    """Reasoning models only. None (default): the server's own, ``low``."""
    turn_detection: TurnDetection | None = field(default_factory=SemanticVad)
    """Who finds the end of a turn; None: the client, with `commit_audio` and `generate_reply`."""
    noise_reduction: NoiseReduction | None = None
    """``near_field`` for a headset, ``far_field`` for a room; None (default) leaves the audio alone."""
    transcription: Transcription | None = field(default_factory=Transcription)
    """How the user's words become text; None: not at all."""
    tool_choice: str | Mapping[str, str] = "auto"
    """``auto``, ``none``, ``required``, ``{"type": "function", "name": …}`` or
    ``{"type": "mcp", "server_label": …}``. `AgentSession` may set another for one reply."""
    parallel_tool_calls: bool | None = None
    """Reasoning models only: several calls in one response. None (default): True where it can be."""
    mcp: tuple[McpServer, ...] = ()
    """Remote MCP servers that OpenAI calls by itself."""
    truncation: Literal["auto", "disabled"] | RetentionRatio = "auto"
    """What happens when the context is full; ``disabled`` makes it an error."""
    max_output_tokens: int | Literal["inf"] = "inf"
    """Of one response, tool calls included: 1 to 4096, or ``inf``."""
    speed: float = 1.0
    """Of the voice, 0.25 to 1.5."""
    tracing: Literal["auto"] | Tracing | None = None
    """OpenAI's traces; None (default): off."""
    include: tuple[str, ...] = ()
    """``("item.input_audio_transcription.logprobs",)``: transcripts come with a confidence."""
    base_url: str | None = None
    """Instead of ``ConnectOptions.base_url``: a gateway, ``https://eu.api.openai.com/v1`` or Azure's
    ``https://<resource>.openai.azure.com/openai/v1`` (whose key then goes into ``api-key``)."""
    extra_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """More headers of the upgrade; they win over all others."""
    safety_identifier: str | None = None
    """A hash of the user's id (``OpenAI-Safety-Identifier``)."""

    def __post_init__(self) -> None:
        _text("model", self.model)
        self._check_voice()
        _one_of("output_modalities", self.output_modalities, ("audio", "text"))
        _one_of("noise_reduction", self.noise_reduction, ("near_field", "far_field", None))
        self._check_kinds()
        self._check_tools()
        if self.max_output_tokens != "inf":
            _number("max_output_tokens", self.max_output_tokens, 1, 4096, int)
        _number("speed", self.speed, 0.25, 1.5)
        for name in self.include:
            _one_of("include", name, (LOGPROBS,))
        if self.base_url is not None:
            url = urlsplit(self.base_url)
            if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
                raise _refuse("base_url", self.base_url, "is http(s)://host[:port]/path without a query")
        if self.safety_identifier is not None:
            _text("safety_identifier", self.safety_identifier)

    def _check_voice(self) -> None:
        if isinstance(self.voice, str):
            _text("voice", self.voice)
        elif set(self.voice) != {"id"} or not isinstance(self.voice["id"], str) or not self.voice["id"]:
            raise _refuse("voice", dict(self.voice), 'is a name or {"id": "voice_…"}')

    def _check_kinds(self) -> None:
        for name, kinds, also in (
            ("turn_detection", (SemanticVad, ServerVad), (None,)),
            ("transcription", (Transcription,), (None,)),
            ("prompt", (Prompt,), (None,)),
            ("truncation", (RetentionRatio,), ("auto", "disabled")),
            ("tracing", (Tracing,), ("auto", None)),
        ):
            given = getattr(self, name)
            if not isinstance(given, kinds) and given not in also:
                allowed = [*(kind.__name__ for kind in kinds), *(str(value) for value in also)]
                raise _refuse(name, given, "are " + ", ".join(allowed))

    def _check_tools(self) -> None:
        if self.reasoning_effort is not None:
            _one_of("reasoning_effort", self.reasoning_effort, REASONING_EFFORTS)
            if is_reasoning_model(self.model) is False:
                raise _refuse("reasoning_effort", self.reasoning_effort, f"is None for {self.model}")
        _one_of("parallel_tool_calls", self.parallel_tool_calls, (True, False, None))
        if self.parallel_tool_calls is not None and is_reasoning_model(self.model) is False:
            raise _refuse("parallel_tool_calls", self.parallel_tool_calls, f"is None for {self.model}")
        if isinstance(self.tool_choice, str):
            _one_of("tool_choice", self.tool_choice, ("auto", "none", "required"))
        elif {"function": "name", "mcp": "server_label"}.get(self.tool_choice.get("type", "")) not in (
            self.tool_choice
        ):
            raise _refuse("tool_choice", dict(self.tool_choice), "are auto, none, required, a function, mcp")
        labels = [server.server_label for server in self.mcp]
        if len(set(labels)) != len(labels):
            raise _refuse("mcp", labels, "is each server_label once")

    @property
    def answers_turns(self) -> bool:
        """Whether the server answers each turn by itself."""
        return self.turn_detection is not None and self.turn_detection.create_response

    @property
    def reports_speech_only(self) -> bool:
        """Whether the client decides what speech interrupts, so that LiveKit must not be told of it."""
        return self.turn_detection is not None and not self.turn_detection.interrupt_response

    def headers(self) -> dict[str, str]:
        """The headers these options add to the upgrade."""
        safety = {"OpenAI-Safety-Identifier": self.safety_identifier} if self.safety_identifier else {}
        return {**safety, **self.extra_headers}

    def session(self) -> Payload:
        """The ``session`` of a ``session.update``, all but instructions and tools.

        Null stands only where it differs from leaving a name out: ``turn_detection``.
        """
        detection = self.turn_detection.payload() if self.turn_detection is not None else None
        heard: Payload = {"format": _pcm(), "turn_detection": detection}
        if self.noise_reduction is not None:
            heard["noise_reduction"] = {"type": self.noise_reduction}
        if self.transcription is not None:
            heard["transcription"] = self.transcription.payload()
        session: Payload = {
            "type": "realtime",
            "model": self.model,
            "output_modalities": [self.output_modalities],
            "audio": {"input": heard},
            "tool_choice": self.tool_choice if isinstance(self.tool_choice, str) else dict(self.tool_choice),
            "max_output_tokens": self.max_output_tokens,
            "truncation": self.truncation if isinstance(self.truncation, str) else self.truncation.payload(),
        }
        if self.output_modalities == "audio":
            voice = self.voice if isinstance(self.voice, str) else dict(self.voice)
            session["audio"]["output"] = {"format": _pcm(), "voice": voice, "speed": self.speed}
        parallel = self.parallel_tool_calls
        if parallel is None and is_reasoning_model(self.model):
            parallel = True
        optional = {
            "parallel_tool_calls": parallel,
            "reasoning": {"effort": self.reasoning_effort} if self.reasoning_effort else None,
            "prompt": self.prompt.payload() if self.prompt is not None else None,
            "tracing": self.tracing.payload() if isinstance(self.tracing, Tracing) else self.tracing,
            "include": list(self.include) or None,
        }
        session.update({name: value for name, value in optional.items() if value is not None})
        return session


def _pcm() -> Payload:
    return {"type": "audio/pcm", "rate": SAMPLE_RATE_HZ}
