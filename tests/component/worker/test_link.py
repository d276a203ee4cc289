"""The link between the main process and its jobs, over its real socket."""

import asyncio
import json
import logging
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path

import pytest

from livekit.plugins.openai_realtime.errors import ConnectError
from parley import link
from parley.access import Access, Gatekeeper
from parley.link import PATH_VARIABLE, JobLink, LinkServer, Served, socket_path
from parley.metrics import Metrics, Sums, snapshot

SERVED = Served("a room", "parley-1", "an agent", "metadata")
SENT = "parley_audio_sent_seconds_total"


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link, "REPORT_S", 0.01)


class Main:
    """The main process's side."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sums = Sums()
        self.died: list[Served] = []
        self.gatekeeper = Gatekeeper(most_streams=1)
        self.server = LinkServer(self.sums, self.gatekeeper, self.died.append)

    def value(self, name: str, **labels: str) -> float:
        for family in self.sums.collect():
            for sample in family.samples:
                if sample.name == name and sample.labels == labels:
                    return sample.value
        return 0.0

    async def until(self, ready: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not ready():
                await asyncio.sleep(0.005)


@pytest.fixture
async def main() -> AsyncIterator[Main]:
    with socket_path() as path:
        main = Main(path)
        async with main.server.serve(path):
            yield main


class Job:
    """A job's side."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self.orders: list[float] = []
        self.ordered = asyncio.Event()
        self.access = Access()
        self.link = JobLink(self.metrics, self._order, self.access, SERVED)

    def _order(self, within_s: float) -> None:
        self.orders.append(within_s)
        self.ordered.set()


async def test_what_jobs_report_is_summed(main: Main) -> None:
    one, two = Job(), Job()
    async with one.link.connected(), two.link.connected():
        for job, seconds in ((one, 3.0), (two, 4.0)):
            job.metrics.rooms.set(1)
            job.metrics.sent("translation", "m", seconds)
            job.metrics.ingress.observe(seconds)
        await main.until(lambda: main.value(SENT, kind="translation") == 7.0)
        await main.until(lambda: main.value("parley_rooms") == 2)
        assert main.value("parley_ingress_seconds_bucket", le="5.0") == 2
        one.metrics.sent("translation", "m", 1.0)
        await main.until(lambda: main.value(SENT, kind="translation") == 8.0)
    assert one.orders == two.orders == []


async def test_a_job_that_ends_leaves_its_counts_and_takes_its_gauges(main: Main) -> None:
    job = Job()
    async with job.link.connected():
        job.metrics.rooms.set(1)
        await main.until(lambda: main.value("parley_rooms") == 1)
        job.metrics.sent("translation", "m", 5.0)
        job.metrics.session_failed("translation", "ConnectError")
    await main.until(lambda: main.sums.jobs == 0)
    assert main.value(SENT, kind="translation") == 5.0, "the last report comes at the very end"
    assert main.value("parley_session_failures_total", kind="translation", reason="ConnectError") == 1
    assert main.value("parley_rooms") == 0
    again = Job()
    async with again.link.connected():
        again.metrics.sent("translation", "m", 1.0)
        await main.until(lambda: main.value(SENT, kind="translation") == 6.0)


async def test_a_job_that_dies_in_the_middle_of_a_line_counts_what_it_told(main: Main) -> None:
    metrics = Metrics()
    metrics.sent("translation", "m", 2.0)
    _, writer = await asyncio.open_unix_connection(main.path)
    line = json.dumps(snapshot(metrics.registry)).encode()
    writer.write(line + b"\n" + line[:100])
    await main.until(lambda: main.sums.jobs == 1)
    writer.transport.abort()
    await main.until(lambda: main.sums.jobs == 0)
    assert main.value(SENT, kind="translation") == 2.0


async def test_the_order_to_drain_reaches_present_and_later_jobs(main: Main) -> None:
    present, later = Job(), Job()
    async with asyncio.timeout(5), present.link.connected():
        await main.until(lambda: main.sums.jobs == 1)
        main.server.drain(42.0)
        await present.ordered.wait()
        async with later.link.connected():
            await later.ordered.wait()
    assert present.orders == later.orders == [42.0]


async def test_a_job_whose_main_process_is_gone_leaves() -> None:
    with socket_path() as path:
        main = Main(path)
        job = Job()
        async with asyncio.timeout(5):
            async with main.server.serve(path):
                context = job.link.connected()
                await context.__aenter__()
                await main.until(lambda: main.sums.jobs == 1)
            await job.ordered.wait()
            await context.__aexit__(None, None, None)
    assert job.orders == [0.0]


async def test_without_a_main_process_a_job_reports_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PATH_VARIABLE, raising=False)
    job = Job()
    async with job.link.connected():
        job.metrics.rooms.set(1)
    assert job.orders == []


async def test_what_fails_in_a_job_comes_out_of_the_link_as_it_was(main: Main) -> None:
    job = Job()
    with pytest.raises(BaseException) as caught:  # noqa: PT011 - as a group or bare
        async with job.link.connected():
            raise ZeroDivisionError
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        (error,) = error.exceptions
    assert isinstance(error, ZeroDivisionError)
    await main.until(lambda: main.sums.jobs == 0)


