"""Rooms beside each other in one worker, and workers beside each other in one room."""

from __future__ import annotations

import json
import signal

import pytest

from parley.demo.livekit_server import LiveKitServer
from parley.simulator import Fault

from .counting import both, gets, heard_once, publication, speech, told, track_name, words_on
from .running import environment, eventually, running_worker
from .venue import CountedSimulator, Venue


@pytest.mark.long
async def test_two_rooms_hear_nothing_of_each_other_and_share_no_trouble(venue: Venue) -> None:
    one, two = await venue.room(), await venue.room()
    here, there = speech("en", 9, voice=0), speech("es", 9, voice=1)
    async with (
        venue.join(one, "ann", speaks="en") as ann,
        venue.join(one, "bob", speaks="fr", hears="fr") as bob,
        venue.join(two, "ann", speaks="es") as amy,
        venue.join(two, "bob", speaks="de", hears="de") as ben,
    ):
        await gets(bob, track_name("ann", "fr"))
        await gets(ben, track_name("ann", "de"))
        # Every session of the second room is lost again and again; the first room has none into German.
        venue.simulator.faults.add(Fault("drop", language="de", after_audio_s=0.6, times=4))
        ann.say(here.pcm)
        amy.say(there.pcm)
        await heard_once(bob, "ann", "fr", here)
        failed = await told(ben, "session.failed")
        assert (failed["speaker"], failed["language"]) == ("ann", "de")
        await told(ben, "session.recovered")
        assert not bob.events, "one room was told of the trouble of another"
        assert -1 not in words_on(bob, track_name("ann", "fr"), here, there)
        assert -1 not in words_on(ben, track_name("ann", "de"), there, here)


@pytest.mark.long
async def test_a_second_worker_is_silent_until_the_first_one_leaves(
    venue: Venue, server: LiveKitServer, simulator: CountedSimulator
) -> None:
    name = track_name("ann", "fr")
    said, more = speech("en", 4), speech("en", 4, first=4)
    async with running_worker(environment(server, simulator.base_url, PARLEY_DRAIN_S="0")) as first:
        room = await venue.room(dispatch=False)
        await venue.dispatch(room, first)
        async with (
            venue.join(room, "ann", speaks="en") as ann,
            venue.join(room, "bob", speaks="fr", hears="fr", captions="fr") as bob,
        ):
            await gets(bob, name)
            await venue.dispatch(room, venue.worker)
            await eventually(lambda: len(_workers(bob)) == 2, 20, "two workers are in the room")
            ann.say(said.pcm)
            await heard_once(bob, "ann", "fr", said)
            assert len(venue.sessions) == 1
            publishers = [w for w in _workers(bob) if w.track_publications]
            assert len(publishers) == 1
            assert sum(bool(json.loads(w.attributes.get("parley.tracks", "{}"))) for w in _workers(bob)) == 1
            ids = [c.segment_id for c in bob.captions if c.final]
            assert len(ids) == len(set(ids))

            first.signal(signal.SIGTERM)
            await told(bob, "worker.left")
            await eventually(lambda: len(_workers(bob)) == 1, 30, "the first worker has left")
            await eventually(lambda: publication(bob, name), 20, "the second one publishes")
            await gets(bob, name)
            ann.say(more.pcm)
            await heard_once(bob, "ann", "fr", both(said, more))
        assert await first.exit() == 0


def _workers(person):  # type: ignore[no-untyped-def]
    return [p for p in person.room.remote_participants.values() if "parley.worker" in p.attributes]
