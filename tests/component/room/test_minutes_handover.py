"""The minutes of a room over a change of worker: one record, every line once, in order."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
import srt

from component.room.test_agents_leave import Reader
from component.room.test_estate import worker
from fakes.room import FakeRoom
from livekit import rtc
from parley.core.minutes import Line
from parley.core.model import Participant, Preferences
from parley.core.transcript import Segment
from parley.export.transcripts import TranscriptPolicy, Transcripts
from parley.metrics import Metrics
from parley.room import minutes_handover as module
from parley.room.minutes import MinutesPolicy, RoomMinutes
from parley.room.minutes_handover import TOPIC, MinutesHandover
from parley.room.text_output import CAPTIONS_TOPIC, Text, TextOutput
from parley.testing import RecordingNotices


class Side:
    """One worker's side: `old` was there first, `new` takes over."""

    count = 0

    def __init__(self, group: asyncio.TaskGroup, other: str, joined_s: float, directory: Path) -> None:
        self.room = FakeRoom()
        self.room.join(worker(other, joined_s))
        self.directory = directory
        fake, http = self.room, None

        def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
            return group.create_task(work, name=name)

        def new(began_at: Any, notices: Any) -> Transcripts:
            leaving = TranscriptPolicy(("jsonl", "srt", "txt"), directory, None, "1.2")
            return Transcripts(leaving, "the room", began_at, http, Metrics(), notices)  # type: ignore[arg-type]

        self.minutes = RoomMinutes(
            MinutesPolicy(kept=True),
            TextOutput(fake, None),  # type: ignore[arg-type]
            RecordingNotices(),
            new,
        )
        self.record = MinutesHandover(fake, self.minutes, lambda who: who == "old", spawn)  # type: ignore[arg-type]
        self.writing = group.create_task(self.minutes.run())

    def say(self, text: str, speaker: str = "ann", **more: Any) -> None:
        Side.count += 1
        now = monotonic() + 0.05 * Side.count  # each is said after the one before
        segment = Segment(f"s-{Side.count}", text, True, now - 0.001, now)
        kind = more.get("kind", "source")
        told = Text(CAPTIONS_TOPIC, text, {"language": "en"}, tuple(more.get("to", ())), speaker)
        self.minutes.said(segment, told, speaker, kind, more.get("beside", ""))

    def decline(self, identity: str) -> None:
        self.minutes.follow({identity: Participant(identity, preferences=Preferences(consent=False))})

    @property
    def sent(self) -> list[str]:
        return [text["text"] for text in self.room.texts if text["topic"] == TOPIC]

    async def takes(self, *texts: str, sender: str = "old") -> None:
        for text in texts:
            self.room.text_handlers[TOPIC](Reader(text), sender)
            for _ in range(100):
                await asyncio.sleep(0)

    async def rows(self) -> list[dict[str, Any]]:
        await self.minutes.flush()
        (path,) = self.directory.glob("*.jsonl")
        return [json.loads(row) for row in path.read_text(encoding="utf-8").splitlines()]

    async def lines(self) -> list[str]:
        return [row["text"] for row in await self.rows() if row["type"] == "line"]

    async def end(self) -> None:
        """The room has ended: as the supervisor does it."""
        if not await self.record.leave():
            await self.minutes.leave()


async def hand_over(old: Side, new: Side) -> None:
    before = len(old.sent)
    await old.record.give("new")
    await new.takes(*old.sent[before:])
    new.record.inherit(json.loads(json.dumps(old.record.heading)))
    new.record.begin()


async def settle(old: Side, new: Side) -> None:
    before = len(old.sent)
    assert await old.record.settle()
    await new.takes(*old.sent[before:])


@pytest.fixture(params=["shared", "apart"])
async def sides(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Side, Side]]:
    apart = request.param == "apart"
    async with asyncio.TaskGroup() as group:
        old = Side(group, "new", 200.0, tmp_path / "out")
        new = Side(group, "old", 10.0, tmp_path / "other" if apart else tmp_path / "out")
        yield old, new
        for side in (old, new):
            side.writing.cancel()


