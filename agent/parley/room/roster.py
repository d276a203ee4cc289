"""The roster: LiveKit's participants as routing sees them, with the preferences that hold for them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from time import monotonic
from typing import Any

from livekit import rtc
from parley.core.model import Kind, Participant, Preferences
from parley.core.policy import Bucket
from parley.core.preferences import (
    KEYS,
    PREFIX,
    Allowed,
    Rejection,
    from_attributes,
    from_metadata,
    vocabulary_from_metadata,
)
from parley.core.vocabulary import Vocabulary
from parley.core.wishes import Request, Wishes

from .track_input import sounds_of

_KINDS: Mapping[int, Kind] = {
    rtc.ParticipantKind.PARTICIPANT_KIND_STANDARD: "standard",
    rtc.ParticipantKind.PARTICIPANT_KIND_INGRESS: "ingress",
    rtc.ParticipantKind.PARTICIPANT_KIND_EGRESS: "egress",
    rtc.ParticipantKind.PARTICIPANT_KIND_SIP: "sip",
    rtc.ParticipantKind.PARTICIPANT_KIND_AGENT: "agent",
}

OnRejected = Callable[[str | None, Rejection], None]
"""Called with the identity it concerns, or None for the room."""
Later = Callable[[float, str], object]
"""Called with seconds and an identity: that participant is to be looked at again when they have passed."""

CHANGES_PER_S = 1.0
CHANGES_BURST = 3.0
"""Changes of one participant that are followed at once; of those beyond it only the last."""
LATE_S = 0.02
"""A timer may be early by its resolution: this much later it is not."""
KEPT_S = 600.0
"""How long what somebody set is kept when they have left; a refusal of consent is kept for good."""
MOST_KEPT = 1_000
"""Of so many who have left; beyond it the one who left first is forgotten."""


@dataclass(slots=True)
class _Known:
    """What is known of one participant beside the roster."""

    wishes: Wishes = field(default_factory=Wishes)
    pace: Bucket = field(default_factory=lambda: Bucket(CHANGES_PER_S, CHANGES_BURST))
    refused: frozenset[Rejection] = frozenset()
    """What was told."""
    due: float | None = None
    """When a change that came too soon will be looked at again."""
    left_at: float | None = None


class People:
    """Keeps the roster up to date, one changed participant at a time."""

    def __init__(
        self,
        defaults: Preferences,
        allowed: Allowed,
        dispatch_metadata: str,
        on_rejected: OnRejected,
        later: Later | None = None,
        vocabulary: Vocabulary | None = None,
    ) -> None:
        """`later` None: a flood of changes is followed change by change."""
        self.allowed = allowed
        self._on_rejected = on_rejected
        self._later = later
        self._dispatch, refused = from_metadata(defaults, dispatch_metadata, allowed, "dispatch metadata")
        self._vocabulary, unread = vocabulary_from_metadata(
            vocabulary or Vocabulary(), dispatch_metadata, "dispatch metadata"
        )
        self.vocabulary = self._vocabulary
        """What is spoken of in this room."""
        self._room = self._dispatch
        self._room_metadata: str | None = None
        self._known: dict[str, _Known] = {}
        self.roster: dict[str, Participant] = {}
        self._dispatch_refused = (*refused, *unread)

    def set_room_metadata(self, metadata: str) -> bool:
        """Takes the room's defaults; returns whether everybody must be looked at again."""
        if metadata == self._room_metadata:
            return False
        self._room_metadata = metadata
        for rejection in self._dispatch_refused:
            self._on_rejected(None, rejection)
        self._dispatch_refused = ()
        before = self._room
        values, refused = from_metadata(self._dispatch, metadata, self.allowed, "room metadata")
        # What cannot be read at all leaves the old defaults in force.
        whole = any(rejection.key in ("room metadata", "room metadata parley") for rejection in refused)
        self._room = before if whole else values
        self.vocabulary, unread = vocabulary_from_metadata(self._vocabulary, metadata, "room metadata")
        for rejection in (*refused, *unread):
            key = rejection.key.rpartition(PREFIX)[2]
            if key in KEYS and not whole:
                self._room = replace(self._room, **{key: getattr(before, key)})
            self._on_rejected(None, rejection)
        return self._room != before

    def update(self, identity: str, participant: rtc.RemoteParticipant | None) -> bool:
        """Takes a participant as they are now, None if gone; returns whether the roster changed.

        Of a flood of changes the first few hold at once, then the last one, once a second.
        """
        now = monotonic()
        old = self.roster.get(identity)
        if participant is None:
            if identity in self._known:
                self._leave(identity, now)
            return self.roster.pop(identity, None) is not None
        known = self._meet(identity, participant)
        preferences, refused = self._preferences(identity, known)
        kind = _KINDS.get(participant.kind, "standard")
        # A microphone that is changed for another is gone for a moment.
        sounds = (old is not None and old.sounds) or bool(sounds_of(participant))
        new = Participant(identity, kind, preferences, sounds)
        asked = old is not None and (preferences != old.preferences or bool(set(refused) - known.refused))
        if old is not None and asked and self._waits(identity, now):
            # Who withdraws consent, or has a microphone now, waits for nothing; the rest of the change does.
            consent = old.preferences.consent and preferences.consent
            new = replace(old, preferences=replace(old.preferences, consent=consent), sounds=sounds)
        else:
            for rejection in refused:
                if rejection not in known.refused:
                    self._on_rejected(identity, rejection)
            known.refused = frozenset(refused)
        self.roster[identity] = new
        return new != old

    def set(self, participant: rtc.RemoteParticipant, request: Request) -> Preferences:
        """Takes what was set for a participant; returns the preferences that come of it.

        They hold from the next `update` on.
        """
        known = self._meet(participant.identity, participant)
        known.wishes.set(request.values)
        return self._preferences(participant.identity, known)[0]

    def consents(self, participant: rtc.RemoteParticipant) -> bool:
        """Whether a participant who is here consents at this moment, whatever the roster still says."""
        known = self._meet(participant.identity, participant)
        return self._preferences(participant.identity, known)[0].consent

    def declines(self, identity: str) -> bool:
        """Whether consent is refused by somebody who is here, or was when they left."""
        known, here = self._known.get(identity), self.roster.get(identity)
        return (known is not None and known.wishes.declines) or (
            here is not None and not here.preferences.consent
        )

    def wishes(self, of: str | None = None, *, sparing: bool = False) -> dict[str, dict[str, Any]]:
        """What was set, by identity, for another worker; those who refused consent come first.

        `of`: only by this one, also if nothing is left of it; `sparing`: of who declines, no more than that.
        """
        now = monotonic()
        found = {i: k for i, k in self._known.items() if i == of or (of is None and k.wishes.was_set)}
        return {
            identity: known.wishes.as_json(sparing=sparing)
            | {"left_s": None if known.left_at is None else round(now - known.left_at, 3)}
            for identity, known in sorted(found.items(), key=lambda item: not item[1].wishes.declined)
        }

    def inherit(self, identity: str, given: Any, participant: rtc.RemoteParticipant | None) -> None:
        """Takes what was set at another worker. Raises ValueError. It holds from the next `update` on."""
        wishes, left_s = Wishes.from_json(given), given.get("left_s")
        known = self._known.setdefault(identity, _Known())
        known.wishes = wishes
        if participant is not None:
            wishes.see(participant.attributes)
            return
        known.left_at = monotonic() - (left_s if isinstance(left_s, int | float) else 0.0)
        self._forget_some()

    def _preferences(self, identity: str, known: _Known) -> tuple[Preferences, tuple[Rejection, ...]]:
        old = self.roster.get(identity)
        before = old.preferences if old is not None else None
        return from_attributes(self._room, before, known.wishes.held, self.allowed)

    def _meet(self, identity: str, participant: rtc.RemoteParticipant) -> _Known:
        """What is known of somebody who is here, with what they say now."""
        known = self._known.setdefault(identity, _Known())
        if known.left_at is not None and monotonic() - known.left_at > KEPT_S:
            known.wishes.expire()
        known.left_at = None
        known.wishes.see(participant.attributes)
        return known

    def _leave(self, identity: str, now: float) -> None:
        """Forgets who set nothing; keeps the others for a while, should they come back."""
        known = self._known.pop(identity)
        if known.wishes.was_set:
            known.left_at, known.due, known.refused = now, None, frozenset()
            self._known[identity] = known
        self._forget_some()

    def _forget_some(self) -> None:
        gone = [i for i, k in self._known.items() if k.left_at is not None]
        for other in gone[: max(0, len(gone) - MOST_KEPT)]:
            del self._known[other]

    def _waits(self, identity: str, now: float) -> bool:
        """Whether what somebody changed came too soon after other changes; it is looked at again in time."""
        if self._later is None:
            return False
        known = self._known[identity]
        if known.due is not None and known.due <= now:
            known.due = None
        if known.pace.take(now):
            return False
        if known.due is None:
            wait_s = known.pace.wait_s(now)
            known.due = now + wait_s
            self._later(wait_s + LATE_S, identity)
        return True

    @property
    def people(self) -> int:
        """How many of the roster are people."""
        return sum(1 for p in self.roster.values() if p.is_person)
