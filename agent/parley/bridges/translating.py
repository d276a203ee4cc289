"""One translation session, from dialling to session.closed, watched for stalls."""

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

from livekit.plugins.openai_realtime.errors import ConnectionLost
from livekit.plugins.openai_realtime.events import SessionClosed, TranslationEvent
from livekit.plugins.openai_realtime.options import TranslationOptions
from parley.core.ledger import Frame, Ledger
from parley.core.stall import StallPolicy, Watch
from parley.ports import Session

from .health import SessionStalled
from .leg import Leg

KIND = "translation"
WATCH_S = 0.25
"""How often a session is looked at for a stall."""


class Translating(Leg[Session]):
    """`run` it as a task; feed it when it is open. What it says goes to `take`, or is kept for later.

    Attributes:
        held: events that nobody may hear yet, because an earlier session is still speaking. Bounded by the
            time that one may take to end.
        ledger: what it was sent and has not answered; set when it is fed.
        transcribing: whether the speaker's own words are transcribed.
        span_s: the bridge's usual ear-voice span.
    """

    def __init__(
        self,
        options: TranslationOptions,
        take: Callable[["Translating", TranslationEvent], None],
        changed: Callable[[], None],
        close_s: float,
        stall: StallPolicy,
    ) -> None:
        super().__init__(KIND, changed)
        self.held: deque[TranslationEvent] = deque()
        self.ledger: Ledger | None = None
        self.transcribing = options.transcription_model is not None
        self.span_s: float | None = None
        self.options = options
        self._take = take
        self._close_s = close_s
        self._watch = Watch(stall)
        self._deadline: asyncio.Timeout | None = None

    async def append(self, frame: Frame) -> None:
        """Sends a frame."""
        if frame.speech:
            self._watch.sent(monotonic())
        await self._opened.append(frame.pcm)

    def doubt(self) -> None:
        """Not all that was sent was answered, and the time for it is over: is it still there?"""
        self._watch.doubt()

    async def transcribe(self, model: str | None) -> None:
        """Switches the transcription of the speaker's own words on or off."""
        self.transcribing = model is not None
        await self._opened.update(transcription_model=model)

    async def close(self) -> None:
        """Asks for the rest, which may take `close_s`."""
        assert self._deadline is not None
        self._deadline.reschedule(asyncio.get_running_loop().time() + self._close_s)
        await self._opened.close()

    async def _follow(self, session: Session) -> None:
        try:
            async with asyncio.timeout(None) as self._deadline, asyncio.TaskGroup() as group:
                watching = group.create_task(self._look(session), name="stall watch")
                self._feedable(session)
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
                model = self.options.transcription_model if self.transcribing else None
                with suppress(TimeoutError):  # a socket that takes nothing: no answer will come
                    async with asyncio.timeout(WATCH_S):
                        await session.update(transcription_model=model)
