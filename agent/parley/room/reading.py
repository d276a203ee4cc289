"""Who reads a bridge's captions: participants, and agents that read along; under which track."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from livekit import rtc
from livekit.plugins.openai_realtime.options import TranscriptionOptions, takes_keywords, takes_prompt
from parley.core.language import primary
from parley.core.model import AUTO, BridgeKey
from parley.core.transcript import Segment
from parley.ports import Bridge, TextKind

from .agents import RoomAgents
from .minutes import RoomMinutes
from .roster import People
from .text_output import Captions, Text, TextOutput, microphone_sid
from .track_output import TrackOutput


class Reading:
    """The readers of one room, as the roster has them at the moment a line is sent."""

    def __init__(
        self,
        room: rtc.Room,
        text: TextOutput,
        people: People,
        agents: Callable[[], RoomAgents | None],
        minutes: RoomMinutes | None = None,
    ) -> None:
        self._room = room
        self._text = text
        self._people = people
        self._agents = agents
        self._minutes = minutes

    def captions(self, key: BridgeKey, bridge: Callable[[], Bridge]) -> Captions:
        """The captions of one bridge, which may be made after them."""
        return Captions(
            self._text,
            key,
            lambda kind: self._readers(bridge(), kind),
            lambda kind: self._track_sid(bridge(), kind),
            lambda: self.spoken(key.speaker),
            lambda segment, kind: self._read_along(bridge(), segment, kind),
            self._said(key) if self._minutes is not None else None,
        )

    def hints(self, options: TranscriptionOptions, speaker: str) -> TranscriptionOptions:
        """What a transcription session is told of a speaker, and of the room as far as its model listens."""
        known = self._people.vocabulary
        return replace(
            options,
            language=self.spoken(speaker) or None,
            prompt=(known.prompt or None) if takes_prompt(options.model) else None,
            keywords=known.keywords if takes_keywords(options.model) else (),
        )

    def _said(self, key: BridgeKey) -> Callable[[Segment, Text, TextKind], None]:
        assert self._minutes is not None
        minutes = self._minutes
        return lambda segment, text, kind: minutes.said(segment, text, key.speaker, kind)

    def _read_along(self, bridge: Bridge, segment: Segment, kind: TextKind) -> None:
        """The agents that read."""
        agents = self._agents()
        if agents is not None:
            agents.read(_wanting(bridge, kind), bridge.spec.key.speaker, segment)

    def _readers(self, bridge: Bridge, kind: TextKind) -> Iterable[str]:
        roster = self._people.roster
        return [reader for reader in _wanting(bridge, kind) if reader in roster]

    def _track_sid(self, bridge: Bridge, kind: TextKind) -> str:
        audio = bridge.audio
        if kind == "translation" and isinstance(audio, TrackOutput):
            return audio.sid
        return microphone_sid(self._room, bridge.spec.key.speaker)

    def spoken(self, identity: str) -> str:
        """The language that somebody says they speak, ISO 639; empty: not known."""
        speaker = self._people.roster.get(identity)
        spoken = speaker.preferences.speaks if speaker is not None else AUTO
        return "" if spoken == AUTO else primary(spoken)


def _wanting(bridge: Bridge, kind: TextKind) -> frozenset[str]:
    return bridge.spec.readers if kind == "translation" else bridge.spec.source_readers
