"""A bridge between a microphone of numbered 100 ms pieces and recorders, on the loop's clock."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest

from parley.access import Access
from parley.bridges.surroundings import Surroundings
from parley.bridges.translation import BridgePolicy, TranslationBridge
from parley.core.accounts import Account, Accounts, Line
from parley.core.framing import BYTES_PER_S
from parley.core.model import BridgeKey, BridgeSpec
from parley.metrics import Metrics
from parley.ports import Dial
from parley.testing import RecordingAudioOut, RecordingNotices, RecordingTextOut, ScriptedDial

PIECE_S = 0.1
PIECE_BYTES = BYTES_PER_S // 10
HANGOVER = 5
"""Pieces of silence before the gate calls a phrase ended."""


def piece(n: int) -> bytes:
    """100 ms that can be told apart and heard; 0 is silence."""
    return (1000 + n if n else 0).to_bytes(2, "little") * (PIECE_BYTES // 2)


def pieces(pcm: bytes) -> list[int]:
    """The audible pieces in it, in order."""
    values = [int.from_bytes(pcm[i : i + 2], "little") for i in range(0, len(pcm), PIECE_BYTES)]
    return [value - 1000 for value in values if value]


class Rig:
    """One bridge and what is around it."""

    def __init__(
        self,
        dial: Dial,
        policy: BridgePolicy | None = None,
        *,
        access: Access | None = None,
        usd: float | None = None,
        source_readers: Iterable[str] = (),
        speaker: str = "ana",
    ) -> None:
        self.audio = RecordingAudioOut()
        self.text = RecordingTextOut()
        self.notices = RecordingNotices()
        self.metrics = Metrics()
        self.accounts = Accounts(usd=usd)
        self.spans: list[tuple[str, float]] = []
        spec = BridgeSpec(
            BridgeKey(speaker, "fr"), frozenset({"ben"}), frozenset(), frozenset(source_readers)
        )
        self.bridge = TranslationBridge(
            spec,
            policy or BridgePolicy("gpt-realtime-translate", "gpt-realtime-whisper"),
            Surroundings(
                self.text,
                self.notices,
                self.metrics,
                access or Access(),
                self._account,
                lambda language, span_s: self.spans.append((language, span_s)),
            ),
            dial,
            self.audio,
        )
        self.said: list[int] = []
        self._quiet = 99
        self._recent: list[bytes] = []

    def _account(self, spec: Callable[[], BridgeSpec]) -> Account:
        key = spec().key
        line = Line("translation", key.speaker, key.language)
        return self.accounts.open(line, "gpt-realtime-translate", lambda: spec().listeners)

    async def hear(self, n: int) -> None:
        """One piece of the microphone, in its time."""
        pcm = piece(n)
        self._quiet = 0 if n else self._quiet + 1
        if n:
            self.said.append(n)
        now = asyncio.get_running_loop().time()
        self.bridge.hear(pcm, now, self._quiet < HANGOVER, tuple(self._recent))
        self._recent = [*self._recent, pcm][-4:]
        await asyncio.sleep(PIECE_S)

    async def speak(self, count: int) -> None:
        """`count` pieces of speech, numbered on."""
        first = len(self.said) + 1
        for n in range(first, first + count):
            await self.hear(n)

    async def silence(self, duration_s: float) -> None:
        """A microphone that is on, and nobody speaks."""
        for _ in range(round(duration_s / PIECE_S)):
            await self.hear(0)

    @property
    def heard(self) -> list[int]:
        """The pieces that came out as audio, in order."""
        return pieces(bytes(self.audio.pcm))

    def value(self, name: str, **labels: str) -> float:
        """A sample of the metrics."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    @asynccontextmanager
    async def running(self) -> AsyncIterator["asyncio.Task[None]"]:
        """The bridge at work; ended with `finish` unless it has ended."""
        async with asyncio.timeout(600), asyncio.TaskGroup() as group:
            task = group.create_task(self.bridge.run())
            yield task
            self.bridge.finish()


@pytest.fixture
def virtual_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The bridges' clock is the loop's, which a test marked `looptime` moves."""

    def now() -> float:
        return asyncio.get_running_loop().time()

    for module in (
        "access",
        "bridges.captions",
        "bridges.ear",
        "bridges.leg",
        "bridges.translating",
        "bridges.translation",
        "bridges.voice",
    ):
        monkeypatch.setattr(f"parley.{module}.monotonic", now)


@pytest.fixture
def rig(virtual_time: None) -> Callable[..., Rig]:
    return Rig


@pytest.fixture
def dial() -> ScriptedDial:
    """A model with an ear-voice span of 0.8 s."""
    return ScriptedDial(lag_frames=4)
