"""Closes the event loop that the looptime plugin makes for a synchronous test and leaves behind."""

import asyncio
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def no_stray_loop(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if not asyncio.iscoroutinefunction(request.function):
        policy = asyncio.get_event_loop_policy()
        stray = getattr(getattr(policy, "_local", None), "_loop", None)
        if stray is not None and not stray.is_running():
            stray.close()
            policy.set_event_loop(None)
