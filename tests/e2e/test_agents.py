"""Voice agents beside participants: each hears its own participant, and is heard by nobody else.

PARLEY_TURNS sets how many turns each of three people takes (4; at most 16, which is two minutes), and
PARLEY_INTERRUPTIONS how many replies one person interrupts (4). `pytest -s` shows what was measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time

import numpy as np
import pytest

from livekit import rtc
from parley.demo.audio import Pcm
from parley.demo.listening import heard_until
from parley.demo.people import Person
from parley.demo.recording import Recording
from parley.demo.speech import SAMPLE_RATE_HZ
from parley.simulator import Call, Turn

from .counting import (
    audible,
    both,
    events,
    gets,
    heard_once,
    heard_out,
    publication,
    speech,
    spoken,
    told,
    track_name,
    words_on,
)
from .running import eventually
from .talking import (
    agent_lines,
    agent_track,
    any_agent,
    asks,
    brisk,
    conversation_of,
    hears_it_out,
    hears_something,
    lines,
    noise,
    rpc,
    stretches,
    voice,
    with_agent,
)
from .venue import Venue

WORDS = 3
TURNS = min(16, int(os.environ.get("PARLEY_TURNS", "4")))
INTERRUPTIONS = int(os.environ.get("PARLEY_INTERRUPTIONS", "4"))
CUT_OFF_BY_MS = 20


@pytest.mark.timeout(120 + 10 * TURNS)
async def test_three_people_talk_to_an_agent_each_at_the_same_time(venue: Venue) -> None:
    room = await venue.room()
    names = ("ann", "bob", "cyd")
    said = {
        name: [speech("en", WORDS, voice=place, first=WORDS * turn) for turn in range(TURNS)]
        for place, name in enumerate(names)
    }
    async with contextlib.AsyncExitStack() as stack:
        people = {
            name: await stack.enter_async_context(with_agent(venue, room, name, "listener")) for name in names
        }

        async def talk(name: str) -> None:
            for turn in said[name]:
                await asks(people[name], turn)

        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(talk(name))
        for name, person in people.items():
            whole = said[name][0]
            for turn in said[name][1:]:
                whole = both(whole, turn)
            others = [turn for other in names if other != name for turn in said[other]]
            found = await asyncio.to_thread(_words, person, whole, others)
            assert found == list(range(WORDS * TURNS)), f"{name} heard {found}"
            foreign = [r for r in person.recordings if r.track_name != agent_track(name) and r.duration_s]
            assert not foreign, f"{name} got packets of {[r.track_name for r in foreign]}"
            _check_lines(person, name)
            session = await conversation_of(venue, name)
            assert [r.status for r in session.responses] == ["completed"] * TURNS
            assert session.refused == []
    assert len(venue.sessions) == len(names)


def _words(person: Person, said: object, others: list[object]) -> list[int]:
    return words_on(person, agent_track(person.identity), said, *others)  # type: ignore[arg-type]


def _check_lines(person: Person, name: str) -> None:
    """Their own words and their agent's, turn by turn, under the sender whose they are."""
    final = [caption for caption in agent_lines(person) if caption.final]
    assert {caption.sender for caption in final if not caption.sender.startswith("parley-")} == {name}
    by_agent = [caption for caption in final if caption.sender.startswith("parley-")]
    assert len(by_agent) == TURNS
    assert len(final) == 2 * TURNS
    for caption in by_agent:
        assert caption.text.count("word-") == WORDS
        assert caption.attributes["lk.transcribed_track_id"] == voice(person).track_sid


async def test_the_greeting_is_heard_from_its_first_word_and_the_disclosure_before_it(venue: Venue) -> None:
    room = await venue.room()
    disclosure, greeting = speech("en", 3, voice=4), speech("en", 4, voice=4, first=3)
    venue.simulator.script.add(
        Turn(say="I am no human", say_audio=disclosure.pcm),
        Turn(say="Good morning to you", say_audio=greeting.pcm),
    )
    async with with_agent(venue, room, "ann", "greeter") as ann:
        await heard(ann, both(disclosure, greeting))
        await ann.until(lambda p: len(lines(p)) == 2, 10)
        assert lines(ann) == ["I am no human", "Good morning to you"]


