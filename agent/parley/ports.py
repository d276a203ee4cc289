"""The Protocols between the bridges and the shells around them."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

from livekit.plugins.openai_realtime.events import TranslationEvent
from livekit.plugins.openai_realtime.options import TranslationOptions

from .core.transcript import Segment

TextKind = Literal["source", "translation"]


class AudioOut(Protocol):
    """One published track."""

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that are waiting to be played."""

    def expect(self) -> None:
        """Audio will come soon: whatever must be undone before it can be heard is undone now."""

    def push(self, pcm: bytes) -> None:
        """Plays PCM16 mono 24 kHz after what is waiting; never blocks, bounded."""

    def release(self) -> None:
        """No audio is expected: the track may rest when all is played."""

    async def played(self) -> None:
        """Returns when all that was pushed has been played. Cancelling it stops only the wait."""


class TextOut(Protocol):
    """Captions of one speaker."""

    def send(self, segment: Segment, kind: TextKind) -> None:
        """Sends a segment to those who read it; never blocks, bounded."""


class Session(Protocol):
    """An open translation session."""

    @property
    def lifetime_s(self) -> float:
        """How long the API lets it live, from when it was opened."""

    async def append(self, pcm: bytes) -> None:
        """Sends PCM16 mono 24 kHz."""

    async def update(self, *, transcription_model: str | None) -> None:
        """Switches the transcription of the speaker's own words on or off."""

    async def close(self) -> None:
        """Asks for the rest; the events end after it."""

    def __aiter__(self) -> AsyncIterator[TranslationEvent]: ...


class Dial(Protocol):
    """Opens sessions; entering the context connects, and returns once the session is configured."""

    def __call__(self, options: TranslationOptions) -> AbstractAsyncContextManager[Session]: ...


class Access(Protocol):
    """Leave to use the API, from whoever knows of all rooms of the worker.

    Entering waits; `waits` is called with the reason if that is not short, and RealtimeError is raised
    when `most_s` is over. Cancelling it gives the place in the queue up.
    """

    def stream(self, most_s: float, waits: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
        """Stands around all that one microphone sends, in however many sessions one after the other."""

    def attempt(self, most_s: float, waits: Callable[[str], None]) -> AbstractAsyncContextManager[None]:
        """Stands around one attempt to connect; what it raises tells how the API is."""

    def lost(self) -> None:
        """A session was lost that had been open: the next attempts may fail, too."""


class Notices(Protocol):
    """What the room and the operator are told."""

    def say(self, event: str, *, speaker: str | None, language: str | None, detail: str) -> None:
        """One JSON object on `parley.events`; never blocks, rate-limited."""
