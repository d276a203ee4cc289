"""The roster: LiveKit's participants as routing sees them, with the preferences that hold for them."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from livekit import rtc
from parley.core.model import Kind, Participant, Preferences
from parley.core.preferences import KEYS, PREFIX, Allowed, Rejection, from_attributes, from_metadata

_KINDS: Mapping[int, Kind] = {
    rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD: "standard",
    rtc.ParticipantKind.PARTICIPANT_KIND_INGRESS: "ingress",
    rtc.ParticipantKind.PARTICIPANT_KIND_EGRESS: "egress",
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP: "sip",
    rtc.ParticipantKind.PARTICIPANT_KIND_AGENT: "agent",
}

OnRejected = Callable[[str | None, Rejection], None]
"""Called with the identity it concerns, or None for the room."""


class People:
    """Keeps the roster up to date, one changed participant at a time."""

    def __init__(
        self,
        defaults: Preferences,
        allowed: Allowed,
        dispatch_metadata: str,
        on_rejected: OnRejected,
    ) -> None:
        self._allowed = allowed
        self._on_rejected = on_rejected
        self._dispatch, refused = from_metadata(defaults, dispatch_metadata, allowed, "dispatch metadata")
        self._room = self._dispatch
        self._room_metadata: str | None = None
        self._told: dict[str, frozenset[Rejection]] = {}
        self.roster: dict[str, Participant] = {}
        self._dispatch_refused = refused

    def set_room_metadata(self, metadata: str) -> bool:
        """Takes the room's defaults; returns whether everybody must be looked at again."""
        if metadata == self._room_metadata:
            return False
        self._room_metadata = metadata
        for rejection in self._dispatch_refused:
            self._on_rejected(None, rejection)
        self._dispatch_refused = ()
        before = self._room
        values, refused = from_metadata(self._dispatch, metadata, self._allowed, "room metadata")
        # What cannot be read at all leaves the old defaults in force.
        whole = any(rejection.key in ("room metadata", "room metadata parley") for rejection in refused)
        self._room = before if whole else values
        for rejection in refused:
            key = rejection.key.rpartition(PREFIX)[2]
            if key in KEYS and not whole:
                self._room = replace(self._room, **{key: getattr(before, key)})
            self._on_rejected(None, rejection)
        return self._room != before

    def update(self, identity: str, participant: rtc.RemoteParticipant | None) -> bool:
        """Takes a participant as they are now, None if gone; returns whether the roster changed."""
        old = self.roster.get(identity)
        if participant is None:
            self._told.pop(identity, None)
            return self.roster.pop(identity, None) is not None
        preferences, refused = from_attributes(
            self._room,
            old.preferences if old is not None else None,
            participant.attributes,
            self._allowed,
        )
        told = self._told.get(identity, frozenset())
        for rejection in refused:
            if rejection not in told:
                self._on_rejected(identity, rejection)
        self._told[identity] = frozenset(refused)
        kind = _KINDS.get(participant.kind, "standard")
        if old is None:
            self.roster[identity] = Participant(identity, kind, preferences)
        elif old.preferences != preferences or old.kind != kind:
            self.roster[identity] = replace(old, kind=kind, preferences=preferences)
        else:
            return False
        return True

    @property
    def people(self) -> int:
        """How many of the roster are people."""
        return sum(1 for p in self.roster.values() if p.is_person)