async def test_one_record_goes_on_with_every_line_once_and_in_order(sides: tuple[Side, Side]) -> None:
    old, new = sides
    old.say("one")
    old.say("two", "bob")
    await hand_over(old, new)
    old.say("three")
    new.say("four", "bob")
    await settle(old, new)
    new.say("five")
    await old.end()
    await new.end()
    first, *_, last = await new.rows()
    assert (first["type"], last["type"]) == ("room", "end")
    assert sorted(await new.lines()) == sorted(["one", "two", "three", "four", "five"])
    assert [line.text for line in new.minutes.minutes.lines()] == ["one", "two", "three", "four", "five"]
    assert new.minutes.began_at == old.minutes.began_at
    (subtitles,) = new.directory.glob("*.srt")
    cues = [cue.content for cue in srt.parse(subtitles.read_text(encoding="utf-8"))]
    assert cues == ["ann: one", "bob: two", "ann: three", "bob: four", "ann: five"]
    (written,) = old.directory.glob("*.jsonl")
    assert written.name == next(new.directory.glob("*.jsonl")).name, "it has the name that it had"


async def test_what_comes_out_last_is_sent_when_the_room_is_left(sides: tuple[Side, Side]) -> None:
    old, new = sides
    await hand_over(old, new)
    old.say("the last words")
    before = len(old.sent)
    await old.end()
    await new.takes(*old.sent[before:])
    assert await new.lines() == ["the last words"]
    assert not list(old.directory.glob("*.txt")) or old.directory == new.directory


async def test_what_was_begun_and_not_done_writes_nothing_twice(sides: tuple[Side, Side]) -> None:
    old, new = sides
    old.say("one")
    before = len(old.sent)
    await old.record.give("new")
    await new.takes(*old.sent[before:])
    old.say("two")
    old.record.keep()
    assert await old.lines() == ["one", "two"]
    await hand_over(old, new)
    new.say("three")
    await old.end()
    await new.end()
    assert await new.lines() == ["one", "two", "three"]


async def test_one_that_takes_over_nothing_after_all_ends_no_record(sides: tuple[Side, Side]) -> None:
    old, new = sides
    old.say("one")
    await old.record.give("new")
    await new.takes(*old.sent)
    old.record.keep()
    await new.end()
    assert not list(new.directory.glob("*.txt"))
    await old.end()
    assert (await old.rows())[-1]["type"] == "end"


async def test_where_the_other_one_is_gone_the_record_is_ended_here(sides: tuple[Side, Side]) -> None:
    old, new = sides
    await hand_over(old, new)
    old.say("one")
    old.room.leave("new")
    await old.end()
    assert await old.lines() == ["one"]
    assert (await old.rows())[-1]["type"] == "end"


