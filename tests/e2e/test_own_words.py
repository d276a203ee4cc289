"""What people say in their own words, written down for those who read it: every word once."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress
from dataclasses import replace
from itertools import pairwise

import pytest

from parley.demo.people import Person
from parley.simulator import Fault

from .counting import Speech, attended, events, speech, told
from .dictation import DICTIONARY
from .venue import Venue


def dictation(language: str, count: int, **how: object) -> Speech:
    """Speech that the simulated transcription understands."""
    said = speech(language, count, **how)  # type: ignore[arg-type]
    for word in said.words:
        DICTIONARY.add(word)
    return said


@pytest.fixture(autouse=True)
def understood(venue: Venue) -> Iterator[None]:
    """The simulator knows the words."""
    options = venue.simulator.options
    venue.simulator.options = replace(options, recognise_word=DICTIONARY.recognise)
    yield
    venue.simulator.options = options


def texts(said: Speech) -> list[str]:
    return [word.text.replace(" ", "-") for word in said.words]


def written(reader: Person, speaker: str) -> list[str]:
    """The words of a speaker's final lines, in order."""
    lines = [c for c in reader.captions if c.final and c.complete and c.sender == speaker]
    return " ".join(line.text for line in lines).split()


async def reads(reader: Person, speaker: str, said: Speech, within_s: float = 20.0) -> None:
    """All of it arrives, and nothing twice."""
    with suppress(TimeoutError):  # told by what there is instead
        await reader.until(lambda p: len(written(p, speaker)) >= len(said.words), within_s)
    assert written(reader, speaker) == texts(said), f"{reader.identity} read {written(reader, speaker)}"
    check_lines(reader, speaker)


def check_lines(reader: Person, speaker: str) -> None:
    """Lines come interim first and final once, and what was shown is not taken back."""
    versions: dict[str, list[tuple[str, bool]]] = {}
    for caption in reader.captions:
        if caption.sender == speaker and caption.complete:
            versions.setdefault(caption.segment_id, []).append((caption.text, caption.final))
    for line in versions.values():
        assert [final for _, final in line] == [False] * (len(line) - 1) + [True], line
        for (earlier, _), (later, _) in pairwise(line):
            assert len(later.split()) >= len(earlier.split()), f"taken back: {line}"


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
        await reader.until(lambda p: _tokens(p, "ann") >= count, 30)
        await ann.quiet()
        await asyncio.sleep(2)
        assert _tokens(reader, "ann") == count
        kinds = [s.kind for s in venue.sessions]
        assert kinds.count("transcription") >= 2
        assert kinds.count("translation") >= 2


def _tokens(reader: Person, speaker: str) -> int:
    """Words that were written, by whatever kind of session: names of words, or their numbers."""
    text = " ".join(written(reader, speaker))
    return text.count("word-") or len(text.split())


@pytest.mark.parametrize("kind", ["drop", "close", "expire", "stall", "error"])
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


async def test_eight_people_talk_over_each_other_and_each_reader_gets_what_they_asked_for(
    venue: Venue,
) -> None:
    room = await venue.room()
    rng = random.Random(8)
    names = [f"p{n}" for n in range(8)]
    said = {
        name: dictation("en", 18, voice=voice, phrase=rng.choice((3, 6)), pause_s=rng.uniform(2, 5))
        for voice, name in enumerate(names)
    }
    wants = {"p0": "original", "p1": "original", "p2": "original", "p3": "fr", "p4": "fr", "p5": "ja"}
    async with AsyncExitStack() as stack:
        people = {
            name: await stack.enter_async_context(
                venue.join(room, name, speaks="en", captions=wants.get(name, "off"))
            )
            for name in names
        }
        await attended(*people.values())
        for name, person in people.items():
            person.say(said[name].pcm, rng.uniform(0, 3))
        for person in people.values():
            await person.quiet()
        for reader in ("p0", "p1", "p2", "p3", "p4", "p5"):
            for speaker in names:
                if speaker == reader:
                    continue
                await people[reader].until(lambda p, who=speaker: _tokens(p, who) >= len(said[who].words), 25)
                lines = [c for c in people[reader].captions if c.sender == speaker and c.final]
                assert _tokens(people[reader], speaker) == len(said[speaker].words), f"{reader}: {lines}"
                language = "en" if wants[reader] == "original" else wants[reader]
                assert {c.language for c in lines} == {language}
                check_lines(people[reader], speaker)
        for name in ("p6", "p7"):
            assert not people[name].captions
        assert all(not [c for c in p.captions if c.sender == name] for name, p in people.items())
        kinds = [session.kind for session in venue.sessions]
        assert "transcription" not in kinds, "translations write what is said, too"
        assert len(venue.open_sessions) <= 16
