"""What `register` is told beside name and factory: Parley's own options, and those of the API's session."""

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from livekit.plugins.openai_realtime.conversation_options import (
    ConversationOptions,
    Prompt,
    SemanticVad,
    ServerVad,
    Transcription,
    TurnDetection,
    is_reasoning_model,
)
from parley.config import VoiceAgent
from parley.core.turns import BACKCHANNELS
from parley.errors import AgentOptionError, UnknownAgentOptionError

from .conversation import Approve


def _words(value: tuple[str, ...]) -> tuple[str, ...]:
    for word in value:
        if not word or word != word.lower() or word.split() != [word]:
            raise ValueError(f"single words in lower case, not {word!r}")
    return value


def _said(value: str | None) -> str | None:
    if value is not None and not value.strip():
        raise ValueError("a text that is not empty, or None")
    return value


_Text = Annotated[str | None, AfterValidator(_said)]


class AgentOptions(BaseModel):
    """What Parley itself does for an agent. Frozen; wrong values are refused when the agent is registered."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    audience: Literal["participant", "room"] = "participant"
    """Who hears and reads the agent: its participant alone, or everybody in the room."""
    greeting: _Text = None
    """Instructions for the first reply, before the participant has said anything; None: the agent waits."""
    disclosure: _Text = None
    """Said first, word for word, such as "I am an AI assistant"; None: nothing is."""
    idle_s: float | None = Field(30.0, gt=0, allow_inf_nan=False)
    """Silence of both after which the agent asks whether anybody is there, in seconds; None: never."""
    idle_goodbye_s: float = Field(15.0, gt=0, allow_inf_nan=False)
    """Silence after that question after which the agent lets go, in seconds."""
    interruptions: bool = True
    """Whether the participant's voice stops the agent."""
    false_interruption_s: float | None = Field(1.5, gt=0, le=10)
    """So long after a voice that stopped the agent it goes on, if no words came of it, in seconds; None: it
    does not go on."""
    backchannels: Annotated[tuple[str, ...], AfterValidator(_words)] = tuple(sorted(BACKCHANNELS))
    """Words in lower case that, said alone, do not interrupt; the default has those of English, German,
    French, Spanish and Italian."""
    tool_timeout_s: float = Field(30.0, gt=0, allow_inf_nan=False)
    """How long a tool may work, in seconds; then the model is told that it failed."""
    slow_tool_s: float | None = Field(4.0, gt=0, allow_inf_nan=False)
    """A tool that works longer than this is spoken about, in seconds; None: never."""
    approve_mcp: Approve | None = None
    """Asked about each call of a remote MCP server's tool whose `require_approval` wants it: a function of
    the `RemoteCall`, plain or async, which has `tool_timeout_s` to answer. None: they are all refused, and
    it is said on `parley.events`."""
    mode: Literal["audio", "hybrid"] = "audio"
    """`audio`: it hears its participant. `hybrid`: it reads what the room's translations write, and opens its
    audio session only when it is addressed by its name or by `parley.say`; it is cheap while it is silent."""
    usd: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Budget of one conversation at list prices, in USD, beside that of its participant
    (PARLEY_LIMITS__USD_PER_PARTICIPANT); None: none of its own."""


_OWN = tuple(AgentOptions.model_fields)
_SESSION = tuple(f.name for f in fields(ConversationOptions) if f.name != "output_modalities")
OPTIONS = (*_OWN, *_SESSION)
"""Every option of `register`."""


@dataclass(frozen=True, slots=True)
class Options:
    """All that an agent was registered with."""

    own: AgentOptions
    session: Mapping[str, Any]
    """What the agent says of the API's session itself; the rest is the worker's default."""

    def conversation(self, defaults: VoiceAgent) -> ConversationOptions:
        """The options of the agent's sessions: its own over the worker's. Raises ValueError.

        Parley's own VAD is `turn_detection=None`: the API finds no turns.
        """
        given = {name: _expanded(name, value, defaults) for name, value in self.session.items()}
        base = {name: value for name, value in _session_of(defaults).items() if name not in given}
        if is_reasoning_model(given.get("model", defaults.model)) is False:
            base.pop("reasoning_effort", None)  # only what the agent itself asks for can be a mistake
        whole = ConversationOptions(**base, **given)
        if self.own.mode == "audio":
            return whole
        # It hears nobody: there are no turns for the API to find, and nothing to transcribe.
        return replace(whole, turn_detection=None, transcription=None)


def read_options(agent: str, options: Mapping[str, Any]) -> Options:
    """Checks what `register` was given. Raises AgentOptionError for the first thing that is wrong."""
    for name in options:
        if name == "output_modalities":
            raise AgentOptionError(agent, name, repr(options[name]), "nothing: an agent speaks")
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, n=1, cutoff=0.0)[0]
            raise UnknownAgentOptionError(agent, name, near)
    try:
        own = AgentOptions(**{name: value for name, value in options.items() if name in _OWN})
    except ValidationError as e:
        raise _as_option_error(agent, e) from None
    session = {name: value for name, value in options.items() if name in _SESSION}
    whole = Options(own, MappingProxyType(session))
    for name in session:
        _try(agent, name, session[name], Options(own, {name: session[name]}))
    _try(agent, "", None, whole)
    return whole


_STOCK = VoiceAgent()


def _try(agent: str, name: str, given: object, options: Options) -> None:
    """Whether the session takes it: one option by itself, so that the blame is right, or all together."""
    try:
        options.conversation(_STOCK)
    except (ValueError, TypeError, AttributeError) as e:
        said = refusal(agent, e)
        if said.given is None and name:
            said = AgentOptionError(agent, name, _shown(given), _KIND[name])
        raise said from e


_KIND = {f.name: str(f.type) for f in fields(ConversationOptions)}
_SAID = re.compile(r"(?P<name>\S+): given (?P<given>.*), allowed (?:is |are )?(?P<allowed>.*)", re.DOTALL)
_NEEDS = re.compile(r"(?P<name>\S+): given (?P<given>.*), (?P<allowed>[^,]*?)(?: is needed)?", re.DOTALL)


def refusal(agent: str, error: Exception) -> AgentOptionError:
    """What the plugin's options say is wrong, as Parley says it."""
    text = str(error)
    said = _SAID.fullmatch(text) or _NEEDS.fullmatch(text)
    if said is None:
        return AgentOptionError(agent, "options", None, text)
    return AgentOptionError(agent, said["name"], _short(said["given"]), said["allowed"])


