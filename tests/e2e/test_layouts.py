"""Originals under their translations, and one mixed track for each listener."""

from __future__ import annotations

import pytest

from parley.simulator import Fault

from .counting import gets, hears_all, publication, speech, track_name, words_on
from .venue import CountedSimulator, Venue

NAME = track_name("ann", "fr")


def _mixes(name: str, _publisher: str) -> bool:
    return name.startswith("parley-mix:")


@pytest.mark.long
async def test_the_original_is_under_its_translation_and_undimmed_where_the_model_is_silent(
    venue: Venue, simulator: CountedSimulator
) -> None:
    said, own = speech("en", 6), speech("fr", 4, voice=2)
    async with (
        venue.served(PARLEY_TRANSLATION__ORIGINAL="duck", PARLEY_DRAIN_S="0") as (_, room),
        venue.join(room, "ann", speaks="auto") as ann,
        venue.join(
            *(room, "bob"), hears="fr", auto_subscribe=True, hears_tracks=None, microphone=False
        ) as bob,
    ):
        await gets(bob, NAME)
        ann.say(said.pcm)
        await hears_all(bob, NAME, said)
        # What is in the listener's language already is not translated: the model says nothing.
        venue.simulator.faults.add(Fault("silent"))
        ann.say(own.pcm)
        await hears_all(bob, NAME, own)
        assert sorted(set(words_on(bob, "microphone", own))) == [], "the original was heard twice"


@pytest.mark.long
async def test_a_mixed_track_has_translations_and_originals_and_is_its_listeners_alone(
    venue: Venue,
) -> None:
    english, french = speech("en", 6), speech("fr", 6, voice=3)
    async with (
        venue.served(
            PARLEY_TRANSLATION__ORIGINAL="duck", PARLEY_TRANSLATION__LAYOUT="per_listener", PARLEY_DRAIN_S="0"
        ) as (_, room),
        venue.join(room, "ann", speaks="en", hears="en", hears_tracks=_mixes) as ann,
        venue.join(room, "cat", speaks="fr", hears="fr", hears_tracks=_mixes) as cat,
        venue.join(room, "bob", speaks="fr", hears="fr", hears_tracks=_mixes, microphone=False) as bob,
    ):
        for person in (ann, bob, cat):
            await gets(person, f"parley-mix:{person.identity}")
        ann.say(english.pcm)
        await hears_all(bob, "parley-mix:bob", english)
        await hears_all(cat, "parley-mix:cat", english)
        cat.say(french.pcm)
        await hears_all(bob, "parley-mix:bob", french)
        await hears_all(ann, "parley-mix:ann", french)
        assert words_on(cat, "parley-mix:cat", french) == [], "cat hears herself"
        assert words_on(ann, "parley-mix:ann", english) == [], "ann hears herself"
        for person in (ann, bob, cat):
            names = {recording.track_name for recording in person.recordings}
            assert names == {f"parley-mix:{person.identity}"}
        assert publication(bob, track_name("ann", "fr")) is None
