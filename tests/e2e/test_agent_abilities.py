"""What agents hear, see, call, end and remember: what is more than questions and answers."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import signal
import struct
import zlib
from collections.abc import AsyncIterator

import numpy as np
import pytest
from numpy.typing import NDArray

from livekit import api, rtc
from parley.demo.people import Person
from parley.simulator import Approval, Call, Fault, SessionRecord, Turn

from .conftest import AGENTS
from .counting import events, gets, heard_out, speech, spoken, told, words_on
from .running import environment, eventually, running_worker
from .talking import (
    agent_track,
    any_agent,
    asks,
    brisk,
    conversation_of,
    hears_something,
    lines,
    with_agent,
)
from .venue import Venue

Colour = tuple[int, int, int]
RED: Colour = (200, 30, 30)
BLUE: Colour = (30, 40, 200)


@pytest.mark.long
async def test_a_backchannel_as_long_as_a_word_is_known_by_its_transcript_and_costs_not_a_word(
    venue: Venue,
) -> None:
    """Too long for a cough: only what was understood tells it from an interruption."""
    room = await venue.room()
    text, reply = spoken(0, 12)
    venue.simulator.script.add(Turn(say=text))
    async with with_agent(venue, room, "ann", "patient") as ann:
        began = ann.say(speech("en", 1).pcm)
        await hears_something(ann, began + 0.9)
        await asyncio.sleep(1.0)
        ann.say(speech("en", 1, first=1).pcm)
        await heard_out(ann, agent_track("ann"), reply)
        found = await asyncio.to_thread(words_on, ann, agent_track("ann"), reply)
        assert found == list(range(12)), f"heard {found}"
        session = await conversation_of(venue, "ann")
        await eventually(lambda: _heard(session) == ["word-1", "word-2"], 10, "both are understood")
        assert not [item for item in session.items if item.truncated_at_ms is not None]
        assert session.responses[0].status == "completed"
        assert not [r for r in session.responses[1:] if r.status == "completed" and r.audio_ms]
        assert session.refused == []


def _heard(session: SessionRecord) -> list[str]:
    return [
        item.text.removeprefix("[simulated] ") for item in session.items if item.role == "user" and item.text
    ]


# Pictures


@contextlib.asynccontextmanager
async def showing(
    person: Person, source: rtc.TrackSource.ValueType, colour: Colour, width: int, height: int
) -> AsyncIterator[None]:
    """The person's camera or screen shows one colour."""
    video = rtc.VideoSource(width, height)
    track = rtc.LocalVideoTrack.create_video_track("video", video)
    options = rtc.TrackPublishOptions(source=source, simulcast=False)
    publication = await person.room.local_participant.publish_track(track, options)
    pixels = np.full((height, width, 4), (*colour, 255), np.uint8).tobytes()

    async def film() -> None:
        while True:
            video.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.RGBA, pixels))
            await asyncio.sleep(0.1)

    filming = asyncio.create_task(film())
    try:
        yield
    finally:
        filming.cancel()
        await asyncio.gather(filming, return_exceptions=True)
        await person.room.local_participant.unpublish_track(publication.sid)
        await video.aclose()


def decoded(url: str) -> NDArray[np.uint8]:
    """`uint8[height, width, 3]` of a PNG whose rows are differences from the row above (filter 2)."""
    data = base64.b64decode(url.removeprefix("data:image/png;base64,"))
    width, height = struct.unpack(">II", data[16:24])
    length = struct.unpack(">I", data[33:37])[0]
    rows = np.frombuffer(zlib.decompress(data[41 : 41 + length]), np.uint8).reshape(height, 1 + 3 * width)
    assert (rows[:, 0] == 2).all()
    return np.cumsum(rows[:, 1:], axis=0, dtype=np.uint8).reshape(height, width, 3)


async def _asks_in_writing(person: Person, text: str, answer: str) -> None:
    await person.room.local_participant.send_text(text, topic="lk.chat")
    await person.until(lambda p: answer in lines(p), 30)


