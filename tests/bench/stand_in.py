"""One measurement of `capacity.py`, in a process of its own: stand-in microphones and what listens to them.

`python stand_in.py MODE SIZE SPEAKING SECONDS BASE_URL` prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import numpy as np
from livekit.agents.beta.translation import TranslatedAudioFrame
from processes import busy_s, own_cpu_s
from report import percentile

from livekit import rtc
from livekit.plugins.openai_realtime import TranslationModel
from livekit.plugins.openai_realtime.connection import new_http_session
from livekit.plugins.openai_realtime.model_session import TranslationModelSession as Session
from livekit.plugins.openai_realtime.options import ConnectOptions
from parley.access import Access
from parley.bridges.surroundings import Surroundings
from parley.bridges.translation import BridgePolicy, TranslationBridge
from parley.core.framing import RATE_HZ
from parley.core.model import BridgeKey, BridgeSpec
from parley.core.transcript import Segment
from parley.demo.audio import resample, to_pcm
from parley.demo.speech import Utterance, countable_words, render
from parley.media.gate import GatePolicy
from parley.metrics import Metrics
from parley.ports import TextKind
from parley.room.costs import CostPolicy, RoomCosts
from parley.room.dial import Dialler
from parley.room.microphone import FRAME_MS, Microphone
from parley.room.native import NativeLayer, native_layer
from parley.room.track_output import Player, TrackOutput

MIC_HZ = 48_000
LANGUAGES = ("fr", "de")
_CHUNK_S = 1.0
_AHEAD_S = 2.0
_WARM_S = 4.0
_LOOK_S = 0.01


class Mute:
    """Text and notices that go nowhere."""

    def send(self, segment: Segment, kind: TextKind) -> None:
        """See TextOut."""

    def say(self, event: str, *, speaker: str | None, language: str | None, detail: str) -> None:
        """See Notices."""
        print(event, detail, file=sys.stderr)


class StandIns:
    """The microphones: fed one to two seconds ahead, without waiting for callbacks."""

    def __init__(
        self, layer: NativeLayer, size: int, speaking: int, speech: np.ndarray | None = None
    ) -> None:
        """`speech`: `int16[n]` at `MIC_HZ`, of whole seconds, said without end."""
        samples = round(MIC_HZ * _CHUNK_S)
        queue_ms = round(1000 * (2 * _CHUNK_S + _AHEAD_S))
        self._layer = layer
        self._sources = [rtc.AudioSource(MIC_HZ, 1, queue_size_ms=queue_ms) for _ in range(size)]
        self.tracks = [
            rtc.LocalAudioTrack.create_audio_track(f"mic{i}", s) for i, s in enumerate(self._sources)
        ]
        said = _chunks(_speech() if speech is None else speech, samples)
        noise = _chunks(np.random.default_rng(1).normal(0, 18, 8 * samples).astype(np.int16), samples)
        self._chunks = [said if i < speaking else noise for i in range(size)]
        self._requests = [
            [layer.capture_request(source, MIC_HZ, samples, ctypes.addressof(chunk)) for chunk in chunks]
            for source, chunks in zip(self._sources, self._chunks, strict=True)
        ]

    async def feed(self) -> None:
        """Feeds for ever, the sources staggered over each second."""
        size = len(self._sources)
        began = time.monotonic()
        turn = 0
        while True:
            for i, requests in enumerate(self._requests):
                self._layer.capture(requests[(turn + i) % len(requests)])
                due = began + (turn + (i + 1) / size) * _CHUNK_S - _AHEAD_S
                await asyncio.sleep(max(0.0, due - time.monotonic()))
            turn += 1


class Count:
    """Seconds of audio, of all tracks together: from the microphones, and from the sessions."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.translated_s = 0.0


def listen(layer: NativeLayer, track: rtc.LocalAudioTrack, microphone: Microphone, count: Count) -> None:
    """Parley hears a track from now on, as it does in a room."""

    def receive(pcm: bytes, at: float) -> float | None:
        count.seconds += len(pcm) / 2 / RATE_HZ
        return microphone.on_audio(pcm, at)

    layer.open_stream(track, RATE_HZ, FRAME_MS, receive)


class Measurement:
    """What this process uses from when it is made, and how well it keeps up."""

    def __init__(self, count: Count, late: list[float]) -> None:
        """`late`: by how much a timer is late, in ms, as `lateness` adds to it."""
        late.clear()
        self._count, self._late = count, late
        self._heard_s = count.seconds
        self.began, self._cpu_s, self._busy_s = time.monotonic(), own_cpu_s(), busy_s()

    def found(self, microphones: int) -> dict[str, float | None]:
        """Numbers until now, by the names of `in_process.Found`; `microphones` that are heard: 0 for none."""
        passed_s = time.monotonic() - self.began
        own = 100 * (own_cpu_s() - self._cpu_s) / passed_s
        heard_s = self._count.seconds - self._heard_s
        return {
            "cpu": own,
            "others": 100 * (busy_s() - self._busy_s) / passed_s - own,
            "delivered": 100 * heard_s / microphones / passed_s if microphones else None,
            "lag_p99": percentile(self._late, 0.99),
            "lag_most": max(self._late),
            "blocked": sum(value > 50 for value in self._late),
        }


