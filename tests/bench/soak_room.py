"""A room on virtual time whose people speak in numbered words, and who hears which of them."""

from __future__ import annotations

import asyncio
import ctypes
import json
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cache
from types import SimpleNamespace
from typing import Any
from unittest import mock

import numpy as np

from component.bridges.simulated import SimulatedApi
from fakes.room import FakeParticipant, FakePublication, FakeRoom
from parley.core.framing import RATE_HZ
from parley.room.track_input import Ingress
from parley.simulator import SimulatorOptions

FRAME_S = 0.2
"""Microphones deliver in frames of this length, which costs a quarter of the CPU that the product's do."""
_SAMPLES = round(FRAME_S * RATE_HZ)
_WINDOWS = (6, 6, 6, 7)
"""Windows of 32 ms in one frame, in turn."""
_BLOCK = RATE_HZ // 50
_LEVEL = 2000
_STEP = 64
WORDS = 400
"""Numbers of words; after the last comes the first."""
_LOUD = 1000
_LONGEST = 20
"""Blocks of 20 ms of which a word has 15: what is longer was heard twice."""
_KEPT = 1_000

SILENCE = bytes(_SAMPLES * 2)


@cache
def word(number: int) -> tuple[bytes, bytes]:
    """A word of 300 ms at a level of its own, and 100 ms of silence, as two frames."""
    pcm = np.zeros(2 * _SAMPLES, "<i2")
    pcm[: round(0.3 * RATE_HZ)] = _LEVEL + _STEP * (number % WORDS)
    return pcm[:_SAMPLES].tobytes(), pcm[_SAMPLES:].tobytes()


