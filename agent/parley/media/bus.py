"""A mixing bus: voices in, one sum per listener out, all in one step of arithmetic per 20 ms."""

from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from .frames import FRAME_SAMPLES
from .limit import limited

Voice = TypeVar("Voice", bound=Hashable)
Listener = TypeVar("Listener", bound=Hashable)


class Bus:
    """Sums of voices by listener. What one listener hears has no part in what another does."""

    def __init__(self) -> None:
        self._limits: dict[Hashable, float] = {}

    def mixed(
        self,
        voices: Mapping[Voice, NDArray[np.float32]],
        listeners: Sequence[tuple[Listener, Mapping[Voice, float]]],
    ) -> NDArray[np.int16]:
        """The next frame of each listener, int16[listeners, 480].

        `voices`: what sounds now, float32[480] in units of int16; `listeners`: who hears what, at which gain.
        A voice that a listener does not name is not heard; one alone at gain 1 comes through bit by bit.
        """
        limits = np.array([self._limits.get(listener, 1.0) for listener, _ in listeners], np.float32)
        if voices:
            gains = np.array([[hears.get(v, 0.0) for v in voices] for _, hears in listeners], np.float32)
            total = gains.reshape(len(listeners), len(voices)) @ np.stack(list(voices.values()))
        else:
            total = np.zeros((len(listeners), FRAME_SAMPLES), np.float32)
        frames, limits = limited(total, limits)
        self._limits = {
            listener: float(limit)
            for (listener, _), limit in zip(listeners, limits, strict=True)
            if limit < 1.0
        }
        return frames
