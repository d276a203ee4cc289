"""Voice activity: LiveKit's native Silero model, one object per speaker, fed whole windows inline."""

import numpy as np
from livekit.local_inference import VAD, VAD_WINDOW_SAMPLES
from numpy.typing import NDArray

from .level import rms
from .resample import Resampler24To16

WINDOW_S = VAD_WINDOW_SAMPLES / 16_000
SILENT_RMS = 32.0
"""Below this level (−60 dBFS) nobody can be heard: the model is not asked."""

LOUD_RMS = 1036.0
"""A voice at this level (−30 dBFS) is heard by the model as it is; a quieter one is lifted towards it."""
MOST_GAIN = 4.0
"""+12 dB: a voice at −50 dBFS opens a phrase, and a voice from the next room does not become one of this."""
DECAY_PER_S = 0.9
"""A loud voice is remembered for about ten seconds: what it leaves behind is not lifted meanwhile."""


class SpeechProbability:
    """Speech probabilities of a 24 kHz stream, one per 32 ms window.

    The model asks for a level: what it is given is lifted while the microphone is quiet. What is sent is not.
    """

    def __init__(self) -> None:
        self._level = 0.0
        self._model = VAD()
        self._resample = Resampler24To16()
        self._held: NDArray[np.int16] = np.empty(0, dtype=np.int16)
        self._was_silent = True

    def push(self, pcm: NDArray[np.int16]) -> list[float]:
        """int16[n] mono at 24 kHz → P(speech) of each window that is complete now."""
        if not len(pcm):
            return []
        now = rms(pcm)
        self._level = max(now, self._level * DECAY_PER_S ** (len(pcm) / 24_000))
        silent = now < SILENT_RMS
        if silent and self._was_silent:
            return [0.0] * round(len(pcm) / 24_000 / WINDOW_S)
        if self._was_silent:
            self._model.reset()
        self._was_silent = silent
        gain = min(MOST_GAIN, LOUD_RMS / self._level)
        samples = self._resample.push(pcm, max(1.0, gain))
        if len(self._held):
            samples = np.concatenate((self._held, samples))
        whole = len(samples) // VAD_WINDOW_SAMPLES * VAD_WINDOW_SAMPLES
        self._held = samples[whole:]
        predict = self._model.predict
        return [predict(samples[i : i + VAD_WINDOW_SAMPLES]) for i in range(0, whole, VAD_WINDOW_SAMPLES)]

    def close(self) -> None:
        """Releases the native state."""
        self._model.close()
