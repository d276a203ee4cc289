"""The server gives nobody a track that is not theirs, whatever they ask for."""

from __future__ import annotations

import pytest

from livekit import api
from parley.demo.people import Person

from .counting import audible, both, gets, heard_once, publication, speech, track_name
from .running import eventually
from .venue import Venue

NAME = track_name("ann", "fr")


async def test_nobody_gets_a_track_that_is_not_theirs_however_they_ask(venue: Venue) -> None:
    room = await venue.room()
    said, more = speech("en", 4), speech("en", 4, first=4)
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
        venue.join(room, "nil", auto_subscribe=True, hears_tracks=None, microphone=False) as without_routes,
        venue.join(room, "eve", speaks="de", hears="de", microphone=False) as other_language,
        venue.join(room, "api", speaks="en", hears="original", microphone=False) as by_the_api,
    ):
        await gets(bob, NAME)
        await gets(other_language, track_name("ann", "de"))
        ann.say(said.pcm)
        async with venue.join(room, "late", auto_subscribe=True, microphone=False) as late:
            outsiders = [without_routes, other_language, by_the_api, late]
            for person in outsiders:
                await _asks(person)
            await _subscribed_by_the_server(venue, room, by_the_api)
            ann.say(more.pcm)
            await heard_once(bob, "ann", "fr", both(said, more))
            await heard_once(other_language, "ann", "de", both(said, more))
            for person in outsiders:
                wrong = [r for r in person.recordings if r.track_name == NAME and audible(r)]
                assert not wrong, f"{person.identity} heard {NAME}"
                assert not any(r.duration_s for r in person.recordings if r.track_name == NAME), (
                    f"{person.identity} got packets of {NAME}"
                )
            heard = [r.track_name for r in without_routes.recordings if r.from_agent]
            assert not heard, f"somebody without routes got {heard}"


@pytest.mark.long
async def test_a_listener_who_changes_language_loses_the_old_track_and_gets_the_new_one(venue: Venue) -> None:
    room = await venue.room()
    said, more = speech("en", 3), speech("en", 4, first=3)
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
        venue.join(room, "ben", speaks="fr", hears="fr") as ben,
    ):
        await gets(bob, NAME)
        await gets(ben, NAME)
        ann.say(said.pcm)
        await heard_once(bob, "ann", "fr", said)
        await bob.room.local_participant.set_attributes({"parley.hears": "de"})
        await gets(bob, track_name("ann", "de"))
        ann.say(more.pcm)
        await heard_once(bob, "ann", "de", more)
        await heard_once(ben, "ann", "fr", both(said, more))
        await heard_once(bob, "ann", "fr", said)


async def _asks(person: Person) -> None:
    """Sees the track, and subscribes to everything there is."""
    await eventually(lambda: publication(person, NAME), 20, f"{person.identity} sees {NAME}")
    for participant in person.room.remote_participants.values():
        for track in participant.track_publications.values():
            track.set_subscribed(True)


async def _subscribed_by_the_server(venue: Venue, room: str, person: Person) -> None:
    track = publication(person, NAME)
    assert track is not None
    await venue.livekit.room.update_subscriptions(
        api.UpdateSubscriptionsRequest(
            room=room, identity=person.identity, track_sids=[track.sid], subscribe=True
        )
    )
