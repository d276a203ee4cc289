"""What people set and spent, from the worker that leaves a room to the one that takes it over."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from component.room.test_agents_leave import Reader
from component.room.test_supervisor import Serve, ana, attached, ben, room, serve
from fakes.room import FakeParticipant, FakeRoom
from livekit import rtc
from parley.core.accounts import Accounts
from parley.core.model import Preferences
from parley.core.preferences import Allowed
from parley.core.wishes import Request
from parley.room import estate as module
from parley.room.changes import ROOM
from parley.room.estate import TOPIC, Estate
from parley.room.minutes import MinutesPolicy, RoomMinutes
from parley.room.minutes_handover import MinutesHandover
from parley.room.roster import KEPT_S, People
from parley.room.succession import HANDOVER, WORKER, Succession
from parley.room.text_output import TextOutput
from parley.testing import RecordingNotices

__all__ = ["room", "serve"]
AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
FR = ("ana", "fr")


def worker(identity: str, joined_s: float, said: Any = None) -> FakeParticipant:
    attributes = {WORKER: "1"} | ({HANDOVER: json.dumps(said)} if said is not None else {})
    return FakeParticipant(identity, attributes, kind=AGENT, joined_s=joined_s)


class Side:
    """One worker's side: `old` was there first, `new` takes over."""

    def __init__(self, group: asyncio.TaskGroup, other: FakeParticipant) -> None:
        self.room = FakeRoom()
        self.room.join(other)
        self.other = other
        self.changed: list[str] = []
        self.people = People(Preferences(), Allowed(("de", "fr")), "", lambda *_: None)
        self.accounts = Accounts(usd_per_participant=1.0)
        fake: Any = self.room
        self.succession = Succession(fake)

        def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
            return group.create_task(work, name=name)

        self.minutes = RoomMinutes(MinutesPolicy(kept=True), TextOutput(fake, None), RecordingNotices())
        self.record = MinutesHandover(fake, self.minutes, self.succession.precedes, spawn)
        self.estate = Estate(
            *(fake, self.people, self.accounts, self.succession, self.record),
            *(self.changed.append, spawn),
        )

    def join(self, identity: str, **attributes: str) -> None:
        self.room.join(FakeParticipant(identity, {f"parley.{k}": v for k, v in attributes.items()}))
        self.update(identity)

    def leave(self, identity: str) -> None:
        self.room.leave(identity)
        self.update(identity)

    def update(self, identity: str) -> None:
        participant: Any = self.room.remote_participants.get(identity)
        self.people.update(identity, participant)

    def set(self, identity: str, **values: str | None) -> None:
        participant: Any = self.room.remote_participants[identity]
        self.people.set(participant, Request(values))

    def of(self, identity: str) -> Preferences:
        self.update(identity)
        return self.people.roster[identity].preferences

    @property
    def sent(self) -> list[dict[str, Any]]:
        return [text for text in self.room.texts if text["topic"] == TOPIC]

    async def takes(self, *texts: str, sender: str = "old") -> None:
        for text in texts:
            self.room.text_handlers[TOPIC](Reader(text), sender)
            for _ in range(100):
                await asyncio.sleep(0)


@pytest.fixture
async def sides() -> AsyncIterator[tuple[Side, Side]]:
    async with asyncio.TaskGroup() as group:
        yield Side(group, worker("new", 200.0)), Side(group, worker("old", 10.0))


async def handed(old: Side, new: Side) -> None:
    before = len(old.sent)
    assert await old.estate.give()
    await new.takes(*(text["text"] for text in old.sent[before:]))


async def test_what_was_set_holds_at_the_next_worker(sides: tuple[Side, Side]) -> None:
    old, new = sides
    for side in sides:
        side.join("ana", hears="de")
        side.join("ben")
        side.join("cat")
    old.set("ana", hears="fr")
    old.set("ben", consent="declined")
    await handed(old, new)
    assert old.sent[0]["destination_identities"] == ["new"]
    assert new.of("ana").hears == "fr"
    assert not new.of("ben").consent
    assert new.of("cat") == Preferences()
    assert new.changed == ["ben", "ana", ROOM], "refusals come first"


