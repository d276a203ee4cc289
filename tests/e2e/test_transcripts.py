"""The transcript of a real room: in time with what was spoken, for those who may read it, and valid."""

from __future__ import annotations

import asyncio
import json
import re
import signal
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import webvtt

from livekit import api, rtc
from parley.demo.livekit_server import LiveKitServer
from parley.demo.people import Person
from parley.simulator import Fault

from .counting import attended, gets, speech, told, track_name
from .dictation import dictation, texts
from .records import WITHIN_S, check_subtitles, check_times, check_words, count, files, of, rows, wall
from .running import environment, eventually, running_worker
from .talking import rpc
from .test_succession import rooms
from .venue import CountedSimulator, Venue


async def _ask(person: Person, wish: dict[str, str]) -> tuple[dict[str, Any], bytes]:
    """Asks the worker for the transcript; returns its answer and the file."""
    arrived: asyncio.Future[rtc.ByteStreamReader] = asyncio.get_running_loop().create_future()
    person.room.register_byte_stream_handler(
        "parley.transcript", lambda reader, _: arrived.set_result(reader)
    )
    worker = next(p for p in person.room.remote_participants.values() if "parley.worker" in p.attributes)
    answer = await person.room.local_participant.perform_rpc(
        destination_identity=worker.identity, method="parley.transcript", payload=json.dumps(wish)
    )
    async with asyncio.timeout(10):
        body = b"".join([chunk async for chunk in await arrived])
    person.room.unregister_byte_stream_handler("parley.transcript")
    return json.loads(answer), body


async def test_what_was_said_is_kept_in_time_and_handed_out(venue: Venue, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = speech("en", 8, phrase=4, pause_s=1.5)
    async with (
        venue.served(
            PARLEY_EXPORT__DIR=str(out),
            PARLEY_EXPORT__TRANSCRIPT="jsonl,srt,vtt,txt",
            PARLEY_LIMITS__TRANSCRIPT="everybody",
        ) as (_, room),
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "org", speaks="fr", captions="original", microphone=False) as org,
        venue.join(room, "bob", speaks="fr", hears="fr", captions="fr") as bob,
    ):
        await gets(bob, track_name("ann", "fr"))
        # The server tells of somebody who publishes nothing a while after they joined.
        async with asyncio.timeout(20):
            while "org" not in (await rpc(bob, venue, room, "parley.state"))["people"]:
                await asyncio.sleep(0.3)
        await attended(ann)
        ann.say(said.pcm)
        await until_all_is_read(org, 30)
        await until_all_is_read(bob, 30)
        async with venue.join(room, "late", speaks="fr", captions="fr", microphone=False) as late:
            await until_all_is_read(late, 10)
            assert [c.segment_id for c in late.captions] == [c.segment_id for c in bob.captions if c.final]
            answer, body = await _ask(late, {"format": "vtt"})
            assert (answer["mime_type"], answer["bytes"]) == ("text/vtt", len(body))
            assert body.decode().count("word-") == 8
        assert [row["type"] for row in rows(out)] == ["room", *["line"] * 4], "it is there before the end"
        await venue.livekit.room.delete_room(api.DeleteRoomRequest(room=room))
        await eventually(lambda: bool(files(out, ".txt")), 30, "the transcript is written")
    first, *lines, last = rows(out)
    assert (first["type"], last["type"]) == ("room", "end")
    for kind in ("source", "translation"):
        own = [line for line in lines if line["kind"] == kind]
        assert [line["speaker"] for line in own] == ["ann"] * 2
        offset_s = own[0]["start_s"] - said.starts_s[0]
        for line, phrase in zip(own, (0, 4), strict=True):
            assert abs(line["start_s"] - offset_s - said.starts_s[phrase]) < WITHIN_S
            assert abs(line["end_s"] - offset_s - said.starts_s[phrase + 3] - 0.4) < WITHIN_S
    (subtitles,) = files(out, ".fr.srt")
    (captions,) = files(out, ".fr.vtt")
    assert check_subtitles(subtitles) == check_subtitles(captions)
    assert {caption.voice for caption in webvtt.read(str(captions)).captions} == {"ann"}