async def heard(person: Person, said: object) -> None:
    """Waits for all words of the person's agent, each once."""
    track = agent_track(person.identity)
    await heard_out(person, track, said)  # type: ignore[arg-type]
    found = await asyncio.to_thread(words_on, person, track, said)
    assert found == list(range(len(said.words))), f"{person.identity} heard {found}"  # type: ignore[attr-defined]


@pytest.mark.timeout(120 + 20 * INTERRUPTIONS)
async def test_an_interruption_stops_the_voice_and_the_cut_is_where_it_was_heard(venue: Venue) -> None:
    room = await venue.room()
    rounds = INTERRUPTIONS
    reply = noise(14)
    venue.simulator.script.add(*(Turn(say="noise " * 40, say_audio=reply) for _ in range(rounds + 1)))
    said = speech("en", 47, phrase=100)
    took_ms = []
    async with with_agent(venue, room, "ann", "listener") as ann:
        onset = ann.say(_cut(said, 0, 1))
        for turn in range(rounds):
            await hears_something(ann, onset + 0.9)
            await asyncio.sleep(0.5 + 0.37 * turn % 1.3)
            onset = ann.say(_cut(said, 1 + 2 * turn % 46, 2))
            await ann.quiet()
            stopped = await _silence(ann)
            assert stopped - onset < 1.0, f"turn {turn}: stopped after {stopped - onset:.2f} s"
            took_ms.append(1000 * (stopped - onset))
        session = await conversation_of(venue, "ann")
        await eventually(lambda: len(_cuts(session)) == rounds, 10, "every reply is truncated")
        parts = stretches(voice(ann))[:rounds]
        heard_ms = await asyncio.to_thread(_heard_ms, voice(ann), parts, reply)
        off_ms = [abs(cut - real) for cut, real in zip(_cuts(session), heard_ms, strict=True)]
        for name, ms in (("speech to silence", took_ms), ("cut off by", off_ms)):
            p50, p95 = np.percentile(ms, (50, 95))
            sys.stdout.write(f"{name}: {p50:.0f} / {p95:.0f} / {max(ms):.0f} ms, p50 / p95 / most\n")
        for cut, real in zip(_cuts(session), heard_ms, strict=True):
            assert abs(cut - real) <= CUT_OFF_BY_MS, f"cut at {cut} ms, heard {real:.0f} ms"
        assert session.refused == []
        # What was cut off is cut off in text as well.
        agent = [text for text in lines(ann) if text.startswith("noise")]
        for text, real in zip(agent[:rounds], heard_ms, strict=True):
            assert 0.3 < len(text) / (15 * real / 1000) < 1.7


def _heard_ms(recording: Recording, parts: list[tuple[float, float]], reply: Pcm) -> list[float]:
    """How much of the reply was heard in each of these parts of a recording."""
    pcm, heard_ms = recording.pcm, []
    for begin, end in parts:
        until_s = heard_until(pcm[: round(end * SAMPLE_RATE_HZ)], SAMPLE_RATE_HZ, reply, end - begin)
        assert until_s is not None, "what was heard is nothing of the reply"
        heard_ms.append(1000 * until_s)
    return heard_ms


def _cut(said: object, start: int, count: int) -> object:
    begin = round(said.starts_s[start] * 24_000)  # type: ignore[attr-defined]
    return said.pcm[begin : round((said.starts_s[start + count - 1] + 0.45) * 24_000)]  # type: ignore[attr-defined]


def _cuts(session: object) -> list[int]:
    return [i.truncated_at_ms for i in session.items if i.truncated_at_ms is not None]  # type: ignore[attr-defined]


async def _silence(person: Person) -> float:
    """Waits until the agent's voice has stopped; returns the last moment of it."""
    deadline = time.monotonic() + 5
    while time.monotonic() - voice(person).last_loud_s < 0.3:
        assert time.monotonic() < deadline, "the voice goes on"
        await asyncio.sleep(0.01)
    return voice(person).last_loud_s


