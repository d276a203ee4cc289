"""What every suite needs: no loop but those of the tests, and nothing left behind by any of them."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator

import psutil
import pytest

SETTLE_S = 2.0
"""What ends by itself within this time was not leaked."""

_OF_THE_INTERPRETER = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""Processes that multiprocessing keeps for as long as the interpreter lives."""

_TIMED = ("parley.", "livekit.plugins.openai_realtime.", "component.", "tests.component.")

_LOOK_S = 1e-10
"""What a look at a virtual clock takes. Without it, who looks again until a moment is past would wait on:
the loop takes a timer for due that lies in the future by a rounding error."""

# A shell that starts the tests in the background lets them ignore interrupts, and so would their children.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# The main thread has no loop outside of tests. Said explicitly: otherwise the event loop policy makes one for
# whoever asks (pytest-asyncio and looptime do), and nobody closes it.
asyncio.set_event_loop(None)


@pytest.fixture(autouse=True)
def _no_child_process_or_thread_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that leaves a child process or a non-daemon thread behind fails."""
    threads, children = _threads(), _children()
    yield
    deadline = time.monotonic() + SETTLE_S
    while (_threads() - threads or _children() - children) and time.monotonic() < deadline:
        time.sleep(0.01)
    left = [thread.name for thread in _threads() - threads]
    left += [" ".join(_command(pid)) or f"process {pid}" for pid in _children() - children]
    if left:
        pytest.fail(f"{request.node.nodeid} left behind: {', '.join(left)}")


@pytest.fixture(autouse=True)
def _no_task_left(request: pytest.FixtureRequest, _no_child_process_or_thread_left: None) -> Iterator[None]:
    """An asynchronous test that leaves a task behind fails; what its own fixtures run has ended by then."""
    if request.node.get_closest_marker("asyncio") is None:
        yield
        return
    # Asked for here, the loop is closed after this fixture ends and all other fixtures end before it.
    runner: asyncio.Runner = request.getfixturevalue("_function_scoped_runner")
    yield
    left = runner.run(_unfinished())
    if left:
        pytest.fail(f"{request.node.nodeid} left tasks behind: {', '.join(left)}")


@pytest.fixture
def virtual_time(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clocks of the product and of its libraries are the loop's, which a test marked `looptime` moves.

    Sockets on loopback may be used: that nothing is to be read is found out before the time moves.
    """
    runner: asyncio.Runner = request.getfixturevalue("_function_scoped_runner")
    loop, began, monotonic = runner.get_loop(), time.time(), time.monotonic
    virtual, looks = loop.time, itertools.count()

    def now() -> float:
        return virtual() + next(looks) * _LOOK_S

    for name, module in list(sys.modules.items()):
        if name.startswith(_TIMED) and getattr(module, "monotonic", None) is monotonic:
            monkeypatch.setattr(module, "monotonic", now)
    monkeypatch.setattr(loop, "time", now)
    monkeypatch.setattr(time, "time", lambda: began + now())


async def _unfinished() -> list[str]:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    if tasks:
        _, tasks = await asyncio.wait(tasks, timeout=SETTLE_S)
    return [repr(task) for task in tasks]


def _threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if not thread.daemon}


def _children() -> set[int]:
    try:
        os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    except ChildProcessError:
        return set()
    pids = {child.pid for child in psutil.Process().children()}
    return {pid for pid in pids if not any(name in " ".join(_command(pid)) for name in _OF_THE_INTERPRETER)}


def _command(pid: int) -> list[str]:
    try:
        return psutil.Process(pid).cmdline()
    except psutil.Error:
        return []
