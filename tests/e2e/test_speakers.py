"""What becomes of the words of a speaker who leaves, mutes, changes microphones, or does not consent."""

from __future__ import annotations

import asyncio
import time

import pytest

from livekit import rtc
from parley.demo.people import Person

from .counting import (
    WORD_S,
    both,
    first,
    gets,
    heard_once,
    heard_out,
    recordings,
    speech,
    track_name,
    words_on,
)
from .running import eventually
from .venue import Venue

NAME = track_name("ann", "fr")
ON_THE_WAY_S = 0.35
"""A microphone is fed 0.2 s ahead, and a packet needs a moment: what is older has reached the worker."""


async def test_a_speaker_who_leaves_in_mid_sentence_is_heard_to_the_end(venue: Venue) -> None:
    room = await venue.room()
    said = speech("en", 8, phrase=8)
    async with venue.join(room, "bob", speaks="fr", hears="fr") as bob:
        async with venue.join(room, "ann", speaks="en") as ann:
            await gets(bob, NAME)
            begun = ann.say(said.pcm)
            await _moment(begun + said.starts_s[4] + WORD_S + ON_THE_WAY_S)
        await heard_out(bob, NAME, first(said, 5))
        await eventually(lambda: all(r.ended for r in recordings(bob, NAME)), 20, "the track is taken back")
        found = words_on(bob, NAME, said)
        assert found[:5] == [0, 1, 2, 3, 4]
        assert found == list(range(len(found)))
        (session,) = venue.sessions
        await eventually(lambda: session.close_reason == "session.close", 10, "the session is closed")


@pytest.mark.long
async def test_a_muted_microphone_says_nothing_and_what_was_said_before_is_heard(venue: Venue) -> None:
    room = await venue.room()
    said, hidden, more = speech("en", 4), speech("en", 3, first=4), speech("en", 4, first=7)
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
    ):
        await gets(bob, NAME)
        (own,) = ann.room.local_participant.track_publications.values()
        assert isinstance(own.track, rtc.LocalAudioTrack)
        begun = ann.say(said.pcm)
        await _moment(begun + said.ends_s + ON_THE_WAY_S)
        own.track.mute()
        ann.say(hidden.pcm)
        await ann.quiet()
        await heard_once(bob, "ann", "fr", said)
        own.track.unmute()
        await eventually(lambda: not _microphone(bob).muted, 10, "the room knows of the unmuting")
        ann.say(more.pcm)
        await heard_once(bob, "ann", "fr", both(said, more), hidden)


async def test_a_speaker_who_declines_reaches_no_session(venue: Venue) -> None:
    room = await venue.room()
    said, withdrawn, other = speech("en", 3), speech("en", 3, first=3), speech("es", 4, voice=1)
    async with (
        venue.join(room, "ann", speaks="en", consent="declined") as ann,
        venue.join(room, "eva", speaks="es") as eva,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
    ):
        await gets(bob, track_name("eva", "fr"))
        ann.say(said.pcm)
        eva.say(other.pcm)
        await heard_once(bob, "eva", "fr", other)
        await ann.quiet()
        assert len(venue.sessions) == 1
        assert not recordings(bob, NAME)

        await ann.room.local_participant.set_attributes({"parley.consent": "granted"})
        await gets(bob, NAME)
        ann.say(said.pcm)
        await heard_once(bob, "ann", "fr", said)
        await ann.room.local_participant.set_attributes({"parley.consent": "declined"})
        await eventually(lambda: all(r.ended for r in recordings(bob, NAME)), 20, "the track is taken back")
        sent = venue.simulator.audio_received_s
        ann.say(withdrawn.pcm)
        await ann.quiet()
        assert venue.simulator.audio_received_s == sent
        assert len(venue.sessions) == 2


@pytest.mark.long
async def test_a_microphone_that_is_replaced_goes_on_where_the_old_one_ended(venue: Venue) -> None:
    room = await venue.room()
    said, more = speech("en", 4), speech("en", 4, first=4)
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
    ):
        await gets(bob, NAME)
        begun = ann.say(said.pcm)
        await _moment(begun + said.ends_s + ON_THE_WAY_S)
        local = ann.room.local_participant
        (old,) = local.track_publications
        await local.unpublish_track(old)
        assert ann.microphone is not None
        track = rtc.LocalAudioTrack.create_audio_track("headset", ann.microphone.source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
        published = await local.publish_track(track, options)
        await published.wait_for_subscription()
        ann.say(more.pcm)
        await heard_once(bob, "ann", "fr", both(said, more))


def _microphone(listener: Person) -> rtc.RemoteTrackPublication:
    (track,) = listener.room.remote_participants["ann"].track_publications.values()
    return track


async def _moment(at: float) -> None:
    """Waits until a moment of the script."""
    await asyncio.sleep(max(0.0, at - time.monotonic()))
