"""The native layer with the real livekit package in one process, and what happens where it is another."""

import asyncio
import ctypes
import logging
import time
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from livekit import rtc
from parley.room.capture import PublicStream
from parley.room.microphone import FRAME_MS
from parley.room.native import NativeLayer, native_layer

RATE = 24_000
BLOCK = 240


@pytest.fixture
async def layer() -> AsyncIterator[NativeLayer]:
    layer = native_layer(asyncio.get_running_loop())
    assert layer is not None, f"livekit {rtc.__version__} is not as expected"
    yield layer
    layer.close()


class Voice:
    """A local track that says a tone."""

    def __init__(self) -> None:
        self.source = rtc.AudioSource(RATE, 1, queue_size_ms=0)
        self.track = rtc.LocalAudioTrack.create_audio_track("voice", self.source)
        tone = (8000 * np.sin(2 * np.pi * 400 * np.arange(BLOCK) / RATE)).astype("<i2").tobytes()
        self.memory = (ctypes.c_char * len(tone)).from_buffer_copy(tone)

    async def say(self, layer: NativeLayer, until: asyncio.Event) -> None:
        """Captures in real time until told otherwise, with requests that nobody waits for."""
        request = layer.capture_request(self.source, RATE, BLOCK, ctypes.addressof(self.memory))
        async with asyncio.timeout(10):
            while not until.is_set():
                layer.capture(request)
                await asyncio.sleep(0.01)


@pytest.fixture
async def voice() -> AsyncIterator[Voice]:
    voice = Voice()
    yield voice
    await voice.source.aclose()


class Ear:
    """Collects what a stream delivers."""

    def __init__(self, enough: int) -> None:
        self.frames: list[bytes] = []
        self.times: list[float] = []
        self.enough = asyncio.Event()
        self._enough = enough

    def __call__(self, pcm: bytes, at: float) -> None:
        self.frames.append(pcm)
        self.times.append(at)
        if len(self.frames) >= self._enough:
            self.enough.set()

    @property
    def loudest(self) -> int:
        return int(np.abs(np.frombuffer(b"".join(self.frames), "<i2").astype(int)).max())


