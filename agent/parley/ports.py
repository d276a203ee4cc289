"""The Protocols between the bridges and the shells around them."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Literal, Protocol

from livekit.plugins.openai_realtime.events import ErrorReported, TranscriptionEvent, TranslationEvent
from livekit.plugins.openai_realtime.options import TranscriptionOptions, TranslationOptions

from .core.model import BridgeSpec
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


class Bridge(Protocol):
    """What one speaker says, on its way to those who hear or read it in one language."""

    spec: BridgeSpec
    audio: AudioOut | None
    """Where it is heard; None while nobody hears it."""

    @property
    def live(self) -> bool:
        """Whether a phrase or its tail is being worked on."""

    @property
    def speaking(self) -> bool:
        """Whether the speaker is in the middle of a phrase."""

    @property
    def failing(self) -> bool:
        """Whether the room was told that there is no session, and not yet that there is one again."""

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that wait for a session."""

    @property
    def lag_s(self) -> float:
        """How far the voice at the ear was behind the speaker when it was last heard; 0 before that."""

    @property
    def usd(self) -> float:
        """What its sessions cost so far, at list prices."""

    def hear(
        self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float = 0.0
    ) -> None:
        """What the speaker's microphone delivered. Called on the loop; never blocks."""

    def change(self, spec: BridgeSpec) -> None:
        """Other listeners or readers."""

    def finish(self) -> None:
        """No more audio is taken; `run` returns when the rest has come out."""

    async def run(self) -> None:
        """Works until finished. Cancelling it closes the session at once: its tail is lost."""


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


class Listening(Protocol):
    """An open transcription session."""

    @property
    def lifetime_s(self) -> float:
        """How long the API lets it live, from when it was opened."""

    async def append(self, pcm: bytes) -> None:
        """Sends PCM16 mono 24 kHz."""

    async def commit(self, event_id: str) -> None:
        """Ends an utterance: what was sent since the last commit."""

    async def close(self) -> None:
        """Sends nothing more; the events end when all that was committed is transcribed."""

    def __aiter__(self) -> AsyncIterator[TranscriptionEvent | ErrorReported]: ...


class Dial(Protocol):
    """Opens sessions; entering the context connects, and returns once the session is configured."""

    def __call__(self, options: TranslationOptions) -> AbstractAsyncContextManager[Session]:
        """A translation session."""

    def listen(self, options: TranscriptionOptions) -> AbstractAsyncContextManager[Listening]:
        """A transcription session; leaving the context cuts it."""


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
