"""What real networks and real rooms do to a worker: connections that blip, people who come and go.

PARLEY_CROWD sets how many come and go (8), PARLEY_CROWD_S for how many seconds (10).
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import sys
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from livekit import rtc
from parley.demo.livekit_server import LiveKitServer
from parley.demo.people import Person
from parley.simulator import Turn

from .conftest import AGENTS
from .counting import (
    PERIOD_S,
    WORD_S,
    audible,
    events,
    gets,
    heard_out,
    hears_all,
    recordings,
    rests,
    speech,
    spoken,
    told,
    track_name,
    words_on,
)
from .running import environment, eventually, running_worker
from .talking import agent_track, hears_something, rpc, with_agent
from .venue import Venue

NAME = track_name("ann", "fr")
CROWD = int(os.environ.get("PARLEY_CROWD", "8"))
CROWD_S = float(os.environ.get("PARLEY_CROWD_S", "10"))
GROWN_MB = 5.0 if CROWD_S >= 60 else 15.0
"""What comes and goes leaves nothing; a job that has just begun is still warming up."""
PACE = max(1.0, CROWD / 4 - 1)
"""Two or three come each second, however many they are: a client that joins takes a quarter of a core, and
so does the server for it."""


class Proxy:
    """Between a worker and LiveKit's signalling; media go past it."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._to = (str(address.hostname), int(address.port or 0))
        self._writers: set[asyncio.StreamWriter] = set()
        self._refusals = 0
        self.url = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Proxy]:
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            self.cut()
            server.close()

    def cut(self, *, refusals: int = 0) -> None:
        """Ends what is connected, without a word; the next `refusals` who connect are sent away.

        Who is refused to resume a connection makes a new one.
        """
        self._refusals = refusals
        for writer in list(self._writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if self._refusals and head.startswith(b"GET /rtc"):
            self._refusals -= 1
            writer.write(
                b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            )
            writer.close()
            return
        there_reader, there_writer = await asyncio.open_connection(*self._to)
        there_writer.write(head)
        both = {writer, there_writer}
        self._writers |= both
        try:
            await asyncio.gather(_pump(reader, there_writer), _pump(there_reader, writer))
        finally:
            self._writers -= both
            for each in both:
                each.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.transport.abort()


@pytest.mark.long
async def test_the_workers_connection_to_livekit_is_cut_while_somebody_speaks_and_no_word_is_lost(
    venue: Venue, server: LiveKitServer
) -> None:
    said, more = speech("en", 14), speech("en", 4, first=14)
    async with (
        Proxy(venue.server.url).running() as proxy,
        venue.served(PARLEY_DRAIN_S="0", LIVEKIT_URL=proxy.url) as (worker, room),
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
    ):
        await gets(bob, NAME)
        ann.say(said.pcm)
        await bob.until(lambda p: any(audible(r) for r in p.recordings), 20)
        proxy.cut()
        await heard_out(bob, NAME, said)
        assert words_on(bob, NAME, said) == list(range(14))
        await worker.until("/readyz", 200, 30)
        await gets(bob, NAME)
        ann.say(more.pcm)
        await heard_out(bob, NAME, more)
        assert words_on(bob, NAME, more) == list(range(4))


def _touched(duration_s: float) -> int:
    """How many words at most a gap can cut or swallow."""
    return int((duration_s + WORD_S) / PERIOD_S) + 1


@pytest.mark.parametrize("refusals", [1, 3])
@pytest.mark.long
async def test_a_connection_that_is_made_anew_costs_what_is_said_to_it_meanwhile_and_that_is_announced(
    venue: Venue, refusals: int
) -> None:
    said, more = speech("en", 14), speech("en", 4, first=14)
    async with (
        Proxy(venue.server.url).running() as proxy,
        venue.served(PARLEY_DRAIN_S="0", LIVEKIT_URL=proxy.url) as (worker, room),
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
        venue.join(room, "cem", hears="fr", microphone=False) as cem,
    ):
        await gets(bob, NAME)
        await gets(cem, NAME)
        ann.say(said.pcm)
        await bob.until(lambda p: any(audible(r) for r in p.recordings), 20)
        proxy.cut(refusals=refusals)
        dropped = await told(bob, "audio.dropped", 40)
        assert dropped["speaker"] == "ann"
        missed_s = float(str(dropped["detail"]).split()[0])
        await heard_out(bob, NAME, said)
        found = words_on(bob, NAME, said)
        assert words_on(cem, NAME, said) == found, "one listener came back later than the other"
        lost = sorted(set(range(14)) - set(found))
        assert found == sorted(set(found)), f"doubled or out of order: {found}"
        assert len(lost) <= _touched(missed_s), f"{found} with {missed_s} s announced"
        assert not lost or lost[-1] - lost[0] == len(lost) - 1, f"lost in more than one place: {lost}"
        assert len(recordings(bob, NAME)) == 2, "the same track once more"
        assert len(venue.sessions) == 1, "the session went on"
        await gets(bob, NAME)
        ann.say(more.pcm)
        await heard_out(bob, NAME, more)
        assert words_on(bob, NAME, more) == list(range(4))
        assert len(events(bob, "audio.dropped")) == 1
        counted_s = (await worker.metrics())['parley_audio_dropped_seconds_total{where="ingress"}']
        assert counted_s == pytest.approx(missed_s, abs=0.1)


@pytest.mark.parametrize("refusals", [1, 3])
@pytest.mark.long
async def test_a_worker_that_stands_by_takes_nothing_from_one_whose_connection_is_made_anew(
    venue: Venue, server: LiveKitServer, refusals: int
) -> None:
    said, more = speech("en", 14), speech("en", 4, first=14)
    async with (
        Proxy(venue.server.url).running() as proxy,
        venue.served(PARLEY_DRAIN_S="0", LIVEKIT_URL=proxy.url) as (first, room),
        running_worker(environment(server, venue.simulator.base_url), beside=first) as second,
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr", captions="fr") as bob,
        venue.join(room, "cem", speaks="fr", hears="fr", microphone=False) as cem,
    ):
        await gets(bob, NAME)
        (serving,) = _workers(bob)
        await venue.dispatch(room, second)
        await eventually(lambda: len(_workers(bob)) == 2, 20, "two workers are in the room")
        await gets(cem, NAME)
        ann.say(said.pcm)
        await bob.until(lambda p: any(audible(r) for r in p.recordings), 20)
        proxy.cut(refusals=refusals)
        dropped = await told(bob, "audio.dropped", 40)
        missed_s = float(str(dropped["detail"]).split()[0])
        await heard_out(bob, NAME, said)
        found = words_on(bob, NAME, said)
        assert found == sorted(set(found)), f"doubled or out of order: {found}"
        assert len(found) >= 14 - _touched(missed_s), f"{found} with {missed_s} s announced"
        assert words_on(cem, NAME, said) == found
        assert len(venue.sessions) == 1, "the session went on, and nobody began another"
        assert {r.publisher_identity for r in recordings(bob, NAME)} == {serving}
        await gets(bob, NAME)
        ann.say(more.pcm)
        await heard_out(bob, NAME, more)
        assert words_on(bob, NAME, more) == list(range(4))
        for listener in (bob, cem):
            told_tracks = _described(listener)
            assert list(told_tracks) == [serving], "one worker alone says which track is what"
            (track,) = _tracks_of(listener, serving)
            assert told_tracks[serving] == {
                track.sid: {"speaker": "ann", "language": "fr", "kind": "translation"}
            }
        captions = [c for c in bob.captions if c.final]
        assert captions[-1].attributes["lk.transcribed_track_id"] == track.sid, (
            "captions name the track as it is now"
        )
        assert len({c.segment_id for c in captions}) == len(captions)


def _workers(person: Person) -> list[str]:
    there = person.room.remote_participants.values()
    return [p.identity for p in there if "parley.worker" in p.attributes]


def _described(person: Person) -> dict[str, Any]:
    """What each worker says of its tracks, as far as it says anything."""
    there = person.room.remote_participants.values()
    said = {p.identity: json.loads(p.attributes.get("parley.tracks") or "{}") for p in there}
    return {identity: tracks for identity, tracks in said.items() if tracks}


def _tracks_of(person: Person, worker: str) -> list[rtc.RemoteTrackPublication]:
    return list(person.room.remote_participants[worker].track_publications.values())


@pytest.mark.parametrize("refusals", [1, 3])
@pytest.mark.long
async def test_an_answer_goes_on_when_the_connection_was_made_anew_and_no_word_of_it_is_lost(
    venue: Venue, refusals: int
) -> None:
    text, reply = spoken(0, 14)
    venue.simulator.script.add(Turn(say=text))
    async with (
        Proxy(venue.server.url).running() as proxy,
        venue.served(PARLEY_DRAIN_S="0", LIVEKIT_URL=proxy.url, **AGENTS) as (_, room),
        with_agent(venue, room, "ann", "listener") as ann,
    ):
        track = agent_track("ann")
        began = ann.say(speech("en", 2, first=14).pcm)
        await ann.quiet()
        await hears_something(ann, began)
        proxy.cut(refusals=refusals)
        assert await hears_all(ann, track, reply, 40) == list(range(14))
        await rests(ann, track)
        assert await asyncio.to_thread(words_on, ann, track, reply) == list(range(14))
        assert len(recordings(ann, track)) == 2, "the same track once more"
        assert len(venue.sessions) == 1, "the session went on"


@pytest.mark.timeout(180 + 2 * CROWD_S)
@pytest.mark.long
async def test_people_come_go_and_change_their_language_at_random_and_what_is_left_is_right(
    venue: Venue,
) -> None:
    until = time.monotonic() + CROWD_S
    room = await venue.room()
    said = speech("en", 24, phrase=6, pause_s=1.5)
    dice = random.Random(7)
    languages = ("fr", "de", "es", "original")

    async def visitor(number: int) -> None:
        while time.monotonic() < until:
            await asyncio.sleep(dice.random() * 2 * PACE)
            wish = dice.choice(languages)
            identity = f"guest {number}"
            async with venue.join(room, identity, hears=wish, microphone=False) as guest:
                for _ in range(3):
                    await asyncio.sleep(dice.random() * PACE)
                    wishes = {
                        "parley.hears": dice.choice(languages),
                        "parley.captions": dice.choice(languages),
                    }
                    await guest.room.local_participant.set_attributes(wishes)

    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr", microphone=False) as bob,
    ):
        await gets(bob, NAME)
        rounds = 0
        sizes: list[float] = []
        async with asyncio.TaskGroup() as group:
            for number in range(CROWD):
                group.create_task(visitor(number))
            while not rounds or time.monotonic() < until:
                rounds += 1
                ann.say(said.pcm)
                await ann.quiet()
                sizes.append(max(venue.worker.resident_mb.values()))
        await heard_out(bob, NAME, said, 40)
        assert await asyncio.to_thread(words_on, bob, NAME, said) == list(range(24)) * rounds
        await eventually(lambda: len(venue.open_sessions) <= 1, 40, "sessions that nobody wants are closed")
        state = await rpc(bob, venue, room, "parley.state")
        assert sorted(state["people"]) == ["ann", "bob"]
        assert [(t["speaker"], t["language"]) for t in state["translations"]] == [("ann", "fr")]
        (described,) = state["tracks"].values()
        assert described == {"speaker": "ann", "language": "fr", "kind": "translation"}

        def published() -> list[str]:
            people = bob.room.remote_participants.values()
            names = [t.name for p in people for t in p.track_publications.values()]
            return [name for name in names if name.startswith("parley")]

        await eventually(lambda: published() == [NAME], 10, "no track is left over")
        grown_mb = max(venue.worker.resident_mb.values()) - sizes[len(sizes) // 3]
        sys.stdout.write(
            f"{rounds} rounds; the job grew by {grown_mb:.1f} MB since a third of them had passed\n"
        )
        assert grown_mb < GROWN_MB, [round(size) for size in sizes]
