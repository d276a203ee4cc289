"""Requests that are not obeyed: who may ask how often, and how a refusal is answered."""

from collections.abc import Callable, Container, Iterator
from contextlib import contextmanager
from time import monotonic

from livekit import rtc
from parley.core.policy import Buckets

REQUESTS_PER_S = 5.0
REQUESTS_BURST = 20.0
"""Of one participant."""
STANDS_BY = "this worker stands by; another one serves the room"
MOST_BYTES = 240
"""Of an error's text: LiveKit cuts it off at 256."""

NOT_ALLOWED, NOT_FOUND, INVALID, TOO_MANY = 1403, 1404, 1400, 1429
"""Codes of refused requests: as HTTP's, a thousand higher, as LiveKit's own RPC errors are."""


class Refused(Exception):
    """A request that is not obeyed; the text names the field, what was given and what is allowed."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.data = data
        """The same for machines, as JSON."""


class Askers:
    """Those who ask a worker that serves the room, each so often and no more."""

    def __init__(
        self, standby: Callable[[], bool], per_s: float = REQUESTS_PER_S, burst: float = REQUESTS_BURST
    ) -> None:
        self._standby = standby
        self._per_s = per_s
        self._asked = Buckets(per_s, burst)

    def take_turn(self, method: str, caller: str, present: Container[str]) -> None:
        """Raises Refused. `present`: everybody whose requests are still counted."""
        if self._standby():
            raise Refused(NOT_FOUND, STANDS_BY)
        if not self._asked.take(caller, monotonic(), present):
            raise Refused(TOO_MANY, f"{method}: more than {self._per_s:g} requests per second")


@contextmanager
def answered() -> Iterator[None]:
    """What is refused in this block is answered with an RPC error."""
    try:
        yield
    except Refused as e:
        message = str(e).encode()[:MOST_BYTES].decode(errors="ignore")
        raise rtc.RpcError(e.code, message, e.data) from None
