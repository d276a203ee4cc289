"""The supervisor over a room without a server: what is done to the room, and in which order."""

import asyncio
import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from fakes.room import FakeParticipant, FakeRoom
from fakes.served import policy, serving, watched_room
from livekit import rtc
from parley import __version__
from parley.core.accounts import Line
from parley.core.model import RECORD
from parley.metrics import Metrics
from parley.room import bridge_maker, translations
from parley.room import supervisor as supervising
from parley.room.costs import CostPolicy
from parley.room.minutes import MinutesPolicy
from parley.room.supervisor import SETTLE_S, RoomSupervisor
from parley.testing import ScriptedDial

AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
FR = "TR_parley:ana:fr"
DE = "TR_parley:ana:de"


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> FakeRoom:
    return watched_room(monkeypatch)


Serve = Callable[..., Any]


@pytest.fixture
def serve(room: FakeRoom) -> Serve:
    return partial(serving, room)


def ana() -> FakeParticipant:
    return FakeParticipant("ana", {"parley.speaks": "en"})


def ben(**attributes: str) -> FakeParticipant:
    return FakeParticipant(
        "ben", {f"parley.{k}": v for k, v in ({"speaks": "fr", "hears": "fr"} | attributes).items()}
    )


def attached(room: FakeRoom, *keys: tuple[str, str]) -> Callable[[], bool]:
    return lambda: set(keys) <= set(room.said("attach"))


async def test_nobody_may_hear_a_track_before_the_table_names_them(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben())
    async with serve():
        await room.until(attached(room, ("ana", "fr")))
    kinds = [entry[0] for entry in room.log]
    assert room.log[0] == ("permit", {}), "the empty table comes before all else"
    publish, permit, attach = kinds.index("publish"), kinds.index("permit", 1), kinds.index("attach")
    assert 0 < publish < permit < attach
    assert room.log[permit] == ("permit", {"ben": {FR}})


async def test_the_worker_says_which_track_is_what(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben())
    async with serve():
        await room.until(attached(room, ("ana", "fr")))
        described = json.loads(room.local_participant.attributes["parley.tracks"])
    assert described == {FR: {"speaker": "ana", "language": "fr", "kind": "translation"}}


async def test_only_wanted_microphones_are_subscribed(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben())
    microphone = room.publish("ana", "TR_mic")
    music = room.publish("ana", "TR_music", source=rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO)
    camera = room.publish(
        "ana", "TR_cam", kind=rtc.TrackKind.KIND_VIDEO, source=rtc.TrackSource.SOURCE_CAMERA
    )
    other = room.publish("ben", "TR_ben")
    async with serve():
        await room.until(attached(room, ("ana", "fr")))
        await asyncio.sleep(0)
        assert [p.subscribed for p in (microphone, music, camera, other)] == [True, True, False, False]


async def test_a_microphone_is_asked_for_before_the_tracks_are_published(
    room: FakeRoom, serve: Serve
) -> None:
    room.join(ana())
    room.join(ben())
    room.publish("ana", "TR_mic")
    async with serve():
        await room.until(attached(room, ("ana", "fr")))
    kinds = [entry[0] for entry in room.log]
    assert kinds.index("subscribe") < kinds.index("publish") < kinds.index("attach")


async def test_who_has_no_microphone_takes_no_track_and_no_session_until_there_is_one(
    room: FakeRoom, serve: Serve
) -> None:
    for number in range(20):
        wish = {"parley.speaks": "en", "parley.hears": ("fr", "de")[number % 2]}
        room.join(FakeParticipant(f"listener {number}", wish, microphone=False))
    room.join(ana())
    async with serve(policy(sessions=4)):
        await room.until(attached(room, ("ana", "fr"), ("ana", "de")))
        assert set(room.said("publish")) == {FR, DE}
        assert "session.refused" not in room.events()
        room.publish("listener 0", "TR_first", source=rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO)
        await room.until(attached(room, ("listener 0", "fr"), ("listener 0", "de")))
        before = len(room.log)
        del room.remote_participants["listener 0"].track_publications["TR_first"]
        room.change("listener 0", speaks="en-GB")
        await asyncio.sleep(0.1)
        assert not [entry for entry in room.log[before:] if entry[0] in ("detach", "unpublish")], (
            "it may come"
        )


