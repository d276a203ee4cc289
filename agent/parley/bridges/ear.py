"""One transcription session, from dialling to the last words that it owes, watched for stalls."""

import asyncio
from collections.abc import Callable
from time import monotonic

from livekit.plugins.openai_realtime.errors import ConnectionLost
from livekit.plugins.openai_realtime.events import ErrorReported, TranscriptionEvent
from livekit.plugins.openai_realtime.options import TranscriptionOptions
from livekit.plugins.openai_realtime.transcriber import Leg as Share
from livekit.plugins.openai_realtime.transcription import refuses_commit
from parley.ports import Listening

from .health import SessionStalled
from .leg import Leg

KIND = "captions"
WATCH_S = 0.25
"""How often a session is looked at for a stall."""

Heard = TranscriptionEvent | ErrorReported


class Ear(Leg[Listening]):
    """`run` it as a task; feed it when it is open.

    Attributes:
        share: what it is given of what was said; set when it is fed.
        wake: set when there may be something to send.
        retiring: it is fed what waits, and no more than that.
    """

    def __init__(
        self,
        options: TranscriptionOptions,
        take: Callable[["Ear", Heard], None],
        changed: Callable[[], None],
        answer_s: float,
    ) -> None:
        """`answer_s`: how long a session that owes words may say nothing of them."""
        super().__init__(KIND, changed)
        self.share: Share | None = None
        self.wake = asyncio.Event()
        self.retiring = False
        self.options = options
        self._take = take
        self._answer_s = answer_s
        self._closing = False
        self._reading: asyncio.Task[None] | None = None

    async def append(self, pcm: bytes) -> None:
        """Sends audio."""
        await self._opened.append(pcm)

    async def commit(self, event_id: str) -> None:
        """Ends an utterance: its words are owed from now on."""
        await self._opened.commit(event_id)

    async def close(self) -> None:
        """Sends nothing more; the words that it owes still come."""
        self._closing = True
        await self._opened.close()
        if not self._owes and self._reading is not None:
            self._reading.cancel()  # the API ends no transcription session by itself

    @property
    def _owes(self) -> bool:
        return self.share is not None and self.share.waiting_since is not None

    async def _follow(self, session: Listening) -> None:
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self._look(), name="stall watch")
            self._reading = group.create_task(self._read(session), name="reading")
            self._feedable(session)
            await asyncio.wait({self._reading})
            watching.cancel()

    async def _read(self, session: Listening) -> None:
        """Returns when it was closed and owes nothing."""
        async for event in session:
            self._take(self, event)
            if isinstance(event, ErrorReported) and refuses_commit(event.error):
                raise ConnectionLost(reason=f"an utterance was refused: {event.error}")
            if self._closing and not self._owes:
                return
        if not self._closing or self._owes:
            raise ConnectionLost(reason="the server closed the session")

    async def _look(self) -> None:
        """Raises SessionStalled when words are owed and nothing comes."""
        while True:
            await asyncio.sleep(WATCH_S)
            since = self.share.waiting_since if self.share is not None else None
            if since is not None and monotonic() - since >= self._answer_s:
                raise SessionStalled(reason=f"it owes words and has said nothing for {self._answer_s:g} s")
