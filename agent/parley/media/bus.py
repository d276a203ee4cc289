"""A mixing bus: voices in, one sum per listener out, all in one step of arithmetic per 20 ms."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from .frames import FRAME_SAMPLES
from .limit import limited

_RAMP = np.linspace(0, 1, FRAME_SAMPLES + 1, dtype=np.float32)[1:]

Voice = TypeVar("Voice", bound=Hashable)
Listener = TypeVar("Listener", bound=Hashable)


class Bus:
    """Sums of voices by listener. What one listener hears has no part in what another does."""

    def __init__(self) -> None:
        self._limits: dict[Hashable, float] = {}
        self._heard: dict[Hashable, Mapping[Any, float]] = {}
        """What each listener heard in the last frame."""

    def mixed(
        self,
        voices: Mapping[Voice, NDArray[np.float32]],
        listeners: Sequence[tuple[Listener, Mapping[Voice, float]]],
    ) -> NDArray[np.int16]:
        """The next frame of each listener, int16[listeners, 480].

        `voices`: what sounds now, float32[480] in units of int16; `listeners`: who hears what, at which gain.
        A voice that a listener does not name is not heard; one alone at gain 1 comes through bit by bit.
        Where gains are not those of the frame before, they change gradually in the course of the frame.
        """
        limits = np.array([self._limits.get(listener, 1.0) for listener, _ in listeners], np.float32)
        if voices:
            samples = np.stack(list(voices.values()))
            gains = np.array([[hears.get(v, 0.0) for v in voices] for _, hears in listeners], np.float32)
            total = gains.reshape(len(listeners), len(voices)) @ samples
            self._fade(total, voices, samples, listeners)
        else:
            total = np.zeros((len(listeners), FRAME_SAMPLES), np.float32)
        frames, limits = limited(total, limits)
        self._limits = {
            listener: float(limit)
            for (listener, _), limit in zip(listeners, limits, strict=True)
            if limit < 1.0
        }
        self._heard = {
            listener: before if (before := self._heard.get(listener)) == hears else dict(hears)
            for listener, hears in listeners
        }
        return frames

    def _fade(
        self,
        total: NDArray[np.float32],
        voices: Mapping[Voice, NDArray[np.float32]],
        samples: NDArray[np.float32],
        listeners: Sequence[tuple[Listener, Mapping[Voice, float]]],
    ) -> None:
        for row, (listener, hears) in enumerate(listeners):
            before = self._heard.get(listener)
            if before is not None and before != hears:
                old = np.array([before.get(v, 0.0) for v in voices], np.float32) @ samples
                total[row] = old + (total[row] - old) * _RAMP
