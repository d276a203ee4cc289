"""Webhooks and files against a real HTTP server and a real directory: signed, tried again, bounded."""

import asyncio
import base64
import hashlib
import hmac
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port
from standardwebhooks import Webhook

from parley.core.retry import RetryPolicy
from parley.errors import WebhookError
from parley.export.leaving import ExportPolicy, Leaving
from parley.export.webhook import WebhookPolicy, post
from parley.metrics import Metrics
from parley.testing import RecordingNotices

KEY = b"0123456789abcdefghijklmnopqrstuv"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
FAST = RetryPolicy(first_s=0.01, most_s=0.02)

Answer = Callable[[web.Request], Awaitable[web.Response]]


@dataclass
class Receiver:
    """An HTTP server that answers as it is told, one answer after the other, then the last again."""

    answers: list[int | Answer] = field(default_factory=lambda: [204])
    got: list[tuple[dict[str, str], str]] = field(default_factory=list)
    policy: WebhookPolicy = field(default_factory=lambda: WebhookPolicy("", SECRET))

    async def take(self, request: web.Request) -> web.Response:
        body = await request.text()
        self.got.append(({name.lower(): value for name, value in request.headers.items()}, body))
        answer = self.answers[min(len(self.got), len(self.answers)) - 1]
        return web.Response(status=answer) if isinstance(answer, int) else await answer(request)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.take)
    async with TestServer(app) as server:
        receiver.policy = WebhookPolicy(str(server.make_url("/hook")), SECRET, retry=FAST)
        yield receiver


async def hang(request: web.Request) -> web.Response:
    await asyncio.sleep(3600)
    raise AssertionError


