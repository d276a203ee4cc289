"""Turns: what tests and demos write for a simulated agent to say, and what each of them is an answer to."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any, Literal, get_args

from .voice import Pcm

__all__ = [
    "FAILURES",
    "Approval",
    "Call",
    "Context",
    "Failure",
    "Line",
    "McpCall",
    "Turn",
    "turn_from_json",
]

Failure = Literal[
    "server_error",
    "rate_limit_exceeded",
    "inference_rate_limit_exceeded",
    "insufficient_quota",
    "content_filter",
]
FAILURES: tuple[str, ...] = get_args(Failure)


@dataclass(frozen=True, slots=True)
class Line:
    """One item of the conversation as the model knows it: `role` is user, assistant, system or tool."""

    role: str
    text: str
    item_id: str = ""
    is_audio: bool = False
    peak: bytes = field(default=b"", repr=False)
    """Of what was spoken: a tenth of a second around its loudest moment, by which it is known again."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a response is an answer to."""

    session_id: str
    model: str
    instructions: str
    lines: tuple[Line, ...]
    tools: tuple[str, ...] = ()

    @property
    def said(self) -> tuple[Line, ...]:
        """What the assistant said last, after the last input; empty if the input is not answered yet."""
        count = 0
        while count < len(self.lines) and self.lines[-1 - count].role == "assistant":
            count += 1
        return self.lines[len(self.lines) - count :]

    @property
    def asked(self) -> tuple[Line, ...]:
        """The last input, one or several items: what the user said, or what the tools gave."""
        end = len(self.lines) - len(self.said)
        start = end
        while start and self.lines[start - 1].role != "assistant":
            start -= 1
        return tuple(line for line in self.lines[start:end] if line.role != "system")

    @property
    def heard(self) -> str:
        """The text of the last input."""
        return " ".join(line.text for line in self.asked if line.text)


@dataclass(frozen=True, slots=True)
class Call:
    """A function call; `arguments` is JSON as the model writes it, or an object."""

    name: str
    arguments: str | Mapping[str, Any] = "{}"


@dataclass(frozen=True, slots=True)
class Approval:
    """A request to approve a call on an MCP server."""

    server_label: str
    name: str
    arguments: str = "{}"
    output: str | None = None
    """What the call gives, which is made as soon as it is approved; None: a later turn makes it
    (`McpCall`)."""


@dataclass(frozen=True, slots=True)
class McpCall:
    """A call that the API itself made on an MCP server; without an output it failed."""

    server_label: str
    name: str
    arguments: str = "{}"
    output: str | None = None


@dataclass(frozen=True, eq=False, slots=True)
class Turn:
    """One response. Raises ValueError, which names the field, for a value that is not allowed.

    With nothing to say and nothing to call it is a response without output.
    """

    say: str | None = None
    """What is said; each word is voiced by `SimulatorOptions.pronounce`."""
    say_audio: Pcm | None = None
    """`int16[n]` mono at 24 kHz: the sound of `say`, in place of its words' own sounds."""
    preamble: str | None = None
    """Said before all else, in a message of its own with the phase `commentary`."""
    calls: tuple[Call, ...] = ()
    """Function calls, all in this response."""
    approval: Approval | None = None
    mcp_call: McpCall | None = None
    failure: Failure | None = None
    """The response fails (`content_filter`: is incomplete), after `failure_after_s` of its audio."""
    failure_after_s: float = 0.0
    latency_s: float = 0.0
    """Added to the time to the first output."""
    wait_s: float = 0.0
    """Between the preamble and what follows."""
    when: str | Callable[[Context], bool] | None = None
    """A text that the last input contains (in any case), or a predicate; None: the next in order."""
    times: int = 1
    """How many responses it is used for."""

    def __post_init__(self) -> None:
        for name in ("say", "preamble"):
            self._require(name, isinstance(getattr(self, name), str | None), "a text")
        self._require(
            "when", self.when is None or callable(self.when) or isinstance(self.when, str), "a text"
        )
        self._require("failure", self.failure is None or self.failure in FAILURES, ", ".join(FAILURES))
        for name in ("failure_after_s", "latency_s", "wait_s"):
            value = getattr(self, name)
            numeric = isinstance(value, int | float) and not isinstance(value, bool)
            self._require(name, numeric and 0 <= value <= 600, "0 to 600")
        whole = isinstance(self.times, int) and not isinstance(self.times, bool)
        self._require("times", whole and self.times > 0, "1 or more")

    def applies(self, context: Context) -> bool:
        """Whether `when` applies."""
        if callable(self.when):
            return self.when(context)
        return self.when is None or self.when.lower() in context.heard.lower()

    @property
    def text(self) -> str:
        """All that is said, in one line."""
        return " ".join(part for part in (self.preamble, self.say) if part)

    @property
    def is_empty(self) -> bool:
        """Whether it puts nothing out."""
        return not (self.text or self.calls or self.approval or self.mcp_call) and self.say_audio is None

    def is_cut_at(self, said: str) -> bool:
        """Whether `said`, with single spaces, is a beginning of what is said, and not all of it."""
        whole = " ".join(self.text.split())
        return whole.startswith(said) and said != whole

    def _require(self, name: str, allowed: bool, what: str) -> None:
        if not allowed:
            raise ValueError(f"{name}: got {getattr(self, name)!r}, allowed: {what}")


def turn_from_json(value: object) -> Turn:
    """A turn from a JSON object with the fields of `Turn`, without sound. Raises ValueError, which names the
    field."""
    if not isinstance(value, Mapping):
        raise ValueError(f"turn: got {type(value).__name__}, allowed: an object")
    names = [one.name for one in fields(Turn) if one.name != "say_audio"]
    for name in value:
        if name not in names:
            raise ValueError(f"{name}: got {value[name]!r}, allowed fields: {', '.join(names)}")
    given: dict[str, Any] = dict(value)
    calls = given.get("calls", [])
    if not isinstance(calls, list):
        raise ValueError(f"calls: got {calls!r}, allowed: a list of objects")
    given["calls"] = tuple(_built(Call, call, "calls") for call in calls)
    for name, kind in (("approval", Approval), ("mcp_call", McpCall)):
        if given.get(name) is not None:
            given[name] = _built(kind, given[name], name)
    return Turn(**given)


def _built(kind: Any, value: object, name: str) -> Any:
    required = [one.name for one in fields(kind) if one.default is MISSING]
    allowed = [one.name for one in fields(kind)]
    if not isinstance(value, Mapping) or set(required) - set(value) or set(value) - set(allowed):
        raise ValueError(f"{name}: got {value!r}, allowed: an object with {', '.join(allowed)}")
    return kind(**value)