class CountedOutput(TrackOutput):
    """A track that says how much it was given."""

    def __init__(self, count: Count, player: Player, name: str, layer: NativeLayer, metrics: Metrics) -> None:
        super().__init__(player, name, layer, metrics)
        self._count = count

    def push(self, pcm: bytes) -> None:
        """See AudioOut."""
        self._count.translated_s += len(pcm) / 2 / RATE_HZ
        super().push(pcm)


@asynccontextmanager
async def parley(
    layer: NativeLayer, tracks: list[rtc.LocalAudioTrack], count: Count, base_url: str
) -> AsyncIterator[None]:
    """Parley's path for every track, each with a bridge into each language."""
    metrics = Metrics()
    player = Player(metrics)
    async with new_http_session() as http, asyncio.TaskGroup() as group:
        dial = Dialler(ConnectOptions(api_key="simulated", base_url=base_url), http)
        policy = BridgePolicy("gpt-realtime-translate", "gpt-realtime-whisper")
        costs = RoomCosts("bench", CostPolicy(), metrics, Mute(), lambda identity, why: None)
        around = Surroundings(Mute(), Mute(), metrics, Access(), lambda spec: costs.bridge(spec, str))
        group.create_task(player.run())
        for i, track in enumerate(tracks):
            microphone = Microphone(GatePolicy())
            for language in LANGUAGES:
                key = BridgeKey(f"p{i}", language)
                spec = BridgeSpec(key, frozenset({"listener"}), frozenset(), frozenset())
                output = CountedOutput(count, player, f"parley:p{i}:{language}", layer, metrics)
                bridge = TranslationBridge(spec, policy, around, dial, output)
                microphone.hearers[key] = bridge
                group.create_task(bridge.run())
            listen(layer, track, microphone, count)
        yield


@asynccontextmanager
async def stock(
    tracks: list[rtc.LocalAudioTrack], count: Count, base_url: str, speaking: int, frame_ms: int | None
) -> AsyncIterator[None]:
    """The public AudioStream for every track; the speech goes to sessions of the plugin."""

    async def listen(track: rtc.LocalAudioTrack, sessions: list[Session]) -> None:
        stream = (
            rtc.AudioStream(track)
            if frame_ms is None
            else rtc.AudioStream(track, sample_rate=RATE_HZ, num_channels=1, frame_size_ms=frame_ms)
        )
        async for event in stream:
            count.seconds += event.frame.duration
            for session in sessions:
                session.push_audio(event.frame)

    async def play(session: Session) -> None:
        source = rtc.AudioSource(RATE_HZ, 1)
        async for said in session.audio_stream:
            if isinstance(said, TranslatedAudioFrame):
                count.translated_s += said.frame.duration
                await source.capture_frame(said.frame)

    async with asyncio.TaskGroup() as group:
        for i, track in enumerate(tracks):
            sessions = [
                TranslationModel(target_language=language, api_key="simulated", base_url=base_url).session()
                for language in (LANGUAGES if i < speaking else ())
            ]
            for work in (listen(track, sessions), *map(play, sessions)):
                group.create_task(work)
        yield


async def lateness(late: list[float]) -> None:
    """By how much a timer is late, in ms, for ever."""
    while True:
        due = time.monotonic() + _LOOK_S
        await asyncio.sleep(_LOOK_S)
        late.append(1000 * (time.monotonic() - due))


async def main(mode: str, size: int, speaking: int, seconds: float, base_url: str) -> None:
    """Warms up, measures, says what it found; ends the process as it is."""
    layer = native_layer(asyncio.get_running_loop())
    assert layer is not None, "the livekit package is not as expected"
    mics = StandIns(layer, size, speaking)
    count, late = Count(), list[float]()
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        group.create_task(mics.feed())
        group.create_task(lateness(late))
        if mode == "parley":
            await stack.enter_async_context(parley(layer, mics.tracks, count, base_url))
        elif mode != "base":
            frame_ms = 50 if mode == "stock-50ms" else None
            await stack.enter_async_context(stock(mics.tracks, count, base_url, speaking, frame_ms))
        await asyncio.sleep(_WARM_S)
        measurement, translated_s = Measurement(count, late), count.translated_s
        await asyncio.sleep(seconds)
        found = measurement.found(size if mode != "base" else 0)
        translated = count.translated_s - translated_s if mode != "base" else None
        print(json.dumps({**found, "translated": translated}), flush=True)
        os._exit(0)


def _speech() -> np.ndarray:
    """Speech without end, at the microphone's rate."""
    words = countable_words("en", voice=0, count=24)
    said = [Utterance("p", i, i * 0.5) for i in range(24)]
    return to_pcm(resample(render(said, "p", words, duration_s=12.0), RATE_HZ, MIC_HZ))


def _chunks(pcm: np.ndarray, samples: int) -> list[ctypes.Array[ctypes.c_char]]:
    """Memory that stays where it is, in pieces of `samples`."""
    whole = len(pcm) // samples
    return [
        ctypes.create_string_buffer(pcm[i * samples : (i + 1) * samples].tobytes(), samples * 2)
        for i in range(whole)
    ]


if __name__ == "__main__":
    _mode, _size, _speaking, _seconds, _url = sys.argv[1:]
    asyncio.run(main(_mode, int(_size), int(_speaking), float(_seconds), _url))
