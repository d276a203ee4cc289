"""The input audio buffer: what was appended and not committed yet, and where it is in the session's audio."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from .turn_detection import BLOCK_MS, ONSET_MS, TurnDetector, levels_dbfs
from .voice import BLOCK, SAMPLE_RATE_HZ, Pcm
from .wire import ApiError, Event

__all__ = ["InputBuffer", "Mark"]

_LEAST_MS = 100
_MOST_SAMPLES = 900 * SAMPLE_RATE_HZ
_PER_MS = SAMPLE_RATE_HZ // 1000


@dataclass(frozen=True, slots=True)
class Mark:
    """Speech `started` or `stopped`; `at_ms` counts from the session's first audio, and includes the prefix
    padding, or the silence."""

    kind: Literal["started", "stopped"]
    at_ms: int


class InputBuffer:
    """Holds at most 15 minutes; the oldest audio goes first. With turn detection it holds, outside of speech,
    the prefix padding and what the detector has not judged yet."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._end = 0
        self._judged = 0
        self._detector: TurnDetector | None = None

    @property
    def end_ms(self) -> int:
        """How much audio was appended in the session."""
        return self._end // _PER_MS

    @property
    def held_ms(self) -> float:
        """How much is in the buffer."""
        return len(self._data) / 2 / _PER_MS

    @property
    def speaking(self) -> bool:
        """Whether the detector hears speech."""
        return self._detector is not None and self._detector.speaking

    def configure(self, settings: Event | None) -> None:
        """Detect turns by these settings from here on; None: not at all."""
        self._judged = self._end
        self._detector = None if settings is None else TurnDetector(settings)

    def append(self, data: bytes) -> None:
        """Take PCM16 bytes."""
        self._data += data
        self._end += len(data) // 2
        self._drop_before(self._end - _MOST_SAMPLES)

    def next_mark(self) -> Mark | None:
        """Judge what was not judged yet, up to the next mark; None: nothing more is to be said of it. After
        `stopped` the utterance is to be taken at once."""
        if self._detector is None:
            return None
        taken, kind = self._detector.push(levels_dbfs(self._slice(self._judged, self._end)))
        self._judged += taken * BLOCK
        if kind == "started":
            self._drop_before(self._judged - (ONSET_MS + self._detector.prefix_ms) * _PER_MS)
            return Mark(kind, self._start // _PER_MS)
        if kind == "stopped":
            return Mark(kind, self._judged // _PER_MS)
        if not self._detector.speaking:
            self._drop_before(self._judged - (ONSET_MS + BLOCK_MS + self._detector.prefix_ms) * _PER_MS)
        return None

    def take(self, *, judged: bool = False) -> Pcm:
        """Commit everything, or only what was `judged`. Raises ApiError if that is less than 100 ms."""
        end = self._judged if judged else self._end
        pcm = self._slice(self._start, end)
        if len(pcm) < _LEAST_MS * _PER_MS:
            message = (
                "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
                f"but buffer only has {len(pcm) / _PER_MS:.2f}ms of audio."
            )
            raise ApiError("input_audio_buffer_commit_empty", message)
        self._drop_before(end)
        if not judged:
            self.clear()
        return pcm

    def clear(self) -> None:
        """Forget what is in the buffer."""
        self._data.clear()
        self._judged = self._end
        if self._detector is not None:
            self._detector.reset()

    @property
    def _start(self) -> int:
        return self._end - len(self._data) // 2

    def _slice(self, start: int, end: int) -> Pcm:
        """A copy of the audio between two places of the session."""
        first, last = (2 * max(0, place - self._start) for place in (start, end))
        return np.frombuffer(bytes(self._data[first:last]), "<i2").astype(np.int16, copy=False)

    def _drop_before(self, sample: int) -> None:
        if sample > self._start:
            del self._data[: 2 * (sample - self._start)]
        self._judged = max(self._judged, self._start)
