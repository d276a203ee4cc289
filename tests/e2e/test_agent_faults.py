"""Conversations whose session is lost, refused or at its end: answers are finished, nothing is forgotten."""

from __future__ import annotations

import asyncio
import time

import pytest

from parley.demo.people import Person
from parley.simulator import Fault, SessionRecord, Turn

from .conftest import AGENTS
from .counting import Speech, both, events, hears_all, rests, speech, spoken, told, words_on
from .running import eventually
from .talking import agent_track, asks, brisk, hears_it_out, hears_something, lines, voice, with_agent
from .venue import Venue

REPLY = 12


def _heard(person: Person, said: Speech) -> list[int]:
    return words_on(person, agent_track(person.identity), said)


def _conversations(venue: Venue) -> list[SessionRecord]:
    return [session for session in venue.sessions if session.kind == "conversation"]


@pytest.mark.parametrize("kind", ["drop", pytest.param("expire", marks=pytest.mark.long)])
async def test_an_answer_that_is_cut_is_finished_and_the_next_one_knows_what_was_said(
    venue: Venue, kind: str
) -> None:
    room = await venue.room()
    text, reply = spoken(0, REPLY)
    venue.simulator.script.add(Turn(say="something before"), Turn(say=text))
    async with with_agent(venue, room, "ann", "listener") as ann:
        await asks(ann, speech("en", 2, first=12))
        sent = _conversations(venue)[0].audio_sent_s
        venue.simulator.faults.add(Fault(kind, session="conversation", after_sent_s=sent + 2.0))  # type: ignore[arg-type]
        question = speech("en", 2, first=14)
        began = ann.say(question.pcm)
        await hears_it_out(ann, began + question.ends_s)
        heard = await asyncio.to_thread(_heard, ann, reply)
        # The word that the loss cuts in two is said again.
        assert sorted(set(heard)) == list(range(REPLY)), f"{kind}: {heard}"
        assert heard == sorted(heard), f"{kind}: {heard}"
        assert len(heard) <= REPLY + 1, f"{kind}: {heard}"
        await asks(ann, speech("en", 2, first=16))
        first, second = _conversations(venue)
        assert first.close_reason != "client gone"
        context = " ".join(second.responses[-1].context)
        assert "something before" in context
        assert text.split()[0] in context
        assert text.split()[-1] in context
        assert first.refused == second.refused == []


@pytest.mark.long
async def test_an_answer_that_stalls_is_finished_by_the_next_session_and_every_word_is_heard_once(
    venue: Venue,
) -> None:
    text, reply = spoken(0, REPLY)
    venue.simulator.script.add(Turn(say=text))
    async with (
        venue.served(PARLEY_VOICE_AGENT__STALL_S="5", **AGENTS) as (worker, room),
        with_agent(venue, room, "ann", "listener") as ann,
    ):
        venue.simulator.faults.add(Fault("stall", session="conversation", after_sent_s=2.0, duration_s=15.0))
        ann.say(speech("en", 2, first=14).pcm)
        await hears_all(ann, agent_track("ann"), reply, 40)
        await rests(ann, agent_track("ann"))
        heard = await asyncio.to_thread(_heard, ann, reply)
        assert heard == list(range(REPLY)), heard
        first, second = _conversations(venue)
        begun = first.responses[-1].first_audio_at
        assert begun is not None
        assert 5 <= second.opened_at - begun < 10, (
            "by the watch over answers, before the one over microphones"
        )
        assert first.refused == second.refused == []
        assert "a response does not go on" in str((await told(ann, "session.failed"))["detail"])
        await told(ann, "session.recovered")
        counted = {
            series: value
            for series, value in (await worker.metrics()).items()
            if series.startswith("parley_session_failures_total")
        }
        assert counted == {'parley_session_failures_total{kind="voice_agent",reason="ConnectionLost"}': 1.0}