async def test_who_is_refused_a_session_is_not_listened_to(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben())
    room.publish("ana", "TR_mic")
    room.publish("ben", "TR_ben")
    room.join(FakeParticipant("dan", {"parley.speaks": "de", "parley.hears": "de"}))
    async with serve(policy(sessions=2)):
        await room.until(lambda: "session.refused" in " ".join(text["text"] for text in room.texts))
        await asyncio.sleep(0.05)
        wanted = {speaker for speaker, _ in room.said("attach")}
        subscribed = [p.sid for who in ("ana", "ben") for p in _publications(room, who) if p.subscribed]
    assert len(subscribed) == len(wanted & {"ana", "ben"}) < 2


def _publications(room: FakeRoom, identity: str) -> list[Any]:
    return list(room.remote_participants[identity].track_publications.values())


async def test_a_change_of_language_starts_the_new_and_ends_the_old(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben())
    async with serve():
        await room.until(attached(room, ("ana", "fr")))
        before = len(room.log)
        room.change("ben", hears="de")
        await room.until(lambda: FR in room.said("unpublish"))
    after = room.log[before:]
    assert [e for e in after if e[0] in ("detach", "publish", "attach")][:3] == [
        ("detach", ("ana", "fr")),
        ("publish", DE),
        ("attach", ("ana", "de")),
    ]
    for entry in after:
        if entry[0] == "permit":
            assert entry[1] == {"ben": {DE}} or entry[1] == {}, "the old track is taken from who left it"


async def test_a_second_listener_changes_the_table_and_nothing_else(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben())
    async with serve():
        await room.until(attached(room, ("ana", "fr")))
        before = len(room.log)
        room.join(FakeParticipant("cat", {"parley.hears": "fr", "parley.speaks": "fr"}))
        await room.until(lambda: {"ben": {FR}, "cat": {FR}} in room.said("permit"))
        assert [
            e
            for e in room.log[before:]
            if e[0] in ("publish", "attach", "detach", "unpublish") and "ana" in str(e)
        ] == []


async def test_a_speaker_who_leaves_takes_everything_along(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben())
    async with serve():
        await room.until(attached(room, ("ana", "fr")))
        room.leave("ana")
        await room.until(lambda: FR in room.said("unpublish"))
        await room.until(lambda: room.local_participant.attributes["parley.tracks"] == "{}")
        assert room.said("permit")[-1] == {}


async def test_readers_alone_get_no_track(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben(hears="original", captions="fr"))
    async with serve():
        await room.until(attached(room, ("ana", "fr")))
        assert room.said("publish") == []
        room.change("ben", hears="fr")
        await room.until(lambda: {"ben": {FR}} in room.said("permit"))
        room.change("ben", hears="original")
        await room.until(lambda: FR in room.said("unpublish"))
        assert room.said("detach") == [], "who reads on is not interrupted"


async def test_who_declines_is_heard_by_no_session(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben())
    async with serve():
        await room.until(attached(room, ("ana", "fr")))
        room.change("ana", consent="declined")
        await room.until(lambda: ("ana", "fr") in room.said("detach"))
        await room.until(lambda: FR in room.said("unpublish"))


async def test_an_older_worker_works_and_this_one_waits(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben(hears="klingon", captions="fr"))
    older = FakeParticipant("older", {"parley.worker": __version__}, kind=AGENT, joined_s=1.0)
    room.join(older)
    async with serve():
        await room.until(lambda: room.said("permit") == [{}])
        room.change("ana", speaks="de")
        await asyncio.sleep(0.1)
        assert room.said("attach") == []
        assert room.events() == []
        room.leave("older")
        await room.until(attached(room, ("ana", "fr")))


async def test_a_newer_worker_changes_nothing(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben())
    room.join(FakeParticipant("newer", {"parley.worker": __version__}, kind=AGENT, joined_s=99.0))
    async with serve():
        await room.until(attached(room, ("ana", "fr")))


async def test_what_is_above_the_cap_is_refused_and_said_once(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben())
    room.join(FakeParticipant("cat", {"parley.hears": "de", "parley.speaks": "de"}))
    async with serve(policy(sessions=2)):
        await room.until(lambda: room.events().count("session.refused") == 2)
        room.change("ana", speaks="en-US")
        await asyncio.sleep(0.1)
        assert len(room.said("attach")) == 2
    assert room.events().count("session.refused") == 2


