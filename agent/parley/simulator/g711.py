"""G.711, the sound of telephones: µ-law and A-law at 8 kHz, from and to PCM16 at 24 kHz."""

from functools import cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .voice import Pcm

__all__ = ["Law", "decode", "encode"]

Law = Literal["pcmu", "pcma"]

_FACTOR = 3


def decode(data: bytes, law: Law) -> Pcm:
    """`int16[3 * n]` at 24 kHz of n bytes; what lies between the samples is drawn straight."""
    samples = _values(law)[np.frombuffer(data, np.uint8)].astype(np.float32)
    between = (np.arange(len(samples) * _FACTOR) - 1) / _FACTOR
    drawn: Pcm = np.rint(np.interp(between, np.arange(len(samples)), samples)).astype(np.int16)
    return drawn


def encode(pcm: Pcm, law: Law) -> bytes:
    """n // 3 bytes of `int16[n]` at 24 kHz, each of three samples' mean."""
    whole = pcm[: len(pcm) // _FACTOR * _FACTOR].reshape(-1, _FACTOR)
    values = _values(law)
    order = np.argsort(values, kind="stable")
    middles = (values[order][1:] + values[order][:-1]) / 2
    codes: NDArray[np.uint8] = order[np.searchsorted(middles, whole.mean(axis=1))].astype(np.uint8)
    return codes.tobytes()


@cache
def _values(law: Law) -> NDArray[np.int32]:
    """What each of the 256 codes stands for (ITU-T G.711)."""
    codes = np.arange(256)
    if law == "pcmu":
        codes = ~codes & 0xFF
        magnitude = (((codes & 0x0F) << 3) + 132 << (codes >> 4 & 7)) - 132
        return np.where(codes & 0x80, -magnitude, magnitude).astype(np.int32)
    codes = codes ^ 0x55
    exponent = codes >> 4 & 7
    magnitude = ((codes & 0x0F) << 4) + 8 + np.where(exponent > 0, 256, 0)
    magnitude = magnitude << np.maximum(exponent - 1, 0)
    signed: NDArray[np.int32] = np.where(codes & 0x80, magnitude, -magnitude).astype(np.int32)
    return signed
