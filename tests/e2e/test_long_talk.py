"""Eight people talk, over each other at times: what is read and kept of it, and what it costs.

PARLEY_TALK_S sets the seconds of talk (30), PARLEY_TALK_DROPS how many sessions are dropped (3); five minutes
and 30 drops: `PARLEY_TALK_S=300 PARLEY_TALK_DROPS=30 pytest -s` with this file.
"""

from __future__ import annotations

import asyncio
import os
import random
import re
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from livekit import api
from parley.core.usage import LIST_PRICES
from parley.demo.people import Person
from parley.simulator import Fault

from .counting import Speech, attended, events
from .dictation import check_lines, talk, texts, tokens, written
from .records import check_subtitles, check_times, check_words, files, rows, summary
from .running import eventually
from .venue import Venue

TALK_S = float(os.environ.get("PARLEY_TALK_S", "30"))
pytestmark = [pytest.mark.usefixtures("understood"), pytest.mark.timeout(180 + 2 * TALK_S)]
DROPS = int(os.environ.get("PARLEY_TALK_DROPS", "3"))
NAMES = [f"p{n}" for n in range(8)]
READERS = {"p0": "original", "p1": "original", "p2": "original", "p3": "fr", "p4": "fr", "p5": "ja"}
EXPORTED = {"PARLEY_EXPORT__TRANSCRIPT": "jsonl,srt,vtt,txt"}


class Meeting:
    """Eight people in a room whose transcript is kept in a directory."""

    def __init__(self, venue: Venue, room: str, rng: random.Random, reading: dict[str, str]) -> None:
        self.venue = venue
        self.room = room
        self.people: dict[str, Person] = {}
        self.reading = reading
        self._rng = rng
        self.said = {
            name: talk("en", TALK_S, voice=voice, phrase=rng.choice((3, 6)), pause_s=rng.uniform(2, 8))
            for voice, name in enumerate(NAMES)
        }

    @asynccontextmanager
    async def joined(self) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for name in NAMES:
                wish = {"speaks": "en", "captions": self.reading.get(name, "off")}
                self.people[name] = await stack.enter_async_context(self.venue.join(self.room, name, **wish))
            await attended(*self.people.values())
            yield

    async def hold(self) -> None:
        for name, person in self.people.items():
            person.say(self.said[name].pcm, self._rng.uniform(0, 3))
        for person in self.people.values():
            await person.quiet()

    async def read_by(self, reader: str) -> None:
        """Everything that the others said, each word once, in order, in the reader's language."""
        person, wanted = self.people[reader], self.reading[reader]
        for speaker in (name for name in NAMES if name != reader):
            count = len(self.said[speaker].words)
            with suppress(TimeoutError):  # told by what there is instead
                await person.until(partial(_has, speaker=speaker, count=count), 30)
            if wanted == "original":
                assert written(person, speaker) == texts(self.said[speaker]), f"{reader} reads {speaker}"
            else:
                check_numbers(person, speaker, count)
            lines = [c for c in person.captions if c.sender == speaker]
            assert {line.language for line in lines} == {"en" if wanted == "original" else wanted}
            check_lines(person, speaker)
        assert not [line for line in person.captions if line.sender == reader]

    def is_kept(self, out: Path) -> bool:
        """Whether as many words are in the transcript as were said."""
        own = [row["text"] for row in rows(out) if row.get("kind") == "source"]
        return len(" ".join(own).split()) >= sum(len(said.words) for said in self.said.values())

    async def end(self, out: Path) -> None:
        """Ends the room, and waits for what it leaves behind."""
        await self.venue.livekit.room.delete_room(api.DeleteRoomRequest(room=self.room))
        await eventually(lambda: files(out, ".txt"), 30, "the transcript is written")
        await eventually(lambda: any("transcript" not in p.name for p in out.glob("*.json")), 30, "a summary")


def _has(reader: Person, *, speaker: str, count: int) -> bool:
    return tokens(reader, speaker) >= count


def check_numbers(reader: Person, speaker: str, count: int) -> None:
    """A translation's words are numbered through a session: none is missing, doubled or out of order."""
    numbers = [int(number) for number in re.findall(r"word-(\d+)", " ".join(written(reader, speaker)))]
    assert len(numbers) == count, f"{reader.identity} reads of {speaker}: {numbers}"
    steps = [(a, b) for a, b in pairwise(numbers) if b not in (a + 1, 1)]
    assert not steps, f"{reader.identity} reads of {speaker}: {numbers}"


def check_kept(found: list[dict[str, Any]], said: dict[str, Speech]) -> float:
    """Everybody's own words are in the transcript, in time; returns by how much they are off at most."""
    lines = [row for row in found if row["type"] == "line"]
    assert len({row["id"] for row in lines}) == len(lines)
    for name in NAMES:
        check_words(found, name, said[name])
    return max(check_times(found, name, said[name]) for name in NAMES)