async def test_what_cannot_be_sent_is_written_here(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, _ = sides

    async def fail(*_: Any) -> None:
        raise rtc.StreamError("no")

    old.say("one")
    await old.record.give("new")
    old.say("two")
    monkeypatch.setattr(module, "send_text", fail)
    assert not await old.record.settle()
    await old.end()
    assert await old.lines() == ["one", "two"]


async def test_of_too_many_lines_the_newest_are_handed_over_and_the_file_has_the_rest(
    sides: tuple[Side, Side], monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = sides
    monkeypatch.setattr(module, "PART_BYTES", 1_000)
    monkeypatch.setattr(module, "MOST_BYTES", 3_000)
    said = [f"line {n}" for n in range(40)]
    for text in said:
        old.say(text)
    await hand_over(old, new)
    got = await new.lines()
    assert got == (said if old.directory == new.directory else said[-len(got) :])
    assert len(got) > 5
    assert [line.text for line in new.minutes.minutes.lines()] == got
    assert new.minutes.minutes.dropped == len(said) - len(got)


async def test_who_declines_at_the_next_worker_is_in_nothing_that_is_handed_over(
    sides: tuple[Side, Side],
) -> None:
    old, new = sides
    old.say("one")
    old.say("secret", "bob")
    new.decline("bob")
    await hand_over(old, new)
    old.say("another secret", "bob")
    await settle(old, new)
    assert await new.lines() == ["one"]
    assert [line.text for line in new.minutes.minutes.lines()] == ["one"]
    old.decline("bob")
    assert await old.lines() == ["one"]


async def test_who_declines_later_is_removed_from_what_was_handed_over(sides: tuple[Side, Side]) -> None:
    old, new = sides
    old.say("one")
    old.say("secret", "bob")
    await hand_over(old, new)
    old.say("held", "bob")
    for side in sides:
        side.decline("bob")
    await settle(old, new)
    assert await new.lines() == ["one"]
    await old.minutes.flush()
    assert "secret" not in next(old.directory.glob("*.jsonl")).read_text(encoding="utf-8")


async def test_a_conversation_with_an_agent_stays_with_those_who_took_part(sides: tuple[Side, Side]) -> None:
    old, new = sides
    old.say("how can I help", "support", kind="agent", beside="ann", to=("ann",))
    await hand_over(old, new)
    (line,) = new.minutes.minutes.lines()
    assert (line.to, line.beside, line.kind) == (frozenset({"ann"}), "ann", "agent")


async def test_half_a_line_of_a_worker_that_was_killed_spoils_no_other(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        old = Side(group, "new", 200.0, tmp_path)
        old.say("one")
        await old.minutes.flush()
        heading = old.record.heading
        path = await asyncio.to_thread(_breaks_off, tmp_path)
        new = Side(group, "old", 10.0, tmp_path)
        new.record.inherit(heading)
        new.record.begin()
        new.say("two")
        await new.minutes.flush()
        kept = [line for line in path.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
        assert [json.loads(row).get("text") for row in kept] == [None, "one", "two"]
        assert [line.text for line in new.minutes.minutes.lines()] == ["one", "two"]
        for side in (old, new):
            side.writing.cancel()


@pytest.mark.parametrize(
    "heading",
    [
        {"began_at": "yesterday"},
        {"began_at": "2026-11-22T10:00:00", "stem": "x"},
        {"began_at": "1999-01-01T00:00:00+00:00"},
        {"stem": "x"},
        {"began_at": None, "stem": 7},
    ],
)
async def test_what_makes_no_sense_is_not_gone_on_with(heading: dict[str, Any], tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        new = Side(group, "old", 10.0, tmp_path)
        began_at = new.minutes.began_at
        new.record.inherit(heading)
        new.record.begin()
        await new.takes("[]", '{"lines": 7}', '{"lines": [{"type": "line"}, 3]}', "nonsense")
        await new.takes(json.dumps({"lines": [row("z")]}), sender="bob")
        new.say("one")
        assert await new.lines() == ["one"]
        assert new.minutes.began_at == began_at
        new.writing.cancel()


async def test_no_name_leads_to_another_place(tmp_path: Path) -> None:
    async with asyncio.TaskGroup() as group:
        new = Side(group, "old", 10.0, tmp_path / "out")
        heading = new.minutes.heading | {"stem": "../../20261122T100000Z-room-01234567"}
        new.record.inherit(heading)
        new.record.begin()
        new.say("one")
        assert await new.lines() == ["one"]
        assert await asyncio.to_thread(lambda: [path.name for path in tmp_path.iterdir()]) == ["out"]
        new.writing.cancel()


def _breaks_off(directory: Path) -> Path:
    """The last line of a transcript is half written."""
    (path,) = directory.glob("*.jsonl")
    with path.open("a") as file:
        file.write('{"type": "line", "id": "s-')
    return path


def row(text: str) -> dict[str, Any]:
    line = Line("x", "ann", "en", "source", 0.0, 1.0, text)
    return {"type": "line", **{key: getattr(line, key) for key in ("id", "speaker", "language", "kind")}} | {
        "start_s": 0.0,
        "end_s": 1.0,
        "text": text,
    }
