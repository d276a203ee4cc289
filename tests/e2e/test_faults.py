"""Sessions that are lost, refused or at their end: what was said meanwhile is kept, sent, and heard once."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest

from parley.simulator import Fault

from .counting import events, gets, heard_once, heard_out, speech, told, track_name, words_on
from .running import eventually
from .venue import Venue

NAME = track_name("ann", "fr")
WORDS = 10


async def test_a_session_that_is_lost_in_mid_speech_costs_at_most_the_word_it_cuts(venue: Venue) -> None:
    room = await venue.room()
    said = speech("en", WORDS, phrase=5, pause_s=1.2)
    faults = {"fr": Fault("drop", language="fr", after_audio_s=3.0)}
    faults["de"] = Fault("expire", language="de", after_audio_s=4.4)
    faults["es"] = Fault("close", language="es", after_audio_s=5.0)
    for fault in faults.values():
        venue.simulator.faults.add(fault)
    async with contextlib.AsyncExitStack() as stack:
        ann = await stack.enter_async_context(venue.join(room, "ann", speaks="en"))
        listeners = {}
        for language in faults:
            joining = venue.join(room, language, hears=language, microphone=False)
            listeners[language] = await stack.enter_async_context(joining)
            await gets(listeners[language], track_name("ann", language))
        ann.say(said.pcm)
        for language, listener in listeners.items():
            await heard_out(listener, track_name("ann", language), said)
            failed = [event["language"] for event in events(listener, "session.failed")]
            assert sorted(failed) == sorted(faults)
            assert len(events(listener, "session.recovered")) == len(faults)
            found = words_on(listener, track_name("ann", language), said)
            # A word that the loss cuts in two comes in two pieces, and the filter may know neither.
            assert found == sorted(set(found)), f"{faults[language].kind}: doubled or out of order: {found}"
            assert len(found) >= WORDS - 1, f"{faults[language].kind}: lost: {found}"
            assert not events(listener, "audio.dropped")
        assert len(venue.sessions) == 2 * len(faults)


@pytest.mark.long
@pytest.mark.parametrize("status", [500, 429])
async def test_a_connect_that_is_refused_for_a_while_loses_no_word(venue: Venue, status: int) -> None:
    room = await venue.room()
    said = speech("en", 6)
    venue.simulator.faults.add(Fault("refuse", status=status, times=3, retry_after_s=0.5))
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
    ):
        await gets(bob, NAME)
        ann.say(said.pcm)
        await told(bob, "session.recovered", 30)
        await heard_once(bob, "ann", "fr", said)
        assert len(events(bob, "session.failed")) == 1, "three refusals are one piece of news"


def _open(venue: Venue) -> int:
    """How many sessions are open."""
    return sum(session.closed_at is None for session in venue.sessions)


@pytest.mark.long
async def test_a_session_near_its_end_is_replaced_at_a_pause_and_no_word_is_lost(venue: Venue) -> None:
    room = await venue.room()
    said = speech("en", 8, phrase=4, pause_s=4.0)
    options = venue.simulator.options
    # A session is replaced when a quarter of its life is left: here after four and a half seconds.
    venue.simulator.options = replace(options, session_lifetime_s=6.0)
    try:
        async with (
            venue.join(room, "ann", speaks="en") as ann,
            venue.join(room, "bob", speaks="fr", hears="fr") as bob,
        ):
            await gets(bob, NAME)
            ann.say(said.pcm)
            await heard_once(bob, "ann", "fr", said)
            assert len(venue.sessions) >= 2, "it was not replaced"
            # The next one begins before the one that it replaces is closed.
            await eventually(lambda: _open(venue) == 1, 5, "the replaced sessions are closed")
            assert {s.close_reason for s in venue.sessions if s.closed_at} == {"session.close"}
            assert not bob.events
    finally:
        venue.simulator.options = options
