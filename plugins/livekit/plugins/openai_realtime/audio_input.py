"""From pushed frames of any format to the appends of the API: 24 kHz, mono, 200 ms each."""

from __future__ import annotations

import numpy as np

from livekit import rtc

from .options import SAMPLE_RATE_HZ

_BYTES_PER_S = SAMPLE_RATE_HZ * 2
APPEND_MS = 200
"""The model works in frames of 200 ms: a shorter append waits there, a longer one is cut there."""
APPEND_BYTES = _BYTES_PER_S * APPEND_MS // 1000


class InputAudio:
    """A bounded buffer of audio to be sent; when it is full the oldest audio is dropped.

    Attributes:
        dropped_s: seconds of audio dropped so far.
    """

    def __init__(self, max_s: float) -> None:
        self.dropped_s = 0.0
        self._max_bytes = max(int(max_s * SAMPLE_RATE_HZ) * 2, APPEND_BYTES)
        self._pcm = bytearray()
        self._resampler: rtc.AudioResampler | None = None
        self._resampled_rate_hz = 0

    @property
    def buffered_s(self) -> float:
        """Seconds of audio waiting."""
        return len(self._pcm) / _BYTES_PER_S

    def push(self, frame: rtc.AudioFrame) -> bool:
        """Take one frame, int16, any rate, any number of interleaved channels; returns whether audio was
        dropped.
        """
        self._pcm += self._convert(frame)
        excess = len(self._pcm) - self._max_bytes
        if excess <= 0:
            return False
        del self._pcm[:excess]
        self.dropped_s += excess / _BYTES_PER_S
        return True

    def pop(self) -> bytes | None:
        """The next 200 ms, or None if there is less."""
        if len(self._pcm) < APPEND_BYTES:
            return None
        block = bytes(self._pcm[:APPEND_BYTES])
        del self._pcm[:APPEND_BYTES]
        return block

    def pop_padded(self) -> bytes:
        """200 ms: what there is (also what the resampler still holds), then silence."""
        if self._resampler is not None and len(self._pcm) < APPEND_BYTES:
            self._pcm += b"".join(bytes(out.data) for out in self._resampler.flush())
            self._resampler = None
        block = bytes(self._pcm[:APPEND_BYTES])
        del self._pcm[:APPEND_BYTES]
        return block.ljust(APPEND_BYTES, b"\0")

    def _convert(self, frame: rtc.AudioFrame) -> bytes:
        pcm = bytes(frame.data)
        if frame.num_channels > 1:
            samples = np.frombuffer(pcm, dtype="<i2").reshape(-1, frame.num_channels)
            pcm = samples.mean(axis=1).astype("<i2").tobytes()
        if frame.sample_rate == SAMPLE_RATE_HZ:
            self._resampler = None
            return pcm
        if self._resampler is None or self._resampled_rate_hz != frame.sample_rate:
            self._resampler = rtc.AudioResampler(frame.sample_rate, SAMPLE_RATE_HZ, num_channels=1)
            self._resampled_rate_hz = frame.sample_rate
        return b"".join(bytes(out.data) for out in self._resampler.push(bytearray(pcm)))
