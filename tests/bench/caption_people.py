"""A room of people who speak, one who reads their words and one who wants no captions."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from caption_words import LANGUAGE, PAUSE_S, PERIOD_S, PHRASE, WORDS, Read, Said, token, words_of

from livekit import rtc
from parley.demo.audio import Pcm
from parley.demo.livekit_server import LiveKitServer
from parley.demo.microphone import Stall
from parley.demo.people import Person
from parley.demo.recording import Caption
from parley.demo.speech import WORD_S, Utterance, render

STAGGER_S = 0.1
_JOIN_S = 60.0
_LEAD_S = 0.6
_PATIENCE_S = 12.0
_AGENT = rtc.ParticipantKind.PARTICIPANT_KIND_AGENT

Talk = dict[str, list[Said]]
"""What each speaker says."""


class People:
    """Use `people`."""

    def __init__(self, speakers: list[Person], reader: Person, other: Person) -> None:
        self.speakers = speakers
        self._reader = reader
        self._other = other
        self._spoken = [0] * len(speakers)

    async def served(self) -> None:
        """Wait until a worker is in the room and has written down everybody's first phrase."""
        async with asyncio.timeout(_JOIN_S):
            while not any(p.kind == _AGENT for p in self._reader.room.remote_participants.values()):
                await asyncio.sleep(0.1)
        for place, speaker in enumerate(self.speakers):
            for _ in range(5):
                speech = await asyncio.to_thread(self._prepare, place, 1)
                begin = time.monotonic()
                _say(speaker, *speech, begin + _LEAD_S)
                with contextlib.suppress(TimeoutError):
                    await self._reader.until(
                        lambda _, who=speaker, since=begin: any(c.final for c in self._lines(who, since)), 10
                    )
                    break
            else:
                raise TimeoutError(f"nothing of what {speaker.identity} says is written")

    async def say(self, phrases: int) -> Talk:
        """Everybody begins soon, one a little after the other; returns what they are going to say."""
        prepared = [
            await asyncio.to_thread(self._prepare, place, phrases) for place in range(len(self.speakers))
        ]
        begin = time.monotonic() + _LEAD_S
        return {
            speaker.identity: _say(speaker, *speech, begin + place * STAGGER_S)
            for place, (speaker, speech) in enumerate(zip(self.speakers, prepared, strict=True))
        }

    async def read(self, talk: Talk) -> Read:
        """Wait until all was said and written, or nothing more is likely to come; what the reader got."""
        since = min(said[0].ended for said in talk.values()) - WORD_S - _LEAD_S
        last = max(said[-1].ended for said in talk.values())
        while time.monotonic() < last + _PATIENCE_S:
            await asyncio.sleep(0.5)
            result = self._found(talk, since)
            if time.monotonic() > last + 2 and not result.lost and not result.taken_back:
                break
        return self._found(talk, since)

    @property
    def unasked(self) -> int:
        """Lines, each version counted, that came to the one who asked for none."""
        return len(self._other.captions)

    def stalled_s(self, since: float) -> float:
        """Seconds that microphones have missed since then, all together."""
        return sum(stall.lost_s for p in self.speakers for stall in p.stalls if stall.at_s >= since)

    def _found(self, talk: Talk, since: float) -> Read:
        result = Read()
        for speaker in self.speakers:
            said = _really(talk[speaker.identity], [s for s in speaker.stalls if s.at_s >= since])
            result.add(said, self._lines(speaker, since), speaker.identity)
        return result

    def _lines(self, speaker: Person, since: float) -> list[Caption]:
        """What was written of a speaker since then, by its track where it comes in another name."""
        assert speaker.room.local_participant is not None
        tracks = set(speaker.room.local_participant.track_publications)
        return [
            caption
            for caption in self._reader.captions
            if caption.started_s >= since
            and (
                caption.sender == speaker.identity
                or caption.attributes.get("lk.transcribed_track_id") in tracks
            )
        ]

    def _prepare(self, place: int, phrases: int) -> tuple[Pcm, list[Said]]:
        """What somebody says next; times from its beginning."""
        identity, words, first = self.speakers[place].identity, words_of(place), self._spoken[place]
        count = phrases * PHRASE
        self._spoken[place] += count
        utterances = [
            Utterance(identity, (first + i) % WORDS, i * PERIOD_S + i // PHRASE * PAUSE_S)
            for i in range(count)
        ]
        said = [
            Said(token(words[u.word]), u.start_s + WORD_S, (i + 1) % PHRASE == 0)
            for i, u in enumerate(utterances)
        ]
        return render(utterances, identity, words), said


def _really(said: list[Said], stalls: list[Stall]) -> list[Said]:
    """What was said, at the times at which it really was: after a microphone ran dry, all comes later."""
    moved = []
    for one in said:
        ended = one.ended
        for stall in stalls:
            ended += stall.lost_s if stall.at_s - stall.lost_s < ended else 0.0
        moved.append(replace(one, ended=ended))
    return moved


def _say(speaker: Person, pcm: Pcm, said: list[Said], at: float) -> list[Said]:
    began = speaker.say(pcm, at)
    return [replace(one, ended=began + one.ended) for one in said]


@contextlib.asynccontextmanager
async def people(server: LiveKitServer, room: str, speakers: int) -> AsyncIterator[People]:
    """The reader and the other one have no microphone. Nobody listens; those who speak throw away what is
    sent to them: reading it would keep their microphones waiting."""
    async with contextlib.AsyncExitStack() as stack:

        async def join(identity: str, microphone: bool = False, **wishes: str) -> Person:
            joining = Person.join(
                *(server.url, server.api_key, server.api_secret, room, identity),
                attributes={f"parley.{name}": value for name, value in wishes.items()},
                auto_subscribe=False,
                hears=lambda *_: False,
                microphone=microphone,
            )
            return await stack.enter_async_context(joining)

        reader = await join("reader", captions="original")
        other = await join("other", captions="off")
        talking = [await join(f"p{i}", microphone=True, speaks=LANGUAGE) for i in range(speakers)]
        for person in talking:
            person.room.unregister_text_stream_handler("lk.transcription")
        yield People(talking, reader, other)