@pytest.mark.parametrize("line", [b"not json\n", b'{"half": \n', b"\xff\xfe\n"])
async def test_an_unreadable_report_harms_no_other_job(
    main: Main, line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    job = Job()
    async with job.link.connected():
        job.metrics.rooms.set(1)
        await main.until(lambda: main.sums.jobs == 1)
        with caplog.at_level(logging.WARNING, "parley.worker"):
            _, writer = await asyncio.open_unix_connection(main.path)
            writer.write(line)
            await main.until(lambda: "unreadable" in caplog.text)
            writer.write(json.dumps(snapshot(job.metrics.registry)).encode() + b"\n")
            await main.until(lambda: main.sums.jobs == 2)
            writer.close()
        await main.until(lambda: main.sums.jobs == 1)
        job.metrics.rooms.set(2)
        await main.until(lambda: main.value("parley_rooms") == 2)
        assert job.orders == []


async def test_a_line_longer_than_allowed_is_unreadable(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(link, "MAX_LINE", 1000)
    with socket_path() as path, caplog.at_level(logging.WARNING, "parley.worker"):
        main = Main(path)
        async with asyncio.timeout(5), main.server.serve(path):
            _, writer = await asyncio.open_unix_connection(path)
            writer.write(b"x" * 5000)
            await main.until(lambda: "unreadable" in caplog.text)
            writer.close()
    assert main.sums.jobs == 0


def test_the_socket_is_private_and_goes_with_its_context() -> None:
    with socket_path() as path:
        assert os.environ[PATH_VARIABLE] == str(path)
        assert path.parent.stat().st_mode & 0o077 == 0
    assert not path.parent.exists()
    assert PATH_VARIABLE not in os.environ


async def test_a_job_that_ends_without_a_goodbye_has_died(main: Main) -> None:
    job = Job()
    with pytest.raises(ExceptionGroup):
        async with job.link.connected():
            raise ZeroDivisionError
    await main.until(lambda: main.died == [SERVED])


async def test_a_job_that_is_killed_has_died(main: Main) -> None:
    _, writer = await asyncio.open_unix_connection(main.path)
    writer.write(json.dumps({"serves": asdict(SERVED)}).encode() + b"\n")
    await writer.drain()
    writer.transport.abort()
    await main.until(lambda: main.died == [SERVED])


async def test_a_job_that_ends_in_order_has_not_died(main: Main) -> None:
    job = Job()
    async with job.link.connected():
        job.metrics.sent("translation", "m", 1.0)
    await main.until(lambda: not main.server._jobs)
    assert not main.died


async def test_jobs_share_the_places_and_a_job_that_dies_frees_its_own(main: Main) -> None:
    one, two = Job(), Job()
    told: list[str] = []
    async with asyncio.timeout(5), two.link.connected():
        async with one.link.connected():
            stream = one.access.stream(5, told.append)
            await stream.__aenter__()
            waiting = asyncio.create_task(_stream(two.access, told))
            await main.until(lambda: main.gatekeeper.admission.waiting == 1)
            assert not waiting.done()
        await waiting
    assert main.gatekeeper.admission.taken == 0
    await stream.__aexit__(None, None, None)


async def test_one_job_opens_the_breaker_for_all(main: Main) -> None:
    one, two = Job(), Job()
    async with asyncio.timeout(10), one.link.connected(), two.link.connected():
        for _ in range(3):
            with pytest.raises(ConnectError):
                async with one.access.attempt(5, print):
                    raise ConnectError("no route")
        await main.until(lambda: main.gatekeeper.breaker.state == "open")
        began = asyncio.get_running_loop().time()
        async with two.access.attempt(5, print):
            assert asyncio.get_running_loop().time() - began > 0.2
        await main.until(lambda: main.gatekeeper.breaker.state == "closed")


async def test_who_waits_when_the_main_process_goes_need_not_wait_any_more() -> None:
    with socket_path() as path:
        main = Main(path)
        one, two = Job(), Job()
        async with asyncio.timeout(5):
            async with main.server.serve(path):
                contexts = [one.link.connected(), two.link.connected()]
                for context in contexts:
                    await context.__aenter__()
                async with one.access.stream(5, print):
                    waiting = asyncio.create_task(_stream(two.access, []))
                    await main.until(lambda: main.gatekeeper.admission.waiting == 1)
                    for writer in main.server._jobs.values():
                        writer.close()
                    await waiting
            for context in contexts:
                await context.__aexit__(None, None, None)


async def test_a_main_process_that_goes_with_something_unread_takes_no_job_along() -> None:
    with socket_path() as path:
        main, job = Main(path), Job()
        async with asyncio.timeout(5), main.server.serve(path), job.link.connected():
            await main.until(lambda: bool(main.server._jobs))
            [writer] = main.server._jobs.values()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            await asyncio.sleep(5 * link.REPORT_S)  # reports are on their way
            writer.transport.abort()
            await job.ordered.wait()
            assert job.orders == [0.0]


async def _stream(access: Access, told: list[str]) -> None:
    async with access.stream(5, told.append):
        pass