async def test_what_is_posted_is_signed_so_that_anybody_can_check_it(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    body = json.dumps({"room": "réunion 😀"}, ensure_ascii=False)
    assert await post(http, receiver.policy, "msg_1", body) == 1
    headers, got = receiver.got[0]
    assert got == body
    assert headers["content-type"] == "application/json"
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.{got}".encode()
    expected = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    assert Webhook(SECRET).verify(got, headers) == {"room": "réunion 😀"}


async def test_a_server_that_fails_is_asked_again_with_the_same_id(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    receiver.answers = [500, 503, 429, 200]
    assert await post(http, receiver.policy, "msg_1", "{}") == 4
    assert {headers["webhook-id"] for headers, _ in receiver.got} == {"msg_1"}
    for headers, body in receiver.got:
        Webhook(SECRET).verify(body, headers)


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410])
async def test_what_is_refused_for_good_is_not_asked_again(
    status: int, http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    receiver.answers = [status]
    with pytest.raises(WebhookError, match=f"status {status}, after 1 try"):
        await post(http, receiver.policy, "msg_1", "{}")
    assert len(receiver.got) == 1


async def test_a_server_that_hangs_is_given_up_and_asked_again(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    receiver.answers = [hang, 200]
    assert await post(http, replace(receiver.policy, try_s=0.1), "msg_1", "{}") == 2


async def test_a_server_that_only_hangs_is_given_up_within_the_bound(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    receiver.answers = [hang]
    began = monotonic()
    with pytest.raises(WebhookError) as caught:
        await post(http, replace(receiver.policy, try_s=0.1, total_s=0.5), "msg_1", "{}")
    assert 0.3 < monotonic() - began < 5.0
    assert 2 <= caught.value.tries <= 5


async def test_one_try_never_outlives_the_bound_of_all(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    receiver.answers = [hang]
    with pytest.raises(WebhookError, match="after 1 try"):
        await post(http, replace(receiver.policy, try_s=600.0, total_s=0.2), "msg_1", "{}")


async def test_a_slow_answer_within_the_bound_is_an_answer(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    async def slow(request: web.Request) -> web.Response:
        await asyncio.sleep(0.2)
        return web.Response(status=202)

    receiver.answers = [slow]
    assert await post(http, receiver.policy, "msg_1", "{}") == 1


async def test_a_receiver_that_asks_to_wait_is_waited_for_or_not_asked_again(
    http: aiohttp.ClientSession, receiver: Receiver
) -> None:
    async def later(request: web.Request) -> web.Response:
        return web.Response(status=503, headers={"retry-after": "3600"})

    receiver.answers = [later]
    with pytest.raises(WebhookError, match="status 503, after 1 try"):
        await post(http, receiver.policy, "msg_1", "{}")


async def test_nobody_there_is_tried_again_until_the_time_is_up(http: aiohttp.ClientSession) -> None:
    policy = WebhookPolicy(f"http://127.0.0.1:{unused_port()}/", SECRET, total_s=0.3, retry=FAST)
    with pytest.raises(WebhookError) as caught:
        await post(http, policy, "msg_1", "{}")
    assert caught.value.tries > 2


# A room's summary

SUMMARY: dict[str, Any] = {"room": "a/b: 😀 \ud83d", "duration_s": 90.0, "people": {"count": 2}}


class Stage:
    """Something that leaves, and what it said."""

    def __init__(self, http: aiohttp.ClientSession, policy: ExportPolicy) -> None:
        self.metrics, self.notices = Metrics(), RecordingNotices()
        self.leaving = Leaving(policy, http, self.metrics, self.notices, "1.2.3")

    def outcomes(self) -> dict[tuple[str, str], float]:
        samples = [s for family in self.metrics.registry.collect() for s in family.samples]
        return {
            (s.labels["to"], s.labels["outcome"]): s.value
            for s in samples
            if s.name == "parley_exports_total" and s.value
        }


async def test_a_summary_is_written_and_posted_with_its_times(
    http: aiohttp.ClientSession, receiver: Receiver, tmp_path: Path
) -> None:
    stage = Stage(http, ExportPolicy(tmp_path / "summaries", receiver.policy))
    await stage.leaving.leave(SUMMARY)
    (path,) = (tmp_path / "summaries").iterdir()
    written = json.loads(path.read_text(encoding="utf-8"))
    assert (written["parley"], written["room"], written["people"]) == ("1.2.3", "a/b: 😀 ?", {"count": 2})
    assert written["began_at"] < written["ended_at"]
    assert written["ended_at"].endswith("Z")
    headers, body = receiver.got[0]
    posted = Webhook(SECRET).verify(body, headers)
    assert (posted["type"], posted["data"]) == ("room.summary", written)
    assert stage.outcomes() == {("directory", "done"): 1, ("webhook", "done"): 1}
    assert stage.notices.events == []


async def test_where_nothing_is_wanted_nothing_happens(http: aiohttp.ClientSession) -> None:
    stage = Stage(http, ExportPolicy())
    await stage.leaving.leave(SUMMARY)
    assert stage.outcomes() == {}


async def test_a_file_that_cannot_be_written_does_not_stop_the_webhook(
    http: aiohttp.ClientSession, receiver: Receiver, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a directory")
    stage = Stage(http, ExportPolicy(tmp_path / "file", receiver.policy))
    with caplog.at_level(logging.ERROR):
        await stage.leaving.leave(SUMMARY)
    assert stage.outcomes() == {("directory", "failed"): 1, ("webhook", "done"): 1}
    assert [(n.event, n.detail) for n in stage.notices] == [
        ("export.failed", f"summary, to its directory: File exists: {tmp_path / 'file'}")
    ]
    assert "File exists" in caplog.text


async def test_a_file_system_that_hangs_is_not_waited_for_longer_than_its_bound(
    http: aiohttp.ClientSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import threading

    freed = threading.Event()
    monkeypatch.setattr("parley.export.leaving.WRITE_S", 0.1)
    monkeypatch.setattr("parley.export.leaving.write", lambda *given: freed.wait(30))
    stage = Stage(http, ExportPolicy(tmp_path))
    try:
        await stage.leaving.leave(SUMMARY)
    finally:
        freed.set()
    assert stage.outcomes() == {("directory", "failed"): 1}


async def test_a_webhook_that_does_not_take_it_is_said_counted_and_does_not_stop_the_file(
    http: aiohttp.ClientSession, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.answers = [hang]
    webhook = replace(receiver.policy, try_s=0.05, total_s=0.2)
    stage = Stage(http, ExportPolicy(tmp_path, webhook))
    await stage.leaving.leave(SUMMARY)
    assert stage.outcomes() == {("directory", "done"): 1, ("webhook", "failed"): 1}
    (notice,) = stage.notices
    assert notice.event == "export.failed"
    assert notice.detail.startswith("summary, to its webhook: ")
    assert SECRET not in repr(webhook)