async def test_a_cough_is_no_interruption_and_not_a_word_is_lost_over_it(venue: Venue) -> None:
    room = await venue.room()
    reply = speech("en", 10, voice=4, phrase=20)
    venue.simulator.script.add(Turn(say="ten words " * 5, say_audio=reply.pcm))
    async with with_agent(venue, room, "ann", "listener") as ann:
        began = ann.say(speech("en", 1).pcm)
        await hears_something(ann, began + 0.9)
        await asyncio.sleep(1.5)
        ann.say(noise(0.12, seed=5))
        await heard(ann, reply)
        session = await conversation_of(venue, "ann")
        assert not _cuts(session)


async def test_tools_of_one_answer_run_together_and_each_is_spoken_about(venue: Venue) -> None:
    room = await venue.room()
    calls = (Call("slow"), Call("slow"), Call("broken"), Call("weather", {"city": "Rome"}), Call("odd"))
    venue.simulator.script.add(
        Turn(say="One moment please", calls=calls),
        Turn(say="it takes a while", when=lambda context: "still working" in context.instructions),
    )
    async with with_agent(venue, room, "ann", "listener") as ann:
        ann.say(speech("en", 2).pcm)
        await ann.until(lambda p: any("slow but done" in text for text in lines(p)), 30)
        session = await conversation_of(venue, "ann")
        outputs = {i.call_id: i.text for i in session.items if i.type == "function_call_output"}
        assert len(outputs) == len(calls)
        told_to_model = " ".join(outputs.values())
        assert "sunny in Rome" in told_to_model
        assert "The tool broken failed." in told_to_model
        assert "The tool odd failed." in told_to_model
        assert "secret" not in told_to_model
        assert told_to_model.count("slow but done 2") == 2, "they run together"
        troubles = [str(event["detail"]) for event in events(ann, "tool.failed")]
        assert any("broken" in text for text in troubles)
        assert any("odd" in text for text in troubles)
        fillers = [r for r in session.responses if "still working" in r.instructions]
        assert len(fillers) == 1, "the slow ones are spoken about while they work"
        assert session.refused == []


async def test_say_is_spoken_at_once_one_after_the_other_and_refused_to_strangers(venue: Venue) -> None:
    room = await venue.room()
    news, more = speech("en", 3, voice=4), speech("en", 3, voice=4, first=3)
    venue.simulator.script.add(
        Turn(say="the parcel is here", say_audio=news.pcm, when=None),
        Turn(say="and it rains", say_audio=more.pcm),
    )
    async with (
        with_agent(venue, room, "ann", "listener") as ann,
        venue.join(room, "app", hears_tracks=any_agent, microphone=False) as app,
        venue.join(room, "eve", hears_tracks=any_agent, microphone=False) as eve,
    ):
        await conversation_of(venue, "ann")
        for who, payload, code in (
            (eve, {"to": "ann", "text": "x"}, 1403),
            (ann, {"to": "ann", "text": "x"}, 1403),
            (app, {"to": "bob", "text": "x"}, 1404),
            (app, {"to": "ann"}, 1400),
            (app, {"to": "ann", "text": ""}, 1400),
            (app, {"to": "ann", "text": "x", "interrupt": 1}, 1400),
            (app, ["ann"], 1400),
        ):
            with pytest.raises(rtc.RpcError) as refused:
                await rpc(who, venue, room, "parley.say", payload)
            assert refused.value.code == code, payload
        asked = time.monotonic()
        answers = await asyncio.gather(
            rpc(app, venue, room, "parley.say", {"to": "ann", "text": "the parcel is here"}),
            rpc(app, venue, room, "parley.say", {"to": "ann", "instructions": "Say that it rains."}),
        )
        assert answers == [{"to": "ann", "agent": "listener"}] * 2
        await hears_something(ann, asked)
        spoken = voice(ann).time_of(stretches(voice(ann))[0][0])
        assert spoken - asked < 2.0
        await heard(ann, both(news, more))
        assert not [r for r in (*app.recordings, *eve.recordings) if r.duration_s]
        state = await rpc(app, venue, room, "parley.state")
        (agent,) = state["agents"]
        assert agent["of"] == "ann"
        assert agent["usd"] > 0
        assert (await rpc(eve, venue, room, "parley.state"))["agents"] == []


