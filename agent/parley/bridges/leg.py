"""One session of a bridge, from dialling to its end.

dialling ──▶ open ──▶ … ──▶ ended
    └─ failed   └── RealtimeError: the bridge's task group ends
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from math import inf
from time import monotonic
from typing import Generic, Protocol, TypeVar

from livekit.plugins.openai_realtime.errors import RealtimeError
from parley.core.accounts import Account
from parley.metrics import Metrics
from parley.ports import Access


class _Lives(Protocol):
    @property
    def lifetime_s(self) -> float: ...


SessionT = TypeVar("SessionT", bound=_Lives)


class Leg(ABC, Generic[SessionT]):
    """`run` it as a task; feed it when it is open.

    Attributes:
        account: who pays for what it is sent; open from when it is fed.
        failure: what stood in the way of opening it.
        replace_at: when it should be replaced, whatever is left of it.
    """

    def __init__(self, kind: str, changed: Callable[[], None]) -> None:
        """`changed` is called when it has opened, or has failed to."""
        self.account: Account | None = None
        self.opened_at = 0.0
        self.replace_at = inf
        self.failure: RealtimeError | None = None
        self.task: asyncio.Task[None] | None = None
        self._kind = kind
        self._changed = changed
        self._session: SessionT | None = None
        self._ready = asyncio.Event()

    @property
    def open(self) -> bool:
        """Whether it can be fed."""
        return self._session is not None

    @property
    def ends_at(self) -> float:
        """When the API ends it."""
        return self.opened_at + self._opened.lifetime_s

    async def until_open(self) -> None:
        """Returns when it can be fed. Raises what stood in the way."""
        await self._ready.wait()
        if self.failure is not None:
            raise self.failure

    async def run(
        self,
        opening: AbstractAsyncContextManager[SessionT],
        access: Access,
        metrics: Metrics,
        most_s: float,
        waits: Callable[[str], None],
    ) -> None:
        """Until its end. A failure to open is in `failure`; raises what ends an open session early."""
        async with AsyncExitStack() as stack:
            began = monotonic()
            try:
                async with access.attempt(most_s, waits):
                    session = await stack.enter_async_context(opening)
            except RealtimeError as error:
                self.failure = error
                self._tell()
                return
            self.opened_at = monotonic()
            metrics.connected(self._kind, self.opened_at - began)
            stack.enter_context(metrics.session(self._kind))
            await self._follow(session)

    @property
    def _opened(self) -> SessionT:
        assert self._session is not None
        return self._session

    def _feedable(self, session: SessionT) -> None:
        """It can be fed from now on."""
        self._session = session
        self._tell()

    def _tell(self) -> None:
        self._ready.set()
        self._changed()

    @abstractmethod
    async def _follow(self, session: SessionT) -> None:
        """Reads what it says, from the moment on when it is `_feedable`, until its end."""
