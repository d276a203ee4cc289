"""Two people in a room of the real livekit-server: every word arrives once, in order, with its time."""

from __future__ import annotations

import asyncio

import pytest

from livekit import api, rtc
from parley.demo.livekit_server import livekit_server
from parley.demo.people import Person
from parley.demo.recording import Place
from parley.demo.speech import countable_words, render, script
from parley.demo.tally import Spoken, find_all, tally

WORDS = 30
TIMEOUT_S = 20.0


@pytest.mark.long
async def test_thirty_words_of_each_of_two_people_arrive_once_and_in_order() -> None:
    words = {
        "ann": countable_words("en", voice=0, count=WORDS),
        "bob": countable_words("fr", voice=1, count=WORDS),
    }
    lines = script({"ann": WORDS, "bob": WORDS}, starts={"bob": 0.4}, phrase=10, pause_s=0.5)
    sounds = {name: render(lines, name, words[name]) for name in words}
    async with (
        livekit_server() as server,
        Person.join(server.url, server.api_key, server.api_secret, "room", "ann") as ann,
        Person.join(server.url, server.api_key, server.api_secret, "room", "bob") as bob,
    ):
        people = {"ann": ann, "bob": bob}
        for person in people.values():
            await person.until(lambda person: bool(person.recordings), TIMEOUT_S)
            await person.until(lambda person: person.recordings[0].duration_s > 0.3, TIMEOUT_S)
        begun = {}
        ends = {}
        for name, person in people.items():
            begun[name] = person.say(sounds[name])
            ends[name] = begun[name] + len(sounds[name]) / 24_000
        for name, other in (("ann", bob), ("bob", ann)):
            await people[name].quiet()
            end = ends[name]
            await other.until(
                lambda person, end=end: (
                    person.recordings[0].start_time + person.recordings[0].duration_s > end + 0.3
                ),
                TIMEOUT_S,
            )
        spoken = [Spoken(line.speaker, line.word, begun[line.speaker] + line.start_s) for line in lines]
        for listener, speaker in (("bob", "ann"), ("ann", "bob")):
            found = await asyncio.to_thread(find_all, people[listener].recordings, words)
            (row,) = tally(listener, spoken, found, {speaker: Place(speaker, "original")})
            assert row.perfect, row
            assert row.heard == WORDS
            assert not [item for item in found if item.speaker != speaker]
            median = row.span_s(50)
            assert median is not None
            assert 0.0 < median < 1.0


async def test_only_wanted_tracks_are_subscribed_and_a_replaced_one_is_recorded_anew() -> None:
    async with (
        livekit_server() as server,
        Person.join(server.url, server.api_key, server.api_secret, "room", "ann") as ann,
        Person.join(server.url, server.api_key, server.api_secret, "room", "eve"),
        Person.join(
            *(server.url, server.api_key, server.api_secret, "room", "bob"),
            attributes={"parley.hears": "fr"},
            auto_subscribe=False,
            hears=lambda name, identity: name.startswith("microphone") and identity == "ann",
            microphone=False,
        ) as bob,
    ):
        await bob.until(lambda person: bool(person.recordings), TIMEOUT_S)
        assert ann.microphone is not None
        local = ann.room.local_participant
        (sid,) = local.track_publications
        await local.unpublish_track(sid)
        await bob.until(lambda person: person.recordings[0].ended, TIMEOUT_S)
        track = rtc.LocalAudioTrack.create_audio_track("microphone 2", ann.microphone.source)
        await local.publish_track(track)
        await bob.until(lambda person: len(person.recordings) == 2, TIMEOUT_S)
        await bob.until(lambda person: person.recordings[1].duration_s > 0, TIMEOUT_S)
        assert [recording.publisher_identity for recording in bob.recordings] == ["ann", "ann"]
        assert len({recording.track_sid for recording in bob.recordings}) == 2


async def test_captions_and_events_are_collected_with_their_sender() -> None:
    async with (
        livekit_server() as server,
        Person.join(server.url, server.api_key, server.api_secret, "room", "bob", microphone=False) as bob,
    ):
        token = (
            api.AccessToken(server.api_key, server.api_secret)
            .with_identity("worker")
            .with_kind("agent")
            .with_grants(api.VideoGrants(room_join=True, room="room"))
        )
        room = rtc.Room()
        await room.connect(server.url, token.to_jwt())
        try:
            attributes = {"lk.segment_id": "s1", "lk.transcription_final": "true", "language": "fr"}
            writer = await room.local_participant.stream_text(
                topic="lk.transcription", attributes=attributes, sender_identity="carl"
            )
            await writer.write("Bonjour ")
            await writer.write("à tous")
            await writer.aclose()
            await room.local_participant.send_text('{"event": "session.failed"}', topic="parley.events")
            await bob.until(lambda person: bool(person.events) and bool(person.captions), TIMEOUT_S)
            await bob.until(lambda person: person.captions[0].complete, TIMEOUT_S)
        finally:
            await room.disconnect()
        (caption,) = bob.captions
        assert (caption.text, caption.language, caption.final) == ("Bonjour à tous", "fr", True)
        assert caption.sender == "carl"
        assert list(bob.events) == [{"event": "session.failed"}]