@pytest.mark.long
async def test_an_agent_and_translations_in_one_room_do_not_hear_each_other(venue: Venue) -> None:
    room = await venue.room()
    question, foreign = speech("en", 3), speech("fr", 4, voice=2)
    async with (
        with_agent(venue, room, "ann", "listener", speaks="en", hears="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr", hears_tracks=any_agent) as bob,
    ):
        await gets(ann, track_name("bob", "en"))
        await gets(bob, track_name("ann", "fr"))
        await asks(ann, question)
        bob.say(foreign.pcm)
        await heard_once(ann, "bob", "en", foreign)
        await heard_once(bob, "ann", "fr", question)
        await heard(ann, question)
        assert not [r for r in bob.recordings if r.track_name == agent_track("ann") and r.duration_s]
        assert not any(caption.kind == "agent" for caption in bob.captions)
        kinds = sorted((s.kind, s.language or "") for s in venue.sessions)
        assert kinds == [("conversation", ""), ("translation", "en"), ("translation", "fr")]


async def test_another_name_swaps_the_agent_off_ends_it_and_unknown_ones_are_named(venue: Venue) -> None:
    room = await venue.room()
    async with with_agent(venue, room, "ann", "listener") as ann:
        listener = await conversation_of(venue, "ann")
        await ann.room.local_participant.set_attributes({"parley.agent": "mystery"})
        rejected = await told(ann, "preference.rejected")
        assert "mystery" in str(rejected["detail"])
        assert "assistant" in str(rejected["detail"])
        assert listener.closed_at is None, "what was asked for wrongly changes nothing"
        await ann.room.local_participant.set_attributes({"parley.agent": "semantic"})
        await eventually(lambda: listener.closed_at is not None, 10, "the old one is gone")
        semantic = await conversation_of(venue, "ann")
        assert semantic.settings["audio"]["input"]["turn_detection"]["type"] == "semantic_vad"
        await eventually(lambda: publication(ann, agent_track("ann")) is not None, 10, "its track is there")
        await asks(ann, speech("en", 2))
        await ann.room.local_participant.set_attributes({"parley.agent": "off"})
        await eventually(lambda: semantic.closed_at is not None, 10, "it is gone")
        await eventually(lambda: publication(ann, agent_track("ann")) is None, 10, "its track is gone")
        await ann.room.local_participant.set_attributes({"parley.agent": "nobody"})
        failed = await told(ann, "agent.failed")
        assert "LookupError: no agent for ann" in str(failed["detail"])
        await ann.room.local_participant.set_attributes({"parley.agent": "listener"})
        await conversation_of(venue, "ann")


@pytest.mark.long
async def test_parleys_own_vad_commits_the_turns_by_itself(venue: Venue) -> None:
    room = await venue.room()
    one, two = brisk(speech("en", 3)), brisk(speech("en", 3, first=3))
    async with with_agent(venue, room, "ann", "local") as ann:
        await asks(ann, one)
        await asks(ann, two)
        await heard(ann, both(one, two))
        session = await conversation_of(venue, "ann")
        assert session.settings["audio"]["input"]["turn_detection"] is None
        assert session.audio_received_s < 20, "silence is not sent"
        assert session.refused == []


@pytest.mark.long
async def test_an_agent_for_the_room_hears_everybody_and_is_heard_by_all(venue: Venue) -> None:
    room = await venue.room()
    one, two = speech("en", 3), speech("en", 3, voice=2, first=6)
    async with (
        with_agent(venue, room, "ann", "chair") as ann,
        venue.join(room, "bob", hears_tracks=any_agent) as bob,
    ):
        await gets(bob, agent_track("ann"))
        await asks(ann, one)
        began = bob.say(two.pcm)
        await bob.quiet()
        await hears_it_out(ann, began + two.ends_s)
        for person in (ann, bob):
            track = agent_track("ann")
            found = await asyncio.to_thread(words_on, person, track, both(one, two))
            assert found == list(range(6)), f"{person.identity} heard {found}"
            await person.until(lambda p: len(lines(p)) == 4, 10)
        assert len(venue.sessions) == 1