async def test_captured_audio_arrives_in_frames_of_the_asked_length(layer: NativeLayer, voice: Voice) -> None:
    ear = Ear(5)
    stream = layer.open_stream(voice.track, RATE, 100, ear)
    await voice.say(layer, ear.enough)
    await stream.aclose()
    assert {len(frame) for frame in ear.frames} == {RATE // 10 * 2}
    assert ear.loudest > 5000
    assert ear.times == sorted(ear.times)
    assert layer.dropped_frames == 0


async def test_a_closed_stream_delivers_nothing_more(layer: NativeLayer, voice: Voice) -> None:
    first, second = Ear(2), Ear(6)
    stream = layer.open_stream(voice.track, RATE, 100, first)
    other = layer.open_stream(voice.track, RATE, 100, second)
    await voice.say(layer, first.enough)
    await stream.aclose()
    count = len(first.frames)
    await voice.say(layer, second.enough)
    assert len(first.frames) == count
    await stream.aclose()
    await other.aclose()


async def test_a_foreign_audio_stream_works_beside_the_tap(layer: NativeLayer, voice: Voice) -> None:
    ear, theirs = Ear(3), Ear(5)
    stream = layer.open_stream(voice.track, RATE, 100, ear)
    public = rtc.AudioStream.from_track(track=voice.track, sample_rate=RATE, num_channels=1, frame_size_ms=50)

    async def listen() -> None:
        async for event in public:
            theirs(bytes(event.frame.data.cast("B")), 0.0)

    task = asyncio.create_task(listen())
    await voice.say(layer, theirs.enough)
    await voice.say(layer, ear.enough)
    await stream.aclose()
    await public.aclose()
    await task
    assert {len(frame) for frame in theirs.frames} == {RATE // 20 * 2}
    assert theirs.loudest > 5000


async def test_captures_of_ours_wake_nobody_else(layer: NativeLayer, voice: Voice) -> None:
    from livekit.rtc._ffi_client import FfiClient

    queue = FfiClient.instance.queue
    all_events: Any = queue.subscribe(asyncio.get_running_loop())
    ear = Ear(3)
    stream = layer.open_stream(voice.track, RATE, 100, ear)
    try:
        await voice.say(layer, ear.enough)
        frame = rtc.AudioFrame(bytes(voice.memory), RATE, 1, BLOCK)
        await voice.source.capture_frame(frame)  # one of theirs, which must come through
        kinds = []
        while not all_events.empty():
            kinds.append(all_events.get_nowait().WhichOneof("message"))
    finally:
        queue.unsubscribe(all_events)
    await stream.aclose()
    assert kinds.count("capture_audio_frame") == 1
    assert "audio_stream_event" not in kinds


async def test_closing_the_layer_takes_the_tap_out(voice: Voice) -> None:
    from livekit.rtc._ffi_client import FfiClient

    queue = FfiClient.instance.queue
    before = queue.put
    layer = native_layer(asyncio.get_running_loop())
    assert layer is not None
    assert queue.put != before
    layer.close()
    assert queue.put == before


async def test_frames_that_the_loop_does_not_take_are_bounded(
    layer: NativeLayer, voice: Voice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.room.native.MAX_PENDING", 3)
    monkeypatch.setattr(layer, "_woken", True)  # as if the loop were busy
    ear, stalled = Ear(1), asyncio.Event()
    stream = layer.open_stream(voice.track, RATE, 10, ear)
    asyncio.get_running_loop().call_later(0.3, stalled.set)
    await voice.say(layer, stalled)
    assert ear.frames == []
    assert layer.dropped_frames > 0
    layer._deliver()
    assert len(ear.frames) == 3
    await stream.aclose()


async def test_audio_that_waited_for_a_loop_that_stood_still_is_told_of_once_a_minute(
    layer: NativeLayer, voice: Voice, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("parley.room.native.STALL_S", 0.1)
    request = layer.capture_request(voice.source, RATE, BLOCK, ctypes.addressof(voice.memory))
    for enough in (5, 10):
        ear = Ear(5)
        stream = layer.open_stream(voice.track, RATE, 10, ear)
        for _ in range(enough):
            layer.capture(request)
        time.sleep(0.3)  # noqa: ASYNC251 - the loop stands still
        async with asyncio.timeout(5):
            await ear.enough.wait()
        await stream.aclose()
    assert layer.stalls == 2
    assert len([record for record in caplog.records if "stood still" in record.getMessage()]) == 1


async def test_frames_wait_for_each_other_where_the_listener_has_patience(
    layer: NativeLayer, voice: Voice
) -> None:
    wakes: list[int] = []
    deliver = layer._deliver

    def count() -> None:
        before = len(ear.frames)
        deliver()
        if len(ear.frames) > before:
            wakes.append(len(ear.frames) - before)

    class Patient(Ear):
        patience_s: float | None = 0.05

        def __call__(self, pcm: bytes, at: float) -> float | None:
            super().__call__(pcm, at)
            return self.patience_s

    ear = Patient(40)
    loop = asyncio.get_running_loop()
    loop.remove_reader(layer._bell)
    loop.add_reader(layer._bell, count)
    stream = layer.open_stream(voice.track, RATE, 10, ear)
    await voice.say(layer, ear.enough)
    assert sum(wakes) / len(wakes) > 3
    assert ear.times[-1] - ear.times[0] > 0.2, "each frame has its own time"
    ear.patience_s = None
    ear.enough, ear._enough = asyncio.Event(), len(ear.frames) + 50
    del wakes[:]
    await voice.say(layer, ear.enough)
    assert sum(wakes[2:]) / len(wakes[2:]) < 2
    await stream.aclose()


async def test_what_waits_is_delivered_before_a_stream_is_closed(layer: NativeLayer, voice: Voice) -> None:
    class Patient(Ear):
        def __call__(self, pcm: bytes, at: float) -> float:
            super().__call__(pcm, at)
            return 60.0

    ear, said = Patient(1), asyncio.Event()
    stream = layer.open_stream(voice.track, RATE, 10, ear)
    asyncio.get_running_loop().call_later(0.3, said.set)
    await voice.say(layer, said)
    assert len(ear.frames) == 1
    await stream.aclose()
    assert len(ear.frames) > 10


@pytest.mark.parametrize("logs", [False, True])
async def test_native_log_records_are_made_only_for_a_log_that_shows_them(
    logs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from livekit.rtc._ffi_client import FfiClient

    library = FfiClient.instance._ffi_lib
    initialize, made = library.livekit_ffi_initialize, list[bool]()

    def initialize_and_keep(callback: Any, forward: bool, *rest: bytes) -> None:
        made.append(forward)
        initialize(callback, forward, *rest)

    monkeypatch.setattr(library, "livekit_ffi_initialize", initialize_and_keep)
    layer = NativeLayer(asyncio.get_running_loop(), logs=logs)
    layer.close()
    assert made == ([] if logs else [False, True])


@pytest.mark.parametrize("missing", ["_EXPECTED", "_proto"])
async def test_another_livekit_package_means_the_public_api(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, missing: str
) -> None:
    if missing == "_EXPECTED":
        monkeypatch.setattr("parley.room.native._EXPECTED", {"NewAudioStreamRequest": ("renamed_field",)})
    else:
        monkeypatch.setitem(__import__("sys").modules, "livekit.rtc._proto.data_stream_pb2", None)
        monkeypatch.delattr("livekit.rtc._proto.data_stream_pb2", raising=False)
    with caplog.at_level(logging.WARNING, "parley.room"):
        assert native_layer(asyncio.get_running_loop()) is None
    assert rtc.__version__ in caplog.text
    assert "public API" in caplog.text


async def test_the_public_stream_does_the_same(voice: Voice, layer: NativeLayer) -> None:
    ear = Ear(5)
    async with asyncio.TaskGroup() as group:

        def spawn(work: Any, name: str) -> "asyncio.Task[None]":
            return group.create_task(work, name=name)

        stream = PublicStream(voice.track, FRAME_MS, ear, spawn)
        await voice.say(layer, ear.enough)
        await stream.aclose()
    assert {len(frame) for frame in ear.frames} == {RATE * FRAME_MS // 1000 * 2}
    assert ear.loudest > 5000
