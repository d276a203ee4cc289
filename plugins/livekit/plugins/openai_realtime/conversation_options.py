"""Settings of a conversation session: frozen values under the API's names, checked when they are made.

Every check raises ValueError with one line: the name, what was given, what is allowed. What the server alone
can decide (does this voice, model or language exist) is left to the server.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

from .conversation_parts import (
    Payload,
    Prompt,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    Tracing,
    Transcription,
    TurnDetection,
    number,
    one_of,
    refuse,
    text,
)
from .mcp import McpServer
from .options import SAMPLE_RATE_HZ, NoiseReduction

__all__ = [
    "LOGPROBS",
    "REASONING_EFFORTS",
    "VOICES",
    "ConversationOptions",
    "Prompt",
    "ReasoningEffort",
    "RetentionRatio",
    "SemanticVad",
    "ServerVad",
    "Tracing",
    "Transcription",
    "TurnDetection",
    "is_reasoning_model",
]

ReasoningEffort = Literal["minimal", "low", "medium", "high", "xhigh"]

VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
"""The voices that have names. The server decides; this list is for menus."""

REASONING_EFFORTS = ("minimal", "low", "medium", "high", "xhigh")
LOGPROBS = "item.input_audio_transcription.logprobs"
_WITHOUT_REASONING = ("gpt-realtime-1", "gpt-realtime-mini", "gpt-realtime-20", "gpt-4o", "gpt-audio")


def is_reasoning_model(model: str) -> bool | None:
    """Whether a model reasons; None for a name this version does not know (a deployment, a gateway's)."""
    if model == "gpt-realtime" or model.startswith(_WITHOUT_REASONING):
        return False
    return True if model.startswith("gpt-realtime-2") else None


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
        text("model", self.model)
        self._check_voice()
        one_of("output_modalities", self.output_modalities, ("audio", "text"))
        one_of("noise_reduction", self.noise_reduction, ("near_field", "far_field", None))
        self._check_kinds()
        self._check_tools()
        if self.max_output_tokens != "inf":
            number("max_output_tokens", self.max_output_tokens, 1, 4096, int)
        number("speed", self.speed, 0.25, 1.5)
        for name in self.include:
            one_of("include", name, (LOGPROBS,))
        if self.base_url is not None:
            url = urlsplit(self.base_url)
            if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
                raise refuse("base_url", self.base_url, "is http(s)://host[:port]/path without a query")
        if self.safety_identifier is not None:
            text("safety_identifier", self.safety_identifier)

    def _check_voice(self) -> None:
        if isinstance(self.voice, str):
            text("voice", self.voice)
        elif set(self.voice) != {"id"} or not isinstance(self.voice["id"], str) or not self.voice["id"]:
            raise refuse("voice", dict(self.voice), 'is a name or {"id": "voice_…"}')

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
                raise refuse(name, given, "are " + ", ".join(allowed))

    def _check_tools(self) -> None:
        if self.reasoning_effort is not None:
            one_of("reasoning_effort", self.reasoning_effort, REASONING_EFFORTS)
            if is_reasoning_model(self.model) is False:
                raise refuse("reasoning_effort", self.reasoning_effort, f"is None for {self.model}")
        one_of("parallel_tool_calls", self.parallel_tool_calls, (True, False, None))
        if self.parallel_tool_calls is not None and is_reasoning_model(self.model) is False:
            raise refuse("parallel_tool_calls", self.parallel_tool_calls, f"is None for {self.model}")
        if isinstance(self.tool_choice, str):
            one_of("tool_choice", self.tool_choice, ("auto", "none", "required"))
        elif {"function": "name", "mcp": "server_label"}.get(self.tool_choice.get("type", "")) not in (
            self.tool_choice
        ):
            raise refuse("tool_choice", dict(self.tool_choice), "are auto, none, required, a function, mcp")
        labels = [server.server_label for server in self.mcp]
        if len(set(labels)) != len(labels):
            raise refuse("mcp", labels, "is each server_label once")

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

        Null stands only where it differs from leaving a name out: ``turn_detection``. ``truncation`` is left
        out where it is the default: Azure does not take it.
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
        }
        if self.output_modalities == "audio":
            voice = self.voice if isinstance(self.voice, str) else dict(self.voice)
            session["audio"]["output"] = {"format": _pcm(), "voice": voice, "speed": self.speed}
        parallel = self.parallel_tool_calls
        if parallel is None and is_reasoning_model(self.model):
            parallel = True
        cut = self.truncation if isinstance(self.truncation, str) else self.truncation.payload()
        optional = {
            "truncation": cut if cut != "auto" else None,
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
