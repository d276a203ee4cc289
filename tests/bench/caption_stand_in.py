"""One measurement of `caption_crowd.py`, in a process of its own: stand-in microphones, and who writes.

`python caption_stand_in.py MODE SIZE SECONDS BASE_URL` prints one line of JSON.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise

import numpy as np
from aiohttp import ClientSession
from caption_visit import DELAY
from caption_words import token, words_of
from livekit.agents import APIError, stt
from stand_in import MIC_HZ, Count, Measurement, Mute, StandIns, lateness, listen

from livekit import rtc
from livekit.plugins import openai
from livekit.plugins.openai_realtime.connection import new_http_session
from livekit.plugins.openai_realtime.options import ConnectOptions, TranscriptionOptions
from parley.access import Access
from parley.bridges.captions import CaptionsBridge, CaptionsPolicy, utterances
from parley.bridges.surroundings import Surroundings
from parley.core.framing import RATE_HZ
from parley.core.model import ORIGINAL, BridgeKey, BridgeSpec
from parley.core.transcript import Segment
from parley.demo.audio import resample, to_pcm
from parley.demo.speech import Utterance, render
from parley.media.gate import GatePolicy
from parley.metrics import Metrics
from parley.ports import TextKind
from parley.room.costs import CostPolicy, RoomCosts
from parley.room.dial import Dialler
from parley.room.microphone import Microphone
from parley.room.native import NativeLayer, native_layer

_LOOP_S, _PHRASES, _PHRASE_WORDS, _PERIOD_S = 12, 3, 5, 0.625
_WORDS = _PHRASES * _PHRASE_WORDS
_WARM_S = 10.0
_TAIL_S = 4.0


class Written:
    """The final lines of one speaker, who says the same words in the same order for ever."""

    def __init__(self) -> None:
        self.finals: list[tuple[float, str]] = []

    def send(self, segment: Segment, kind: TextKind) -> None:
        """See TextOut."""
        if segment.final:
            self.add(segment.text)

    def add(self, text: str) -> None:
        """A final line."""
        self.finals.append((time.monotonic(), text))

    def since(self, begin: float) -> tuple[int, int, int]:
        """Words written since then; lost ones; doubled ones, and such as nobody said."""
        order = [token(word) for word in words_of(0)[:_WORDS]]
        written = [word for at, text in self.finals if at >= begin for word in text.split()]
        places = [order.index(word) for word in written if word in order]
        steps = [(after - before) % _WORDS for before, after in pairwise(places)]
        wrong = steps.count(0) + len(written) - len(places)
        return len(written), sum(step - 1 for step in steps if step > 1), wrong


@asynccontextmanager
async def parley(
    layer: NativeLayer, tracks: list[rtc.LocalAudioTrack], count: Count, base_url: str, lines: list[Written]
) -> AsyncIterator[None]:
    """Parley's path for every track, each with a captions bridge."""
    metrics, gate = Metrics(), GatePolicy()
    policy = CaptionsPolicy(
        session=TranscriptionOptions(model="gpt-realtime-whisper", language="en", delay=DELAY),
        utterances=utterances(gate.silence_s),
    )
    async with new_http_session() as http, asyncio.TaskGroup() as group:
        dial = Dialler(ConnectOptions(api_key="simulated", base_url=base_url), http)
        costs = RoomCosts("bench", CostPolicy(), metrics, Mute(), lambda identity, why: None)
        for i, track in enumerate(tracks):
            spec = BridgeSpec(BridgeKey(f"p{i}", ORIGINAL), frozenset(), frozenset(), frozenset({"reader"}))
            around = Surroundings(lines[i], Mute(), metrics, Access(), lambda spec: costs.bridge(spec, str))
            bridge = CaptionsBridge(spec, policy, around, dial.listen, lambda options, speaker: options)
            microphone = Microphone(gate)
            microphone.hearers[spec.key] = bridge
            group.create_task(bridge.run())
            listen(layer, track, microphone, count)
        yield


@asynccontextmanager
async def stock(
    tracks: list[rtc.LocalAudioTrack], count: Count, base_url: str, lines: list[Written]
) -> AsyncIterator[None]:
    """The public AudioStream for every track, as RoomIO opens it, and `openai.STT`; no session around it."""

    async def hear(audio: rtc.AudioStream, stream: stt.RecognizeStream) -> None:
        async for event in audio:
            count.seconds += event.frame.duration
            stream.push_frame(event.frame)

    async def read(stream: stt.RecognizeStream, written: Written) -> None:
        async for event in stream:
            if event.type is stt.SpeechEventType.FINAL_TRANSCRIPT:
                written.add(event.alternatives[0].text)

    async def transcribe(track: rtc.LocalAudioTrack, written: Written, http: ClientSession) -> None:
        audio = rtc.AudioStream(track, sample_rate=RATE_HZ, num_channels=1, frame_size_ms=50)
        model = openai.STT(model="gpt-realtime-whisper", api_key="simulated", base_url=base_url)
        model._session = http  # that of the job, where there is one
        while True:  # as an AgentSession does, when a stream has ended on an error
            stream = model.stream()
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(hear(audio, stream))
                    group.create_task(read(stream, written))
            except* (APIError, RuntimeError) as errors:
                print(errors.exceptions[0], file=sys.stderr)

    async with new_http_session() as http, asyncio.TaskGroup() as group:
        for track, written in zip(tracks, lines, strict=True):
            group.create_task(transcribe(track, written, http))
        yield


async def main(mode: str, size: int, duration_s: float, base_url: str) -> None:
    """Warms up, measures, says what it found; ends the process as it is."""
    layer = native_layer(asyncio.get_running_loop())
    assert layer is not None, "the livekit package is not as expected"
    mics = StandIns(layer, size, size, _speech())
    count, late = Count(), list[float]()
    lines = [Written() for _ in range(size)]
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
        group.create_task(mics.feed())
        group.create_task(lateness(late))
        if mode == "parley":
            await stack.enter_async_context(parley(layer, mics.tracks, count, base_url, lines))
        elif mode == "stock":
            await stack.enter_async_context(stock(mics.tracks, count, base_url, lines))
        await asyncio.sleep(_WARM_S)
        measurement = Measurement(count, late)
        await asyncio.sleep(duration_s)
        found = measurement.found(size if mode != "base" else 0)
        await asyncio.sleep(_TAIL_S)
        passed_s = time.monotonic() - measurement.began
        of_each = [written.since(measurement.began) for written in lines]
        words, lost, wrong = map(sum, zip(*of_each, strict=True))
        due = size * passed_s * _WORDS / _LOOP_S
        print(json.dumps({**found, "due": due, "words": words, "lost": lost, "wrong": wrong}), flush=True)
        os._exit(0)


def _speech() -> np.ndarray:
    """Three phrases in twelve seconds, at the microphone's rate."""
    said = [
        Utterance("p", i, i // _PHRASE_WORDS * _LOOP_S / _PHRASES + i % _PHRASE_WORDS * _PERIOD_S + 0.2)
        for i in range(_WORDS)
    ]
    return to_pcm(resample(render(said, "p", words_of(0), duration_s=_LOOP_S), RATE_HZ, MIC_HZ))


if __name__ == "__main__":
    _mode, _size, _seconds, _url = sys.argv[1:]
    asyncio.run(main(_mode, int(_size), float(_seconds), _url))
