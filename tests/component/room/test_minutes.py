"""The minutes of a room: late readers, those who withdraw consent, and who may ask for what."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fakes.room import FakeRoom
from livekit import rtc
from parley.core.minutes import LatePolicy, LineKind, MinutesBounds
from parley.core.model import Participant, Preferences
from parley.core.transcript import Segment
from parley.core.usage import Tokens
from parley.export.notes import NotesPolicy
from parley.export.transcripts import TranscriptPolicy, Transcripts
from parley.metrics import Metrics
from parley.room import minutes as module
from parley.room import refusals
from parley.room.minutes import MinutesPolicy, RoomMinutes
from parley.room.minutes_requests import ASKED_BURST, METHOD, TOO_LARGE, MinutesRequests
from parley.room.refusals import INVALID, NOT_ALLOWED, NOT_FOUND, TOO_MANY
from parley.room.text_output import CAPTIONS_TOPIC, Text, TextOutput
from parley.testing import RecordingNotices

EVERYBODY = MinutesPolicy(kept=True, who="everybody", version="1.2")


class Stage:
    """A room whose minutes are taken, on a clock of its own."""

    def __init__(
        self, policy: MinutesPolicy, hosts: tuple[str, ...] = (), directory: Path | None = None
    ) -> None:
        self.now = 1000.0
        self.room = FakeRoom()
        room: Any = self.room
        self.output = TextOutput(room, None)
        self.notices = RecordingNotices()
        self.roster: dict[str, Participant] = {}
        self.standby = False
        self._ids = iter(range(10_000))
        http: Any = None

        def new(began_at: datetime, notices: Any) -> Transcripts:
            leaving = TranscriptPolicy(("jsonl", "srt", "txt"), directory, None, "1.2")
            return Transcripts(leaving, "the room", began_at, http, Metrics(), notices)

        self.minutes = RoomMinutes(policy, self.output, self.notices, new if directory is not None else None)
        self.charged: list[tuple[str, str, Tokens]] = []
        people: Any = self
        self.asking = MinutesRequests(
            *(room, self.minutes, policy, hosts, people),
            *(Metrics(), self.notices, lambda *used: self.charged.append(used)),
            lambda: self.standby,
        )

    @asynccontextmanager
    async def answering(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.asking.run())
        await asyncio.sleep(0)
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait({task})
        assert self.room.local_participant.methods == {}

    def join(self, identity: str, **wishes: Any) -> None:
        self.roster[identity] = Participant(identity, "standard", Preferences(**wishes))
        self.minutes.follow(self.roster)

    def leave(self, identity: str) -> None:
        del self.roster[identity]
        self.minutes.follow(self.roster)

    def say(
        self, text: str, speaker: str = "ann", language: str = "en", kind: LineKind = "source", **more: Any
    ) -> str:
        """A final line, one second long, that is over now."""
        segment = Segment(f"s-{next(self._ids)}", text, more.pop("final", True), self.now - 1, self.now)
        to = tuple(more.pop("to", ()))
        attributes = {"lk.segment_id": segment.id, "language": language, "parley.kind": kind}
        self.minutes.said(segment, Text(CAPTIONS_TOPIC, text, attributes, to, speaker), speaker, kind, **more)
        self.now += 2
        return segment.id

    async def got(self) -> list[tuple[str, tuple[str, ...]]]:
        """What was sent since, and to whom."""
        task = asyncio.create_task(self.output.run())
        async with asyncio.timeout(5):
            await self.output.sent()
        task.cancel()
        await asyncio.wait({task})
        sent = [(text["text"], tuple(text["destination_identities"])) for text in self.room.texts]
        self.room.texts.clear()
        return sent

    async def ask(
        self, caller: str = "bob", method: str = METHOD, files: int | None = None, **wish: Any
    ) -> dict[str, Any]:
        """Asks, and waits until so many files have been sent."""
        data = rtc.RpcInvocationData("id", caller, json.dumps(wish), 10.0)
        wanted = len(self.room.files) + 1 if files is None else files
        async with self.answering():
            answer = self.room.local_participant.methods[method](data)
            await self.room.until(lambda: len(self.room.files) >= wanted)
        return dict(json.loads(answer))

    async def refused(self, caller: str = "bob", **wish: Any) -> rtc.RpcError:
        with pytest.raises(rtc.RpcError) as caught:
            await self.ask(caller, **wish)
        return caught.value


class TextModel:
    """The text model's side of HTTP."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.status = 200
        self.hangs = False
        self.policy = NotesPolicy("gpt-5-mini", 10.0, "", "key")

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.append(await request.json())
        if self.hangs:
            await asyncio.sleep(2)
        if self.status != 200:
            error = {"message": "no", "type": "invalid_request_error", "code": None, "param": None}
            return web.json_response({"error": error}, status=self.status)
        content = [{"type": "output_text", "text": "Decided: nothing.", "annotations": []}]
        message = {
            "id": "m",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": content,
        }
        usage = {
            **{"input_tokens": 100, "output_tokens": 7, "total_tokens": 107},
            **{
                "input_tokens_details": {"cached_tokens": 10},
                "output_tokens_details": {"reasoning_tokens": 0},
            },
        }
        return web.json_response(
            {
                **{"id": "r", "object": "response", "created_at": 0, "model": "gpt-5-mini"},
                **{"status": "completed", "output": [message], "usage": usage},
                **{"parallel_tool_calls": False, "tool_choice": "auto", "tools": []},
            }
        )