async def test_the_agent_sees_the_camera_and_the_screen_when_it_looks(venue: Venue) -> None:
    room = await venue.room()
    venue.simulator.script.add(
        Turn(say="hello"),
        *(Turn(calls=(Call("look", {"source": "camera"}),)), Turn(say="it is red")),
        *(Turn(calls=(Call("look", {"source": "screen_share"}),)), Turn(say="it is blue")),
        *(Turn(calls=(Call("look", {"source": "camera"}),)), Turn(say="there is nothing")),
    )
    async with with_agent(venue, room, "ann", "assistant") as ann:
        await ann.until(lambda p: lines(p) == ["hello"], 20)
        (session,) = venue.sessions
        async with (
            showing(ann, rtc.TrackSource.SOURCE_CAMERA, RED, 320, 240),
            showing(ann, rtc.TrackSource.SOURCE_SCREENSHARE, BLUE, 640, 360),
        ):
            await _asks_in_writing(ann, "what does my camera show", "it is red")
            assert len(session.pictures) == 1
            _check(session.pictures[0], RED, 320, 240)
            await _asks_in_writing(ann, "and my screen", "it is blue")
            assert len(session.pictures) == 2
            _check(session.pictures[1], BLUE, 640, 360)
        await _asks_in_writing(ann, "and now", "there is nothing")
        assert len(session.pictures) == 2
        assert "Ask them to share it" in session.responses[-1].context[-1]
        assert session.usage.image_in > 0
        assert session.refused == []