@pytest.mark.usefixtures("understood")
@pytest.mark.long
async def test_subtitles_are_in_time_with_what_was_spoken_also_over_drops(
    venue: Venue, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    said = dictation("en", 18, phrase=6, pause_s=1.5)
    kept = {"PARLEY_EXPORT__TRANSCRIPT": "jsonl,srt,vtt,txt", "PARLEY_EXPORT__OWN_WORDS": "all"}
    for after_s in (2.1, 6.3):
        venue.simulator.faults.add(Fault("drop", session="transcription", after_audio_s=after_s))
    async with (
        venue.served(PARLEY_EXPORT__DIR=str(out), **kept) as (_, room),
        venue.join(room, "ann", speaks="en") as ann,
    ):
        await attended(ann)
        began = wall(ann.say(said.pcm))
        await eventually(lambda: count(out) >= 18, 60, "all of it is written down")
        assert not venue.simulator.faults.waiting()
        await venue.livekit.room.delete_room(api.DeleteRoomRequest(room=room))
        await eventually(lambda: files(out, ".txt"), 30, "the transcript is written")
    found = rows(out)
    check_words(found, "ann", said)
    check_times(found, "ann", said)
    room_began = datetime.fromisoformat(found[0]["began_at"]).timestamp()
    lines = of(found, "ann")
    phrases = [began - room_began + said.starts_s[place] for place in (0, 6, 12)]
    for ending in (".en.srt", ".en.vtt"):
        (path,) = files(out, ending)
        starts = [begin for begin, _ in check_subtitles(path)]
        assert len(starts) >= len(lines)
        for phrase_s in phrases:
            assert min(abs(start - phrase_s) for start in starts) < WITHIN_S, (starts, phrases)


@pytest.mark.usefixtures("understood")
@pytest.mark.parametrize("apart", [False, True], ids=["one directory", "a directory each"])
@pytest.mark.long
async def test_the_transcript_goes_on_at_the_worker_that_takes_over(
    venue: Venue, server: LiveKitServer, simulator: CountedSimulator, tmp_path: Path, apart: bool
) -> None:
    out = [tmp_path / "first", tmp_path / ("second" if apart else "first")]
    kept = {"PARLEY_EXPORT__TRANSCRIPT": "jsonl,srt,vtt,txt", "PARLEY_EXPORT__OWN_WORDS": "all"}
    envs = [
        environment(
            server, simulator.base_url, PARLEY_DRAIN_S="60", PARLEY_EXPORT__DIR=str(directory), **kept
        )
        for directory in out
    ]
    said = {"ann": dictation("en", 24, phrase=4, pause_s=1.0), "bob": dictation("en", 16, voice=3, phrase=8)}
    async with running_worker(envs[0]) as first, running_worker(envs[1], beside=first) as second:
        room = await venue.room(dispatch=False)
        await venue.dispatch(room, first)
        async with (
            venue.join(room, "ann", speaks="en") as ann,
            venue.join(room, "bob", speaks="en") as bob,
        ):
            await attended(ann, bob)
            serving, waiting = (first, second) if await rooms(first) else (second, first)
            for person in (ann, bob):
                person.say(said[person.identity].pcm)
            last = out[0 if waiting is first else 1]
            await eventually(lambda: any(rows(directory) for directory in out), 20, "a line")
            serving.signal(signal.SIGTERM)
            await told(bob, "worker.left", 40)
            await ann.quiet()
            await eventually(lambda: count(last) >= 40, 20, "all of it is written down")
            await venue.livekit.room.delete_room(api.DeleteRoomRequest(room=room))
            await eventually(lambda: files(last, ".txt"), 30, "the transcript is written")
        assert await serving.exit() == 0
    found = rows(last)
    assert [row["type"] for row in found].count("room") == 1
    assert found[-1]["type"] == "end"
    assert len({path.name for directory in out for path in files(directory, ".jsonl")}) == 1
    for name, words in said.items():
        check_words(found, name, words)
        check_times(found, name, words)
    for ending in (".en.srt", ".en.vtt"):
        (subtitles,) = files(last, ending)
        check_subtitles(subtitles)
        assert set(re.findall(r"[a-z]+", subtitles.read_text())) >= set(texts(said["ann"]))
    assert not apart or not files(out[0 if last is out[1] else 1], ".txt")


async def until_all_is_read(person: Person, within_s: float) -> None:
    try:
        await person.until(lambda p: _final(p).count("word-") == 8, within_s)
    except TimeoutError:
        shown = [(c.segment_id, c.final, c.complete, c.text) for c in person.captions]
        raise AssertionError(f"{person.identity} has read: {shown}") from None


def _final(person: Person) -> str:
    return " ".join(caption.text for caption in person.captions if caption.final and caption.complete)
