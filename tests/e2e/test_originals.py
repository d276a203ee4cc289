"""What becomes of the original voice for those who hear a translation of it."""

from __future__ import annotations

import asyncio

import pytest

from parley.demo.people import Person
from parley.simulator import Fault

from .counting import Speech, both, gets, heard_out, hears_all, speech, told, track_name, words_on
from .talking import rpc
from .venue import CountedSimulator, Venue

NAME = track_name("ann", "fr")
MICROPHONE = "microphone"


@pytest.mark.long
async def test_a_listener_loses_the_original_while_it_is_translated_and_has_it_back_when_that_fails_or_ends(
    venue: Venue, simulator: CountedSimulator
) -> None:
    parts = [speech("en", 4, first=4 * number) for number in range(4)]
    async with (
        venue.served(PARLEY_TRANSLATION__ORIGINAL="mute", PARLEY_DRAIN_S="0") as (_, room),
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", hears="fr", auto_subscribe=True, hears_tracks=None) as bob,
        venue.join(room, "cat", auto_subscribe=True, hears_tracks=None, microphone=False) as cat,
    ):
        await gets(bob, NAME)
        await _muted(bob, venue, room, ["bob"])
        await _say(ann, parts[0])
        await heard_out(bob, NAME, parts[0])
        assert words_on(bob, NAME, parts[0]) == [0, 1, 2, 3]
        assert words_on(bob, MICROPHONE, parts[0]) == [], "the original was heard beside the translation"

        venue.simulator.faults.add(Fault("refuse", status=503, times=1_000))
        venue.simulator.faults.add(Fault("drop"))
        await _say(ann, parts[1])
        await told(bob, "session.failed")
        await _muted(bob, venue, room, [])
        await _say(ann, parts[2])
        assert await hears_all(bob, MICROPHONE, parts[2]) == [0, 1, 2, 3]

        venue.simulator.faults.clear()
        await told(bob, "session.recovered", 40)
        await _muted(bob, venue, room, ["bob"])
        await bob.room.local_participant.set_attributes({"parley.hears": "original"})
        await _muted(bob, venue, room, [])
        await _say(ann, parts[3])
        for listener in (bob, cat):
            assert await hears_all(listener, MICROPHONE, parts[3]) == [0, 1, 2, 3]
        everything = both(both(parts[0], parts[1]), both(parts[2], parts[3]))
        heard = words_on(cat, MICROPHONE, everything)
        assert heard == list(range(16)), "nothing is taken from those who hear no translation"


async def _say(speaker: Person, said: Speech) -> None:
    speaker.say(said.pcm)
    async with asyncio.timeout(30):
        while speaker.speaking:
            await asyncio.sleep(0.05)


async def _muted(person: Person, venue: Venue, room: str, listeners: list[str]) -> None:
    """Waits until the worker has taken originals from these and nobody else."""
    async with asyncio.timeout(20):
        while sorted((await rpc(person, venue, room, "parley.state"))["muted"]) != listeners:
            await asyncio.sleep(0.5)