@pytest.fixture
async def text_model() -> AsyncIterator[TextModel]:
    model = TextModel()
    app = web.Application()
    app.router.add_post("/v1/responses", model.answer)
    async with TestServer(app) as server:
        model.policy = replace(model.policy, base_url=str(server.make_url("/v1")))
        yield model


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Stage]:
    clock = SimpleNamespace(stage=None)

    def now() -> float:
        return 1000.0 if clock.stage is None else float(clock.stage.now)

    monkeypatch.setattr(module, "monotonic", now)
    monkeypatch.setattr(refusals, "monotonic", now)

    def make(*args: Any, **more: Any) -> Stage:
        clock.stage = Stage(*args, **more)
        return clock.stage  # type: ignore[no-any-return]

    return make


NewStage = Callable[..., Stage]


# Late readers


async def test_who_begins_to_read_gets_the_last_lines_in_order_once(stage: NewStage) -> None:
    s = stage(MinutesPolicy(late=LatePolicy(3, 60.0)))
    ids = [s.say(f"line {n}") for n in range(6)]
    s.join("bob", captions="original")
    sent = s.output._waiting
    assert [text.attributes["lk.segment_id"] for text in sent.values()] == ids[3:]
    assert await s.got() == [(f"line {n}", ("bob",)) for n in (3, 4, 5)]
    s.join("cat", captions="off")
    s.join("bob", captions="fr")
    s.join("bob", captions="original")
    assert await s.got() == [], "they have these"


async def test_who_was_there_does_not_get_a_line_again_but_who_comes_back_does(stage: NewStage) -> None:
    s = stage(MinutesPolicy())
    s.join("bob", captions="original")
    s.say("hello", to=["bob"])
    s.join("bob", captions="off")
    s.join("bob", captions="original")
    assert await s.got() == []
    s.leave("bob")
    s.join("bob", captions="original")
    assert await s.got() == [("hello", ("bob",))]


async def test_a_reader_gets_lines_of_their_language_and_none_of_their_own(stage: NewStage) -> None:
    s = stage(MinutesPolicy())
    s.say("hello", "ann")
    s.say("bonjour", "ann", "fr", "translation")
    s.say("salut", "bob", "fr-CA")
    s.say("secret", "support", "fr", "agent", beside="ann", to=["ann"])
    s.say("not fin", final=False)
    s.join("cat", captions="fr")
    s.join("bob", captions="fr")
    assert await s.got() == [("bonjour", ("cat",)), ("salut", ("cat",)), ("bonjour", ("bob",))]


async def test_what_is_old_or_not_paid_for_is_not_sent(stage: NewStage) -> None:
    s = stage(MinutesPolicy(late=LatePolicy(5, 30.0)))
    s.say("long ago")
    s.now += 60
    s.say("just now")
    s.roster["bob"] = Participant("bob", "standard", Preferences(captions="original"))
    s.minutes.follow(s.roster, lambda reader: False)
    assert await s.got() == []
    s.minutes.follow(s.roster)
    assert await s.got() == [("just now", ("bob",))]