@dataclass(eq=False)
class Heard:
    """What one translation was fed, and what of it came out; both as a stream, so that neither is kept.

    Attributes:
        last: the word that its speaker said last before it began, or was saying.
        declined: whether consent was withdrawn: what was said is not to be heard.
    """

    speaker: str
    language: str
    sink: Source | None
    last: int
    open: bool = True
    declined: bool = False
    expected: deque[tuple[int, bool]] = field(default_factory=deque)
    """Words that are to come out, and whether they were fed whole: parts of words may come out or not."""
    words: int = 0
    lost: int = 0
    doubled: int = 0
    _came: deque[int] = field(default_factory=lambda: deque(maxlen=WORDS // 3))

    def fed(self, number: int, *, whole: bool) -> None:
        """A word, or a part of one, went to the translation."""
        self.expected.append((number, whole))
        self.words += whole

    def count(self, *, final: bool = False) -> None:
        """Compares what came out with what went in; `final`: nothing more will come."""
        for number, blocks in self.sink.words(final=final) if self.sink is not None else ():
            place = next((i for i, (n, _) in enumerate(self.expected) if n == number), None)
            if place is None or place > WORDS // 3:
                # What was being said when this began may come out: it is heard from a little before that on.
                self.doubled += number not in (self.last, self.last - 1) or number in self._came
            else:
                for _ in range(place):
                    self._missed(*self.expected.popleft())
                self.expected.popleft()
                self.doubled += blocks > _LONGEST
            self._came.append(number)
        while final and self.expected:
            self._missed(*self.expected.popleft())

    def _missed(self, number: int, whole: bool) -> None:
        self.lost += whole and not self.declined and self.sink is not None


class Source:
    """The source of a track, and what came out of it. Stands for `rtc.AudioSource`."""

    open = 0

    def __init__(self, *_: Any, **__: Any) -> None:
        self.closed = False
        self._pcm = bytearray()
        self._words: list[list[int]] = []
        Source.open += 1

    async def aclose(self) -> None:
        await asyncio.sleep(0)
        self.closed = True
        Source.open -= 1

    def take(self, pcm: bytes) -> None:
        self._pcm += pcm
        if len(self._pcm) >= 10 * RATE_HZ:
            self._read()

    def words(self, *, final: bool) -> list[tuple[int, int]]:
        """The words since it was asked last, and their blocks of 20 ms; the newest may not be whole yet."""
        self._read()
        keep = 0 if final else 1
        taken = self._words[: len(self._words) - keep]
        del self._words[: len(taken)]
        return [(number, blocks) for number, blocks in taken]

    def _read(self) -> None:
        """A block inside a word is loud and flat, up to the tone by which the simulator marks languages."""
        whole = len(self._pcm) // (2 * _BLOCK) * _BLOCK
        blocks = np.frombuffer(bytes(self._pcm[: 2 * whole]), "<i2").reshape(-1, _BLOCK)
        del self._pcm[: 2 * whole]
        means = blocks.mean(axis=1)
        flat = (means > _LOUD) & (np.ptp(blocks, axis=1) < 2 * _LOUD)
        for mean in means[flat].tolist():
            number = round((mean - _LEVEL) / _STEP) % WORDS
            if self._words and self._words[-1][0] == number:
                self._words[-1][1] += 1
            else:
                self._words.append([number, 1])


class Track:
    """A local track. Stands for `rtc.LocalAudioTrack`."""

    def __init__(self, name: str, source: Source) -> None:
        self.name = name
        self.source = source

    def mute(self) -> None:
        pass

    def unmute(self) -> None:
        pass


class Layer:
    """The native layer: streams of microphones, sources of tracks, and texts."""

    def __init__(self) -> None:
        self.streams: dict[Any, Callable[[bytes, float], None]] = {}
        self.dropped_frames = 0
        self.events: Counter[str] = Counter()

    def open_stream(self, track: Any, rate_hz: int, frame_ms: int, on_audio: Any) -> Any:
        assert track not in self.streams, "two streams on one track"
        self.streams[track] = on_audio
        return SimpleNamespace(aclose=lambda: self._close(track))

    async def _close(self, track: Any) -> None:
        del self.streams[track]

    def capture_request(self, source: Source, rate_hz: int, samples: int, address: int) -> Any:
        return source, address, samples * 2

    def capture(self, request: Any) -> None:
        source, address, length = request
        source.take(ctypes.string_at(address, length))

    async def send_text(self, room: Any, text: str, *, topic: str, **_: Any) -> None:
        if topic == "parley.events":
            self.events[json.loads(text)["event"]] += 1
        await asyncio.sleep(0.01)

    def close(self) -> None:
        pass


class Probabilities:
    """The VAD, which knows: what is loud is speech. Stands for `SpeechProbability`."""

    open = 0

    def __init__(self) -> None:
        Probabilities.open += 1
        self._frames = 0

    def push(self, pcm: Any) -> list[float]:
        self._frames += 1
        number = _WINDOWS[self._frames % 4]
        if not pcm.any():
            return [0.0] * number
        windows = np.array_split(pcm, number)
        return [0.95 if window.any() else 0.0 for window in windows]

    def close(self) -> None:
        Probabilities.open -= 1


class Publication(FakePublication):
    """A microphone that arrives a moment after it was subscribed to."""

    def __init__(self, room: Room, person: FakeParticipant, sid: str) -> None:
        super().__init__(room.log, sid)  # type: ignore[arg-type]
        self._room, self._person = room, person

    def set_subscribed(self, subscribed: bool) -> None:
        super().set_subscribed(subscribed)
        if not subscribed:
            self.track = None
            return
        asyncio.get_running_loop().call_later(0.02, self._arrive)

    def _arrive(self) -> None:
        if self.subscribed and self._person.track_publications.get(self.sid) is self:
            self.track = f"track {self.sid}"  # type: ignore[assignment]
            self._room.emit("track_subscribed", self.track, self, self._person)


class Room(FakeRoom):
    """The room; of what was done in it only the newest is kept, and the rest counted."""

    def __init__(self, options: SimulatorOptions) -> None:
        super().__init__()
        self.log = deque(maxlen=_KEPT)  # type: ignore[assignment]
        self.layer = Layer()
        self.api = SimulatedApi(options, sessions=deque(maxlen=0))  # type: ignore[arg-type]
        self.last: dict[str, int] = {}
        """The word that each participant is saying, or said last."""
        self.heard: list[Heard] = []
        self.permitted: dict[str, set[str]] = {}
        self._sids = 0

    def do(self, what: str, *details: Any) -> None:
        if what == "permit":
            self.permitted = details[0]
        super().do(what, *details)

    def microphone(self, identity: str) -> Publication:
        """A new one is published."""
        self._sids += 1
        person = self.remote_participants[identity]
        publication = Publication(self, person, f"TR_{identity}_{self._sids}")
        person.track_publications[publication.sid] = publication
        self.emit("track_published", publication, person)
        return publication

    def unpublish(self, identity: str, publication: Publication) -> None:
        """It is gone."""
        person = self.remote_participants[identity]
        publication.track, publication.subscribed = None, False
        del person.track_publications[publication.sid]
        self.emit("track_unpublished", publication, person)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """The product works on the stand-ins of this file, and what it attaches is followed."""
        attach, detach = Ingress.attach, Ingress.detach

        def attached(ingress: Ingress, speaker: str, key: Any, bridge: Any, **more: Any) -> None:
            sink = bridge.audio.outlet.track.source if bridge.audio is not None else None
            self.heard.append(Heard(speaker, key.language, sink, self.last.get(speaker, -1)))
            attach(ingress, speaker, key, bridge, **more)

        def detached(ingress: Ingress, speaker: str, key: Any) -> None:
            for heard in self.heard:
                if (heard.speaker, heard.language) == (speaker, key.language):
                    heard.open = False
            detach(ingress, speaker, key)

        rtc = SimpleNamespace(
            AudioSource=Source,
            LocalAudioTrack=SimpleNamespace(create_audio_track=Track),
            TrackPublishOptions=lambda **_: SimpleNamespace(audio_encoding=SimpleNamespace()),
            TrackSource=SimpleNamespace(SOURCE_MICROPHONE=2),
        )
        with ExitStack() as stack:
            for what, stand_in in (
                ("parley.room.microphone.SpeechProbability", Probabilities),
                ("parley.room.supervisor.native_layer", lambda loop, logs: self.layer),
                ("parley.room.outlet.rtc", rtc),
                ("parley.room.track_input.Ingress.attach", attached),
                ("parley.room.track_input.Ingress.detach", detached),
            ):
                stack.enter_context(mock.patch(what, stand_in))
            yield
