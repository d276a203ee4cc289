"""Who may subscribe to which of the worker's tracks, enforced by the server.

A table replaces the one before it whole. The first is empty and is sent before anything is published, so
that a new track is heard by nobody until the table names it.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping

from livekit import rtc

Table = Mapping[str, frozenset[str]]
"""listener identity → SIDs."""


def table(tracks: Iterable[tuple[str, Iterable[str]]]) -> Table:
    """The table from (SID, listeners) of each track."""
    together: dict[frozenset[str], list[str]] = defaultdict(list)
    for sid, listeners in tracks:
        together[frozenset(listeners)].append(sid)
    allowed: dict[str, set[str]] = defaultdict(set)
    for group, sids in together.items():
        for listener in group:
            allowed[listener].update(sids)
    return {listener: frozenset(sids) for listener, sids in allowed.items()}


class Permissions:
    """Sends the table when it has changed."""

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self._sent: Table | None = None

    def apply(self, wanted: Table, *, again: bool = False) -> None:
        """Sends `wanted` if it is not what the server has; `again` after a reconnect, in any case.

        A connection that is made anew has tracks with new SIDs, and the SDK sends it the table that it knows.
        """
        if wanted == self._sent and not again:
            return
        self._room.local_participant.set_track_subscription_permissions(
            allow_all_participants=False,
            participant_permissions=[
                rtc.ParticipantTrackPermission(
                    participant_identity=listener, allow_all=False, allowed_track_sids=sorted(sids)
                )
                for listener, sids in sorted(wanted.items())
            ],
        )
        self._sent = dict(wanted)
