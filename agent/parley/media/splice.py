"""Where one capture of a voice goes on in another, found by the sound itself."""

from collections import deque
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from parley.core.framing import RATE_HZ, seconds

from .level import audible

DECIMATION = 3
"""Looked for below 4 kHz, where a voice is."""
LOOK_S = 0.2
"""So much of the new capture is there when the place is first looked for."""
LEAST_S = 0.12
"""So much of both captures must be alike for the place to be known."""
APART_S = 0.2
"""Two jitter buffers are not further apart."""
MOST_S = 0.4
"""The new capture is kept for so long at most."""
BEFORE_S = 0.6
"""So much of what was delivered is looked at."""
ALIKE = 0.75
"""Normalised cross-correlation from which two stretches are the same sound, encoded twice."""
_FAINT = 100.0
"""RMS, in units of int16, below which nothing is alike."""
_LENGTH = 0.25
SAMPLE_BYTES = 2


class Splice:
    """One capture takes over from another, to the sample.

        old ──▶ delivered as it comes, and told here
        new ──▶ kept until it is known how much of it was delivered ──▶ what comes after that

    Two tracks of one microphone come through two encoders and two jitter buffers: the same sound is some
    tens of milliseconds earlier in one of them. Two streams of one track cut it into other frames.
    """

    def __init__(self, before: Iterable[bytes], until: float, *, look: bool = True) -> None:
        """`before`: what the old capture has delivered until then, PCM16 mono 24 kHz, the newest last.

        `look`: whether the place is looked for by the sound; otherwise the first frame of the new one is the
        place, as where nothing is alike.
        """
        self._look = look
        self._delivered = deque[bytes]()
        self._delivered_s = 0.0
        self._delivered_until = self._heard_until = until
        for pcm in before:
            self._remember(pcm)
        self._kept = bytearray()
        self._skip: int | None = None

    @property
    def found(self) -> bool:
        """Whether the new capture goes on by itself: what the old one delivers from now on is not wanted."""
        return self._skip is not None

    @property
    def done(self) -> bool:
        """Whether all that comes of the new capture is to be delivered as it is."""
        return self._skip == 0

    def old(self, pcm: bytes, at: float) -> None:
        """The old capture has delivered a frame, which arrived at `at`."""
        self._remember(pcm)
        self._delivered_until = at
        if audible(pcm):  # one that has ended delivers silence for a while
            self._heard_until = at

    def new(self, pcm: bytes, at: float) -> bytes:
        """A frame of the new one, which arrived at `at`; returns what is to be delivered now.

        Where nothing is alike within `MOST_S`, it is what came since the old one was last heard.
        """
        if self._skip is not None:
            due, self._skip = pcm[self._skip :], max(0, self._skip - len(pcm))
            return due
        self._kept += pcm
        kept_s = seconds(len(self._kept))
        if self._look and kept_s >= LOOK_S and (place := self._place(at)) is not None:
            self._skip = max(0, place - len(self._kept))
            return bytes(self._kept[place:])
        return self.rest(at) if kept_s >= MOST_S or not self._look else b""

    def rest(self, at: float) -> bytes:
        """Gives up looking; returns what came of the new capture since the old one was last heard."""
        if self._skip is not None:
            return b""
        self._skip = 0
        missing = round(max(0.0, at - self._heard_until) * RATE_HZ) * SAMPLE_BYTES
        return bytes(self._kept[max(0, len(self._kept) - missing) :])

    def _remember(self, pcm: bytes) -> None:
        self._delivered.append(pcm)
        self._delivered_s += seconds(len(pcm))
        while self._delivered_s - seconds(len(self._delivered[0])) >= BEFORE_S:
            self._delivered_s -= seconds(len(self._delivered.popleft()))

    def _place(self, at: float) -> int | None:
        """Where in the new capture, in bytes, that begins which was not delivered; None: not known."""
        old, new = _decimated(b"".join(self._delivered)), _decimated(bytes(self._kept))
        per_s = RATE_HZ // DECIMATION
        least, apart = round(LEAST_S * per_s), round(APART_S * per_s)
        likely = len(old) - len(new) + round((at - self._delivered_until) * per_s)
        first, last = max(likely - apart, least - len(new)), min(likely + apart, len(old) - least)
        if last < first:
            return None
        shifts = np.arange(first, last + 1)
        size = 1 << (len(old) + len(new) - 1).bit_length()
        dots = np.fft.irfft(np.fft.rfft(old, size) * np.conj(np.fft.rfft(new, size)), size)[shifts]
        begins, ends = np.maximum(shifts, 0), np.minimum(shifts + len(new), len(old))
        energies = _energy(old, begins, ends) * _energy(new, begins - shifts, ends - shifts)
        alike = dots / np.sqrt(np.maximum(energies, (_FAINT**2 * least) ** 2))
        # A vowel is like itself a period later: of two places the one counts more where more is compared.
        best = int(np.argmax(alike * (ends - begins) ** _LENGTH))
        if alike[best] < ALIKE:
            return None
        return (len(old) - int(shifts[best])) * DECIMATION * SAMPLE_BYTES


def _decimated(pcm: bytes) -> NDArray[np.float64]:
    """The mean of every three samples; what is over is left out, of the oldest."""
    samples = np.frombuffer(pcm, np.int16)
    means: NDArray[np.float64] = samples[len(samples) % DECIMATION :].reshape(-1, DECIMATION).mean(axis=1)
    return means


def _energy(
    samples: NDArray[np.float64], begins: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Of each stretch of samples."""
    total = np.concatenate(([0.0], np.cumsum(np.square(samples))))
    energy: NDArray[np.float64] = total[ends] - total[begins]
    return energy
