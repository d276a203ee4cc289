"""Whether somebody speaks: LiveKit's native Silero model, or any VAD of LiveKit's."""

from __future__ import annotations

from collections import deque
from typing import Protocol

import numpy as np
from livekit.agents import vad
from livekit.local_inference import VAD as NativeVad
from livekit.local_inference import VAD_WINDOW_SAMPLES

from livekit import rtc

from .options import SAMPLE_RATE_HZ

_MODEL_HZ = 16_000
_WINDOW_BYTES = 2 * VAD_WINDOW_SAMPLES
_WINDOW_S = VAD_WINDOW_SAMPLES / _MODEL_HZ
_BEGINS = 0.5
_GOES_ON = 0.35
_SURE = 0.9
_ONSET_WINDOWS = 2  # of the last three, if none is sure


class SpeechGate(Protocol):
    """Says of one stream of audio whether somebody speaks."""

    @property
    def hangover_s(self) -> float:
        """How long `push` goes on to say so after speech."""

    def push(self, pcm: bytes) -> bool:
        """Take int16[n], 24 kHz, mono; returns whether somebody speaks."""

    async def run(self) -> None:
        """What has to go on beside it; until it is cancelled, or there is nothing."""

    async def aclose(self) -> None:
        """Release what it holds."""


class LocalGate:
    """The native model, asked inline: a window of 32 ms costs some 20 µs."""

    def __init__(self, silence_s: float) -> None:
        self.hangover_s = silence_s
        self._model = NativeVad()
        self._resampler = rtc.AudioResampler(
            SAMPLE_RATE_HZ, _MODEL_HZ, num_channels=1, quality=rtc.AudioResamplerQuality.QUICK
        )
        self._held = bytearray()
        self._recent: deque[bool] = deque(maxlen=3)
        self._speaking = False
        self._quiet_s = 0.0

    def push(self, pcm: bytes) -> bool:
        """See `SpeechGate.push`."""
        for frame in self._resampler.push(bytearray(pcm)):
            self._held += frame.data.cast("b")
        while len(self._held) >= _WINDOW_BYTES:
            window = np.frombuffer(bytes(self._held[:_WINDOW_BYTES]), dtype=np.int16)
            del self._held[:_WINDOW_BYTES]
            self._decide(self._model.predict(window))
        return self._speaking

    async def run(self) -> None:
        """Nothing."""

    async def aclose(self) -> None:
        """See `SpeechGate.aclose`."""
        self._model.close()

    def _decide(self, probability: float) -> None:
        if self._speaking:
            self._quiet_s = 0.0 if probability >= _GOES_ON else self._quiet_s + _WINDOW_S
            if self._quiet_s >= self.hangover_s:
                self._speaking = False
                self._recent.clear()
            return
        self._recent.append(probability >= _BEGINS)
        if probability >= _SURE or sum(self._recent) >= _ONSET_WINDOWS:
            self._speaking = True
            self._quiet_s = 0.0


class VadGate:
    """A VAD of LiveKit's own kind. Its events come a little later than the audio that they are about."""

    def __init__(self, model: vad.VAD) -> None:
        self.hangover_s = getattr(model, "min_silence_duration", None) or 0.0
        self._model = model
        self._made: vad.VADStream | None = None
        self._speaking = False

    def push(self, pcm: bytes) -> bool:
        """See `SpeechGate.push`."""
        self._stream().push_frame(rtc.AudioFrame(pcm, SAMPLE_RATE_HZ, 1, len(pcm) // 2))
        return self._speaking

    async def run(self) -> None:
        """Reads the VAD's events."""
        async for event in self._stream():
            if event.type is vad.VADEventType.START_OF_SPEECH:
                self._speaking = True
            elif event.type is vad.VADEventType.END_OF_SPEECH:
                self._speaking = False

    async def aclose(self) -> None:
        """See `SpeechGate.aclose`."""
        if self._made is not None:
            await self._made.aclose()

    def _stream(self) -> vad.VADStream:
        # It has tasks of its own: not before somebody is there to end them.
        if self._made is None:
            self._made = self._model.stream()
        return self._made
