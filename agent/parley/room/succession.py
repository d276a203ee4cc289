"""Who serves the room: of several workers the first; one that leaves hands over, speaker by speaker.

    the one that leaves                          the one that comes
    handover {"holding": "*"}             ──▶    publishes its tracks, listens to the microphones
                                          ◀──    handover {"taking": true}
    {"holding": [ann]}: ann speaks now    ──▶    everybody else's next phrase is this one's
    {"holding": []}: ann pauses           ──▶    so is ann's

Both say so in an attribute, which LiveKit tells everybody in order. A phrase is fed by one of them only:
the one that leaves stops feeding a speaker before it says so; what is said until the other one has read it
is in its pre-roll.

Who came first LiveKit tells, and then each worker itself: one whose connection is made anew has just come, by
what LiveKit tells, and the room is still its own.
"""

import json
import math
from collections.abc import Callable, Iterable
from typing import Any

from livekit import rtc

WORKER = "parley.worker"
"""The attribute by which workers know each other."""
HANDOVER = "parley.handover"
"""The attribute in which a worker says what it still does, or that it is there to take over."""
SINCE = "parley.since"
"""The attribute in which a worker says since when it is in the room (Unix time, s), by LiveKit's clock."""
MOST_WORKERS = 100
"""Of whom it is remembered when they came."""


def is_worker(participant: rtc.Participant) -> bool:
    """Whether it is one of Parley's, by the kind that its token has and the attribute that it sets."""
    return participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT and WORKER in participant.attributes


def heir(room: rtc.Room) -> str | None:
    """The worker that takes over when this one leaves, by identity; None where none stands by.

    The first that came after it and does not leave itself.
    """
    return _heir(room, _age)


class Succession:
    """This worker among the others in its room, as the room is now."""

    def __init__(self, room: rtc.Room) -> None:
        self._room = room
        self._said: str | None = ""
        self._appeared = False
        self._estates: dict[str, int] = {}
        self._ages: dict[str, _Age] = {}
        room.on("reconnected", self._back)

    @property
    def standby(self) -> bool:
        """Whether another worker was here first and does not leave: one works, the others wait.

        First is who joined first; two who joined in the same millisecond are told apart by identity. One that
        leaves works on until its estate is here.
        """
        return any(self._earlier(p) and not self._yields(p) for p in self._others())

    async def appear(self) -> None:
        """Says since when this worker is here, once and after each reconnect: the first time holds."""
        age = self._age(self._room.local_participant)
        if not self._appeared and math.isfinite(age[0]):
            self._appeared = True
            await self._room.local_participant.set_attributes({SINCE: repr(age[0])})

    def _back(self) -> None:
        """A connection that was made anew may have lost what was said."""
        self._appeared, self._said = False, None

    def inherited(self, identity: str, number: int) -> None:
        """The estate of a worker that leaves is here."""
        self._estates[identity] = number
        for gone in self._estates.keys() - self._room.remote_participants.keys():
            del self._estates[gone]

    def precedes(self, identity: str) -> bool:
        """Whether this is a worker that was here before."""
        return any(p.identity == identity and self._earlier(p) for p in self._others())

    def held(self, identity: str) -> bool:
        """Whether one that leaves still translates what this participant says."""
        return any(holding == "*" or identity in _list(holding) for holding in self._leaving("holding"))

    @property
    def agents_held(self) -> bool:
        """Whether the voice agents of one that leaves still speak."""
        return any(self._leaving("agents"))

    @property
    def spent_usd(self) -> float:
        """What those that leave had spent on the room when they last said so, in USD."""
        return sum(float(usd) for usd in self._leaving("usd") if isinstance(usd, int | float) and usd > 0)

    @property
    def predecessor(self) -> bool:
        """Whether one that leaves waits for this worker, or hands over to it."""
        return bool(self._leaving("holding"))

    @property
    def successor(self) -> bool:
        """Whether somebody stands by to take over."""
        return self.heir is not None

    @property
    def heir(self) -> str | None:
        """Who takes over when this one leaves, by identity."""
        return _heir(self._room, self._age)

    @property
    def taken(self) -> bool:
        """Whether a successor listens to the microphones."""
        return any(not self._earlier(p) and "taking" in _handover(p) for p in self._others())

    async def hold(
        self, speakers: Iterable[str] | None, *, agents: bool, usd: float, estate: int = 0
    ) -> None:
        """Says that this worker leaves, which speakers it still translates (None: all) and what it has spent.

        `agents`: its voice agents still speak; `estate`: the number of what it has sent, 0: nothing.
        """
        holding = "*" if speakers is None else sorted(speakers)
        told = {"estate": estate} if estate else {}
        await self._say({"holding": holding, "agents": agents, "usd": round(usd, 6), **told})

    async def take(self) -> None:
        """Says that this worker listens to the microphones: it can take over."""
        await self._say({"taking": True})

    async def serve(self) -> None:
        """Says that nothing is handed over any more."""
        await self._say(None)

    async def _say(self, what: dict[str, Any] | None) -> None:
        text = "" if what is None else json.dumps(what, ensure_ascii=False)
        if text != self._said:
            self._said = text
            await self._room.local_participant.set_attributes({HANDOVER: text})

    def _yields(self, other: rtc.RemoteParticipant) -> bool:
        said = _handover(other)
        number = said.get("estate")
        come = self._estates.get(other.identity, 0)
        return "holding" in said and (not isinstance(number, int) or come >= number)

    def _leaving(self, key: str) -> list[object]:
        """What those that leave, and were here before, say under a key."""
        said = [_handover(p) for p in self._others() if self._earlier(p)]
        return [each[key] for each in said if "holding" in each and key in each]

    def _others(self) -> list[rtc.RemoteParticipant]:
        return _others(self._room)

    def _earlier(self, other: rtc.RemoteParticipant) -> bool:
        return self._age(other) < self._age(self._room.local_participant)

    def _age(self, one: rtc.Participant) -> "_Age":
        """When a worker came first, as far as this one has seen."""
        age = min(_age(one), self._ages.pop(one.identity, (math.inf, "")))
        self._ages[one.identity] = age
        if len(self._ages) > MOST_WORKERS:
            del self._ages[next(iter(self._ages))]
        return age


def _others(room: rtc.Room) -> list[rtc.RemoteParticipant]:
    return [p for p in room.remote_participants.values() if is_worker(p)]


def _heir(room: rtc.Room, age: Callable[[rtc.Participant], "_Age"]) -> str | None:
    mine = age(room.local_participant)
    after = [p for p in _others(room) if age(p) > mine and "holding" not in _handover(p)]
    return min(after, key=age).identity if after else None


def _handover(participant: rtc.Participant) -> dict[str, Any]:
    """What a worker said; empty if it said nothing, or nothing that makes sense."""
    try:
        said = json.loads(participant.attributes.get(HANDOVER) or "{}")
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _list(value: object) -> list[object]:
    return value if isinstance(value, list) else []


_Age = tuple[float, str]


def _age(participant: rtc.Participant) -> _Age:
    try:
        since = float(participant.attributes.get(SINCE, ""))
    except ValueError:
        since = math.nan
    if not math.isfinite(since):
        joined = participant.joined_at
        since = joined.timestamp() if joined is not None else math.inf
    return (since, participant.identity)
