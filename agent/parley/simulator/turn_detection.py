"""Turn detection on the audio's own time: when speech begins and when a turn is over.

    quiet ──60 ms loud──▶ speech ──quiet for long enough──▶ quiet

It hears loudness, not speech, in blocks of 20 ms. `server_vad`: `threshold` 0 to 1 is -60 dBFS to -20 dBFS
(0.5: -40 dBFS), and the turn ends after `silence_duration_ms` of quiet. `semantic_vad`: -40 dBFS, and the
turn ends after the most that the eagerness allows (8 s, 4 s, 2 s), or after an eighth of it if what was said
*sounds finished*: anything does, except a drawn-out sound, which is one that is unbroken for its last 600 ms
and whose level stays within 6 dB, but for 60 ms (a hum, "uhhm").
"""

from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .voice import BLOCK, Pcm

__all__ = ["BLOCK_MS", "ONSET_MS", "TurnDetector", "levels_dbfs"]

Kind = Literal["started", "stopped"]

BLOCK_MS = 20
ONSET_MS = 60
_ONSET_BLOCKS = ONSET_MS // BLOCK_MS
_DRAWN_OUT_BLOCKS = 30
_DRAWN_OUT_DB = 6.0
_EDGE_BLOCKS = 3
_SEMANTIC_DBFS = -40.0
_SEMANTIC_PREFIX_MS = 300
_MOST_MS = {"low": 8000, "medium": 4000, "auto": 4000, "high": 2000}
_FINISHED_PART = 8
_RELEASE_DB = 6.0


def levels_dbfs(pcm: Pcm) -> NDArray[np.float32]:
    """The RMS level of each whole block of 20 ms of `int16[n]` at 24 kHz, `float32[n // 480]`."""
    blocks = pcm[: len(pcm) // BLOCK * BLOCK].astype(np.float32).reshape(-1, BLOCK)
    level: NDArray[np.float32] = 10 * np.log10(np.mean(np.square(blocks / 32768), axis=1) + 1e-10)
    return level


class TurnDetector:
    """Marks the turns of one session, by the settings of `session.audio.input.turn_detection`."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self._semantic = settings["type"] == "semantic_vad"
        self._on_dbfs = _SEMANTIC_DBFS if self._semantic else -60 + 40 * settings["threshold"]
        self.prefix_ms: int = _SEMANTIC_PREFIX_MS if self._semantic else settings["prefix_padding_ms"]
        most_ms = _MOST_MS[settings["eagerness"]] if self._semantic else settings["silence_duration_ms"]
        self._most_ms: int = most_ms
        self._loud = self._quiet = 0
        self._sound: deque[float] = deque(maxlen=_DRAWN_OUT_BLOCKS)
        self.speaking = False

    def reset(self) -> None:
        """What was heard was committed or cleared: speech begins anew."""
        self.speaking = False
        self._loud = self._quiet = 0
        self._sound.clear()

    def push(self, levels: Iterable[float]) -> tuple[int, Kind | None]:
        """Take blocks up to the next mark; returns how many were taken, and what they
        bring, if anything."""
        taken = 0
        for level in levels:
            taken += 1
            kind = self._within(level) if self.speaking else self._before(level)
            if kind is not None:
                return taken, kind
        return taken, None

    def _before(self, level: float) -> Kind | None:
        self._loud = self._loud + 1 if level >= self._on_dbfs else 0
        if self._loud < _ONSET_BLOCKS:
            return None
        self.speaking, self._quiet = True, 0
        self._sound.extend([level] * _ONSET_BLOCKS)
        return "started"

    def _within(self, level: float) -> Kind | None:
        if level >= self._on_dbfs - _RELEASE_DB:
            if self._quiet:
                self._sound.clear()
            self._quiet = 0
            self._sound.append(level)
            return None
        self._quiet += 1
        if self._quiet * BLOCK_MS < self._patience_ms():
            return None
        self.reset()
        return "stopped"

    def _patience_ms(self) -> float:
        if not self._semantic:
            return self._most_ms
        drawn_out = len(self._sound) == _DRAWN_OUT_BLOCKS and (
            max(self._sound) - sorted(self._sound)[_EDGE_BLOCKS] <= _DRAWN_OUT_DB
        )
        return self._most_ms if drawn_out else self._most_ms / _FINISHED_PART
