"""Mixing: several microphones as one stream, for an agent that listens to the whole room."""

import numpy as np


class Mixer:
    """Frames of equal length from any number of speakers, in; their sum, out.

    Every frame is part of exactly one mixed frame. A mixed frame is whole when one of the speakers
    delivers the frame after it: the microphones keep time by themselves.
    """

    def __init__(self) -> None:
        self._slot: dict[str, bytes] = {}

    def push(self, speaker: str, pcm: bytes) -> bytes | None:
        """Adds a speaker's frame, PCM16 mono; returns the mixed frame before it if it is whole now."""
        if speaker not in self._slot:
            self._slot[speaker] = pcm
            return None
        whole = mixed(list(self._slot.values()))
        self._slot = {speaker: pcm}
        return whole

    def remove(self, speaker: str) -> None:
        """A speaker is gone."""
        self._slot.pop(speaker, None)


def mixed(frames: list[bytes]) -> bytes:
    """The saturated sum of PCM16 frames; as long as the longest."""
    if len(frames) == 1:
        return frames[0]
    longest = max(len(frame) for frame in frames)
    total = np.zeros(longest // 2, np.int32)
    for frame in frames:
        samples = np.frombuffer(frame, np.int16)
        total[: len(samples)] += samples
    return np.clip(total, -32768, 32767).astype(np.int16).tobytes()
