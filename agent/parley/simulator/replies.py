"""What a response says: the turn that the script has for it, or by default what was heard, said again.

By default a reply repeats the words of the last input, the user's in the user's own sound, after the text
`[simulated]`, which has no sound. Tool outputs and typed messages are voiced. Where nothing was asked, the
response's own instructions are said.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from .configuration import tool_names
from .items import Item
from .script import Script
from .speech import Segment, left_of, repeated, text_of, voiced
from .turns import Approval, Call, Context, Failure, McpCall, Turn
from .voice import Pcm
from .wire import Event

__all__ = ["Message", "Plan", "plan_reply"]

_SIMULATED = "[simulated]"
_MOST_WORDS = 400
_NOTHING_HEARD = "nothing heard"
_NOTHING_ASKED = "hello"


@dataclass(frozen=True, eq=False, slots=True)
class Message:
    """A message of the assistant."""

    segments: list[Segment]
    phase: str = "final_answer"


@dataclass(frozen=True, eq=False, slots=True)
class Plan:
    """What a response puts out, and how it ends."""

    outputs: list[Message | Call | Approval | McpCall] = field(default_factory=list)
    failure: Failure | None = None
    failure_after_s: float = 0.0
    latency_s: float = 0.0
    wait_s: float = 0.0
    turn: Turn | None = None
    """Where it comes from, if the script has it."""

    def later(self, seconds: float) -> "Plan":
        """The same, that much later."""
        return replace(self, latency_s=self.latency_s + seconds)


def plan_reply(
    context: Context,
    items: Sequence[Item],
    settings: Event,
    own_instructions: str | None,
    script: Script,
    pronounce: Callable[[str], Pcm] | None,
) -> Plan:
    """The plan for a response. `items` are those of the context, `own_instructions` those that
    `response.create` gave, `settings` the session's with the response's own."""
    turn = script.take(context)
    said = " ".join(line.text for line in context.said)
    if turn is not None:
        return _scripted(turn, said, settings["tool_choice"] != "none", pronounce)
    call = _forced_call(settings)
    if call is not None and not context.said:
        return Plan([call])
    reply = _default(context, items, own_instructions, pronounce)
    left = left_of(reply, said)
    return Plan([Message(left or reply)])


def _scripted(turn: Turn, said: str, may_call: bool, pronounce: Callable[[str], Pcm] | None) -> Plan:
    preamble = voiced(turn.preamble, pronounce) if turn.preamble else []
    main = voiced(turn.say, pronounce) if turn.say else []
    if turn.say_audio is not None:
        words = (turn.say or "").split()
        main = repeated(words, turn.say_audio) if words else [Segment("", turn.say_audio)]
    told, whole = "".join(said.split()), "".join(text_of(preamble).split())
    if told == whole and told:
        preamble = []
    elif left := left_of(preamble, said):
        preamble = left
    elif told.startswith(whole) and (rest := left_of(main, told[len(whole) :])):
        preamble, main = [], rest
    outputs: list[Message | Call | Approval | McpCall] = []
    if preamble:
        outputs.append(Message(preamble, "commentary"))
    if turn.mcp_call is not None:
        outputs.append(turn.mcp_call)
    if main:
        outputs.append(Message(main))
    if may_call:
        outputs += [*turn.calls, *([turn.approval] if turn.approval is not None else [])]
    return Plan(outputs, turn.failure, turn.failure_after_s, turn.latency_s, turn.wait_s, turn)


def _forced_call(settings: Event) -> Call | None:
    """The call that `tool_choice` demands."""
    choice, names = settings["tool_choice"], tool_names(settings["tools"])
    if isinstance(choice, dict) and choice["type"] == "function":
        return Call(choice["name"])
    return Call(names[0]) if choice == "required" and names else None


def _default(
    context: Context,
    items: Sequence[Item],
    own_instructions: str | None,
    pronounce: Callable[[str], Pcm] | None,
) -> list[Segment]:
    asked = {line.item_id for line in context.asked}
    body: list[Segment] = []
    for item in items:
        if item.id in asked:
            words = item.record.text.removeprefix(_SIMULATED).split()[:_MOST_WORDS]
            spoken = item.pcm is not None and item.samples
            more = repeated(words, item.pcm) if spoken and item.pcm is not None else None
            body += _spaced(voiced(" ".join(words), pronounce) if more is None else more)
    if context.said and own_instructions:
        body = []
    if not body:
        text = own_instructions or (_NOTHING_HEARD if asked else _NOTHING_ASKED)
        body = _spaced(voiced(" ".join(text.split()[:_MOST_WORDS]), pronounce))
    return [Segment(_SIMULATED, body[0].pcm[:0]), *body]


def _spaced(segments: list[Segment]) -> list[Segment]:
    """The same with a space before the first word."""
    if not segments or not segments[0].text:
        return segments
    return [Segment(f" {segments[0].text}", segments[0].pcm), *segments[1:]]