@pytest.mark.long
async def test_the_budget_is_announced_spoken_and_ends_the_conversation(venue: Venue) -> None:
    room = await venue.room()
    venue.simulator.script.add(
        Turn(say="goodbye now", when=lambda context: "budget" in context.instructions),
    )
    async with with_agent(venue, room, "ann", "poor") as ann:
        session = await conversation_of(venue, "ann")
        while not events(ann, "budget.exceeded"):
            await asks(ann, speech("en", 4))
        await told(ann, "agent.ended")
        assert "goodbye now" in lines(ann)
        await eventually(lambda: session.closed_at is not None, 10, "the session is closed")
        assert not await _answers(ann)


async def _answers(person: Person) -> bool:
    """Whether an agent still answers."""
    began = person.say(speech("en", 1).pcm)
    await person.quiet()
    with contextlib.suppress(AssertionError):
        await hears_something(person, began + 0.9, 3)
        return True
    return False


@pytest.mark.long
async def test_who_has_gone_quiet_is_asked_and_then_let_go(venue: Venue) -> None:
    room = await venue.room()
    venue.simulator.script.add(
        Turn(say="are you still there", when=lambda c: "still there" in c.instructions),
        Turn(say="bye then", when=lambda c: "goodbye" in c.instructions),
    )
    async with with_agent(venue, room, "ann", "shy") as ann:
        await told(ann, "agent.ended", 20)
        assert lines(ann) == ["are you still there", "bye then"]


async def test_typed_messages_are_answered_and_context_is_known_without_being_spoken(venue: Venue) -> None:
    room = await venue.room()
    async with (
        with_agent(venue, room, "ann", "listener") as ann,
        venue.join(room, "app", hears_tracks=any_agent, microphone=False) as app,
    ):
        session = await conversation_of(venue, "ann")
        await app.room.local_participant.send_text(
            "the balance is 12", topic="parley.context", attributes={"to": "ann"}
        )
        await eventually(lambda: any("balance is 12" in i.text for i in session.items), 10, "it is known")
        assert not session.responses
        assert not audible(voice(ann))
        await ann.room.local_participant.send_text("how much is it", topic="lk.chat")
        await ann.until(lambda p: bool(lines(p)), 10)
        assert any("balance is 12" in text for text in session.responses[-1].context)


@pytest.mark.long
async def test_a_hybrid_agent_reads_along_and_opens_its_session_only_to_speak(venue: Venue) -> None:
    room = await venue.room()
    said, more = brisk(speech("fr", 4, voice=1)), brisk(speech("fr", 4, voice=1, first=4))
    text, answer = spoken(0, 5)
    venue.simulator.script.add(Turn(say=text))
    async with (
        with_agent(venue, room, "bob", "scribe", speaks="en") as bob,
        venue.join(room, "ann", speaks="fr") as ann,
        venue.join(room, "app", microphone=False) as app,
    ):
        ann.say(said.pcm)
        await ann.quiet()
        await eventually(
            lambda: any(s.transcript.count("word-") >= 4 for s in venue.sessions), 20, "it is translated"
        )
        assert {s.kind for s in venue.sessions} == {"translation"}
        await asyncio.sleep(2.0)  # the segment ends by a pause in the text
        assert not [c for c in bob.captions if c.kind != "agent"], "only the agent reads"
        asked = time.monotonic()
        await rpc(app, venue, room, "parley.say", {"to": "bob", "instructions": "Sum it up."})
        await hears_it_out(bob, asked)
        await heard(bob, answer)
        session = await conversation_of(venue, "bob")
        assert "ann: [simulated en] word-1" in " ".join(session.responses[0].context)
        assert session.audio_received_s == 0
        ann.say(more.pcm)
        await eventually(lambda: session.closed_at is not None, 20, "it rests again")
        assert session.refused == []


async def test_a_participant_who_leaves_takes_the_agent_along(venue: Venue) -> None:
    room = await venue.room()
    async with venue.join(room, "bob", hears_tracks=any_agent) as bob:
        async with with_agent(venue, room, "ann", "listener") as ann:
            await asks(ann, speech("en", 2))
            assert publication(bob, agent_track("ann")) is not None
        await eventually(lambda: not venue.open_sessions, 15, "its session is closed")
        await eventually(lambda: publication(bob, agent_track("ann")) is None, 10, "its track is gone")
