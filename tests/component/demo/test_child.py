"""Child processes end with the block, with the parent, and with a parent that is killed."""

from __future__ import annotations

import asyncio
import os
import select
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from parley.demo.child import child_process

DEADLINE_S = 15.0
FOREVER = [sys.executable, "-S", "-c", "import signal; signal.pause()"]
STUBBORN = [
    *(sys.executable, "-S", "-u", "-c"),
    "import signal; signal.signal(15, signal.SIG_IGN); print('ready')\nwhile True: signal.pause()",
]
PARENT = """
import asyncio, sys
from parley.demo.child import child_process
async def main():
    async with child_process(sys.argv[2:], watchdog=sys.argv[1] == "watchdog", stdout=2) as process:
        print(process.pid, flush=True)
        await process.wait()
asyncio.run(main())
"""


def wait_until_gone(pid: int) -> None:
    """Wait for the end of a process that is not our child; a zombie that nobody reaps counts as gone."""
    if hasattr(os, "pidfd_open"):
        try:
            watched = os.pidfd_open(pid)
        except ProcessLookupError:
            return
        try:
            assert select.select([watched], [], [], DEADLINE_S)[0], f"process {pid} is still there"
        finally:
            os.close(watched)
        return
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail(f"process {pid} is still there")


@pytest.mark.parametrize(
    "way",
    [pytest.param("kernel", marks=pytest.mark.skipif(sys.platform != "linux", reason="prctl")), "watchdog"],
)
def test_child_is_gone_when_the_parent_is_killed(way: str) -> None:
    argv = [sys.executable, "-c", PARENT, way, *FOREVER]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        os.kill(child, 0)
        parent.kill()
    wait_until_gone(child)


async def test_leaving_the_block_ends_the_child() -> None:
    async with child_process(FOREVER) as process:
        assert process.returncode is None
    assert process.returncode == -signal.SIGTERM


async def test_a_child_that_ignores_sigterm_is_killed_after_the_deadline() -> None:
    async with child_process(STUBBORN, stdout=asyncio.subprocess.PIPE, stop_timeout_s=0.1) as process:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"ready\n"
    assert process.returncode == -signal.SIGKILL


async def test_cancellation_does_not_wait_for_a_stubborn_child() -> None:
    started: asyncio.Future[asyncio.subprocess.Process] = asyncio.get_running_loop().create_future()
    ignored = asyncio.Event()

    async def own() -> None:
        async with child_process(STUBBORN, stdout=asyncio.subprocess.PIPE, stop_timeout_s=60) as process:
            assert process.stdout is not None
            await process.stdout.readline()
            started.set_result(process)
            await ignored.wait()

    task = asyncio.create_task(own())
    process = await started
    ignored.set()
    await asyncio.sleep(0)
    task.cancel()
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.wait([task])
    assert process.returncode == -signal.SIGKILL


async def test_its_process_id_and_environment_are_the_childs_own() -> None:
    argv = ["/bin/sh", "-c", "echo $$ $GREETING"]
    async with child_process(argv, env={"GREETING": "hello"}, stdout=asyncio.subprocess.PIPE) as process:
        output, _ = await process.communicate()
    assert output.decode().split() == [str(process.pid), "hello"]
    assert process.returncode == 0


async def test_a_program_that_does_not_exist_is_an_error_of_the_caller(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-program"):
        async with child_process([tmp_path / "no-such-program"]):
            pass


def test_off_the_main_thread_the_child_lives_on_when_the_loop_moves() -> None:
    """A thread that ends takes a kernel-watched child with it; the watchdog looks at the process instead."""
    statuses: list[int | None] = []

    async def run() -> None:
        async with child_process(FOREVER) as process:
            starter = threading.Thread(target=lambda: None)
            starter.start()
            starter.join()
            statuses.append(process.returncode)
        statuses.append(process.returncode)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    thread.start()
    thread.join(DEADLINE_S)
    assert statuses == [None, -signal.SIGTERM]
