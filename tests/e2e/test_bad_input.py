"""Mistakes of people, of operators and of the network: named, answered, and costing the others nothing."""

from __future__ import annotations

import asyncio
import json
import socket
import time

import pytest

from livekit import api
from parley.demo.people import Person

from .counting import (
    both,
    events,
    gets,
    gets_and_keeps,
    heard_once,
    heard_out,
    speech,
    told,
    track_name,
    words_on,
)
from .running import KEY, environment, eventually, running_worker
from .talking import rpc
from .venue import Venue

NAME = track_name("ann", "fr")
WRONG_ATTRIBUTES = [("hears", "tlh"), ("speaks", "not a tag!"), ("captions", "loud"), ("consent", "perhaps")]
WRONG_METADATA = ['{"parley": {"hears": "fr"', '{"parley": ["fr"]}', '{"parley": {"hears": "tlh"}}']


async def test_what_makes_no_sense_is_refused_by_name_and_the_old_preference_stays(venue: Venue) -> None:
    room = await venue.room(json.dumps({"parley": {"hears": "de"}, "other": {"app": 1}}))
    said = speech("en", 4)
    async with (
        venue.join(room, "ann", speaks="en", hears="original") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
        venue.join(room, "dee", speaks="de", microphone=False) as by_default,
    ):
        await gets(bob, NAME)
        await gets(by_default, track_name("ann", "de"))
        for count, (key, value) in enumerate(WRONG_ATTRIBUTES, 1):
            await bob.room.local_participant.set_attributes({f"parley.{key}": value})
            event = await told(bob, "preference.rejected", count=count)
            assert event["speaker"] == "bob"
            detail = str(event["detail"])
            assert f"parley.{key}" in detail
            assert value in detail
            assert "allowed: " in detail
        assert "fr" in str(events(bob, "preference.rejected")[0]["detail"]).split("allowed: ")[1]
        for count, metadata in enumerate(WRONG_METADATA, 1 + len(WRONG_ATTRIBUTES)):
            request = api.UpdateRoomMetadataRequest(room=room, metadata=metadata)
            await venue.livekit.room.update_room_metadata(request)
            event = await told(bob, "preference.rejected", count=count)
            assert str(event["detail"]).startswith("room metadata")
            assert "allowed: " in str(event["detail"])
        ann.say(said.pcm)
        await heard_once(bob, "ann", "fr", said)
        await heard_once(by_default, "ann", "de", said)
        assert len(events(bob, "preference.rejected")) == len(WRONG_ATTRIBUTES) + len(WRONG_METADATA)


async def test_livekit_that_cannot_be_reached_is_tried_again_and_said_once_per_attempt() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        nobody = f"ws://127.0.0.1:{held.getsockname()[1]}"
        keys = {"LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "s" * 32}
        env = environment(None, "http://127.0.0.1:9/v1", LIVEKIT_URL=nobody, **keys)
        async with running_worker(env, ready=False) as worker:
            await worker.until("/livez", 200, 30)

            def attempts() -> list[str]:
                return [line for line in worker.log.splitlines() if "onnect" in line and "livekit" in line]

            await eventually(lambda: len(attempts()) >= 3, 30, f"three attempts are logged: {worker.log}")
            assert (await worker.probe("/readyz"))[0] == 503
            assert (await worker.probe("/livez"))[0] == 200
            # Back-off: the attempts do not come at once, and each is one line.
            assert len(attempts()) <= 6, attempts()


@pytest.mark.long
async def test_a_refused_key_is_said_once_causes_no_storm_and_is_forgotten_when_it_is_right_again(
    venue: Venue,
) -> None:
    room = await venue.room()
    lost, said = speech("en", 4), speech("en", 5, first=4)
    venue.simulator.set_api_keys({"another key"})
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
        venue.join(room, "eva", speaks="es", hears="es") as eva,
    ):
        await gets(bob, NAME)
        await gets(eva, track_name("ann", "es"))
        before = venue.simulator.attempts
        ann.say(lost.pcm)
        await told(bob, "session.failed", count=2)
        failed_at = time.monotonic()
        await ann.quiet()
        await asyncio.sleep(max(0.0, failed_at + 5.0 - time.monotonic()))
        assert not venue.sessions
        assert venue.simulator.attempts - before <= 4, "two sessions are wanted: a retry storm"
        failed = events(bob, "session.failed")
        assert sorted(str(event["language"]) for event in failed) == ["es", "fr"], "said once each"
        assert "key" in str(failed[0]["detail"]).lower()
        assert KEY not in json.dumps(failed)
        assert "session.failed" in venue.worker.log
        assert KEY not in venue.worker.log
        assert (await venue.worker.probe("/readyz"))[0] == 200

        venue.simulator.set_api_keys({KEY})
        await told(bob, "session.recovered", 40, count=2)
        ann.say(said.pcm)
        await heard_out(bob, NAME, said)
        await heard_out(eva, track_name("ann", "es"), said)
        for listener, name in ((bob, NAME), (eva, track_name("ann", "es"))):
            found = words_on(listener, name, both(lost, said))
            assert found[-5:] == [4, 5, 6, 7, 8]
            assert found == sorted(set(found)), "nothing twice"


@pytest.mark.long
async def test_a_flood_of_attribute_changes_costs_the_others_no_word_and_its_last_state_holds(
    venue: Venue,
) -> None:
    room = await venue.room()
    said, more = speech("en", 9), speech("en", 3, first=9)
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
        venue.join(room, "mad", speaks="es", hears="original", microphone=False) as mad,
    ):
        await gets(bob, NAME)
        ann.say(said.pcm)
        await _flood(mad, 1_000)
        # The captions tell the last state from the earlier ones, which asked for French as well.
        await mad.room.local_participant.set_attributes({"parley.hears": "fr", "parley.captions": "original"})
        await heard_once(bob, "ann", "fr", said)
        await _holds(venue, room, bob, "mad", hears="fr", captions="original")
        await gets_and_keeps(mad, NAME)
        ann.say(more.pcm)
        await heard_out(mad, NAME, more)
        assert words_on(mad, NAME, more) == [0, 1, 2]
        assert len(bob.events) < 60, "the room is not flooded with events"


async def _holds(venue: Venue, room: str, asker: Person, identity: str, **preferences: str) -> None:
    """Waits until the worker goes by these preferences of somebody, who hears ann in French."""
    deadline = time.monotonic() + 30
    while True:
        state = await rpc(asker, venue, room, "parley.state")
        known = state["people"].get(identity, {})
        listeners = [t["listeners"] for t in state["translations"] if t["speaker"] == "ann"]
        if preferences.items() <= known.items() and any(identity in of for of in listeners):
            return
        assert time.monotonic() < deadline, f"{preferences} never hold: {state}"
        await asyncio.sleep(0.25)


async def _flood(person: Person, changes: int) -> None:
    """Changes an attribute this often, as fast as the server takes it."""
    values = ["fr", "de", "nonsense", "es", "original", "x" * 100]
    left = iter(range(changes))

    async def change() -> None:
        for number in left:
            value = values[number % len(values)]
            await person.room.local_participant.set_attributes({"parley.hears": value})

    async with asyncio.TaskGroup() as group:
        for _ in range(8):
            group.create_task(change())