async def test_a_line_for_a_late_reader_does_not_take_the_place_of_one_that_waits(stage: NewStage) -> None:
    s = stage(MinutesPolicy())
    name = s.say("hello", to=["cat"])
    s.output.put(Text(CAPTIONS_TOPIC, "hello", {}, ("cat",), "ann"), key=name)
    s.join("bob", captions="original")
    assert await s.got() == [("hello", ("cat",)), ("hello", ("bob",))]


# Consent


async def test_of_who_withdraws_consent_nothing_is_kept_and_nothing_more_is_taken(stage: NewStage) -> None:
    s = stage(EVERYBODY)
    s.join("ann")
    s.say("mine")
    s.say("the agent's", "support", "en", "agent", beside="ann", to=["ann"])
    s.say("bob's", "bob")
    s.minutes.forget("ann")
    s.say("in flight")
    s.join("bob", captions="original")
    assert [line.text for line in s.minutes.minutes.lines()] == ["bob's"]
    s.join("cat", captions="original")
    assert await s.got() == [("bob's", ("cat",))]
    s.join("ann", consent=True)
    s.say("again")
    assert [line.text for line in s.minutes.minutes.lines()] == ["bob's", "again"]


async def test_who_never_consented_is_not_taken_down_also_when_they_have_left(stage: NewStage) -> None:
    s = stage(EVERYBODY)
    s.join("ann", consent=False)
    s.say("no")
    s.leave("ann")
    s.say("still no")
    assert len(s.minutes.minutes) == 0


async def test_the_file_forgets_too(stage: NewStage, tmp_path: Path) -> None:
    s = stage(EVERYBODY, directory=tmp_path)
    assert s.minutes.transcripts is not None
    s.say("mine")
    s.say("bob's", "bob")
    writing = asyncio.create_task(s.minutes.run())
    await until(lambda: written(tmp_path).count("\n") == 3)
    s.minutes.forget("ann")
    s.say("in flight")
    s.say("more", "bob")
    await until(lambda: "more" in written(tmp_path))
    writing.cancel()
    await asyncio.wait({writing})
    rows = [json.loads(row) for row in written(tmp_path).splitlines()]
    assert [row.get("text") for row in rows] == [None, "bob's", "more"]
    await s.minutes.leave()
    assert "mine" not in written(tmp_path)
    assert {file.name.split(".", 1)[1] for file in files(tmp_path)} == {
        "transcript.jsonl",
        "transcript.en.srt",
        "transcript.txt",
    }


