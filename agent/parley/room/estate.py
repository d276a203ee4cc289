"""What is known of people, from the worker that leaves to the one that takes over: what they set and spent.

    the one that leaves                                              the one that comes
    parley.estate {"number": 1, "wishes": {ann: …}, "usd": {ann: …}} ──▶  keeps it
    handover      {"holding": "*", "estate": 1}                      ──▶  serves, as soon as it has number 1
    parley.estate {"wishes": {bob: …}}                               ──▶  what was set in between
    parley.estate {"usd": {ann: …}}                                  ──▶  what was spent in all, at the end

With the number goes what the minutes of the room are gone on with: see `minutes_handover`.

A text stream and an attribute may overtake each other: the number keeps them in order.
"""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from livekit import rtc
from parley.core.accounts import Accounts

from .capture import Spawn
from .changes import ROOM
from .handover import read_text, send_text
from .minutes_handover import MinutesHandover
from .roster import People
from .succession import Succession

logger = logging.getLogger("parley.room")

TOPIC = "parley.estate"
MOST_PEOPLE = 2_000
"""Of whom something is handed over; those who refused consent are the first of them."""
MOST_BYTES = 2_000_000
"""Of all of it, as JSON."""
SEND_S = 3.0
"""How long it may take to be sent."""


class Estate:
    """Gives what this worker knows, and takes what the one before it gives."""

    def __init__(
        self,
        room: rtc.Room,
        people: People,
        accounts: Accounts,
        succession: Succession,
        record: MinutesHandover,
        changed: Callable[[str], None],
        spawn: Spawn,
    ) -> None:
        """`changed` is told of whom something has come, and `ROOM` when all has."""
        self._room = room
        self._people = people
        self._accounts = accounts
        self._succession = succession
        self._record = record
        self._changed = changed
        self._spawn = spawn
        self._to: str | None = None
        self._sending = asyncio.Lock()
        self._spent: dict[str, dict[str, float]] = {}
        self.number = 0
        """Of what was given last; 0: nothing was."""
        room.register_text_stream_handler(TOPIC, self._arrives)

    @property
    def given(self) -> bool:
        """Whether another worker has it."""
        return self._to is not None

    def known(self, *, sparing: bool = False) -> dict[str, Any]:
        """All that is given, as `take` takes it.

        `sparing`: of who declines consent no more than that, and what counts against a budget of theirs.
        """
        wishes, usd = self._people.wishes(sparing=sparing), self._newest_spending()
        if len(wishes) > MOST_PEOPLE:
            logger.warning("what %d people set is not handed over", len(wishes) - MOST_PEOPLE)
        if sparing and not self._accounts.limits_participants:
            usd = {identity: spent for identity, spent in usd.items() if not self._people.declines(identity)}
        known = dict(list(wishes.items())[:MOST_PEOPLE])
        return {"wishes": known, "usd": usd, "minutes": self._record.heading}

    def refusals(self, known: dict[str, Any]) -> dict[str, Any]:
        """The least of what is `known`: who declines."""
        wishes = known["wishes"].items()
        return {"wishes": {who: wish for who, wish in wishes if self._people.declines(who)}}

    # To the next one

    async def give(self) -> bool:
        """Gives all of it to the worker that stands by; returns whether that worked."""
        self._to = self._succession.heir
        if self._to is None:
            return False
        self.number += 1
        await self._record.give(self._to)
        sent = await self._send({"number": self.number, **self.known()})
        if not sent:
            self.keep()
        return sent

    def keep(self) -> None:
        """The other one does not take over after all."""
        self._to = None
        self._record.keep()

    async def pass_on(self, identity: str) -> bool:
        """Something was set here that the other one has to know, too; returns whether it was told."""
        return self._to is None or await self._send({"wishes": self._people.wishes(identity)})

    async def settle(self) -> None:
        """Nothing is spent here any more."""
        if self._to is not None:
            await self._record.settle()
            await self._send({"usd": self._newest_spending()})

    def _newest_spending(self) -> dict[str, float]:
        spent = list(self._accounts.spending.items())[-MOST_PEOPLE:]
        return {identity: round(usd, 6) for identity, usd in spent}

    async def _send(self, given: dict[str, Any]) -> bool:
        to = self._to
        assert to is not None
        try:
            async with asyncio.timeout(SEND_S), self._sending:
                await send_text(self._room, TOPIC, to, json.dumps(given, ensure_ascii=False))
        except (rtc.StreamError, ConnectionError, TimeoutError) as e:
            logger.warning("what people set and spent was not handed over: %s", e or "not sent in time")
            return False
        return True

    # From the one before

    def _arrives(self, reader: rtc.TextStreamReader, sender: str) -> None:
        if not self._succession.precedes(sender):
            logger.warning("%r was not here before, and leaves nothing to this worker", sender)
            return
        self._spawn(self._read(reader, sender), "estate")

    async def _read(self, reader: rtc.TextStreamReader, sender: str) -> None:
        try:
            given = json.loads(await read_text(reader, MOST_BYTES))
            if not isinstance(given, dict):
                raise ValueError("not an object")
        except (ValueError, RecursionError, rtc.StreamError, TimeoutError) as e:
            logger.warning("what another worker knew was not taken over: %s: %s", type(e).__name__, e)
            return
        self.take(sender, given)

    def take(self, sender: str, given: dict[str, Any]) -> None:
        """Takes what another worker knew, by its identity; what makes no sense of it is left."""
        self._take_wishes(_object(given, "wishes"))
        self._take_spending(sender, _object(given, "usd"))
        self._record.inherit(_object(given, "minutes"))
        if isinstance(given.get("number"), int):
            self._succession.inherited(sender, given["number"])
        self._changed(ROOM)

    def _take_wishes(self, wishes: dict[str, Any]) -> None:
        for identity, wish in list(wishes.items())[:MOST_PEOPLE]:
            try:
                self._people.inherit(identity, wish, self._room.remote_participants.get(identity))
            except ValueError as e:
                logger.warning("what a participant set was not taken over: %s", e)
            else:
                self._changed(identity)

    def _take_spending(self, sender: str, spent: dict[str, Any]) -> None:
        """Of what a worker says that was spent in all, what is new."""
        before = self._spent.setdefault(sender, {})
        for gone in self._spent.keys() - self._room.remote_participants.keys() - {sender}:
            del self._spent[gone]
        for identity, usd in list(spent.items())[:MOST_PEOPLE]:
            if isinstance(usd, int | float) and usd > before.get(identity, 0.0):
                self._accounts.inherit_from(identity, usd - before.get(identity, 0.0))
                before[identity] = usd


def _object(given: dict[str, Any], key: str) -> dict[str, Any]:
    found = given.get(key, {})
    return found if isinstance(found, dict) else {}
