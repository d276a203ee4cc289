"""Notes of a real room, by the simulator's text model: for who asks, at the end, and when the model fails."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from livekit import api, rtc
from parley.demo.people import Person
from parley.simulator import Fault

from .counting import attended, events, told
from .dictation import dictation, texts, tokens
from .records import check_words, count, files, of, rows, summary
from .running import eventually
from .talking import rpc
from .venue import Venue

pytestmark = pytest.mark.usefixtures("understood")

MODEL = "gpt-5-mini"
KEPT = {
    "PARLEY_NOTES__MODEL": MODEL,
    "PARLEY_LIMITS__TRANSCRIPT": "everybody",
    "PARLEY_EXPORT__TRANSCRIPT": "jsonl",
    "PARLEY_EXPORT__OWN_WORDS": "all",
}
WORDS = 8


async def noted(person: Person, wish: dict[str, str]) -> tuple[dict[str, Any], dict[str, str], str]:
    """Asks for notes; returns the answer, the attributes of the stream that follows, and its text."""
    arrived: asyncio.Future[rtc.ByteStreamReader] = asyncio.get_running_loop().create_future()
    person.room.register_byte_stream_handler("parley.notes", lambda reader, _: arrived.set_result(reader))
    answer = await ask(person, wish)
    async with asyncio.timeout(15):
        reader = await arrived
        body = b"".join([chunk async for chunk in reader])
    person.room.unregister_byte_stream_handler("parley.notes")
    return answer, dict(reader.info.attributes or {}), body.decode()


async def ask(person: Person, wish: dict[str, str]) -> dict[str, Any]:
    worker = next(p for p in person.room.remote_participants.values() if "parley.worker" in p.attributes)
    answer: dict[str, Any] = json.loads(
        await person.room.local_participant.perform_rpc(
            destination_identity=worker.identity, method="parley.notes", payload=json.dumps(wish)
        )
    )
    return answer


@pytest.mark.long
async def test_notes_are_written_for_who_asks_and_for_all_at_the_end(venue: Venue, tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = dictation("en", WORDS, phrase=4)
    before = len(venue.simulator.texts)
    async with (
        venue.served(PARLEY_EXPORT__DIR=str(out), **KEPT) as (worker, room),
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", captions="fr") as bob,
    ):
        await attended(ann, bob)
        ann.say(said.pcm)
        await bob.until(lambda p: tokens(p, "ann") >= WORDS, 40)
        await eventually(lambda: count(out) >= WORDS, 20, "all words are kept")
        answer, attributes, text = await noted(bob, {})
        assert answer == {"name": "notes.fr.txt", "mime_type": "text/plain", "language": "fr"}
        assert attributes == {"language": "fr", "model": MODEL}
        assert text.startswith("[simulated notes] 2 lines")
        (asked,) = venue.simulator.texts[before:]
        assert (asked.model, '"fr"' in asked.instructions) == (MODEL, True)
        assert texts(said)[0] in asked.input
        cost = (await rpc(bob, venue, room, "parley.state"))["cost"]
        first_usd = cost["by_kind"]["notes"]
        assert first_usd > 0
        tokens_in = 'parley_tokens_total{direction="input",kind="notes"}'
        async with asyncio.timeout(10):
            while (await worker.metrics()).get(tokens_in) != asked.input_tokens:
                await asyncio.sleep(0.2)

        venue.simulator.faults.add(Fault("refuse_text", status=503, times=9))
        assert (await ask(bob, {"language": "de"}))["language"] == "de"
        failed = await told(bob, "notes.failed")
        assert failed["language"] == "de"
        assert "overloaded" in str(failed["detail"])
        venue.simulator.faults.clear()
        assert (await rpc(bob, venue, room, "parley.state"))["cost"]["by_kind"]["notes"] == first_usd
        assert len(events(bob, "notes.failed")) == 1

        venue.simulator.faults.add(Fault("refuse_text", status=503))
        assert (await noted(bob, {"language": "de"}))[0]["language"] == "de", "one refusal is tried again"

        await venue.livekit.room.delete_room(api.DeleteRoomRequest(room=room))
        await eventually(lambda: len(list(out.glob("*.notes.*.txt"))) == 2, 30, "notes are written")
        await eventually(lambda: any("transcript" not in p.name for p in out.glob("*.json")), 30, "a summary")
    notes = {path.suffixes[-2]: path.read_text(encoding="utf-8") for path in out.glob("*.notes.*.txt")}
    assert set(notes) == {".en", ".fr"}
    assert all(text.startswith("[simulated notes] 2 lines") for text in notes.values())
    left = summary(out)
    asked_of = venue.simulator.texts[before:]
    assert len(asked_of) == 4
    metered = [row for row in left["translated"] if row["kind"] == "notes"]
    assert sum(row["tokens"]["input"] for row in metered) == sum(one.input_tokens for one in asked_of)
    assert left["cost"]["by_kind"]["notes"] > first_usd
    assert left["events"]["counts"]["notes.failed"] == 1


@pytest.mark.long
async def test_a_room_whose_notes_fail_leaves_its_transcript_and_says_so(
    venue: Venue, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    said = dictation("en", WORDS, phrase=4)
    async with (
        venue.served(PARLEY_EXPORT__DIR=str(out), **KEPT) as (_, room),
        venue.join(room, "ann", speaks="en") as ann,
    ):
        await attended(ann)
        ann.say(said.pcm)
        await eventually(lambda: count(out) >= WORDS, 40, "all words are kept")
        venue.simulator.faults.add(Fault("refuse_text", status=401, times=9))
        await venue.livekit.room.delete_room(api.DeleteRoomRequest(room=room))
        await eventually(lambda: any("transcript" not in p.name for p in out.glob("*.json")), 30, "a summary")
    check_words(rows(out), "ann", said)
    assert rows(out)[-1]["type"] == "end"
    assert files(out, ".jsonl")
    assert not list(out.glob("*.notes.*"))
    counts = summary(out)["events"]["counts"]
    assert counts["notes.failed"] == 1


@pytest.mark.parametrize("kind", ["fail", "swap"])
@pytest.mark.long
async def test_what_a_session_does_not_write_down_is_told_and_what_comes_out_of_turn_is_in_order(
    venue: Venue, tmp_path: Path, kind: str
) -> None:
    out = tmp_path / "out"
    said = dictation("en", 12, phrase=4, pause_s=1.2)
    kept = {name: value for name, value in KEPT.items() if name != "PARLEY_NOTES__MODEL"}
    async with (
        venue.served(PARLEY_EXPORT__DIR=str(out), **kept) as (_, room),
        venue.join(room, "ann", speaks="en") as ann,
    ):
        await attended(ann)
        venue.simulator.faults.add(Fault(kind, session="transcription", after_audio_s=1.0))  # type: ignore[arg-type]
        ann.say(said.pcm)
        await ann.quiet()
        least = 12 if kind == "swap" else 8
        await eventually(lambda: count(out) >= least, 20, "what could be written is kept")
        await asyncio.sleep(2)
        told_of = events(ann, "session.error")
    if kind == "fail" and count(out) < 12:
        # Of an utterance of which some was shown already, that stays.
        kept_words = " ".join(row["text"] for row in of(rows(out), "ann")).split()
        assert told_of or set(kept_words) & set(texts(said)[:4])
        assert kept_words == [word for word in texts(said) if word in kept_words]
    else:
        check_words(rows(out), "ann", said)
