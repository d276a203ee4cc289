"""LiveKit's native layer, entered below its Python API where that costs too much.

The one file that touches private API (`_ffi_client`, `_proto`) of the livekit package. Four things
are done here:

- **one demultiplexer for all audio streams**: the public `AudioStream` hands every frame of every
  stream to every other stream, so its cost grows with the square of their number;
- **audio captured without waiting**: the public `capture_frame` awaits a callback that wakes every
  subscriber of the native event queue, a hundred times a second per track;
- **native log records that nobody reads** are not made;
- **text sent in another participant's name in one round trip**.

`native_layer()` returns None where this version of the livekit package is not as expected; callers
then use the public API (`PublicAudioIn`, `PublicAudioOut`), which does the same for more CPU.
"""

import asyncio
import ctypes
import logging
import os
import threading
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from livekit import rtc

logger = logging.getLogger("parley.room")

OnAudio = Callable[[bytes, float], float | None]
"""Called on the loop with PCM16 mono and the monotonic time at which it arrived. Returns for how many
seconds what comes next may wait for more of it; None: not at all."""

MAX_PENDING = 2_000
"""Audio frames that may wait for the loop, all streams together; the oldest are dropped."""
STALL_S = 0.25
"""Audio that waits this long for the loop is told of: something has held the loop up."""
_TELL_EVERY_S = 60.0
_MARK = 1 << 48
"""Request ids of ours start here; the native layer counts its own from 1."""


@dataclass(slots=True)
class _Listener:
    """Whoever is told of a stream's frames."""

    on_audio: OnAudio
    patience_s: float = 0.0
    gathers_since: float | None = None
    """When the oldest frame came that waits for more."""