@pytest.mark.parametrize(
    ("kind", "after_s"),
    [
        pytest.param("drop", 0.3, marks=pytest.mark.long),
        pytest.param("expire", 1.2, marks=pytest.mark.long),
        pytest.param("drop", 2.2, marks=pytest.mark.long),
        ("expire", 3.1),
    ],
)
async def test_an_utterance_that_a_loss_cuts_is_answered_whole(
    venue: Venue, kind: str, after_s: float
) -> None:
    room = await venue.room()
    said = brisk(speech("en", 6))
    async with with_agent(venue, room, "ann", "listener") as ann:
        await eventually(lambda: bool(_conversations(venue)), 10, "its session is open")
        (session,) = _conversations(venue)
        received = session.audio_received_s
        venue.simulator.faults.add(
            Fault(kind, session="conversation", after_audio_s=received + after_s)  # type: ignore[arg-type]
        )
        began = ann.say(said.pcm)
        await hears_it_out(ann, began + said.ends_s)
        heard = await asyncio.to_thread(_heard, ann, said)
        assert heard == list(range(6)), f"{kind} after {after_s} s: {heard}"
        answers = [r for s in _conversations(venue) for r in s.responses if r.audio_ms]
        assert answers
        await ann.until(lambda p: bool(lines(p, "ann")), 10)
        assert len(_conversations(venue)) == 2
        assert not [code for s in _conversations(venue) for code in s.refused]


@pytest.mark.long
async def test_an_api_that_refuses_for_a_while_loses_no_word(venue: Venue) -> None:
    room = await venue.room()
    said = brisk(speech("en", 4))
    async with with_agent(venue, room, "ann", "listener") as ann:
        await asks(ann, said)
        venue.simulator.faults.add(Fault("refuse", status=429, times=2, retry_after_s=0.5))
        sent = _conversations(venue)[0].audio_received_s
        venue.simulator.faults.add(Fault("drop", session="conversation", after_audio_s=sent + 1.0))
        more = brisk(speech("en", 6, first=4))
        began = ann.say(more.pcm)
        await hears_it_out(ann, began + more.ends_s)
        heard = await asyncio.to_thread(_heard, ann, both(said, more))
        assert heard == list(range(10)), heard


async def test_a_spent_quota_ends_the_agent_and_says_so(venue: Venue) -> None:
    room = await venue.room()
    venue.simulator.script.add(Turn(say="x", failure="insufficient_quota"))
    async with with_agent(venue, room, "ann", "listener") as ann:
        ann.say(speech("en", 2).pcm)
        failed = await told(ann, "agent.failed")
        assert "insufficient_quota" in str(failed["detail"])
        await asyncio.sleep(0)
        sessions = len(_conversations(venue))
        await ann.quiet()
        began = ann.say(speech("en", 2).pcm)
        await ann.quiet()
        with pytest.raises(AssertionError):
            await hears_something(ann, began + 1.3, 3)
        assert len(_conversations(venue)) == sessions, "it is not tried again"


@pytest.mark.long
async def test_a_filtered_answer_is_apologised_for(venue: Venue) -> None:
    room = await venue.room()
    venue.simulator.script.add(
        Turn(say="one two three four", failure="content_filter", failure_after_s=0.4),
        Turn(say="I can not help with that", when=lambda c: "content filter" in c.instructions),
    )
    async with with_agent(venue, room, "ann", "listener") as ann:
        ann.say(speech("en", 2).pcm)
        await told(ann, "agent.filtered")
        await ann.until(lambda p: "I can not help with that" in lines(p), 15)
        await asks(ann, speech("en", 2, first=4))


async def test_an_answer_that_the_api_fails_is_asked_for_again(venue: Venue) -> None:
    room = await venue.room()
    text, reply = spoken(0, 4)
    venue.simulator.script.add(Turn(say="x", failure="server_error"), Turn(say=text))
    async with with_agent(venue, room, "ann", "listener") as ann:
        began = time.monotonic()
        await asks(ann, speech("en", 2, first=12))
        assert await asyncio.to_thread(_heard, ann, reply) == list(range(4))
        assert voice(ann).last_loud_s > began
        assert not events(ann, "agent.failed")
