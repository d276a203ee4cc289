"""Transcripts on their way out: to a directory as they grow, to a webhook in parts, and away in time."""

import asyncio
import json
import os
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from component.export.test_webhook import Receiver, http, receiver  # noqa: F401
from parley.core.minutes import Line
from parley.errors import SettingsError
from parley.export import files, redaction, transcripts
from parley.export.redaction import Redaction
from parley.export.transcripts import MOST_POST_BYTES, TranscriptPolicy, Transcripts, clean
from parley.metrics import Metrics
from parley.testing import RecordingNotices

BEGAN = datetime(2026, 11, 21, 19, 30, 5, tzinfo=UTC)


def line(n: int, **more: Any) -> Line:
    values = {
        **{"id": f"s-{n}", "speaker": "ann", "language": "en", "kind": "source", "start_s": float(n)},
        **{"end_s": n + 0.5, "text": f"line {n}"},
        **more,
    }
    return Line(**values)


class Rig:
    """Transcripts of one room, with what they say and count."""

    def __init__(self, policy: TranscriptPolicy, session: Any = None) -> None:
        self.notices = RecordingNotices()
        self.metrics = Metrics()
        self.transcripts = Transcripts(policy, "Team Sync", BEGAN, session, self.metrics, self.notices)

    def exported(self, to: str, outcome: str) -> float:
        labels = {"to": to, "outcome": outcome}
        return self.metrics.registry.get_sample_value("parley_exports_total", labels) or 0.0


def policy(directory: Path | None, *formats: Any, **more: Any) -> TranscriptPolicy:
    return TranscriptPolicy(formats or ("jsonl", "srt", "vtt", "txt"), directory, version="1.2", **more)


async def grown(path: Path, lines: int) -> list[Any]:
    async with asyncio.timeout(5):
        while len(rows(path)) < lines:
            await asyncio.sleep(0.01)
    return rows(path)


def rows(directory: Path) -> list[Any]:
    found = directory.glob("*.jsonl")
    return [json.loads(row) for path in found for row in path.read_text(encoding="utf-8").splitlines()]


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir() if path.is_file())


def text(directory: Path, ending: str) -> str:
    return "".join(path.read_text(encoding="utf-8") for path in directory.glob(f"*{ending}"))


def fill(directory: Path, made: list[str], old: list[str]) -> None:
    for name in (*made, *old):
        (directory / name).write_text("x")
    for name in old:
        os.utime(directory / name, (time.time() - 3 * 86_400,) * 2)
    (directory / files.file_name("a directory", BEGAN)).mkdir()


async def test_what_was_said_is_there_as_soon_as_it_is_final(tmp_path: Path) -> None:
    """A worker that is killed leaves it."""
    r = Rig(policy(tmp_path / "new"))
    task = asyncio.create_task(r.transcripts.run())
    for n in range(3):
        r.transcripts.add(line(n))
        found = await grown(tmp_path / "new", n + 2)
        assert [row["type"] for row in found] == ["room", *["line"] * (n + 1)]
        assert found[-1]["text"] == f"line {n}"
    task.cancel()
    await asyncio.wait({task})


async def test_a_room_leaves_a_file_of_each_format_and_language(tmp_path: Path) -> None:
    r = Rig(policy(tmp_path))
    lines = [line(1), line(2, language="fr", kind="translation", text="ligne")]
    for one in lines:
        r.transcripts.add(one)
    await r.transcripts.leave(lines, 0)
    endings = [name.split(".", 1)[1] for name in names(tmp_path)]
    assert endings == [
        *("transcript.en.srt", "transcript.en.vtt", "transcript.fr.srt", "transcript.fr.vtt"),
        *("transcript.jsonl", "transcript.txt"),
    ]
    assert len({name.split(".")[0] for name in names(tmp_path)}) == 1
    assert all(name.startswith("20261121T193005Z-Team-Sync-") for name in names(tmp_path))
    assert [row["type"] for row in rows(tmp_path)] == ["room", "line", "line", "end"]
    assert "ligne" in text(tmp_path, ".fr.srt")
    assert "line 1" not in text(tmp_path, ".fr.srt")
    assert r.exported("directory", "done") == 1


async def test_a_room_in_which_nobody_spoke_leaves_nothing(tmp_path: Path) -> None:
    r = Rig(policy(tmp_path))
    await r.transcripts.leave([], 0)
    assert names(tmp_path) == []


