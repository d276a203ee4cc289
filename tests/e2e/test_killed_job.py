"""A job that is killed loses nothing of what it knew: the next one goes on where it was."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path

import psutil
import pytest

from livekit import api, rtc
from parley.demo.people import Person
from parley.room.safekeeping import PERIOD_S

from .counting import attended, gets, publication, speech, told, track_name
from .records import rows
from .running import RunningWorker, eventually
from .venue import Venue

FR = track_name("ann", "fr")
USD = 0.06
USD_PER_MINUTE = 0.3
UNKNOWN_USD = (PERIOD_S + 0.5) * USD_PER_MINUTE / 60
"""What may be spent between what is kept and the death."""


@pytest.mark.long
async def test_what_was_set_spent_and_recorded_goes_on_in_the_next_job(venue: Venue, tmp_path: Path) -> None:
    prices, summaries = tmp_path / "prices.json", tmp_path / "summaries"
    prices.write_text(json.dumps({"gpt-realtime-translate": {"audio_minute": USD_PER_MINUTE}}))
    async with (
        venue.served(
            PARLEY_DRAIN_S="0",
            PARLEY_LIMITS__USD_PER_ROOM=str(USD),
            PARLEY_PRICES__FILE=str(prices),
            PARLEY_EXPORT__DIR=str(summaries),
            PARLEY_EXPORT__TRANSCRIPT="jsonl,srt",
        ) as (worker, room),
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
        venue.join(room, "dan", speaks="de") as dan,
    ):
        await gets(bob, FR)
        await gets(bob, track_name("dan", "fr"))
        (first,) = _workers(bob)
        payload = json.dumps({"consent": "declined"})
        answer = await dan.room.local_participant.perform_rpc(
            destination_identity=first, method="parley.set", payload=payload
        )
        assert json.loads(answer)["consent"] == "declined"
        ann.say(speech("en", 2, first=24).pcm)
        await ann.quiet()
        await eventually(lambda: len(rows(summaries)) == 2, 20, "a line is in the transcript")
        began = ann.say(speech("en", 6).pcm)
        await bob.until(lambda p: any(r.last_loud_s > began for r in p.recordings), 20)
        os.kill(_job(worker), signal.SIGKILL)
        await eventually(
            lambda: len(_workers(bob)) == 1 and _workers(bob) != [first] and publication(bob, FR),
            15,
            "another job serves the room, alone",
        )
        await gets(bob, FR)
        await attended(ann)
        await ann.quiet()
        before_s = await _rested(venue)
        dan.say(speech("de", 4, voice=1).pcm)
        await dan.quiet()
        assert publication(bob, track_name("dan", "fr")) is None
        assert _sent_s(venue) == before_s, "not a sample of who declined goes out"

        ann.say(speech("en", 18, first=6).pcm)
        await told(bob, "budget.exceeded", 40)
        await eventually(lambda: not venue.open_sessions, 20, "the sessions are closed")
        sent_usd = _sent_s(venue) * USD_PER_MINUTE / 60
        assert USD - 0.2 * USD_PER_MINUTE / 60 < sent_usd <= USD + UNKNOWN_USD
        assert _kept(worker), "there is something to go on with"
        await venue.livekit.room.delete_room(api.DeleteRoomRequest(room=room))
        await eventually(lambda: list(summaries.glob("*.json")), 20, "the summary is there")
        await eventually(lambda: list(summaries.glob("*.srt")), 20, "so are the subtitles")
        (path,) = (p for p in summaries.glob("*.json") if "transcript" not in p.name)
        text = path.read_text()
        summary = json.loads(text)
        await eventually(lambda: not _kept(worker), 10, "what was kept is gone")
    assert "dan" not in text
    _check_transcript(summaries)
    people = summary["people"]
    assert (people["count"], people["declined_consent"], people["most_at_once"]) == (3, 1, 3)
    assert [(p["identity"], p["arrivals"]) for p in people["known"]] == [("ann", 1), ("bob", 1)]
    cost = summary["cost"]
    assert cost["usd"] == cost["by_kind"]["translation"] <= USD
    assert cost["inherited_usd"] == 0
    assert sent_usd - UNKNOWN_USD <= cost["usd"] <= sent_usd + 1e-6
    (row,) = [row for row in summary["translated"] if row["audio_s"]]
    assert (row["speaker"], row["sessions"]) == ("ann", len(venue.sessions))


def _check_transcript(directory: Path) -> None:
    """One, with the lines of both jobs, begun once and ended once; its subtitles are of all of it."""
    found = rows(directory)
    assert [row["type"] for row in found if row["type"] != "line"] == ["room", "end"]
    lines = [row for row in found if row["type"] == "line"]
    assert {row["speaker"] for row in lines} == {"ann"}
    assert lines[-1]["start_s"] - lines[0]["start_s"] > 5, "what was said before the death, and after it"
    assert len({row["id"] for row in lines}) == len(lines)
    (subtitles,) = directory.glob("*.srt")
    shown = " ".join(subtitles.read_text().split())
    assert [row["text"] for row in lines if " ".join(row["text"].split()[-2:]) not in shown] == []


def _workers(person: Person) -> list[str]:
    there: list[rtc.RemoteParticipant] = list(person.room.remote_participants.values())
    return [p.identity for p in there if "parley.worker" in p.attributes]


def _job(worker: RunningWorker) -> int:
    """The process that is in a room: the one with media sockets."""
    (job,) = [n for n in worker.processes if psutil.Process(n).net_connections(kind="udp")]
    return job


def _sent_s(venue: Venue) -> float:
    return sum(session.audio_received_s for session in venue.sessions)


async def _rested(venue: Venue) -> float:
    """Waits until nothing has been sent for two seconds: the tail of what was said is over."""
    since, sent_s = time.monotonic(), _sent_s(venue)
    deadline = since + 20
    while time.monotonic() < since + 2:
        assert time.monotonic() < deadline, "it is sent on and on"
        await asyncio.sleep(0.05)
        if sent_s != (sent_s := _sent_s(venue)):
            since = time.monotonic()
    return sent_s


def _kept(worker: RunningWorker) -> list[Path]:
    return list(worker.directory.glob("*/parley-rooms/*.json"))
