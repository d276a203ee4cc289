"""Which tracks a room has in each layout, who may hear them, and whose microphones are taken from whom."""

import asyncio
import json
from typing import Literal

import pytest

from fakes.room import FakeParticipant, FakeRoom
from fakes.served import policy, serving, watched_room
from livekit import rtc
from parley.room.layouts import LayoutPolicy
from parley.room.mix_output import MixLine, MixOriginal
from parley.room.originals import Originals
from parley.room.supervisor import RoomSupervisor

AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
MIX = "TR_parley-mix:ben"


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> FakeRoom:
    """Ana speaks English, Ben hears French, Cat speaks French and hears what is said."""
    room = watched_room(monkeypatch)
    room.join(FakeParticipant("ana", {"parley.speaks": "en"}))
    room.join(FakeParticipant("ben", {"parley.speaks": "fr", "parley.hears": "fr"}))
    room.join(FakeParticipant("cat", {"parley.speaks": "fr"}))
    for identity in ("ana", "ben", "cat"):
        room.publish(identity, f"TR_{identity}")
    return room


class Taken(Originals):
    """What the server is asked for is written down."""

    def __init__(self, room: FakeRoom) -> None:
        async def subscribe(identity: str, sids: list[str], subscribed: bool) -> None:
            room.do("give" if subscribed else "take", (identity, *sids))

        super().__init__(subscribe)


def _permitted(room: FakeRoom) -> dict[str, set[str]]:
    return room.said("permit")[-1] if room.said("permit") else {}


async def test_each_listener_has_a_mix_that_nobody_else_may_hear(room: FakeRoom) -> None:
    told = policy(layout=LayoutPolicy("per_listener"))
    async with serving(room, told):
        await room.until(lambda: ("ana", "fr") in room.said("attach"))
        assert room.said("publish") == [MIX]
        assert _permitted(room) == {"ben": {MIX}}
        described = json.loads(room.local_participant.attributes["parley.tracks"])
        assert described == {MIX: {"speaker": None, "language": "fr", "kind": "mix"}}
        room.change("ben", hears="original")
        await room.until(lambda: room.said("unpublish") == [MIX])
        assert not _permitted(room)


async def test_where_originals_are_ducked_a_mix_is_all_that_its_listener_hears(room: FakeRoom) -> None:
    told = policy(layout=LayoutPolicy("per_listener", "duck"))
    async with serving(room, told, originals=Taken(room)):
        await room.until(lambda: ("ben", "TR_ana", "TR_cat") in room.said("take"))
        assert {who for who, purpose in room.said("attach") if purpose == "original"} == {"ana", "ben", "cat"}


async def test_who_declines_is_in_no_mix_and_heard_as_before(room: FakeRoom) -> None:
    room.change("cat", consent="declined")
    told = policy(layout=LayoutPolicy("per_listener", "duck"))
    async with serving(room, told, originals=Taken(room)):
        await room.until(lambda: ("ben", "TR_ana") in room.said("take"))
        assert ("cat", "original") not in room.said("attach")


async def test_an_original_is_under_its_translation_for_those_who_hear_that(room: FakeRoom) -> None:
    told = policy(layout=LayoutPolicy("per_speaker", "duck"))
    async with serving(room, told, originals=Taken(room)):
        await room.until(lambda: ("ben", "TR_ana") in room.said("take"))
        assert [who for who, purpose in room.said("attach") if "under" in purpose] == ["ana"]
        assert _permitted(room) == {"ben": {"TR_parley:ana:fr"}}


async def test_a_worker_that_finds_another_before_it_takes_its_mixes_back(room: FakeRoom) -> None:
    told = policy(layout=LayoutPolicy("per_listener", "duck"))
    async with serving(room, told, originals=Taken(room)):
        await room.until(lambda: ("ben", "TR_ana", "TR_cat") in room.said("take"))
        room.join(FakeParticipant("other", {"parley.worker": "1"}, kind=AGENT, joined_s=1.0))
        await room.until(lambda: MIX in room.said("unpublish"))
        await room.until(
            lambda: {sid for given in room.said("give") for sid in given[1:]} == {"TR_ana", "TR_cat"}
        )
        assert not _permitted(room)
        assert {listener for listener, *_ in room.said("give")} == {"ben"}
        assert room.said("publish") == room.said("unpublish") == [MIX]


# From one worker to another


def _leaves(room: FakeRoom, holding: object) -> None:
    """The worker that was here first says what it still translates."""
    said = json.dumps({"holding": holding, "agents": False, "usd": 0})
    if "old" not in room.remote_participants:
        room.join(FakeParticipant("old", {"parley.worker": "1"}, kind=AGENT, joined_s=10.0))
    room.change("old", handover=said)


@pytest.mark.parametrize("layout", ["per_listener", "per_speaker"])
async def test_one_that_comes_mixes_nobodys_own_voice_that_the_other_still_mixes(
    room: FakeRoom, layout: Literal["per_listener", "per_speaker"]
) -> None:
    _leaves(room, "*")
    async with serving(room, policy(layout=LayoutPolicy(layout, "duck")), originals=Taken(room)) as served:
        await room.until(lambda: "parley.tracks" in room.local_participant.attributes)
        await asyncio.sleep(0.1)
        assert not _own_voices(room)
        _leaves(room, ["ana"])
        if layout == "per_listener":
            await room.until(lambda: _own_voices(room) == {"ben", "cat"})
            assert not _under(served)
        await asyncio.sleep(0.1)
        assert "ana" not in _own_voices(room)
        _leaves(room, [])
        await room.until(lambda: "ana" in _own_voices(room))
        await room.until(lambda: ("ana", "fr") in room.said("attach"))
        if layout == "per_listener":
            assert _under(served)
        assert not room.said("take"), "the one that leaves has taken them"
        room.leave("old")
        await room.until(lambda: bool(room.said("take")))


@pytest.mark.parametrize("layout", ["per_listener", "per_speaker"])
async def test_one_that_leaves_lets_go_of_own_voices_before_it_says_so(
    room: FakeRoom, layout: Literal["per_listener", "per_speaker"]
) -> None:
    async with serving(room, policy(layout=LayoutPolicy(layout, "duck")), originals=Taken(room)) as served:
        await room.until(lambda: bool(_own_voices(room)) and bool(room.said("take")))
        room.join(FakeParticipant("new", {"parley.worker": "1"}, kind=AGENT, joined_s=99.0))
        room.change("new", handover='{"taking": true}')
        assert await served.hand_over()
        assert not _own_voices(room)
        said = [("holding" in str(entry[-1]) and "[]" in str(entry[-1])) for entry in room.log]
        let_go = [entry[0] == "detach" and entry[1][0] == "ana" for entry in room.log]
        assert let_go.index(True) < said.index(True)
        room.change("cat", hears="fr")
        await asyncio.sleep(0.1)
        assert not _own_voices(room), "nothing comes back"
        assert not room.said("give"), "until it goes"
    assert room.said("give")


def _own_voices(room: FakeRoom) -> set[str]:
    """Whose own voices are listened to now, to be mixed in."""
    now = set()
    for what, *of in room.log:
        if what in ("attach", "detach") and ("original" in of[0] or "under" in str(of[0][1])):
            (now.add if what == "attach" else now.discard)(of[0][0])
    return now


def _under(served: RoomSupervisor) -> list[MixOriginal]:
    lines = [output for output, _, _ in served._translations.listeners if isinstance(output, MixLine)]
    return [line.under for line in lines if line.under is not None]
