"""What an agent knows of the one it talks to, and what its tools can do beside answering."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from parley.errors import NothingToSeeError

MOST_NOTES = 100
MOST_NOTE_CHARS = 500

Source = Literal["camera", "screen_share"]
"""What a participant may show."""


@dataclass(frozen=True, slots=True)
class Caller:
    """The participant whom an agent is for, as they were when the conversation began."""

    identity: str
    name: str = ""
    """Their display name; empty where the token has none."""
    attributes: Mapping[str, str] = field(default_factory=dict)
    """LiveKit's participant attributes, those of SIP (`sip.…`) among them. No proof of anything: participants
    can write theirs, if their token allows it."""
    language: str = ""
    """BCP-47 tag of what they speak; empty: not known."""
    room: str = ""
    """The name of the room."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "attributes", MappingProxyType(dict(self.attributes)))

    @property
    def phone_number(self) -> str:
        """The number of one who called over SIP, as the trunk gave it; empty for others."""
        return self.attributes.get("sip.phoneNumber", "")


@dataclass(frozen=True, slots=True)
class RemoteCall:
    """A tool of a remote MCP server that the model wants to call; OpenAI makes the call."""

    caller: Caller
    """Whom the agent talks to."""
    server_label: str
    tool: str
    arguments: str
    """JSON, as the model wrote it."""


Approve = Callable[[RemoteCall], bool | Awaitable[bool]]
"""Whether a call may be made: nothing but True approves it."""


class Conversation:
    """One conversation: the `userdata` of its `AgentSession`, which tools reach as `RunContext.userdata`.

    The hooks are the bridge's: `hang_up` ends the conversation when what is being said has been said;
    `see` takes one picture of what the participant shows, and raises NothingToSeeError where they show
    nothing; `show` puts a picture before the model, as a message of the participant's.
    """

    def __init__(
        self,
        caller: Caller,
        *,
        hang_up: Callable[[str], None],
        see: Callable[[Source], Awaitable[bytes]] | None = None,
        show: Callable[[bytes], None] | None = None,
    ) -> None:
        self._caller = caller
        self._hang_up = hang_up
        self._see = see
        self._show = show
        self._notes: list[str] = []
        self._over = False
        self.language = caller.language
        """BCP-47 tag of what the participant speaks now; empty: not known. The bridge keeps it current."""

    @property
    def caller(self) -> Caller:
        """Whom the agent talks to."""
        return self._caller

    @property
    def over(self) -> bool:
        """Whether `hang_up` was called."""
        return self._over

    def hang_up(self, reason: str = "") -> None:
        """Lets the participant go, once what is being said has been said. A second call does nothing."""
        if not self._over:
            self._over = True
            self._hang_up(reason)

    @property
    def notes(self) -> tuple[str, ...]:
        """What was noted, the oldest first."""
        return tuple(self._notes)

    def note(self, text: str) -> None:
        """Notes something. Raises ValueError for an empty or too long text, and when there are too many."""
        text = " ".join(text.split())
        if not text:
            raise ValueError("the note is empty")
        if len(text) > MOST_NOTE_CHARS:
            raise ValueError(f"the note has {len(text)} characters; at most {MOST_NOTE_CHARS} are kept")
        if len(self._notes) >= MOST_NOTES:
            raise ValueError(f"there are {MOST_NOTES} notes already; no more are kept")
        self._notes.append(text)

    async def see(self, source: Source = "camera") -> bytes:
        """One picture of what the participant shows now, as JPEG or PNG, for the tool itself to look at.

        Raises NothingToSeeError where they show nothing. Cancelling it takes no picture.
        """
        if self._see is None:
            raise NothingToSeeError(source)
        return await self._see(source)

    def show(self, image: bytes) -> None:
        """Puts a JPEG or PNG before the model: it sees it from its next reply on.

        A tool that works cannot do this by changing the agent's chat context: the pending call is not
        in there yet, and would be deleted from the session. Raises RuntimeError where nothing can be shown.
        """
        if self._show is None:
            raise RuntimeError("pictures cannot be shown in this conversation")
        self._show(image)
