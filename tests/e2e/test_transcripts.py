"""The transcript of a real room: in time with what was spoken, for those who may read it, and valid."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import webvtt

from livekit import api, rtc
from parley.demo.people import Person

from .counting import attended, gets, speech, track_name
from .records import WITHIN_S, check_subtitles, files, rows
from .running import eventually
from .talking import rpc
from .venue import Venue


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


async def until_all_is_read(person: Person, within_s: float) -> None:
    try:
        await person.until(lambda p: _final(p).count("word-") == 8, within_s)
    except TimeoutError:
        shown = [(c.segment_id, c.final, c.complete, c.text) for c in person.captions]
        raise AssertionError(f"{person.identity} has read: {shown}") from None


def _final(person: Person) -> str:
    return " ".join(caption.text for caption in person.captions if caption.final and caption.complete)
