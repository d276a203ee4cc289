"""A mouth and its lines over a track that is ticked by hand, on a clock that is a number."""

from collections.abc import Callable

import pytest

from livekit import rtc
from parley.core.transcript import Segment
from parley.media.frames import FRAME_BYTES, FRAME_S
from parley.media.speech import SpeechPlayout
from parley.voice.lines import Lines
from parley.voice.mouth import Mouth


class Clock:
    """`monotonic` for the modules under test."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class HandTrack:
    """Plays what is due when it is ticked, and rests as `TrackOutput` does. Implements SpeechTrack.

    Attributes:
        words: the numbers of the audible frames that were played, in order.
        ticked: the same with None for silence.
    """

    def __init__(self, queue: SpeechPlayout, clock: Clock) -> None:
        self.queue = queue
        self.clock = clock
        self.on_played: Callable[[], None] | None = None
        self.ticked: list[int | None] = []
        self.expecting = False

    @property
    def words(self) -> list[int]:
        return [n for n in self.ticked if n is not None]

    def ready(self, now: float) -> float:
        return now

    def wake(self) -> None:
        pass

    def expect(self) -> None:
        self.expecting = True

    def release(self) -> None:
        self.expecting = False
        self.queue.flush(self.clock.now)

    def tick(self, count: int = 1) -> None:
        """`count` times 20 ms."""
        for _ in range(count):
            self.clock.now += FRAME_S
            frames = self.queue.due(self.clock.now)
            self.ticked += [number(pcm) for pcm in frames]
            if frames and self.on_played is not None:
                self.on_played()
            if self.queue.playing and self.queue.waiting_s == 0 and self.queue.silent_s >= 0.6:
                self.queue.rest()


def number(pcm: bytes) -> int | None:
    """Which frame it is; None for silence."""
    value = int.from_bytes(pcm[:2], "little")
    return value - 1000 if value >= 1000 else None


def speech(*numbers: int) -> rtc.AudioFrame:
    """20 ms of speech for each number, to be told apart."""
    pcm = b"".join((1000 + n).to_bytes(2, "little") * (FRAME_BYTES // 2) for n in numbers)
    return rtc.AudioFrame(pcm, 24_000, 1, len(pcm) // 2)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    for module in ("mouth", "lines", "floor"):
        monkeypatch.setattr(f"parley.voice.{module}.monotonic", clock)
    return clock


@pytest.fixture
def shown() -> list[Segment]:
    """The lines that were shown, in order."""
    return []


@pytest.fixture
def lines(clock: Clock, shown: list[Segment]) -> Lines:
    return Lines("a", lambda segment, cut: shown.append(segment))


@pytest.fixture
def track(clock: Clock) -> HandTrack:
    return HandTrack(SpeechPlayout(), clock)


@pytest.fixture
def mouth(track: HandTrack, lines: Lines) -> Mouth:
    return Mouth(track.queue, track, lines)
