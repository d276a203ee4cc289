"""Virtual time for a whole process: the product's clocks are the loop's, which moves as fast as it can."""

from __future__ import annotations

import asyncio
import itertools
import random
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import TypeVar
from unittest import mock

import looptime

_TIMED = ("parley.", "livekit.plugins.openai_realtime.")
_LOOK_S = 1e-10
"""What a look at the clock takes: who looks again until a moment is past would wait on without it."""

T = TypeVar("T")


def run_virtually(work: Callable[[], Coroutine[None, None, T]], seed: int) -> T:
    """Runs `work` on a loop of its own, the same way for the same seed."""
    random.seed(seed)
    with asyncio.Runner(loop_factory=_new_loop) as runner, _clocks(runner.get_loop()):
        return runner.run(work())


def _new_loop() -> asyncio.AbstractEventLoop:
    # Nothing comes from outside: there is nothing to wait for before the time moves.
    return looptime.new_event_loop(start=1000.0, noop_cycles=0)


def _no_time() -> float:
    return 0.0


@contextmanager
def _clocks(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    virtual, looks, began, monotonic = loop.time, itertools.count(), time.time(), time.monotonic

    def now() -> float:
        return virtual() + next(looks) * _LOOK_S

    def unix() -> float:
        return began + now()

    with ExitStack() as stack:
        for name, module in list(sys.modules.items()):
            if name.startswith(_TIMED) and getattr(module, "monotonic", None) is monotonic:
                stack.enter_context(mock.patch.object(module, "monotonic", now))
        stack.enter_context(mock.patch("parley.room.supervisor.thread_time", _no_time))
        stack.enter_context(mock.patch.object(time, "time", unix))
        stack.enter_context(mock.patch.object(loop, "time", now))
        yield