def _as_option_error(agent: str, error: ValidationError) -> AgentOptionError:
    first = error.errors()[0]
    allowed = str(first["msg"]).removeprefix("Input should be ").removeprefix("Value error, ")
    return AgentOptionError(agent, str(first["loc"][0]), _shown(first["input"]), allowed)


def _shown(value: object) -> str:
    return _short(repr(value))


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else text[:59] + "…"


def _expanded(name: str, value: Any, defaults: VoiceAgent) -> Any:
    """The short forms: a name for the kind of turn detection, the transcription model, the stored prompt."""
    if not isinstance(value, str):
        return value
    match name:
        case "turn_detection":
            return _detection(value, defaults)
        case "transcription":
            return Transcription(model=value)
        case "prompt":
            return Prompt(id=value)
    return value


_DETECTIONS = "semantic_vad, server_vad, vad, a SemanticVad, a ServerVad, None"


def _detection(kind: str, defaults: VoiceAgent) -> TurnDetection | None:
    match kind:
        case "semantic_vad":
            return SemanticVad(eagerness=defaults.eagerness)
        case "server_vad":
            return ServerVad(silence_duration_ms=defaults.silence_ms)
        case "vad":
            return None
    raise ValueError(f"turn_detection: given {kind!r}, allowed are {_DETECTIONS}")


def _session_of(defaults: VoiceAgent) -> dict[str, Any]:
    """The worker's settings as the plugin takes them."""
    model = defaults.transcription_model
    return {
        "model": defaults.model,
        "voice": defaults.voice,
        "transcription": Transcription(model=model) if model else None,
        "reasoning_effort": defaults.reasoning_effort,
        "turn_detection": _detection(defaults.turn_detection, defaults),
        "noise_reduction": defaults.noise_reduction,
        "max_output_tokens": defaults.max_output_tokens or "inf",
        "base_url": defaults.base_url,
        "tracing": "auto" if defaults.tracing else None,
    }
