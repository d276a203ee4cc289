"""One session of a bridge, from dialling to session.closed, watched for stalls.

dialling ──▶ open ──close──▶ closing ──session.closed──▶ ended
    └─ failed   └────────────────┴── RealtimeError: the bridge's task group ends
"""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from math import inf
from time import monotonic

from livekit.plugins.openai_realtime.errors import ConnectionLost, RealtimeError
from livekit.plugins.openai_realtime.events import SessionClosed, TranslationEvent
from livekit.plugins.openai_realtime.options import TranslationOptions
from parley.core.accounts import Account
from parley.core.ledger import Frame, Ledger
from parley.core.stall import StallPolicy, Watch
from parley.metrics import Metrics
from parley.ports import Access, Dial, Session

from .health import SessionStalled

KIND = "translation"
WATCH_S = 0.25
"""How often a session is looked at for a stall."""


class Leg:
    """`run` it as a task; feed it when it is open. What it says goes to `take`, or is kept for later.

    Attributes:
        held: events that nobody may hear yet, because an earlier session is still speaking. Bounded by the
            time that one may take to end.
        ledger: what it was sent and has not answered; set when it is fed.
        account: who pays for what it is sent; open from when it is fed.
        transcribing: whether the speaker's own words are transcribed.
    """

    def __init__(
        self,
        options: TranslationOptions,
        take: Callable[["Leg", TranslationEvent], None],
        changed: Callable[[], None],
        close_s: float,
        stall: StallPolicy,
    ) -> None:
        self.held: deque[TranslationEvent] = deque()
        self.ledger: Ledger | None = None
        self.account: Account | None = None
        self.transcribing = options.transcription_model is not None
        self.opened_at = 0.0
        self.replace_at = inf
        """When it should be replaced, whatever is left of it."""
        self.failure: RealtimeError | None = None
        self.task: asyncio.Task[None] | None = None
        self.span_s: float | None = None
        """The bridge's usual ear-voice span."""
        self._options = options
        self._take = take
        self._changed = changed
        self._close_s = close_s
        self._watch = Watch(stall)
        self._session: Session | None = None
        self._ready = asyncio.Event()
        self._deadline: asyncio.Timeout | None = None

    @property
    def open(self) -> bool:
        """Whether it can be fed."""
        return self._session is not None

    @property
    def ends_at(self) -> float:
        """When the API ends it."""
        assert self._session is not None
        return self.opened_at + self._session.lifetime_s

    async def until_open(self) -> None:
        """Returns when it can be fed. Raises what stood in the way."""
        await self._ready.wait()
        if self.failure is not None:
            raise self.failure

    async def run(
        self, dial: Dial, access: Access, metrics: Metrics, most_s: float, waits: Callable[[str], None]
    ) -> None:
        """Until session.closed. A failure to open is in `failure`; raises what ends an open session early."""
        async with AsyncExitStack() as stack:
            began = monotonic()
            try:
                async with access.attempt(most_s, waits):
                    session = await stack.enter_async_context(dial(self._options))
            except RealtimeError as error:
                self.failure = error
                self._ready.set()
                self._changed()
                return
            self.opened_at = monotonic()
            metrics.connected(KIND, self.opened_at - began)
            stack.enter_context(metrics.session(KIND))
            await self._follow(session)

    async def append(self, frame: Frame) -> None:
        """Sends a frame."""
        assert self._session is not None
        if frame.speech:
            self._watch.sent(monotonic())
        await self._session.append(frame.pcm)

    def doubt(self) -> None:
        """Not all that was sent was answered, and the time for it is over: is it still there?"""
        self._watch.doubt()

    async def transcribe(self, model: str | None) -> None:
        """Switches the transcription of the speaker's own words on or off."""
        assert self._session is not None
        self.transcribing = model is not None
        await self._session.update(transcription_model=model)

    async def close(self) -> None:
        """Asks for the rest, which may take `close_s`."""
        assert self._session is not None
        assert self._deadline is not None
        self._deadline.reschedule(asyncio.get_running_loop().time() + self._close_s)
        await self._session.close()

    async def _follow(self, session: Session) -> None:
        try:
            async with asyncio.timeout(None) as self._deadline, asyncio.TaskGroup() as group:
                watching = group.create_task(self._look(session), name="stall watch")
                self._session = session
                self._ready.set()
                self._changed()
                async for event in session:
                    self._watch.heard()
                    self._take(self, event)
                    if isinstance(event, SessionClosed):
                        break
                watching.cancel()
            if self._deadline.when() is None:
                raise ConnectionLost(reason="the server closed the session")
        except TimeoutError:
            said = f"no session.closed within {self._close_s:g} s of session.close"
            raise ConnectionLost(reason=said) from None

    async def _look(self, session: Session) -> None:
        """Asks a session that is silent for a sign of life; raises SessionStalled."""
        while True:
            await asyncio.sleep(WATCH_S)
            verdict = self._watch.verdict(monotonic(), self.span_s)
            if verdict == "stalled":
                raise SessionStalled(reason="it takes speech and answers nothing")
            if verdict == "ask" and self._deadline is not None and self._deadline.when() is None:
                self._watch.asked(monotonic())
                model = self._options.transcription_model if self.transcribing else None
                with suppress(TimeoutError):  # a socket that takes nothing: no answer will come
                    async with asyncio.timeout(WATCH_S):
                        await session.update(transcription_model=model)
