"""What people say in their own words, written down for those who read it: every word once."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from parley.demo.people import Person
from parley.simulator import Fault

from .counting import Speech, attended, events, told
from .dictation import check_lines, dictation, texts, tokens, written
from .venue import Venue

pytestmark = pytest.mark.usefixtures("understood")


async def reads(reader: Person, speaker: str, said: Speech, within_s: float = 20.0) -> None:
    """All of it arrives, and nothing twice."""
    with suppress(TimeoutError):  # told by what there is instead
        await reader.until(lambda p: len(written(p, speaker)) >= len(said.words), within_s)
    assert written(reader, speaker) == texts(said), f"{reader.identity} read {written(reader, speaker)}"
    check_lines(reader, speaker)


@pytest.mark.long
async def test_captions_alone_take_one_session_per_speaker_and_reach_who_asked(venue: Venue) -> None:
    room = await venue.room()
    first, second = dictation("en", 8, phrase=4), dictation("en", 8, voice=1, phrase=4)
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="en") as bob,
        venue.join(room, "rae", captions="original", microphone=False) as reader,
        venue.join(room, "ned", speaks="en", captions="en", microphone=False) as own,
        venue.join(room, "non", speaks="fr", microphone=False) as nobody,
    ):
        await attended(ann, bob)
        ann.say(first.pcm)
        bob.say(second.pcm)
        for person in (reader, own):
            await reads(person, "ann", first)
            await reads(person, "bob", second)
        sessions = venue.sessions
        assert {s.kind for s in sessions} == {"transcription"}
        assert len(sessions) == 2
        asked = [session.settings["audio"]["input"]["transcription"] for session in sessions]
        assert [(one["model"], one["language"]) for one in asked] == [("gpt-realtime-whisper", "en")] * 2
        assert not nobody.captions
        assert not ann.captions
        spoken_s = first.ends_s
        assert max(s.audio_received_s for s in sessions) < spoken_s + 3, "silence is not paid for"


@pytest.mark.long
async def test_who_writes_changes_between_two_phrases_and_no_word_is_lost_or_repeated(venue: Venue) -> None:
    """A listener comes and goes while somebody speaks: a translation writes, then a session of its own."""
    room = await venue.room()
    said = dictation("en", 24, phrase=3, pause_s=1.0)
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "rae", captions="original", microphone=False) as reader,
        venue.join(room, "bob", hears="original", microphone=False) as bob,
    ):
        await attended(ann)
        ann.say(said.pcm)
        for language in ("fr", "original", "fr", "original"):
            await asyncio.sleep(4.3)
            await bob.room.local_participant.set_attributes({"parley.hears": language})
        count = len(said.words)
        await reader.until(lambda p: tokens(p, "ann") >= count, 30)
        await ann.quiet()
        await asyncio.sleep(2)
        assert tokens(reader, "ann") == count
        kinds = [s.kind for s in venue.sessions]
        assert kinds.count("transcription") >= 2
        assert kinds.count("translation") >= 2


@pytest.mark.parametrize(
    "kind",
    ["drop", *(pytest.param(kind, marks=pytest.mark.long) for kind in ("close", "expire", "stall", "error"))],
)
async def test_a_session_that_fails_in_an_utterance_loses_no_word_and_takes_none_back(
    venue: Venue, kind: str
) -> None:
    room = await venue.room()
    said = dictation("en", 12, phrase=6, pause_s=1.0)
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "rae", captions="original", microphone=False) as reader,
    ):
        for after_s in (2.1, 6.3):
            lasts = {"duration_s": 15.0} if kind == "stall" else {}
            fault = Fault(kind, after_audio_s=after_s, session="transcription", **lasts)  # type: ignore[arg-type]
            venue.simulator.faults.add(fault)
        await attended(ann)
        ann.say(said.pcm)
        await reads(reader, "ann", said, 40)
        assert {s.kind for s in venue.sessions} == {"transcription"}


@pytest.mark.long
async def test_an_outage_is_announced_and_what_was_said_meanwhile_is_written_later(venue: Venue) -> None:
    room = await venue.room()
    said = dictation("en", 10, phrase=5)
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "rae", captions="original", microphone=False) as reader,
    ):
        venue.simulator.faults.add(Fault("refuse", times=3))
        await attended(ann)
        ann.say(said.pcm)
        failed = await told(reader, "session.failed")
        assert failed["speaker"] == "ann"
        assert failed["language"] == "original"
        await told(reader, "session.recovered", 30)
        await reads(reader, "ann", said)
        assert len(events(reader, "session.failed")) == 1
