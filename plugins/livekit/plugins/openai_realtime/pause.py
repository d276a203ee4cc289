"""A wait that can be cut short."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


async def pause(delay_s: float, wake: asyncio.Event, over: Callable[[], bool]) -> None:
    """Wait so long, or until `over`; whoever makes it so sets `wake`, which is cleared on the way."""
    until = asyncio.get_running_loop().time() + delay_s
    try:
        async with asyncio.timeout_at(until):
            while not over():
                wake.clear()
                await wake.wait()
    except TimeoutError:
        pass
