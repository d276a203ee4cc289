"""Public fakes of the ports: a model that repeats what it hears, and recorders of what comes out.

They run on the event loop's clock and touch no network, so that a test of a bridge takes no time:

    dial = ScriptedDial(lag_frames=4)
    audio = RecordingAudioOut()
    ...
    assert audio.pcm == what_was_said
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from livekit.plugins.openai_realtime.errors import RealtimeError, SessionNotOpen
from livekit.plugins.openai_realtime.events import (
    OutputAudio,
    OutputTranscript,
    SessionClosed,
    SessionUpdated,
    TranslationEvent,
)
from livekit.plugins.openai_realtime.options import TranslationOptions

from .core.framing import FRAME_MS, RATE_HZ
from .core.transcript import Segment
from .ports import TextKind

__all__ = [
    "FakeSession",
    "Notice",
    "RecordingAudioOut",
    "RecordingNotices",
    "RecordingTextOut",
    "ScriptedDial",
]


class FakeSession:
    """A translation session that says each frame in which something is audible again, `lag_frames` later.

    Its time is the audio that it was sent, as the API's: nothing comes out while nothing goes in, except
    what `close` flushes. Implements `parley.ports.Session`.

    Attributes:
        options: what it was opened with.
        sent: the frames that were appended, in order.
        updates: the transcription models it was updated to.
        closing: whether `close` was called.
        left: whether its context has been left.
        closes: whether it answers `close` with its rest and `SessionClosed`.
        mute: whether what it hears is in its own language already: it says nothing to it.
        stalled: whether it takes everything and answers nothing.
    """

    def __init__(
        self, options: TranslationOptions, *, lag_frames: int = 0, lifetime_s: float = 3600.0
    ) -> None:
        self.options = options
        self.lifetime_s = lifetime_s
        self.sent: list[bytes] = []
        self.updates: list[str | None] = []
        self.closing = False
        self.left = False
        self.closes = True
        self.mute = False
        self.stalled = False
        self._lag_frames = lag_frames
        self._owed: deque[int] = deque()
        self._events: asyncio.Queue[TranslationEvent | RealtimeError] = asyncio.Queue()
        self._lost: RealtimeError | None = None

    @property
    def owes(self) -> int:
        """Audible frames that it has heard and not said."""
        return len(self._owed)

    async def append(self, pcm: bytes) -> None:
        """See Session. Raises what ended the session."""
        await asyncio.sleep(0)
        if self._lost is not None:
            raise self._lost
        if self.closing:
            raise SessionNotOpen("append after close")
        if any(pcm) and not self.mute:
            self._owed.append(len(self.sent))
        self.sent.append(pcm)
        while not self.stalled and self._owed and self._owed[0] + self._lag_frames < len(self.sent):
            self._say(self._owed.popleft())

    async def update(self, *, transcription_model: str | None) -> None:
        """See Session."""
        await asyncio.sleep(0)
        if self._lost is not None:
            raise self._lost
        self.updates.append(transcription_model)
        if not self.stalled:
            self.emit(SessionUpdated(self.options.language, transcription_model))

    async def close(self) -> None:
        """See Session: the rest, then `SessionClosed`."""
        await asyncio.sleep(0)
        if self._lost is not None:
            raise self._lost
        self.closing = True
        if self.closes and not self.stalled:
            while self._owed:
                self._say(self._owed.popleft())
            self.emit(SessionClosed())

    async def __aiter__(self) -> AsyncIterator[TranslationEvent]:
        """The events until `SessionClosed`; raises what `lose` was given."""
        while True:
            event = await self._events.get()
            if isinstance(event, RealtimeError):
                raise event
            yield event
            if isinstance(event, SessionClosed):
                return

    def emit(self, event: TranslationEvent) -> None:
        """The server says this."""
        self._events.put_nowait(event)

    def lose(self, error: RealtimeError) -> None:
        """The session ends with `error`; what it owes is lost."""
        self._lost = error
        self._owed.clear()
        self._events.put_nowait(error)

    def _say(self, index: int) -> None:
        elapsed_ms = index * FRAME_MS
        self.emit(OutputAudio(self.sent[index], RATE_HZ, elapsed_ms))
        self.emit(OutputTranscript(f"{index} ", elapsed_ms))


class ScriptedDial:
    """Opens `FakeSession`s, or fails as told. Implements `parley.ports.Dial`.

    Attributes:
        failures: errors for the next attempts, first to last; then attempts succeed.
        connect_s: how long an attempt takes, in seconds.
        sessions: those that were opened, in order.
        attempts: how often it was asked; `connecting` how many of them are under way.
        most_connecting: the most that ever were under way at a time.
    """

    def __init__(
        self,
        *,
        lag_frames: int = 0,
        lifetime_s: float = 3600.0,
        connect_s: float = 0.1,
        failures: Iterable[RealtimeError] = (),
    ) -> None:
        self.failures = deque(failures)
        self.connect_s = connect_s
        self.sessions: list[FakeSession] = []
        self.attempts = 0
        self.connecting = 0
        self.most_connecting = 0
        self._lag_frames = lag_frames
        self._lifetime_s = lifetime_s

    @property
    def open(self) -> list[FakeSession]:
        """The sessions that nobody has left."""
        return [session for session in self.sessions if not session.left]

    @asynccontextmanager
    async def __call__(self, options: TranslationOptions) -> AsyncIterator[FakeSession]:
        """See Dial."""
        with self._attempt():
            await asyncio.sleep(self.connect_s)
            if self.failures:
                raise self.failures.popleft()
        session = FakeSession(options, lag_frames=self._lag_frames, lifetime_s=self._lifetime_s)
        self.sessions.append(session)
        try:
            yield session
        finally:
            session.left = True

    def _attempt(self) -> "_Attempt":
        return _Attempt(self)


class _Attempt:
    """Counts an attempt while it is under way."""

    def __init__(self, dial: ScriptedDial) -> None:
        self._dial = dial

    def __enter__(self) -> None:
        self._dial.attempts += 1
        self._dial.connecting += 1
        self._dial.most_connecting = max(self._dial.most_connecting, self._dial.connecting)

    def __exit__(self, *_: object) -> None:
        self._dial.connecting -= 1


class RecordingAudioOut:
    """Keeps what is played. Implements `parley.ports.AudioOut`.

    Attributes:
        pcm: all that was pushed.
        waiting_s: what it says is waiting to be played.
        calls: `expect`, `push` and `release`, in order, repeated pushes as one.
        rest: what `played` waits for; set unless a test clears it.
    """

    def __init__(self) -> None:
        self.pcm = bytearray()
        self.waiting_s = 0.0
        self.calls: list[str] = []
        self.rest = asyncio.Event()
        self.rest.set()

    def expect(self) -> None:
        """See AudioOut."""
        self.calls.append("expect")

    def push(self, pcm: bytes) -> None:
        """See AudioOut."""
        self.pcm += pcm
        if self.calls[-1:] != ["push"]:
            self.calls.append("push")

    def release(self) -> None:
        """See AudioOut."""
        self.calls.append("release")

    async def played(self) -> None:
        """See AudioOut."""
        await self.rest.wait()


class RecordingTextOut:
    """Keeps what is written. Implements `parley.ports.TextOut`."""

    def __init__(self) -> None:
        self.segments: list[tuple[TextKind, Segment]] = []

    def send(self, segment: Segment, kind: TextKind) -> None:
        """See TextOut."""
        self.segments.append((kind, segment))

    def finals(self, kind: TextKind) -> list[str]:
        """The texts of the final segments of a kind."""
        return [segment.text for k, segment in self.segments if k == kind and segment.final]


@dataclass(frozen=True, slots=True)
class Notice:
    """One thing that the room was told."""

    event: str
    speaker: str | None
    language: str | None
    detail: str


class RecordingNotices:
    """Keeps what the room is told. Implements `parley.ports.Notices`."""

    def __init__(self) -> None:
        self.said: list[Notice] = []

    def say(self, event: str, *, speaker: str | None, language: str | None, detail: str) -> None:
        """See Notices."""
        self.said.append(Notice(event, speaker, language, detail))

    @property
    def events(self) -> list[str]:
        """What happened, in order."""
        return [notice.event for notice in self.said]

    def __iter__(self) -> Iterator[Notice]:
        return iter(self.said)
