"""People who talk to their agents, and what they hear of them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np

from parley.demo import audio
from parley.demo.audio import Pcm
from parley.demo.people import Person
from parley.demo.recording import Caption, Recording
from parley.demo.speech import SAMPLE_RATE_HZ
from parley.simulator import SessionRecord

from .counting import Speech, gets, recordings
from .running import eventually
from .venue import Venue

QUIET_S = 0.7
"""A reply is over when nothing was heard for so long; its words are closer together."""


def agent_track(identity: str) -> str:
    """As SURFACE.md names it."""
    return f"parley-agent:{identity}"


def any_agent(name: str, _publisher: str) -> bool:
    """A listener who asks for every agent's and every translator's track."""
    return name.startswith("parley")


@asynccontextmanager
async def with_agent(
    venue: Venue, room: str, identity: str, agent: str, **preferences: str
) -> AsyncIterator[Person]:
    """Somebody with an agent, who is subscribed to its track."""
    joining = venue.join(room, identity, hears_tracks=any_agent, agent=agent, **preferences)
    async with joining as person:
        await gets(person, agent_track(identity))
        yield person


def voice(person: Person, of: str | None = None) -> Recording:
    """What a person got of the newest track of an agent."""
    return recordings(person, agent_track(of or person.identity))[-1]


async def hears_something(person: Person, since: float, within_s: float = 10.0) -> None:
    """Waits until the person's agent is heard after a moment (monotonic)."""
    deadline = time.monotonic() + within_s
    while voice(person).last_loud_s <= since:
        assert time.monotonic() < deadline, f"{person.identity}'s agent says nothing: {list(person.events)}"
        await asyncio.sleep(0.02)


async def hears_it_out(person: Person, since: float, within_s: float = 30.0) -> None:
    """Waits until the person's agent has said something since a moment, and has been quiet for a while."""
    await hears_something(person, since, within_s)
    deadline = time.monotonic() + within_s
    while time.monotonic() - voice(person).last_loud_s < QUIET_S:
        assert time.monotonic() < deadline, f"{person.identity}'s agent does not stop"
        await asyncio.sleep(0.02)


async def asks(person: Person, said: Speech) -> None:
    """Says something and hears the answer out."""
    began = person.say(said.pcm)
    await person.quiet()
    await hears_it_out(person, began + said.ends_s)


def lines(person: Person, sender: str | None = None) -> list[str]:
    """The final lines of conversations that a person was sent, in order."""
    return [c.text for c in agent_lines(person) if c.final and sender in (None, c.sender)]


def agent_lines(person: Person) -> list[Caption]:
    """All that a person was sent of conversations."""
    return [caption for caption in person.captions if caption.kind == "agent" and caption.complete]


def stretches(recording: Recording, *, gap_s: float = 0.1, peak: int = 300) -> list[tuple[float, float]]:
    """Where a recording is loud, in seconds; shorter gaps belong to it."""
    step = SAMPLE_RATE_HZ // 200
    pcm = recording.pcm
    count = len(pcm) // step
    loud = np.abs(pcm[: count * step].astype(np.int32)).reshape(count, step).max(axis=1) > peak
    found: list[tuple[float, float]] = []
    for index in np.flatnonzero(loud).tolist():
        begin, end = index * step / SAMPLE_RATE_HZ, (index + 1) * step / SAMPLE_RATE_HZ
        if found and begin - found[-1][1] <= gap_s:
            found[-1] = (found[-1][0], end)
        else:
            found.append((begin, end))
    return found


def brisk(said: Speech) -> Speech:
    """The same words with pauses of a tenth of a second, so that no VAD takes one for the end of a turn."""
    starts = tuple(0.5 * place for place in range(len(said.words)))
    pcm = np.zeros(round((starts[-1] + 0.45) * SAMPLE_RATE_HZ), np.int16)
    for start, word in zip(starts, said.words, strict=True):
        begin = round(start * SAMPLE_RATE_HZ)
        pcm[begin : begin + len(word.pcm)] = word.pcm
    return Speech(said.words, starts, pcm)


def noise(seconds: float, seed: int = 1) -> Pcm:
    """Unbroken noise, so that the end of what is heard is the place where it was cut."""
    return audio.noise(seconds, SAMPLE_RATE_HZ, seed)


async def conversation_of(venue: Venue, identity: str) -> SessionRecord:
    """The open session of somebody's agent: the one whose instructions name them."""

    def found() -> list[SessionRecord]:
        return [s for s in venue.open_sessions if f"<{identity}>" in str(s.settings.get("instructions"))]

    await eventually(lambda: bool(found()), 10, f"a session for {identity}")
    return found()[-1]


async def rpc(person: Person, venue: Venue, room: str, method: str, payload: Any = None) -> Any:
    """Calls the worker that serves a room."""
    (worker,) = [agent.identity for agent in await venue.agents(room)]
    answer = await person.room.local_participant.perform_rpc(
        destination_identity=worker, method=method, payload=json.dumps(payload), response_timeout=8.0
    )
    return json.loads(answer)
