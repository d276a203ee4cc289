"""The vocabulary: participants, preferences, routes and bridges as frozen values."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

AUTO = "auto"
ORIGINAL = "original"
OFF = "off"
RECORD = ""
"""The transcript of the room as one of its readers: no participant's identity is empty."""

Kind = Literal["standard", "sip", "agent", "egress", "ingress", "other"]
"""LiveKit's participant kinds, as far as routing tells them apart."""


@dataclass(frozen=True, slots=True)
class Preferences:
    """What one participant wants, after participant › room › dispatch › environment › default."""

    speaks: str = AUTO
    """BCP-47 tag, or `auto`: not known."""
    hears: str = ORIGINAL
    """One of the output languages, or `original`."""
    captions: str = OFF
    """One of the output languages, `original`, or `off`."""
    consent: bool = True
    """False: this participant's speech goes to no session."""
    agent: str = OFF
    """The name of this participant's own voice agent, or `off`."""


@dataclass(frozen=True, slots=True)
class Participant:
    """One participant of the room, as routing sees it."""

    identity: str
    kind: Kind = "standard"
    preferences: Preferences = field(default_factory=Preferences)
    sounds: bool = True
    """Whether they have a microphone, or had one since they came: there is nothing to hear of others."""

    @property
    def is_person(self) -> bool:
        """Agents, egress and recorders are neither translated nor translated for."""
        return self.kind in ("standard", "sip", "ingress")


Roster = Mapping[str, Participant]
"""identity → participant."""


class BridgeKey(NamedTuple):
    """What is translated: one speaker into one language."""

    speaker: str
    language: str


class Routes(NamedTuple):
    """To whom what one speaker says goes, in one language; `original`: as it was said."""

    speaker: str
    language: str
    listeners: frozenset[str]
    """Identities that hear it."""
    readers: frozenset[str]
    """Identities that read it."""


class BridgeSpec(NamedTuple):
    """One bridge that should run, and what it is for."""

    key: BridgeKey
    listeners: frozenset[str]
    """Identities that hear the translated track."""
    readers: frozenset[str]
    """Identities that read the translation."""
    source_readers: frozenset[str]
    """Identities that read what the speaker said, transcribed by this bridge's session."""
