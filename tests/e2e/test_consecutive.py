"""Consecutive mode: as with an interpreter on a stage, one speaks or is translated at a time."""

from __future__ import annotations

import asyncio
import json

import pytest

from parley.demo.listening import find_words
from parley.demo.people import Person
from parley.demo.speech import SAMPLE_RATE_HZ

from .counting import THRESHOLD, WORD_S, Speech, gets, heard_once, recordings, speech, track_name
from .running import eventually
from .venue import Venue


@pytest.mark.long
async def test_a_phrase_is_heard_when_it_is_over_and_who_speaks_meanwhile_is_heard_after_it(
    venue: Venue,
) -> None:
    of_ann, of_bob = speech("en", 6), speech("fr", 4, voice=1)
    async with (
        venue.served(PARLEY_TRANSLATION__MODE="consecutive", PARLEY_DRAIN_S="0") as (_, room),
        venue.join(room, "ann", speaks="en", hears="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
    ):
        await gets(bob, track_name("ann", "fr"))
        await gets(ann, track_name("bob", "en"))
        began = ann.say(of_ann.pcm)
        await ann.quiet()
        await eventually(lambda: _listening(ann) == {"bob": "ann"}, 10, "bob is said to listen")
        bob.say(of_bob.pcm)
        await heard_once(bob, "ann", "fr", of_ann)
        await heard_once(ann, "bob", "en", of_bob)
        await eventually(lambda: _listening(ann) == {}, 5, "nobody is said to listen")
        first, last = await asyncio.to_thread(_heard_between, bob, track_name("ann", "fr"), of_ann)
        assert first > began + of_ann.ends_s, "the translation began before the phrase was over"
        after, _ = await asyncio.to_thread(_heard_between, ann, track_name("bob", "en"), of_bob)
        assert after > last, "two voices at once"


def _listening(person: Person) -> dict[str, str] | None:
    """What the worker's attribute says; None: it was never set."""
    for participant in person.room.remote_participants.values():
        if "parley.listening" in participant.attributes:
            found: dict[str, str] = json.loads(participant.attributes["parley.listening"])
            return found
    return None


def _heard_between(listener: Person, name: str, said: Speech) -> tuple[float, float]:
    """When the first word that was heard on a track began, and when the last was over (monotonic)."""
    times = [
        recording.time_of(heard.start_s)
        for recording in recordings(listener, name)
        for heard in find_words(recording.pcm, SAMPLE_RATE_HZ, said.words, threshold=THRESHOLD)
    ]
    return min(times), max(times) + WORD_S
