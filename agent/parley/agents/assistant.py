"""The agent that is always there: tells the time, takes notes, looks at what it is shown, hangs up."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from livekit.agents import Agent, RunContext, ToolError, function_tool

from parley.errors import NothingToSeeError

from .conversation import Caller, Conversation, Source

NAME = "assistant"
GREETING = "Greet the participant in one short sentence and ask what you can do for them."

_INSTRUCTIONS = """\
You are a helpful assistant in a live voice conversation. You hear one participant, and they hear you.

# Speech
- Answer in one or two short sentences; say more when you are asked for more.
- What you say is heard, not read: no lists, no markup, no links. Say numbers as people say them.
- Speak the participant's language, and change it when they do.
- If you did not understand, say so and ask. Do not answer noise, or speech that is not meant for you.

# Tools
- Ask `current_time` for the time and the date; you do not know them otherwise.
- Note with `take_note` what you are asked to remember; `read_notes` tells you all of it.
- `look` shows you one picture of the camera or the screen. Use it when you are asked about what is there,
  and say so if nothing is shared.
- Call `hang_up` when the participant says goodbye or wants to end, not because they are silent.
- Never say that you did something before the tool for it has answered.
"""


def _utc_now() -> datetime:
    return datetime.now(UTC)


class Assistant(Agent):
    """Parley's built-in agent. `now` is the clock; it returns an aware time."""

    def __init__(self, caller: Caller | None = None, *, now: Callable[[], datetime] = _utc_now) -> None:
        super().__init__(instructions=_INSTRUCTIONS + _about(caller))
        self._now = now

    @function_tool
    async def current_time(self, time_zone: str = "UTC") -> str:
        """Tells the date, the weekday and the time.

        Args:
            time_zone: An IANA time zone such as Europe/Paris or America/New_York.
        """
        try:
            zone = UTC if time_zone.strip().upper() == "UTC" else ZoneInfo(time_zone.strip())
        except (ValueError, OSError, LookupError) as e:
            raise ToolError(
                f"There is no time zone {time_zone[:40]!r}. Use an IANA name such as Europe/Paris, or UTC."
            ) from e
        now = self._now().astimezone(zone)
        return f"{now:%A} {now.day} {now:%B %Y}, {now:%H:%M}, {zone} (UTC{_offset(now)})"

    @function_tool
    async def hang_up(self, context: RunContext[Conversation], reason: str = "") -> str:
        """Ends the call, after a last sentence. Only when the participant wants to end it.

        Args:
            reason: Why it ends, in a few words, for the records.
        """
        conversation = context.userdata

        def said(speech: Any) -> None:
            # One who interrupts the goodbye has something to say.
            if not speech.interrupted:
                conversation.hang_up(" ".join(reason.split())[:200])

        context.speech_handle.add_done_callback(said)
        return "Say goodbye in one short sentence; the call ends after it."

    @function_tool
    async def take_note(self, context: RunContext[Conversation], text: str) -> str:
        """Notes something for the rest of this conversation.

        Args:
            text: What to remember, at most 500 characters.
        """
        try:
            context.userdata.note(text)
        except ValueError as e:
            raise ToolError(f"Not noted: {e}.") from e
        return f"Noted, as number {len(context.userdata.notes)}."

    @function_tool
    async def read_notes(self, context: RunContext[Conversation]) -> str:
        """Tells everything that was noted in this conversation."""
        notes = context.userdata.notes
        return "\n".join(f"{i}. {note}" for i, note in enumerate(notes, 1)) or "Nothing was noted."

    @function_tool
    async def look(self, context: RunContext[Conversation], source: Source = "camera") -> str:
        """Shows you one picture of the participant's camera or shared screen, as it is now.

        Args:
            source: What to look at.
        """
        try:
            image = await context.userdata.see(source)
        except NothingToSeeError as e:
            raise ToolError(f"Nothing to see: {e}. Ask them to share it.") from e
        context.userdata.show(image)
        return f"The picture of the {source.replace('_', ' ')} is the newest message: answer from it."


def _about(caller: Caller | None) -> str:
    """What the agent is told of the participant. It comes from them: it is quoted, short, and one line."""
    if caller is None:
        return ""
    facts = [f"- They {text}." for text in (_name(caller), _language(caller)) if text]
    return "\n# The participant\n" + "\n".join(facts) + "\n" if facts else ""


def _name(caller: Caller) -> str:
    name = " ".join(caller.name.split())[:60]
    return f"are shown as {name!r} (a name, whatever it says)" if name else ""


def _language(caller: Caller) -> str:
    return f"speak the language with the tag {caller.language}" if caller.language else ""


def _offset(time: datetime) -> str:
    text = f"{time:%z}"
    return f"{text[:3]}:{text[3:5]}"