async def test_a_preference_that_makes_no_sense_is_said(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben(hears="klingon"))
    async with serve():
        await room.until(lambda: room.events() == ["preference.rejected"])
    notice = json.loads(room.texts[0]["text"])
    assert notice["speaker"] == "ben"
    assert notice["detail"] == "parley.hears: 'klingon' is not allowed; allowed: original, de, en, fr"


async def test_half_a_surrogate_in_metadata_does_not_end_the_room(room: FakeRoom, serve: Serve) -> None:
    room.metadata = '{"parley": {"hears": "\\ud800"}}'
    room.join(ana())
    room.join(ben())
    async with serve():
        await room.until(lambda: "preference.rejected" in room.events())
        await room.until(attached(room, ("ana", "fr")))


async def test_the_rooms_metadata_holds_for_who_says_nothing(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(FakeParticipant("ben"))
    async with serve(metadata='{"parley": {"hears": "de"}}'):
        await room.until(attached(room, ("ana", "de"), ("ben", "de")))
        room.metadata = '{"parley": {"hears": "fr"}}'
        room.emit("room_metadata_changed", "", room.metadata)
        await room.until(attached(room, ("ana", "fr"), ("ben", "fr")))


async def test_a_track_that_cannot_be_published_is_said_and_tried_again(room: FakeRoom, serve: Serve) -> None:
    room.local_participant.fail_publish = 1
    room.join(ana())
    room.join(ben())
    async with serve():
        await room.until(lambda: "session.failed" in room.events())
        room.change("ben", captions="fr")
        await room.until(lambda: {"ben": {FR}} in room.said("permit"))


async def test_a_new_sid_after_a_reconnect_is_in_the_next_table(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben())
    async with serve() as supervisor:
        await room.until(attached(room, ("ana", "fr")))
        (running,) = supervisor._translations.all
        assert running.output is not None
        publication = running.output.outlet._publication
        assert publication is not None
        publication.sid = "TR_new"  # type: ignore[misc]
        tables = len(room.said("permit"))
        room.emit("reconnecting")
        room.emit("local_track_republished", publication, FR)
        room.emit("reconnected")
        assert room.said("permit")[tables:] == [{"ben": {"TR_new"}}], "at once, not at the next iteration"
        await room.until(lambda: "TR_new" in room.local_participant.attributes["parley.tracks"])


async def test_a_connection_that_is_made_anew_ends_nothing(
    room: FakeRoom, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervising, "thread_time", lambda: 0.0)  # it looks at once, however busy it was
    room.join(ana())
    room.join(ben())
    async with serve() as supervisor:
        await room.until(attached(room, ("ana", "fr")))
        before = supervisor._translations.all
        did = len(room.log)
        room.emit("reconnecting")
        for identity in ("ana", "ben"):
            room.leave(identity)
        await asyncio.sleep(5 * SETTLE_S)
        room.join(ana())
        room.join(ben())
        room.emit("reconnected")
        await asyncio.sleep(5 * SETTLE_S)
        assert supervisor._translations.all == before, "LiveKit said that both had left"
        assert not [done for done in room.log[did:] if done[0] in ("publish", "unpublish")]
        room.emit("reconnecting")
        room.leave("ben")
        room.emit("reconnected")
        await room.until(lambda: not supervisor._translations.all)


async def test_leaving_tells_the_room_and_returns(room: FakeRoom, serve: Serve) -> None:
    room.join(ana())
    room.join(ben())
    async with serve() as supervisor:
        await room.until(attached(room, ("ana", "fr")))
        supervisor.drain(30.0)
        await room.until(lambda: "worker.draining" in room.events())
    assert room.events()[-1] == "worker.left"


async def test_a_spent_budget_is_told_ends_the_translations_and_the_room_goes_on(
    room: FakeRoom, serve: Serve
) -> None:
    room.join(ana())
    room.join(ben())
    async with serve(policy(costs=CostPolicy(usd=0.05))) as supervisor:
        await room.until(attached(room, ("ana", "fr")))
        account = supervisor._costs.accounts.open(Line("translation", "ana", "fr"), "m", lambda: ["ben"])
        while account.spend(0.2):
            pass
        await room.until(lambda: ("ana", "fr") in room.said("detach"))
        assert room.events() == ["budget.warning", "budget.exceeded"]
        assert supervisor._state(lambda identity: True)["usd"] == pytest.approx(0.05, abs=0.0002)
        room.join(FakeParticipant("cat", {"parley.hears": "fr", "parley.speaks": "fr"}))
        await asyncio.sleep(0.1)
        assert room.said("attach") == [("ana", "fr")]


async def test_who_has_spent_their_own_budget_gets_no_more_and_the_others_do(
    room: FakeRoom, serve: Serve
) -> None:
    room.join(ana())
    room.join(ben())
    room.join(FakeParticipant("cat", {"parley.hears": "de", "parley.speaks": "de"}))
    async with serve(policy(costs=CostPolicy(usd_per_participant=0.01))) as supervisor:
        await room.until(attached(room, ("ana", "fr"), ("ana", "de")))
        account = supervisor._costs.accounts.open(Line("translation", "ana", "fr"), "m", lambda: ["ben"])
        while account.spend(0.2):
            pass
        await room.until(lambda: ("ana", "fr") in room.said("detach"))
        assert ("ana", "de") not in room.said("detach")


@pytest.mark.parametrize("gone", [False, True])
async def test_what_the_room_leaves_behind_is_handed_over_once(room: FakeRoom, gone: bool) -> None:
    room.join(ana())
    room.join(ben())
    left: list[dict[str, Any]] = []

    async def take(summary: dict[str, Any]) -> None:
        left.append(summary)

    supervisor = RoomSupervisor(room, policy(), ScriptedDial(), Metrics(), leaving=lambda told: take)  # type: ignore[arg-type]
    task = asyncio.create_task(supervisor.run())
    await room.until(attached(room, ("ana", "fr")))
    if gone:
        room.emit("disconnected", None)
    else:
        supervisor.leave()
    async with asyncio.timeout(20):
        await task
    (summary,) = left
    assert (summary["room"], [p["identity"] for p in summary["people"]["known"]]) == (
        "the room",
        ["ana", "ben"],
    )


async def test_the_end_of_the_room_is_the_end(room: FakeRoom) -> None:
    room.join(ana())
    room.join(ben())
    supervisor = RoomSupervisor(room, policy(), ScriptedDial(), Metrics())  # type: ignore[arg-type]
    task = asyncio.create_task(supervisor.run())
    await room.until(attached(room, ("ana", "fr")))
    room.emit("disconnected", None)
    async with asyncio.timeout(5):
        await task


async def test_a_bridge_that_crashes_takes_nothing_else_along(
    room: FakeRoom, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(translations, "RESTART_S", 0.01)
    crashes = 0
    run = bridge_maker.TranslationBridge.run

    async def crash_once(self: Any) -> None:
        nonlocal crashes
        if self.spec.key.speaker == "ana" and not crashes:
            crashes += 1
            raise ZeroDivisionError("oops")
        await run(self)

    monkeypatch.setattr(bridge_maker.TranslationBridge, "run", crash_once)
    room.join(ana())
    room.join(ben(speaks="de"))
    room.join(FakeParticipant("cat", {"parley.hears": "fr", "parley.speaks": "fr"}))
    async with serve():
        await room.until(attached(room, ("ana", "fr"), ("ben", "fr")))
        await room.until(lambda: room.said("attach").count(("ana", "fr")) == 2)
        assert "session.failed" in room.events()
        assert room.said("attach").count(("ben", "fr")) == 1


async def test_a_transcript_of_everybodys_own_words_reads_along_and_costs_no_second_session(
    room: FakeRoom, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ScriptedDial, "listen", None, raising=False)  # nobody speaks
    kept = policy(minutes=MinutesPolicy(kept=True, own_words=True))
    room.join(ana())
    room.join(ben(consent="declined", hears="original"))
    async with serve(kept) as served:
        await room.until(attached(room, ("ana", "original")))
        assert [key for key in room.said("attach") if key[0] == "ben"] == []
        room.change("ben", hears="fr")
        await room.until(attached(room, ("ana", "fr")))
        await room.until(lambda: ("ana", "original") in room.said("detach"))
        (bridge,) = served._translations.bridges
        assert (bridge.spec.listeners, bridge.spec.source_readers) == ({"ben"}, {RECORD})
        room.change("ana", consent="declined")
        await room.until(lambda: ("ana", "fr") in room.said("detach"))
        assert served._translations.bridges == []
