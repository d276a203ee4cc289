"""Who reads a bridge's captions: participants, and agents that read along; under which track."""

from collections.abc import Callable, Iterable

from livekit import rtc
from parley.bridges.translation import TranslationBridge
from parley.core.language import primary
from parley.core.model import AUTO, BridgeKey, Roster
from parley.core.transcript import Segment
from parley.ports import TextKind

from .agents import RoomAgents
from .minutes import RoomMinutes
from .text_output import Captions, Text, TextOutput, microphone_sid
from .track_output import TrackOutput


class Reading:
    """The readers of one room, as the roster has them at the moment a line is sent."""

    def __init__(
        self,
        room: rtc.Room,
        text: TextOutput,
        roster: Callable[[], Roster],
        agents: Callable[[], RoomAgents | None],
        minutes: RoomMinutes | None = None,
    ) -> None:
        self._room = room
        self._text = text
        self._roster = roster
        self._agents = agents
        self._minutes = minutes

    def captions(self, key: BridgeKey, bridge: Callable[[], TranslationBridge]) -> Captions:
        """The captions of one bridge, which may be made after them."""
        return Captions(
            self._text,
            key,
            lambda kind: self._readers(bridge(), kind),
            lambda kind: self._track_sid(bridge(), kind),
            lambda: self._spoken(key.speaker),
            lambda segment, kind: self._read_along(bridge(), segment, kind),
            self._said(key) if self._minutes is not None else None,
        )

    def _said(self, key: BridgeKey) -> Callable[[Segment, Text, TextKind], None]:
        assert self._minutes is not None
        minutes = self._minutes
        return lambda segment, text, kind: minutes.said(segment, text, key.speaker, kind)

    def _read_along(self, bridge: TranslationBridge, segment: Segment, kind: TextKind) -> None:
        """The agents that read."""
        agents = self._agents()
        if agents is not None:
            agents.read(_wanting(bridge, kind), bridge.spec.key.speaker, segment)

    def _readers(self, bridge: TranslationBridge, kind: TextKind) -> Iterable[str]:
        roster = self._roster()
        return [reader for reader in _wanting(bridge, kind) if reader in roster]

    def _track_sid(self, bridge: TranslationBridge, kind: TextKind) -> str:
        audio = bridge.audio
        if kind == "translation" and isinstance(audio, TrackOutput):
            return audio.sid
        return microphone_sid(self._room, bridge.spec.key.speaker)

    def _spoken(self, identity: str) -> str:
        speaker = self._roster().get(identity)
        spoken = speaker.preferences.speaks if speaker is not None else AUTO
        return "" if spoken == AUTO else primary(spoken)


def _wanting(bridge: TranslationBridge, kind: TextKind) -> frozenset[str]:
    return bridge.spec.readers if kind == "translation" else bridge.spec.source_readers
