"""A room of people: some have their microphone open and say nothing, some speak countable words.

Everybody may speak and everybody wants their own language, so a worker has to be ready to translate each
member into each language that is not theirs. Of every translation of somebody who speaks there is one
witness, who hears the speaker's own microphone too: total time less that of the plain path is what a
worker adds.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from itertools import count

from livekit import rtc
from parley.demo.audio import Pcm
from parley.demo.livekit_server import LiveKitServer
from parley.demo.people import Person
from parley.demo.recording import Recording
from parley.demo.speech import WORD_S, Utterance, Word, countable_words, render

LANGUAGES = ("en", "fr", "de")
WORDS = 24
PERIOD_S = 0.83
"""From word to word; not a multiple of the model's 200 ms frame, so that all phases are met."""
PHRASE = 6
PAUSE_S = 2.0
STAGGER_S = 0.37
_JOIN_S = 60.0
_AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT


@dataclass(frozen=True)
class Talk:
    """What one speaker says, and when: (word, moment it is spoken on the monotonic clock)."""

    said: tuple[tuple[int, float], ...]

    @property
    def seconds(self) -> float:
        """The length of all phrases, with the gaps between their words."""
        return len(self.said) * PERIOD_S


@dataclass
class Member:
    """A person of the meeting."""

    identity: str
    language: str
    number: int
    speaks: bool
    witnesses: list[tuple[str, str]] = field(default_factory=list)
    """Of which translations, as (speaker, language)."""
    person: Person | None = None

    def hears(self, track: str, publisher: str) -> bool:
        """The translations it is witness of, and the microphones they come from."""
        return any(
            track.endswith(f":{speaker}:{language}") or (publisher == speaker and track == "microphone")
            for speaker, language in self.witnesses
        )

    def words(self) -> tuple[Word, ...]:
        """The words this member says, in a voice of its own."""
        return countable_words(self.language, voice=self.number, count=WORDS)


class Meeting:
    """People who are in a room. Use `meeting`."""

    def __init__(self, members: list[Member]) -> None:
        self.members = members

    @property
    def speakers(self) -> list[Member]:
        """Those who say something."""
        return [member for member in self.members if member.speaks]

    @property
    def translations(self) -> list[tuple[Member, Member, str]]:
        """(witness, speaker, language) of everything that is to be heard."""
        by_name = {member.identity: member for member in self.members}
        return [
            (witness, by_name[speaker], language)
            for witness in self.members
            for speaker, language in witness.witnesses
        ]

    async def served(self) -> None:
        """Wait until a worker is in the room."""
        room = _person(self.members[0]).room
        async with asyncio.timeout(_JOIN_S):
            while not any(p.kind == _AGENT for p in room.remote_participants.values()):
                await asyncio.sleep(0.1)

    async def translated(self) -> None:
        """Wait until every witness is subscribed to its translations."""
        for member in self.members:
            wanted = member.witnesses
            await _person(member).until(
                lambda p, wanted=wanted: all(_find(p.recordings, s, w) for s, w in wanted), _JOIN_S
            )

    def speak(self, seconds: float) -> dict[str, Talk]:
        """Everybody who speaks begins in a second and ends within `seconds`; returns what was planned."""
        begin = time.monotonic() + 1.0
        return {
            member.identity: _say(member, begin + place * STAGGER_S, seconds - place * STAGGER_S)
            for place, member in enumerate(self.speakers)
        }

    def stalled_s(self, since: float) -> float:
        """Seconds that microphones have missed since then: a starved run proves nothing."""
        return sum(stall.lost_s for m in self.members for stall in _person(m).stalls if stall.at_s >= since)


def recordings(witness: Member, speaker: str, language: str) -> tuple[Recording | None, Recording | None]:
    """What a witness has of a translation, and of the microphone behind it."""
    heard = _person(witness).recordings
    return _find(heard, speaker, language), _find(heard, speaker, None)


@contextlib.asynccontextmanager
async def meeting(
    server: LiveKitServer, room: str, size: int, speakers: int, *, captions: bool
) -> AsyncIterator[Meeting]:
    """`size` people in a room, the first `speakers` of whom are going to speak."""
    languages = LANGUAGES[:size]
    members = [Member(f"p{i}", languages[i % len(languages)], i, speaks=i < speakers) for i in range(size)]
    for speaker in members[:speakers]:
        for language in languages:
            able = [m for m in members if m.language == language and m is not speaker]
            if language != speaker.language:
                able[speaker.number % len(able)].witnesses.append((speaker.identity, language))
    async with contextlib.AsyncExitStack() as stack:
        for member in members:
            attributes = {"parley.speaks": member.language, "parley.hears": member.language}
            if captions:
                attributes["parley.captions"] = member.language
            person = Person.join(
                *(server.url, server.api_key, server.api_secret, room, member.identity),
                attributes=attributes,
                auto_subscribe=False,
                hears=member.hears,
            )
            member.person = await stack.enter_async_context(person)
        yield Meeting(members)


async def idle_room(stack: contextlib.AsyncExitStack, server: LiveKitServer, room: str) -> None:
    """Two people with open microphones who speak different languages and say nothing."""
    people = await stack.enter_async_context(meeting(server, room, 2, 0, captions=False))
    await people.served()


def _say(member: Member, begin: float, seconds: float) -> Talk:
    utterances = []
    for i in count():
        start = i * PERIOD_S + i // PHRASE * PAUSE_S
        ends = start + (PHRASE - i % PHRASE) * PERIOD_S
        if i % PHRASE == 0 and ends > seconds and i:
            break
        if start + WORD_S > seconds:
            break
        utterances.append(Utterance(member.identity, i % WORDS, start))
    pcm: Pcm = render(utterances, member.identity, member.words())
    began = _person(member).say(pcm, begin)
    return Talk(tuple((u.word, began + u.start_s) for u in utterances))


def _person(member: Member) -> Person:
    assert member.person is not None, "the meeting has not begun"
    return member.person


def _find(heard: list[Recording], speaker: str, language: str | None) -> Recording | None:
    """The newest recording of a translation, or of a microphone where no language is given."""
    for recording in reversed(heard):
        if language is None and not recording.from_agent and recording.publisher_identity == speaker:
            return recording
        if language and recording.from_agent and recording.track_name.endswith(f":{speaker}:{language}"):
            return recording
    return None