class NativeLayer:
    """The process's native event queue with a tap in front of it. Create one with `native_layer`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, logs: bool) -> None:
        """`logs`: the native side's log records come to Python's, at a price."""
        from livekit.rtc._ffi_client import FfiClient, FfiHandle, ffi_event_callback
        from livekit.rtc._proto import audio_frame_pb2, ffi_pb2

        self._client: Any = FfiClient.instance
        self._handle: Any = FfiHandle
        self._on_event: Any = ffi_event_callback
        self._library = _Library(self._client._ffi_lib)
        self._audio: Any = audio_frame_pb2
        self._ffi: Any = ffi_pb2
        self._loop = loop
        self._streams: dict[int, _Listener] = {}
        self._attached = threading.local()
        self._pending: deque[tuple[int, bytes, float]] = deque()
        self._woken = False
        self._woken_at = 0.0
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last_id = _MARK
        self.dropped_frames = 0
        """Frames dropped because the loop did not keep up."""
        self.stalls = 0
        """Times that the loop let audio wait for `STALL_S` or more."""
        self._stall_told_at = -_TELL_EVERY_S
        self._ringing = threading.Lock()
        self._bell, self._ring = os.pipe()
        os.set_blocking(self._bell, False)
        os.set_blocking(self._ring, False)
        loop.add_reader(self._bell, self._deliver)
        self._put = self._client.queue.put
        self._client.queue.put = self._tap
        self._quietened = not logs
        if self._quietened:
            self._forward_logs(False)

    def close(self) -> None:
        """Takes the tap out."""
        self._streams.clear()
        self._client.queue.put = self._put
        if self._quietened:
            self._forward_logs(True)
        self._loop.remove_reader(self._bell)
        with self._ringing:
            os.close(self._ring)
            self._ring = -1
        os.close(self._bell)

    def _forward_logs(self, wanted: bool) -> None:
        """Whether native log records come to Python, or to stderr as `RUST_LOG` says.

        Every record comes, each by itself: 70 a second for two people with an agent, of which Python's side
        of the SDK drops all that are traces.
        """
        version = rtc.__version__.encode("ascii")
        self._client._ffi_lib.livekit_ffi_initialize(self._on_event, wanted, b"python", version)

    # On the native thread.

    def _tap(self, event: Any) -> None:
        which = event.WhichOneof("message")
        if which == "audio_stream_event":
            self._stay_attached()
            audio = event.audio_stream_event
            listener = self._streams.get(audio.stream_handle)
            if listener is not None:
                if audio.HasField("frame_received"):
                    self._receive(audio.stream_handle, listener, audio.frame_received.frame)
                else:
                    self._wake()
                return
        elif which == "capture_audio_frame":
            self._stay_attached()
            if event.capture_audio_frame.async_id > _MARK:
                return
        elif which == "send_text" and event.send_text.async_id > _MARK:
            self._loop.call_soon_threadsafe(self._answer, event.send_text.async_id, event.send_text)
            return
        self._put(event)

    def _stay_attached(self) -> None:
        """Keeps the interpreter's state of a native thread that brings audio.

        ctypes makes it for each call from such a thread and takes it apart afterwards, with the memory for
        its frames: mapped, touched, unmapped, each time. The threads live as long as the process.
        """
        if not hasattr(self._attached, "done"):
            ctypes.pythonapi.PyGILState_Ensure()
            self._attached.done = True

    def _receive(self, stream: int, listener: _Listener, buffer: Any) -> None:
        info = buffer.info
        pcm = ctypes.string_at(info.data_ptr, info.num_channels * info.samples_per_channel * 2)
        self._library.drop(buffer.handle.id)
        if len(self._pending) >= MAX_PENDING:
            self._pending.popleft()
            self.dropped_frames += 1
        now = monotonic()
        self._pending.append((stream, pcm, now))
        if listener.gathers_since is None:
            listener.gathers_since = now
        if now - listener.gathers_since >= listener.patience_s:
            self._wake()

    def _wake(self) -> None:
        if not self._woken:
            self._woken = True
            self._woken_at = monotonic()
            with self._ringing:
                self._library.write(self._ring, b"!", 1)

    # On the loop.

    def _deliver(self) -> None:
        with suppress(BlockingIOError):
            os.read(self._bell, 16)
        if self._woken and (waited_s := monotonic() - self._woken_at) >= STALL_S:
            self._stalled(waited_s)
        self._woken = False
        while self._pending:
            stream, pcm, at = self._pending.popleft()
            listener = self._streams.get(stream)
            if listener is not None:
                listener.gathers_since = None
                listener.patience_s = listener.on_audio(pcm, at) or 0.0

    def _stalled(self, waited_s: float) -> None:
        self.stalls += 1
        now = monotonic()
        if now - self._stall_told_at >= _TELL_EVERY_S:
            self._stall_told_at = now
            logger.warning(
                "the event loop stood still: audio waited for it for %.2f s (%d times so far)",
                waited_s,
                self.stalls,
            )

    def _answer(self, request_id: int, answer: Any) -> None:
        waiting = self._waiting.pop(request_id, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(answer)

    def open_stream(self, track: rtc.Track, rate_hz: int, frame_ms: int, on_audio: OnAudio) -> "NativeStream":
        """Starts receiving `track` as mono PCM16 at `rate_hz` in frames of `frame_ms`."""
        request = self._ffi.FfiRequest()
        new = request.new_audio_stream
        new.track_handle = track._ffi_handle.handle
        new.sample_rate = rate_hz
        new.num_channels = 1
        new.frame_size_ms = frame_ms
        new.queue_size_frames = 100
        new.type = self._audio.AudioStreamType.AUDIO_STREAM_NATIVE
        handle = self._client.request(request).new_audio_stream.stream.handle.id
        self._streams[handle] = _Listener(on_audio)
        return NativeStream(self, handle)

    def close_stream(self, handle: int) -> None:
        """Stops a stream. What waits, of all streams, is delivered before."""
        self._deliver()
        if self._streams.pop(handle, None) is not None:
            self._handle(handle).dispose()

    def capture(self, request: bytes) -> None:
        """Hands the memory of a prepared request to its source; does not wait for the callback."""
        self._library.request(request)

    def capture_request(self, source: rtc.AudioSource, rate_hz: int, samples: int, address: int) -> bytes:
        """A reusable request to capture the `samples` mono samples that are at `address` by then."""
        request = self._ffi.FfiRequest()
        capture = request.capture_audio_frame
        capture.source_handle = source._ffi_handle.handle
        capture.request_async_id = _MARK + 1
        capture.buffer.data_ptr = address
        capture.buffer.sample_rate = rate_hz
        capture.buffer.num_channels = 1
        capture.buffer.samples_per_channel = samples
        return bytes(request.SerializeToString())

    async def send_text(
        self,
        room: rtc.Room,
        text: str,
        *,
        topic: str,
        attributes: Mapping[str, str],
        to: Sequence[str],
        sender: str,
    ) -> None:
        """Sends one whole text stream to `to`, shown to them as coming from `sender`.

        Raises rtc.StreamError with the SDK's reason. Cancelling stops the wait, not the sending.
        """
        self._last_id += 1
        request_id = self._last_id + 1
        request = self._ffi.FfiRequest()
        send = request.send_text
        send.local_participant_handle = room.local_participant._ffi_handle.handle
        send.text = text
        send.request_async_id = request_id
        send.options.topic = topic
        send.options.attributes.update(attributes)
        send.options.destination_identities.extend(to)
        send.options.sender_identity = sender
        waiting: asyncio.Future[Any] = self._loop.create_future()
        self._waiting[request_id] = waiting
        try:
            self._client.request(request)
            answer = await waiting
        finally:
            self._waiting.pop(request_id, None)
        if answer.HasField("error"):
            raise rtc.StreamError(answer.error.description)


class NativeStream:
    """One stream of the demultiplexer."""

    def __init__(self, layer: NativeLayer, handle: int) -> None:
        self._layer = layer
        self._handle = handle

    async def aclose(self) -> None:
        """Stops it; immediate."""
        self._layer.close_stream(self._handle)


class _Library:
    """Native functions for what is called a hundred times a second.

    The interpreter's lock is kept: to give it up and to take it again, from a native thread that has taken it
    meanwhile, costs more than the call. None of them waits for such a thread: audio is copied and handed to
    the native runtime, and callbacks come from there, under no lock of its own.
    """

    def __init__(self, library: Any) -> None:
        own = ctypes.PyDLL(library._name, handle=library._handle)
        self.write = ctypes.pythonapi.write
        """`write(2)`."""
        self.write.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_size_t]
        self._request = own.livekit_ffi_request
        self._request.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p]
        self._request.restype = ctypes.c_uint64
        self.drop = own.livekit_ffi_drop_handle
        self.drop.argtypes = [ctypes.c_uint64]
        self.drop.restype = ctypes.c_bool
        self._answer, self._length = ctypes.c_void_p(), ctypes.c_size_t()
        self._out = ctypes.byref(self._answer), ctypes.byref(self._length)

    def request(self, request: bytes) -> None:
        """Sends a serialised request whose answer says nothing that is not known. On the loop only."""
        answer = self._request(request, len(request), *self._out)
        if not self.drop(answer):
            raise RuntimeError("the native layer refused a request")


_EXPECTED = {
    "CaptureAudioFrameRequest": ("request_async_id", "source_handle", "buffer"),
    "NewAudioStreamRequest": ("frame_size_ms", "queue_size_frames", "track_handle"),
}


def native_layer(loop: asyncio.AbstractEventLoop, *, logs: bool = True) -> NativeLayer | None:
    """The native layer of this process, or None where the livekit package is not as expected.

    `logs`: whether its log records come to Python's, each by itself, or go to stderr as `RUST_LOG` says.
    """
    try:
        from livekit.rtc._proto import audio_frame_pb2, data_stream_pb2

        for name, fields in _EXPECTED.items():
            known = getattr(audio_frame_pb2, name).DESCRIPTOR.fields_by_name
            missing = [field for field in fields if field not in known]
            if missing:
                raise AttributeError(f"{name} has no {', '.join(missing)}")
        if "sender_identity" not in data_stream_pb2.StreamTextOptions.DESCRIPTOR.fields_by_name:
            raise AttributeError("StreamTextOptions has no sender_identity")
        return NativeLayer(loop, logs=logs)
    except (ImportError, AttributeError) as e:
        logger.warning("livekit %s is not as expected (%s): using its public API", rtc.__version__, e)
        return None