async def test_a_file_system_that_refuses_is_told_once(tmp_path: Path) -> None:
    fill(tmp_path, ["file"], [])
    r = Rig(policy(tmp_path / "file" / "below"))
    for n in range(3):
        r.transcripts.add(line(n))
        await r.transcripts.leave([line(n)], 0)
    assert r.notices.events == ["export.failed"]
    assert "transcript" in r.notices.said[0].detail
    assert (r.exported("directory", "failed"), r.exported("directory", "done")) == (1, 0)


async def test_more_than_may_wait_or_be_written_is_left_out_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transcripts, "MOST_WAITING", 3)
    r = Rig(policy(tmp_path))
    for n in range(5):
        r.transcripts.add(line(n))
    assert r.notices.events == ["export.failed"]
    monkeypatch.setattr(transcripts, "MOST_FILE_BYTES", 300)
    r = Rig(policy(tmp_path))
    for n in range(3):
        r.transcripts.add(line(n))
        await r.transcripts.leave([line(n)], 0)
    assert r.notices.events == ["export.failed"]


async def test_the_webhook_gets_all_of_it_signed_and_in_parts(
    http: aiohttp.ClientSession,  # noqa: F811
    receiver: Receiver,  # noqa: F811
) -> None:
    r = Rig(policy(None, "jsonl", webhook=receiver.policy), http)
    lines = [line(n, text=f"{n} " + "字" * 20_000) for n in range(20)]
    await r.transcripts.leave(lines, 7)
    got = [json.loads(body) for _, body in receiver.got]
    assert len(got) > 1
    assert all(len(body.encode()) < MOST_POST_BYTES + 1_000 for _, body in receiver.got)
    assert {one["type"] for one in got} == {"room.transcript"}
    assert [(one["data"]["part"], one["data"]["parts"]) for one in got] == [
        (n + 1, len(got)) for n in range(len(got))
    ]
    assert [row["id"] for one in got for row in one["data"]["lines"]] == [f"s-{n}" for n in range(20)]
    assert {one["data"]["dropped"] for one in got} == {7}
    assert all("webhook-signature" in headers for headers, _ in receiver.got)
    assert r.exported("webhook", "done") == 1


async def test_a_webhook_that_refuses_is_told(
    http: aiohttp.ClientSession,  # noqa: F811
    receiver: Receiver,  # noqa: F811
) -> None:
    receiver.answers = [400]
    r = Rig(policy(None, "jsonl", webhook=receiver.policy), http)
    await r.transcripts.leave([line(1)], 0)
    assert r.notices.events == ["export.failed"]
    assert r.exported("webhook", "failed") == 1


async def test_old_files_of_parleys_go_and_no_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = [
        files.file_name("a room", BEGAN),
        *(f"{files.stem('', BEGAN)}.transcript{end}" for end in (".jsonl", ".fr.srt", ".und.vtt", ".txt")),
        f"{files.stem('x', BEGAN)}.notes.fr.txt",
    ]
    others = [
        "report.json",
        "20261121T193005Z-a-room.json",
        f"{files.stem('x', BEGAN)}.docx",
        "a.transcript.txt",
    ]
    new = files.file_name("new", BEGAN)
    fill(tmp_path, [new], [*own, *others])
    await clean(tmp_path, 4.0)
    assert len(names(tmp_path)) == len(own) + len(others) + 1
    monkeypatch.setattr(files, "MOST_DELETED", 4)
    await clean(tmp_path, 2.0)
    assert len(names(tmp_path)) == len(own) + len(others) + 1 - 4
    await clean(tmp_path, 2.0)
    assert names(tmp_path) == sorted([*others, new])
    await clean(tmp_path / "not there", 2.0)


# Redaction


@pytest.mark.parametrize(
    "name", ["nosuchmodule:hide", "json:nosuch", "json", "json:", ":dumps", "json:__name__", "json..x:y"]
)
def test_a_redaction_that_is_none_is_refused_by_its_setting(name: str) -> None:
    with pytest.raises(SettingsError) as caught:
        redaction.load(name)
    assert caught.value.name == "PARLEY_EXPORT__REDACT"
    assert caught.value.given == name


def test_a_redaction_is_found_by_its_name() -> None:
    assert redaction.load("") is None
    assert redaction.load("html:escape") is not None


@pytest.mark.parametrize(("answer", "kept"), [("b", "b"), (None, None), ("", None), (7, None)])
def test_what_a_redaction_returns_is_kept_if_it_is_text(answer: Any, kept: str | None) -> None:
    told: list[str] = []
    redact = Redaction(lambda text, speaker, language: answer, told.append)
    found = redact(line(1))
    assert (found.text if found is not None else None) == kept
    assert len(told) == (answer == 7)