async def test_an_attribute_that_was_changed_last_still_holds(sides: tuple[Side, Side]) -> None:
    old, new = sides
    for side in sides:
        side.join("ana")
    old.set("ana", hears="fr", consent="granted")
    new.room.change("ana", hears="de", consent="declined")
    await handed(old, new)
    assert new.of("ana").hears == "de"
    assert not new.of("ana").consent


async def test_a_refusal_of_somebody_who_left_is_kept_and_other_wishes_for_their_time(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = sides
    now = 1_000.0
    monkeypatch.setattr("parley.room.roster.monotonic", lambda: now)
    for identity in ("ana", "ben"):
        old.join(identity)
        old.set(identity, hears="fr", consent="declined")
        old.leave(identity)
    now += KEPT_S - 10
    await handed(old, new)
    now += 5
    new.join("ana")
    assert (new.of("ana").hears, new.of("ana").consent) == ("fr", False)
    now += 10
    new.join("ben")
    assert (new.of("ben").hears, new.of("ben").consent) == ("original", False)


async def test_what_is_set_while_the_room_is_handed_over_is_told_too(sides: tuple[Side, Side]) -> None:
    old, new = sides
    for side in sides:
        side.join("ana")
    old.set("ana", hears="fr")
    assert await old.estate.pass_on("ana"), "nobody is to be told yet"
    assert old.sent == []
    await handed(old, new)
    old.set("ana", hears=None, consent="declined")
    assert await old.estate.pass_on("ana")
    await new.takes(old.sent[-1]["text"])
    assert (new.of("ana").hears, new.of("ana").consent) == ("original", False)
    old.estate.keep()
    old.set("ana", consent=None)
    assert await old.estate.pass_on("ana")
    assert len(old.sent) == 2


async def test_it_serves_once_the_estate_is_there_that_was_announced(sides: tuple[Side, Side]) -> None:
    old, new = sides
    await old.succession.hold(None, agents=True, usd=0.0, estate=2)
    new.other.attributes[HANDOVER] = old.room.local_participant.attributes[HANDOVER]
    assert new.succession.standby
    assert await old.estate.give()
    assert await old.estate.give()
    await new.takes(old.sent[0]["text"])
    assert new.succession.standby, "that was an earlier one"
    await new.takes(old.sent[1]["text"])
    assert not new.succession.standby
    assert new.succession.predecessor


async def test_it_serves_without_an_estate_when_the_other_one_is_gone(sides: tuple[Side, Side]) -> None:
    _, new = sides
    new.other.attributes[HANDOVER] = json.dumps({"holding": "*", "estate": 1})
    assert new.succession.standby
    new.room.leave("old")
    assert not new.succession.standby


async def test_what_each_has_spent_counts_on_and_once(sides: tuple[Side, Side]) -> None:
    old, new = sides
    old.accounts.pay(0.5, ["ana"])
    old.accounts.pay(1.2, ["ben"])
    await handed(old, new)
    assert new.accounts.usd_of("ana") == 0.5
    assert new.accounts.usd == 0.0, "the room's own goes another way"
    assert set(new.accounts.spent_out) == {"ben"}
    old.accounts.pay(0.1, ["ana"])
    await old.estate.settle()
    await new.takes(old.sent[-1]["text"], old.sent[-1]["text"])
    assert new.accounts.usd_of("ana") == pytest.approx(0.6)
    assert new.accounts.usd_of("ben") == pytest.approx(1.2)


async def test_what_cannot_be_sent_is_not_taken_for_given(
    sides: tuple[Side, Side], caplog: pytest.LogCaptureFixture
) -> None:
    old, _ = sides
    old.room.text_error = ConnectionError("gone")
    assert not await old.estate.give()
    assert not old.estate.given
    assert "not handed over: gone" in caplog.text


async def test_of_too_many_the_refusals_are_handed_over(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old, new = sides
    monkeypatch.setattr(module, "MOST_PEOPLE", 2)
    for identity in ("ana", "ben", "cat"):
        old.join(identity)
        new.join(identity)
        old.set(identity, hears="fr")
    old.set("cat", consent="declined")
    await handed(old, new)
    assert not new.of("cat").consent
    assert new.of("ben").hears == "original"
    assert "what 1 people set" in caplog.text


@pytest.mark.parametrize(
    ("sender", "text"),
    [
        ("eve", '{"wishes": {"ana": {"attributes": {}, "set": {"hears": "fr"}, "later": ["hears"]}}}'),
        ("late", '{"wishes": {"ana": {"attributes": {}, "set": {"hears": "fr"}, "later": ["hears"]}}}'),
        ("old", "no JSON"),
        ("old", "[]"),
        ("old", '{"wishes": [], "usd": 3, "number": "1"}'),
        ("old", '{"wishes": {"ana": {"set": {"hears": "fr"}}}, "usd": {"ana": "much"}}'),
        ("old", '{"wishes": {"ana": {"attributes": {}, "set": {"hears": 5, "x": "y"}, "later": [[]]}}}'),
    ],
)
async def test_what_makes_no_sense_or_comes_from_elsewhere_changes_nothing(
    sides: tuple[Side, Side], sender: str, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    _, new = sides
    new.room.join(worker("late", 300.0))
    new.room.join(FakeParticipant("eve", {WORKER: "1"}, joined_s=1.0))
    new.join("ana")
    with caplog.at_level(logging.CRITICAL):
        await new.takes(text, sender=sender)
    assert new.of("ana") == Preferences()
    assert new.accounts.usd_of("ana") == 0.0


# With the rest of the room


async def test_a_newcomer_starts_nobody_before_it_knows_who_declined(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben(speaks="fr", hears="fr"))
    room.join(FakeParticipant("dan", {"parley.speaks": "de"}))
    room.join(worker("old", 10.0, {"holding": [], "agents": False, "usd": 0, "estate": 1}))
    async with serve():
        await asyncio.sleep(0.2)
        assert room.said("attach") == room.said("publish") == []
        wishes = {"ana": {"attributes": {}, "set": {"consent": "declined"}, "later": ["consent"]}}
        text = json.dumps({"number": 1, "wishes": wishes, "usd": {}})
        room.text_handlers[TOPIC](Reader(text), "old")
        await room.until(attached(room, ("dan", "fr")))
        assert FR not in room.said("attach")


async def test_the_one_that_leaves_sends_it_before_it_says_so(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben())
    async with serve() as supervisor:
        await room.until(attached(room, FR))
        call = rtc.RpcInvocationData("id", "ana", '{"consent": "declined"}', 10.0)
        await room.local_participant.methods["parley.set"](call)
        room.join(worker("new", 200.0))
        sent_before: list[int] = []
        set_attributes = room.local_participant.set_attributes

        async def said(attributes: dict[str, str]) -> None:
            if "holding" in attributes.get(HANDOVER, ""):
                sent_before.append(sum(text["topic"] == TOPIC for text in room.texts))
                assert json.loads(attributes[HANDOVER])["estate"] == 1
                room.remote_participants["new"].attributes[HANDOVER] = '{"taking": true}'
            await set_attributes(attributes)

        room.local_participant.set_attributes = said  # type: ignore[method-assign]
        assert await supervisor.hand_over()
        assert sent_before[0] == 1
        [given, *_] = [json.loads(text["text"]) for text in room.texts if text["topic"] == TOPIC]
        assert given["wishes"]["ana"]["set"] == {"consent": "declined"}


async def test_without_a_hand_over_the_next_one_is_told_when_the_room_is_left(
    room: FakeRoom, serve: Serve
) -> None:
    room.join(ana())
    async with serve():
        call = rtc.RpcInvocationData("id", "ana", '{"consent": "declined"}', 10.0)
        await room.until(lambda: "parley.set" in room.local_participant.methods)
        await asyncio.sleep(0.1)
        await room.local_participant.methods["parley.set"](call)
        room.join(worker("new", 200.0))
    [sent] = [text for text in room.texts if text["topic"] == TOPIC]
    assert sent["destination_identities"] == ["new"]
    assert "declined" in sent["text"]


async def test_one_that_stands_by_leaves_nothing_to_the_one_that_serves(room: FakeRoom, serve: Serve) -> None:
    room.join(worker("old", 10.0))
    room.join(worker("new", 200.0))
    async with serve():
        await asyncio.sleep(0.1)
    assert [text for text in room.texts if text["topic"] == TOPIC] == []
