"""How a conversation comes to its end: at once, or when its last words have been said."""

import asyncio
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any

from livekit.plugins.openai_realtime.errors import first_of

from .ports import Ending

FAREWELL_S = 15.0
"""How long the last words may take to be said."""
FINISH_REPLY_S = 4.0
"""How long what is being said may go on before the last words."""
_TICK_S = 0.1
_QUIET_TICKS = 10


class Departure:
    """One conversation's."""

    def __init__(self, busy: Callable[[], bool]) -> None:
        """`busy`: whether the agent speaks, or is about to."""
        self._busy = busy
        self._over = asyncio.Event()
        self.ending: Ending | None = None
        """Why it ends, once that is decided: nothing new is begun any more."""

    def decide(self, ending: Ending) -> None:
        """It ends for this reason, unless it does for another one already."""
        self.ending = self.ending or ending

    def now(self, ending: Ending) -> None:
        """It is over, whatever is being said."""
        self.decide(ending)
        self._over.set()

    async def wait(self) -> None:
        """Returns when it is over."""
        await self._over.wait()

    async def unless_over(self, work: Coroutine[Any, Any, None]) -> None:
        """Does this; it is cancelled when it is over before. Raises what it raises."""
        try:
            async with asyncio.TaskGroup() as group:
                doing, over = group.create_task(work), group.create_task(self.wait())
                doing.add_done_callback(lambda _: over.cancel())
                over.add_done_callback(lambda _: doing.cancel())
        except BaseExceptionGroup as failed:
            raise first_of(failed) from failed

    async def _quiet(self, within_s: float, ticks: int) -> bool:
        """Waits until nothing is said, so many ticks long; whether it came to that in time."""
        deadline = monotonic() + within_s
        quiet = 0
        while quiet < ticks and monotonic() < deadline:
            quiet = 0 if self._busy() else quiet + 1
            await asyncio.sleep(_TICK_S)
        return quiet >= ticks

    async def with_last_words(self, interrupt: Callable[[], None], say: Callable[[], object]) -> None:
        """Lets what is being said come to its end, or cuts it off; says something last, then it is over."""
        if not await self._quiet(FINISH_REPLY_S, 1):
            interrupt()
        say()
        await self.after_last_words()

    async def after_last_words(self) -> None:
        """Lets what is being said be said, then it is over."""
        # Between a reply's request and its first sound nothing is busy for a moment.
        await self._quiet(FAREWELL_S, _QUIET_TICKS)
        self._over.set()
