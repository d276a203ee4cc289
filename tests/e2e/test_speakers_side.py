"""What real microphones, real people and their applications do to a room: counted at the listener."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from livekit import rtc
from parley.demo.audio import amplitude, to_pcm
from parley.demo.microphone import Microphone
from parley.demo.people import Person
from parley.demo.speech import WORD_DBFS

from .counting import (
    WORD_S,
    attended,
    both,
    events,
    first,
    gets,
    heard_once,
    heard_out,
    recordings,
    speech,
    told,
    track_name,
    words_on,
)
from .running import eventually
from .venue import Venue

NAME = track_name("ann", "fr")
ON_THE_WAY_S = 0.35
QUIET_DBFS = -45.0
NOISE_DBFS = -30.0


async def test_a_quiet_voice_is_heard_and_loud_noise_opens_no_session(venue: Venue) -> None:
    room = await venue.room()
    said = speech("en", 4)
    faint = (said.pcm * 10 ** ((QUIET_DBFS - WORD_DBFS) / 20)).astype(np.int16)
    noise = np.random.default_rng(3).standard_normal(len(said.pcm)).astype(np.float32)
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "fan", speaks="en") as fan,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
    ):
        await gets(bob, NAME)
        await gets(bob, track_name("fan", "fr"))
        fan.say(to_pcm(noise * np.float32(amplitude(NOISE_DBFS))))
        ann.say(faint)
        await heard_once(bob, "ann", "fr", said)
        await fan.quiet()
        assert len(venue.sessions) == 1, "noise is nobody's speech"


@pytest.mark.long
async def test_microphone_and_shared_screen_are_one_speaker(venue: Venue) -> None:
    room = await venue.room()
    said, shown, more = speech("en", 3), speech("en", 3, first=3), speech("en", 2, first=6)
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
        _screen(ann) as screen,
    ):
        await gets(bob, NAME)
        await eventually(lambda: len(_audio(bob, "ann")) == 2, 10, "both tracks are there")
        begun = ann.say(said.pcm)
        screen.say(shown.pcm, begun + said.ends_s + 0.5)
        ann.say(more.pcm, begun + said.ends_s + 0.5 + shown.ends_s + 0.5)
        await heard_once(bob, "ann", "fr", both(both(said, shown), more))
        assert len(venue.sessions) == 1


@pytest.mark.long
@pytest.mark.parametrize(("both_s", "words"), [(0.0, 12), (0.3, 14)])
async def test_a_microphone_published_anew_twenty_times_while_speaking_costs_at_most_words_it_cuts(
    venue: Venue, both_s: float, words: int
) -> None:
    """`both_s`: for how long the old track and the new one are both there."""
    room = await venue.room()
    said, more = speech("en", 12, phrase=12), speech("en", 2, first=12)
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
    ):
        await gets(bob, NAME)
        assert ann.microphone is not None
        local = ann.room.local_participant
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
        ann.say(said.pcm)
        for number in range(20):
            (old,) = local.track_publications
            track = rtc.LocalAudioTrack.create_audio_track(f"device {number}", ann.microphone.source)
            new = await local.publish_track(track, options)
            await new.wait_for_subscription()
            await asyncio.sleep(both_s)
            await local.unpublish_track(old)
        await ann.quiet()
        ann.say(more.pcm)
        await heard_out(bob, NAME, more)
        found = words_on(bob, NAME, both(said, more))
        # What is sent to neither track is lost, and a word may have that in it.
        assert found == sorted(set(found)), "in order, and none twice"
        assert len(found) >= words
        assert len(venue.sessions) == 1
        assert len(recordings(bob, NAME)) == 1


async def test_who_comes_back_or_is_replaced_under_the_same_identity_is_heard_on(venue: Venue) -> None:
    room = await venue.room()
    said, back, again = speech("en", 4, phrase=4), speech("en", 2, first=4), speech("en", 3, first=6)
    async with venue.join(room, "bob", speaks="fr", hears="fr") as bob:
        async with venue.join(room, "ann", speaks="en") as ann:
            await gets(bob, NAME)
            begun = ann.say(said.pcm)
            await asyncio.sleep(max(0.0, begun + said.starts_s[1] + WORD_S + ON_THE_WAY_S - time.monotonic()))
        async with venue.join(room, "ann", speaks="en") as ann:
            await attended(ann)
            await _live(bob)
            ann.say(back.pcm)
            await heard_out(bob, NAME, back)
            async with venue.join(room, "ann", speaks="en") as other:
                await eventually(lambda: not ann.room.isconnected(), 10, "the first is put out")
                await attended(other)
                await _live(bob)
                other.say(again.pcm)
                await heard_out(bob, NAME, again)
        assert words_on(bob, NAME, first(said, 2)) == [0, 1], "what was said before is heard"
        assert words_on(bob, NAME, both(back, again)) == [0, 1, 2, 3, 4]
        await eventually(lambda: not venue.open_sessions, 20, "no session is left")


async def test_who_withdraws_consent_in_mid_sentence_is_sent_no_further(venue: Venue) -> None:
    room = await venue.room()
    said, granted = speech("en", 6, phrase=6), speech("en", 2, first=6)
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
    ):
        await gets(bob, NAME)
        begun = ann.say(said.pcm)
        await asyncio.sleep(max(0.0, begun + said.starts_s[3] - time.monotonic()))
        answer = await _set(ann, venue, room, {"consent": "declined"})
        declined_s = time.monotonic() - begun
        assert answer["consent"] == "declined"
        await ann.quiet()
        (session,) = venue.sessions
        assert session.closed_at is not None, "its session is closed"
        assert session.audio_received_s < declined_s + 1.0, "the pre-roll, and no sample after the answer"
        found = words_on(bob, NAME, said)
        assert found == list(range(len(found)))
        assert len(found) <= 4
        await _set(ann, venue, room, {"consent": "granted"})
        await _live(bob)
        ann.say(granted.pcm)
        await heard_out(bob, NAME, granted)


@pytest.mark.long
async def test_a_listener_who_changes_language_twenty_times_hears_the_last_one(venue: Venue) -> None:
    room = await venue.room()
    said, more = speech("en", 6, phrase=6), speech("en", 2, first=6)
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
        venue.join(room, "joe", speaks="en", hears="en", captions="en", microphone=False) as joe,
        venue.join(room, "mia", speaks="es", microphone=False) as mia,
    ):
        await gets(bob, NAME)
        ann.say(said.pcm)
        for number in range(20):
            if number % 2:
                hears = {"parley.hears": ("de", "es", "it")[number % 3]}
                await mia.room.local_participant.set_attributes(hears)
            else:
                await _set(mia, venue, room, {"hears": ("de", "fr", "original")[number % 3]})
            await asyncio.sleep(0.1)
        await _set(mia, venue, room, {"hears": "es"})
        async with venue.join(room, "late", hears="fr", microphone=False) as late:
            await heard_once(bob, "ann", "fr", said)
            await gets(mia, track_name("ann", "es"))
            await gets(late, NAME)
            await eventually(
                lambda: {s.language for s in venue.open_sessions} <= {"fr", "es"}, 20, "only these are left"
            )
            ann.say(more.pcm)
            await heard_out(mia, track_name("ann", "es"), more)
            await heard_out(late, NAME, more)
            assert words_on(mia, track_name("ann", "es"), more) == [0, 1]
            assert words_on(late, NAME, more) == [0, 1]
        assert not recordings(joe, track_name("ann", "en")), "who speaks it already hears the original"
        lines = [c for c in joe.captions if c.final]
        assert {c.attributes["parley.kind"] for c in joe.captions} <= {"source"}, "and reads it once"
        assert len({c.segment_id for c in lines}) == len(lines)


ODD = ["a: b:fr", "ünï 😀 code", "x" * 250]


async def test_preferences_are_set_refused_and_flooded_over_rpc_whatever_people_are_called(
    venue: Venue,
) -> None:
    metadata = json.dumps({"deep": json.loads("[" * 200 + "]" * 200), "x": "y" * 60_000})
    room = await venue.room(metadata)
    said = speech("en", 3)
    colon, emoji, long = ODD
    async with (
        venue.join(room, colon, speaks="en") as ann,
        venue.join(room, emoji, speaks="fr", microphone=False) as bob,
        venue.join(room, long, speaks="de", microphone=False) as tall,
        venue.join(room, "host", microphone=False) as host,
    ):
        await eventually(lambda: colon in bob.room.remote_participants, 10, "they see each other")
        assert await _set(bob, venue, room, {"hears": "fr", "captions": "fr"}) == {
            "speaks": "fr", "hears": "fr", "captions": "fr", "agent": "off", "consent": "granted",
        }  # fmt: skip
        answer = await _set(host, venue, room, {"hears": "de", "for": long})
        assert (answer["speaks"], answer["hears"]) == ("de", "de")
        for person, wish, code, words in (
            (bob, {"hears": "de", "captions": "loud"}, 1400, "parley.captions: 'loud' is not allowed"),
            (bob, {"hears": "de", "for": long}, 1403, "PARLEY_LIMITS__HOSTS"),
            (host, {"consent": "granted", "for": long}, 1400, "parley.consent"),
            (host, {"hears": "de", "for": "nobody"}, 1404, "nobody"),
        ):
            with pytest.raises(rtc.RpcError) as caught:
                await _set(person, venue, room, wish)
            assert (caught.value.code, words in caught.value.message) == (code, True)
        await gets(bob, track_name(colon, "fr"))
        await gets(tall, track_name(colon, "de"))
        ann.say(said.pcm)
        refused = await _flood(tall, venue, room, 1_000)
        assert refused >= 900
        await heard_once(bob, colon, "fr", said)
        (worker,) = [p for p in bob.room.remote_participants.values() if "parley.worker" in p.attributes]
        tracks = json.loads(worker.attributes["parley.tracks"]).values()
        assert {(t["speaker"], t["language"]) for t in tracks} >= {(colon, "fr")}
        state = await _call(host, venue, room, "parley.state", {})
        assert set(ODD) <= state["people"].keys()
        assert not events(bob, "preference.rejected")
        await tall.room.local_participant.set_attributes({"parley.hears": "no: 😀\nnext line"})
        assert "no: 😀" in str((await told(bob, "preference.rejected"))["detail"])
        assert "\nnext line" not in venue.worker.log


async def _call(person: Person, venue: Venue, room: str, method: str, payload: Any) -> Any:
    (worker,) = [agent.identity for agent in await venue.agents(room)]
    text = json.dumps(payload)
    answer = await person.room.local_participant.perform_rpc(
        destination_identity=worker, method=method, payload=text, response_timeout=15.0
    )
    return json.loads(answer)


async def _set(person: Person, venue: Venue, room: str, wish: Any) -> Any:
    return await _call(person, venue, room, "parley.set", wish)


async def _flood(person: Person, venue: Venue, room: str, calls: int) -> int:
    """Calls `parley.set` this often, as fast as it goes; returns how many were refused as too many."""
    (worker,) = [agent.identity for agent in await venue.agents(room)]
    refused = 0
    left = iter(range(calls))

    async def call() -> None:
        nonlocal refused
        for number in left:
            payload = json.dumps({"hears": ("de", "fr")[number % 2]})
            try:
                await person.room.local_participant.perform_rpc(
                    destination_identity=worker, method="parley.set", payload=payload
                )
            except rtc.RpcError as e:
                refused += e.code == 1429

    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(call())
    return refused


@contextlib.asynccontextmanager
async def _screen(person: Person) -> AsyncIterator[Microphone]:
    """A second track of a participant: the sound of a screen that is shared."""
    sound = Microphone()
    track = rtc.LocalAudioTrack.create_audio_track("screen", sound.source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO, dtx=False)
    await person.room.local_participant.publish_track(track, options)
    running = asyncio.get_running_loop().create_task(sound.run())
    try:
        yield sound
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
        await sound.source.aclose()


def _audio(listener: Person, identity: str) -> list[Any]:
    """The tracks of a participant that the listener's room knows."""
    participant = listener.room.remote_participants.get(identity)
    return list(participant.track_publications.values()) if participant is not None else []


async def _live(listener: Person) -> None:
    """Waits until the worker follows ann: the track of her translation is there."""
    await gets(listener, NAME)