def _check(url: str, colour: Colour, width: int, height: int) -> None:
    picture = decoded(url)
    assert picture.shape == (height, width, 3)
    middle = picture[height // 4 : -height // 4, width // 4 : -width // 4]
    off = np.abs(middle.astype(int).mean(axis=(0, 1)) - np.array(colour))
    assert off.max() < 25, f"{middle.mean(axis=(0, 1))} is not {colour}"


# Calls


@contextlib.asynccontextmanager
async def caller(venue: Venue, room: str, identity: str, agent: str) -> AsyncIterator[rtc.Room]:
    """Somebody on the telephone, as LiveKit's SIP service brings them in."""
    token = (
        api.AccessToken(venue.server.api_key, venue.server.api_secret)
        .with_identity(identity)
        .with_kind("sip")
        .with_grants(api.VideoGrants(room_join=True, room=room))
        .with_attributes({"parley.agent": agent, "sip.phoneNumber": "+33123"})
    )
    client = rtc.Room()
    await client.connect(venue.server.url, token.to_jwt())
    try:
        yield client
    finally:
        await client.disconnect()


async def test_a_caller_who_says_goodbye_is_told_goodbye_and_hung_up_on(venue: Venue) -> None:
    room = await venue.room()
    venue.simulator.script.add(
        Turn(say="hello"), Turn(calls=(Call("hang_up", {"reason": "done"}),)), Turn(say="goodbye then")
    )
    async with caller(venue, room, "phone", "assistant") as phone:
        gone: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        phone.on("disconnected", lambda reason: gone.done() or gone.set_result(reason))
        assert phone.local_participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_SIP
        await eventually(
            lambda: [r.text for s in venue.sessions for r in s.responses] == ["hello"], 20, "hello"
        )
        await phone.local_participant.send_text("goodbye", topic="lk.chat")
        async with asyncio.timeout(30):
            assert await gone == rtc.DisconnectReason.PARTICIPANT_REMOVED
        (session,) = venue.sessions
        assert [r.text for r in session.responses if r.text] == ["hello", "goodbye then"]
        await eventually(lambda: session.closed_at is not None, 10, "its session is closed")
        request = api.ListParticipantsRequest(room=room)
        listed = await venue.livekit.room.list_participants(request)
        assert "phone" not in [p.identity for p in listed.participants]


@pytest.mark.long
async def test_a_module_approves_and_refuses_calls_of_remote_tools(venue: Venue) -> None:
    room = await venue.room()
    venue.simulator.script.add(
        *(Turn(approval=Approval("docs", "search", "{}", "found it")), Turn(say="here it is")),
        *(Turn(approval=Approval("docs", "delete", "{}", "deleted")), Turn(say="that I may not")),
    )
    async with with_agent(venue, room, "ann", "librarian") as ann:
        session = await conversation_of(venue, "ann")
        (tool,) = [tool for tool in session.settings["tools"] if tool["type"] == "mcp"]
        assert (tool["server_label"], tool["require_approval"]) == ("docs", "always")
        await asks(ann, speech("en", 2))
        await ann.until(lambda p: "here it is" in lines(p), 20)
        assert any("found it" in text for text in session.responses[-1].context)
        assert not events(ann, "tool.failed")
        await asks(ann, speech("en", 2, first=2))
        await ann.until(lambda p: "that I may not" in lines(p), 20)
        failed = await told(ann, "tool.failed")
        assert "docs.delete: refused by approve_mcp" in str(failed["detail"])
        assert not any("deleted" in text for text in session.responses[-1].context)
        assert session.refused == []


async def test_without_a_hook_remote_tools_that_must_be_approved_are_refused_and_said(venue: Venue) -> None:
    room = await venue.room()
    venue.simulator.script.add(
        Turn(approval=Approval("docs", "search", "{}", "found it")), Turn(say="that I may not")
    )
    async with with_agent(venue, room, "ann", "strict") as ann:
        await asks(ann, speech("en", 2))
        await ann.until(lambda p: "that I may not" in lines(p), 20)
        failed = await told(ann, "tool.failed")
        assert "docs.search: refused: the agent was registered without approve_mcp" in str(failed["detail"])


# What is remembered


def _workers(person: Person) -> int:
    return sum("parley.worker" in p.attributes for p in person.room.remote_participants.values())


@pytest.mark.timeout(180)
@pytest.mark.long
async def test_what_was_said_outlives_the_session_and_the_worker_within_its_bound(venue: Venue) -> None:
    """A new session is told the newest items and a summary of the rest; so is the worker that takes over."""
    env = environment(
        *(venue.server, venue.simulator.base_url),
        **AGENTS,
        PARLEY_DRAIN_S="0",
        PARLEY_VOICE_AGENT__HISTORY_ITEMS="4",
    )
    script = venue.simulator.script
    script.add(*(Turn(say=f"answer {number}") for number in range(1, 6)))
    script.add(
        Turn(say="wait a moment", when=lambda context: "taken over" in context.instructions),
        Turn(say="back again", when=lambda context: "you are back" in context.instructions),
    )
    async with running_worker(env) as first, running_worker(env) as second:
        room = await venue.room(dispatch=False)
        await venue.dispatch(room, first)
        async with (
            with_agent(venue, room, "ann", "listener") as ann,
            venue.join(room, "eve", hears_tracks=any_agent) as eve,
        ):
            overheard: list[str] = []
            eve.room.register_text_stream_handler(
                "parley.handover", lambda _, sender: overheard.append(sender)
            )
            for turn in range(4):
                await asks(ann, brisk(speech("en", 2, first=2 * turn)))
            before = len(venue.sessions)
            venue.simulator.faults.add(Fault("drop", session="conversation"))
            await eventually(
                lambda: len(venue.open_sessions) == 1 and len(venue.sessions) > before, 20, "anew"
            )
            await asks(ann, brisk(speech("en", 2, first=8)))
            told_anew = venue.sessions[-1].responses[-1].context
            assert [text for text in told_anew if text.startswith("answer")] == ["answer 3", "answer 4"]
            assert "answer 1" in told_anew[0], "what is older is in the summary"
            assert len(told_anew) == 1 + 4 + 1
            await ann.until(lambda p: "answer 5" in lines(p), 10)

            await venue.dispatch(room, second)
            await eventually(lambda: _workers(ann) == 2, 20, "the second worker stands by")
            first.signal(signal.SIGTERM)
            await ann.until(lambda p: "wait a moment" in lines(p), 20)
            await ann.until(lambda p: "back again" in lines(p), 30)
            await gets(ann, agent_track("ann"))
            session = await conversation_of(venue, "ann")
            context = session.responses[0].context
            assert "wait a moment" in context
            assert "answer 5" in context
            assert len(context) <= 1 + 4
            assert not overheard
            assert await first.exit() == 0