def tell(what: str) -> None:
    sys.stderr.write(f"\n{what}\n")


@pytest.mark.long
async def test_each_reads_what_they_asked_for_and_it_costs_what_was_planned(
    venue: Venue, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    async with venue.served(PARLEY_EXPORT__DIR=str(out), **EXPORTED) as (_, room):
        meeting = Meeting(venue, room, random.Random(8), READERS)
        async with meeting.joined():
            await meeting.hold()
            for reader in READERS:
                await meeting.read_by(reader)
            assert not [name for name in ("p6", "p7") if meeting.people[name].captions]
            await meeting.end(out)
        sessions = venue.sessions
    assert {s.kind for s in sessions} == {"translation"}, "translations write what is said, too"
    pairs = Counter(s.language for s in sessions)
    found, told = rows(out), summary(out)
    worst_s = check_kept(found, meeting.said)
    cues = {path.suffixes[-2]: check_subtitles(path) for path in files(out, ".*.srt") + files(out, ".*.vtt")}
    assert set(cues) == {".en", ".fr", ".ja"}
    most = max(told["estimate"]["usd"], 1e-9)
    sent_s = sum(s.audio_received_s for s in sessions)
    spent = told["cost"]["usd"]
    assert spent == pytest.approx(sent_s * LIST_PRICES.usd_per_second("gpt-realtime-translate"), rel=0.02)
    assert {(row["speaker"], row["language"]) for row in told["translated"]} == {
        *((name, "fr") for name in NAMES),
        *((name, "ja") for name in NAMES if name != "p5"),
    }
    words = sum(len(one.words) for one in meeting.said.values())
    tell(
        f"{TALK_S:g} s of talk, {words} words; sessions {dict(pairs)}, {sent_s:.0f} s sent, {spent:.4f} USD, "
        f"estimated {most:.4f} ({told['estimate']}); lines are off by {worst_s:.2f} s at most"
    )


@pytest.mark.parametrize("reading", [{}, READERS], ids=["nobody reads", "six read"])
@pytest.mark.long
async def test_sessions_that_drop_at_random_lose_no_word_of_the_transcript_and_double_none(
    venue: Venue, tmp_path: Path, reading: dict[str, str]
) -> None:
    """Where nobody reads, transcription sessions write; else translations do."""
    out = tmp_path / "out"
    rng = random.Random(30)
    kept = {"PARLEY_EXPORT__DIR": str(out), "PARLEY_EXPORT__OWN_WORDS": "all", **EXPORTED}
    async with venue.served(**kept) as (_, room):
        meeting = Meeting(venue, room, rng, reading)
        async with meeting.joined():
            dropping = asyncio.create_task(_drop(venue, rng))
            await meeting.hold()
            dropped = await dropping
            with suppress(AssertionError):  # told by what there is instead
                await eventually(lambda: meeting.is_kept(out), 30, "all of it is written down")
            failed = events(meeting.people["p7"], "session.failed")
            assert not [name for name in NAMES if name not in reading and meeting.people[name].captions]
            await meeting.end(out)
        kinds = Counter(session.kind for session in venue.sessions)
    found = rows(out)
    words = sum(len(one.words) for one in meeting.said.values())
    worst_s = check_kept(found, meeting.said)
    for path in files(out, ".*.srt") + files(out, ".*.vtt"):
        check_subtitles(path)
    assert dropped == DROPS
    assert set(kinds) == ({"translation"} if reading else {"transcription"})
    tell(
        f"{TALK_S:g} s of talk, {words} words, {dropped} drops, {len(failed)} told; sessions {dict(kinds)}; "
        f"none missing, none twice; lines are off by {worst_s:.2f} s at most"
    )


async def _drop(venue: Venue, rng: random.Random) -> int:
    """Drops sessions at random moments, one that is open at each; returns how many."""
    slot_s = (TALK_S - 3) / max(1, DROPS)
    dropped = 0
    await asyncio.sleep(2)
    for _ in range(DROPS):
        wait_s = rng.uniform(0.1, 0.9) * slot_s
        await asyncio.sleep(wait_s)
        await eventually(lambda: venue.open_sessions, 20, "a session is open")
        victim = rng.choice(venue.open_sessions)
        before = len(venue.open_sessions)
        fault = Fault("drop", session=victim.kind, after_audio_s=victim.audio_received_s)  # type: ignore[arg-type]
        venue.simulator.faults.add(fault)
        await eventually(lambda: not venue.simulator.faults.waiting(), 20, f"one of {before} is hit")
        dropped += 1
        await asyncio.sleep(slot_s - wait_s)
    return dropped
