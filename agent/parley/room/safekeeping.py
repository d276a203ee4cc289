"""What a room knows outlives the job that serves it, should that be killed.

    what was set, spent and recorded ──at most once a second──▶ the job's file
    parley.set ──▶ the file ──▶ the answer
    the next job of the same room: reads it, before it begins anything; deletes it

What a worker that leaves hands over (`estate`) and what a dead one has left are taken in the same way.
"""

import asyncio
import logging
from collections.abc import Callable
from time import monotonic, thread_time, time
from typing import Any

from parley.core import kept
from parley.metrics import Metrics
from parley.state import StateFile, TooLargeError

from .costs import RoomCosts
from .estate import Estate

logger = logging.getLogger("parley.room")

PERIOD_S = 1.0
"""How often what has changed is written."""
REST_S = 30.0
"""How often it is written when nothing but the time has changed."""
APART_S = 0.05
"""Least time between two that are written at once."""
SHARE = 0.01
"""The share of a core that it may take, however large the room is."""
WRITING = 2.0
"""To gather what is known and to write it takes so many times what the gathering takes."""
FILE_S = 2.0
"""How long the file system may take."""


class Safekeeping:
    """Keeps the file of one room up to date, and takes up what another job has left."""

    def __init__(
        self,
        file: StateFile | None,
        estate: Estate,
        costs: RoomCosts,
        metrics: Metrics,
        serving: Callable[[], bool],
    ) -> None:
        """`file` None: nothing is kept. `serving`: whether it is this worker that serves the room."""
        self._file = file
        self._estate = estate
        self._costs = costs
        self._metrics = metrics
        self._serving = serving
        self._lock = asyncio.Lock()
        self._asked = self._written = 0
        self._not_before = 0.0
        self._pace_s = PERIOD_S
        self._last: tuple[float, object] = (float("-inf"), None)
        self._working: asyncio.Future[Any] | None = None
        self._taken = self._failing = self._ended = False

    # What another job has left

    async def take_up(self, *, handed_over: bool) -> None:
        """Goes on from what a job that died has left, once; to be called before anything is begun.

        `handed_over`: a worker that leaves tells all this itself.
        """
        if self._file is None or self._taken:
            return
        self._taken = True
        if handed_over:
            return
        try:
            left = await self._work(self._file.read)
            if left is None:
                return
            self._take(left)
            # First the new one, then the old: at every moment one of the two is there.
            await self._work(self._file.write, *self._states())
            await self._work(self._file.delete_others)
        except (OSError, ValueError, TimeoutError) as e:
            self._failed("what was known of the room is not taken up", e)

    def _take(self, left: dict[str, Any]) -> None:
        ago_s = max(0.0, time() - left["saved_at"])
        self._estate.take(left["job"], left)
        try:
            record = kept.read(left.get("record"))
        except ValueError as e:
            logger.warning("of what the room was nothing is taken up but what was spent: %s", e)
            usd = left.get("room_usd")
            self._costs.accounts.inherit(float(usd) if isinstance(usd, int | float) and usd > 0 else 0.0)
        else:
            self._costs.record.resume(record, ago_s)
        logger.info("what a job knew that died is taken up", extra={"saved_s_ago": round(ago_s, 1)})

    # What this one leaves

    async def run(self) -> None:
        """Writes what has changed, for ever; cancelled when the room ends."""
        if self._file is None:
            return
        while True:
            await asyncio.sleep(self._pace_s)
            if self._serving() and self._changed():
                await self.save()

    async def pass_on(self, identity: str) -> bool:
        """Something was set: it is kept, and told to one that takes over; returns whether that one knows."""
        await self.save()
        return await self._estate.pass_on(identity)

    async def save(self) -> None:
        """Returns when what is known now has been written, or cannot be; never raises."""
        if self._file is None or self._ended:
            return
        self._asked += 1
        mine = self._asked
        async with self._lock:
            if self._written >= mine or self._ended:
                return
            await asyncio.sleep(self._not_before - monotonic())
            self._written = self._asked
            began = thread_time()
            states = self._states()
            took_s = WRITING * (thread_time() - began)
            self._pace_s = max(PERIOD_S, took_s / SHARE)
            self._not_before = monotonic() + max(APART_S, 10 * took_s)
            try:
                cut = await self._work(self._file.write, *states)
            except (OSError, TooLargeError, TimeoutError) as e:
                self._failed("what is known of the room is not kept", e)
            else:
                self._failing = self._failing and bool(cut)
                if cut:
                    self._failed(
                        "not all that is known of the room is kept", TooLargeError("it is too large")
                    )

    async def end(self) -> None:
        """The room is left: nothing is to be gone on with. Never raises."""
        if self._file is None or self._ended:
            return
        self._ended = True
        async with self._lock:
            try:
                await self._work(self._file.delete)
            except (OSError, TimeoutError) as e:
                self._failed("what was kept of the room is not deleted", e)

    def _states(self) -> tuple[Callable[[], dict[str, Any]], ...]:
        """All that is known, and less of it: without the record, and of refusals alone."""
        known, record = self._estate.known(sparing=True), self._costs.keep()
        spent = {"room_usd": self._costs.accounts.usd}
        refused = self._estate.refusals(known)
        return (
            lambda: {**known, **spent, "record": record},
            lambda: {**known, **spent},
            lambda: {**refused, **spent},
        )

    def _changed(self) -> bool:
        now, news = monotonic(), (self._estate.known(sparing=True), self._costs.news)
        written_at, before = self._last
        if news == before and now - written_at < REST_S:
            return False
        self._last = (now, news)
        return True

    async def _work(self, what: Callable[..., Any], *of: Any) -> Any:
        """Does something with the file, in a thread: one at a time. Raises TimeoutError after `FILE_S`."""
        if self._working is not None and not self._working.done():
            raise TimeoutError("the file system does not answer")
        self._working = asyncio.get_running_loop().run_in_executor(None, what, *of)
        done, _ = await asyncio.wait({self._working}, timeout=FILE_S)
        if not done:
            self._working.add_done_callback(lambda late: late.cancelled() or late.exception())
            raise TimeoutError(f"no answer of the file system within {FILE_S:g} s")
        return self._working.result()

    def _failed(self, what: str, why: Exception) -> None:
        self._metrics.state_failures.inc()
        if not self._failing:
            self._failing = True
            detail = f"{what}: {getattr(why, 'strerror', None) or why or type(why).__name__}"
            logger.error("%s", detail)
            self._costs.notices.say("state.failed", speaker=None, language=None, detail=detail)