def files(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def written(directory: Path) -> str:
    """All that is in the files of a directory."""
    return "".join(file.read_text(encoding="utf-8") for file in files(directory))


async def until(ready: Callable[[], bool]) -> None:
    """What another thread does is looked for again and again."""
    async with asyncio.timeout(5):
        while not ready():
            await asyncio.sleep(0.01)


# What is kept


async def test_nothing_is_kept_that_nobody_may_have(stage: NewStage) -> None:
    s = stage(MinutesPolicy())
    s.say("hello")
    assert len(s.minutes.minutes) == 0


async def test_lines_have_the_time_of_the_room(stage: NewStage) -> None:
    s = stage(EVERYBODY)
    s.now += 10
    s.say("hello")
    (line,) = s.minutes.minutes.lines()
    assert (line.start_s, line.end_s) == (9.0, 10.0)
    assert abs((datetime.now(UTC) - s.minutes.began_at).total_seconds()) < 60


async def test_a_full_record_is_told_once(stage: NewStage) -> None:
    s = stage(MinutesPolicy(kept=True, bounds=MinutesBounds(most_lines=2)))
    for n in range(5):
        s.say(f"line {n}")
    assert [line.text for line in s.minutes.minutes.lines()] == ["line 3", "line 4"]
    assert s.notices.events == ["transcript.full"]


async def test_the_redaction_sees_every_line_before_it_is_kept(stage: NewStage, tmp_path: Path) -> None:
    def hide(text: str, speaker: str, language: str) -> str | None:
        assert (speaker, language) == ("ann", "en")
        if "boom" in text:
            raise RuntimeError(text)
        return None if "secret" in text else text.replace("4711", "…")

    s = stage(MinutesPolicy(kept=True, redact=hide, who="everybody"), directory=tmp_path)
    for text in ("my PIN is 4711", "secret", "boom 1", "boom 2"):
        s.say(text)
    await s.minutes.leave()
    assert [line.text for line in s.minutes.minutes.lines()] == ["my PIN is …"]
    found = written(tmp_path)
    assert "my PIN is …" in found
    assert "4711" not in found
    assert "boom" not in found
    assert s.notices.events == ["redaction.failed"]
    assert "boom" not in s.notices.said[0].detail


# Asking


async def test_who_may_ask_gets_a_file_of_what_they_may_read(stage: NewStage) -> None:
    s = stage(EVERYBODY)
    s.join("bob", hears="fr")
    s.say("hello")
    s.say("bonjour", language="fr", kind="translation")
    s.say("hallo", language="de", kind="translation")
    s.say("mine", "support", "en", "agent", beside="eve", to=["eve"])
    answer = await s.ask(format="jsonl")
    (file,) = s.room.files
    assert (file["name"], file["mime_type"], file["topic"]) == (
        *("transcript.jsonl", "application/jsonl"),
        "parley.transcript",
    )
    assert file["destination_identities"] == ["bob"]
    assert file["attributes"] == {"format": "jsonl", "language": "", "lines": "2", "dropped": "0"}
    assert answer["bytes"] == file["total_size"] == len(file["body"])
    first, *rows = [json.loads(row) for row in file["body"].decode().splitlines()]
    assert (first["type"], first["room"]) == ("room", "the room")
    assert [row["text"] for row in rows] == ["hello", "bonjour"]


@pytest.mark.parametrize(
    ("wish", "asked", "texts"),
    [
        ({"captions": "fr"}, {"format": "srt"}, ["bonjour"]),
        ({"hears": "de"}, {"format": "vtt"}, ["hallo"]),
        ({}, {"format": "srt"}, ["hello"]),
        ({"captions": "fr"}, {"format": "txt", "language": "original"}, ["hello"]),
        ({"captions": "fr"}, {}, ["hello", "bonjour"]),
        ({"speaks": "en-GB"}, {"language": "en"}, ["hello"]),
    ],
)
async def test_a_file_is_of_one_language(
    stage: NewStage, wish: dict[str, str], asked: dict[str, str], texts: list[str]
) -> None:
    s = stage(EVERYBODY)
    s.join("bob", **wish)
    s.say("hello")
    s.say("bonjour", language="fr", kind="translation")
    s.say("hallo", language="de", kind="translation")
    await s.ask(**asked)
    body = s.room.files[0]["body"].decode()
    assert [text for text in ("hello", "bonjour", "hallo") if text in body] == texts


@pytest.mark.parametrize(
    ("asked", "code", "names"),
    [
        ({"format": "pdf"}, INVALID, "jsonl, srt, vtt, txt"),
        ({"format": ["srt"]}, INVALID, "format"),
        ({"language": 7}, INVALID, "language"),
        ({"languages": "fr"}, INVALID, "format"),
        ({"language": "de"}, NOT_ALLOWED, "original, fr"),
    ],
)
async def test_what_makes_no_sense_is_refused_by_name(
    stage: NewStage, asked: dict[str, Any], code: int, names: str
) -> None:
    s = stage(EVERYBODY)
    s.join("bob", captions="fr")
    error = await s.refused(**asked)
    assert error.code == code
    assert METHOD in error.message
    assert names in error.message
    assert s.room.files == []


async def test_hosts_alone_may_ask_unless_everybody_may(stage: NewStage) -> None:
    s = stage(MinutesPolicy(kept=True), hosts=("host",))
    s.join("bob")
    s.join("host")
    error = await s.refused("bob")
    assert error.code == NOT_ALLOWED
    assert "PARLEY_LIMITS__HOSTS" in error.message
    await s.ask("host")
    assert (await s.refused("nobody")).code == NOT_FOUND
    s.standby = True
    assert (await s.refused("host")).code == NOT_FOUND


async def test_nobody_asks_without_end_or_for_too_much(stage: NewStage) -> None:
    s = stage(EVERYBODY)
    s.join("bob")
    for _ in range(3):
        s.say("x" * 1_000_000)
    error = await s.refused()
    assert error.code == TOO_LARGE
    assert "2000000" in error.message
    for _ in range(int(ASKED_BURST) - 1):
        await s.refused()
    assert (await s.refused()).code == TOO_MANY


async def test_a_transcript_that_cannot_be_sent_is_logged(
    stage: NewStage, caplog: pytest.LogCaptureFixture
) -> None:
    s = stage(EVERYBODY)
    s.join("bob")
    s.room.text_error = ConnectionError("gone")
    async with s.answering():
        s.room.local_participant.methods[METHOD](rtc.RpcInvocationData("id", "bob", "{}", 10.0))
        async with asyncio.timeout(5):
            while "gone" not in caplog.text:
                await asyncio.sleep(0)
    assert "gone" in caplog.text


# Notes


async def test_who_asks_for_notes_gets_them_in_their_language_and_the_room_pays(
    stage: NewStage, text_model: TextModel
) -> None:
    s = stage(MinutesPolicy(kept=True, who="everybody", notes=text_model.policy))
    s.join("bob", captions="fr")
    s.say("good morning")
    s.say("bonjour", language="fr", kind="translation")
    s.say("hallo", language="de", kind="translation")
    answer = await s.ask(method="parley.notes")
    (file,) = s.room.files
    assert (file["name"], file["topic"], file["destination_identities"]) == (
        *("notes.fr.txt", "parley.notes"),
        ["bob"],
    )
    assert answer == {"name": "notes.fr.txt", "mime_type": "text/plain", "language": "fr"}
    assert file["body"].decode() == "Decided: nothing."
    assert s.charged == [("gpt-5-mini", "fr", Tokens(text_in=90, text_cached=10, text_out=7))]
    (request,) = text_model.asked
    assert '"fr"' in request["instructions"]
    assert "ann: good morning" in request["input"]
    assert "hallo" not in request["input"]
    assert request["store"] is False


async def test_notes_of_nothing_or_in_no_language_are_refused(stage: NewStage, text_model: TextModel) -> None:
    s = stage(MinutesPolicy(kept=True, who="everybody", notes=text_model.policy))
    s.join("bob")
    assert (await s.refused(method="parley.notes")).code == NOT_FOUND
    s.say("good morning")
    assert (await s.refused(method="parley.notes", language="xx")).code == INVALID
    assert text_model.asked == []


async def test_without_a_model_nobody_can_ask_for_notes(stage: NewStage) -> None:
    s = stage(EVERYBODY)
    async with s.answering():
        assert set(s.room.local_participant.methods) == {METHOD}


async def test_a_room_leaves_notes_in_the_languages_of_those_who_were_there(
    stage: NewStage, text_model: TextModel, tmp_path: Path
) -> None:
    s = stage(MinutesPolicy(kept=True, notes=text_model.policy), directory=tmp_path)
    s.join("bob", captions="fr", speaks="de")
    s.join("ann", speaks="en-GB")
    s.say("good morning")
    s.say("my PIN is 4711", "support", "en", "agent", beside="ann", to=["ann"])
    await s.asking.leave()
    assert {path.name.split(".", 1)[1] for path in files(tmp_path)} >= {"notes.fr.txt", "notes.en.txt"}
    assert len(text_model.asked) == 2
    assert all("4711" not in request["input"] for request in text_model.asked), "that was between two"


async def test_notes_that_fail_are_told_and_the_room_ends(
    stage: NewStage, text_model: TextModel, tmp_path: Path
) -> None:
    text_model.status = 400
    s = stage(MinutesPolicy(kept=True, notes=text_model.policy), directory=tmp_path)
    s.join("ann", speaks="en")
    s.say("good morning")
    await s.asking.leave()
    assert s.notices.events == ["notes.failed"]
    assert not any("notes" in path.name for path in files(tmp_path))
    assert any(path.name.endswith(".txt") for path in files(tmp_path)), "the transcript is there"


async def test_a_text_model_that_does_not_answer_is_not_waited_for_long(
    stage: NewStage, text_model: TextModel, tmp_path: Path
) -> None:
    text_model.hangs = True
    s = stage(MinutesPolicy(kept=True, notes=replace(text_model.policy, timeout_s=0.2)), directory=tmp_path)
    s.join("ann", speaks="en")
    s.say("good morning")
    async with asyncio.timeout(5):
        await s.asking.leave()
    assert "no answer within 0.2 s" in s.notices.said[0].detail
