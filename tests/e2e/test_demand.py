"""Nothing is opened and nothing is sent that nobody wants, and what is wanted twice is paid once."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import numpy as np
import pytest

from .counting import gets, heard_once, publication, speech, track_name
from .running import eventually
from .talking import rpc
from .venue import Venue

PRE_ROLL_S = 0.4 + 0.3
"""The setting, and what the frames add to it: 100 ms captured, 200 ms sent."""
SILENCE_S = 0.5
TAIL_S = 5.0
"""The tail ends by what the output does: well before the ten seconds that it may last at most."""


@pytest.mark.long
async def test_no_session_without_a_listener_and_none_while_nobody_speaks(venue: Venue) -> None:
    room = await venue.room()
    wanted, silent = await venue.room(), speech("en", 1)
    async with (
        venue.join(room, "alone", speaks="en") as alone,
        venue.join(room, "same", speaks="en", hears="en"),
        venue.join(wanted, "ann", speaks="en") as ann,
        venue.join(wanted, "dead", speaks="en") as dead,
        venue.join(wanted, "bob", speaks="fr", hears="fr") as bob,
    ):
        await gets(bob, track_name("ann", "fr"))
        await gets(bob, track_name("dead", "fr"))
        # A microphone that is switched off at the device: digital silence over the noise.
        assert dead.microphone is not None
        dead.microphone._noise = _Silence()  # type: ignore[assignment]
        said = speech("en", 7)
        alone.say(said.pcm)
        await alone.quiet()
        assert not venue.sessions, "a session that nobody hears, or in which nobody speaks"
        assert venue.simulator.connections_open == 0
        ann.say(silent.pcm)
        await heard_once(bob, "ann", "fr", silent)
        assert [session.language for session in venue.sessions] == ["fr"]


async def test_a_phrase_of_one_second_costs_a_second_the_pre_roll_and_the_tail(venue: Venue) -> None:
    room = await venue.room()
    said = speech("en", 2)
    phrase_s = said.ends_s
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
        venue.join(room, "ben", speaks="fr", hears="fr") as ben,
        venue.join(room, "bea", speaks="en", hears="fr") as bea,
    ):
        for listener in (bob, ben, bea):
            await gets(listener, track_name("ann", "fr"))
        ann.say(said.pcm)
        for listener in (bob, ben, bea):
            await heard_once(listener, "ann", "fr", said)
        (session,) = venue.sessions
        sent = await _sent_at_rest(session)
        assert phrase_s <= sent <= phrase_s + PRE_ROLL_S + SILENCE_S + TAIL_S

        for listener in (bob, ben):
            await listener.room.local_participant.set_attributes({"parley.hears": "original"})
        more = speech("en", 2, first=2)
        ann.say(more.pcm)
        await eventually(lambda: session.audio_received_s > sent, 10, "the one listener left is served")
        assert session.closed_at is None
        await bea.room.local_participant.set_attributes({"parley.hears": "original"})
        await eventually(lambda: session.close_reason == "session.close", 20, "the session is closed")
        await eventually(
            lambda: publication(bob, track_name("ann", "fr")) is None, 20, "the track is unpublished"
        )
        assert len(venue.sessions) == 1


async def test_who_only_listens_takes_no_track_and_is_heard_from_the_first_word_when_they_speak_up(
    venue: Venue,
) -> None:
    room = await venue.room()
    said = speech("en", 6, phrase=6)
    wishes = {f"listener {number}": ("fr", "de", "es")[number % 3] for number in range(6)}
    async with AsyncExitStack() as stack:
        people = {
            name: await stack.enter_async_context(
                venue.join(room, name, speaks="en", hears=language, microphone=False)
            )
            for name, language in wishes.items()
        }
        ann = await stack.enter_async_context(venue.join(room, "ann", speaks="en", microphone=False))
        state = {}
        while len(state.get("people", ())) < 7:
            state = await rpc(ann, venue, room, "parley.state")
        assert (state["translations"], state["tracks"]) == ([], {})
        microphone = await ann.open_microphone()
        await microphone.wait_for_subscription()
        ann.say(said.pcm)
        for name, language in wishes.items():
            await heard_once(people[name], "ann", language, said)
        state = await rpc(ann, venue, room, "parley.state")
        spoken = {(t["speaker"], t["language"]) for t in state["tracks"].values()}
        assert spoken == {("ann", language) for language in ("fr", "de", "es")}
        assert len(venue.sessions) == 3


async def _sent_at_rest(session: object) -> float:
    """Seconds of audio that a session got, once it gets no more."""
    before = -1.0
    while (now := session.audio_received_s) != before:  # type: ignore[attr-defined]
        before = now
        await asyncio.sleep(1.0)
    return before


class _Silence:
    """In place of a random generator: digital silence."""

    def standard_normal(self, size: int, _dtype: type) -> object:
        return np.zeros(size, np.float32)
