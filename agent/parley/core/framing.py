"""PCM arithmetic: durations, and re-chunking to the model's frame."""

RATE_HZ = 24_000
"""Sample rate of everything that goes to and comes from a session."""
BYTES_PER_S = RATE_HZ * 2
FRAME_MS = 200
"""The translation model's engine frame."""
FRAME_BYTES = BYTES_PER_S * FRAME_MS // 1000


def seconds(n_bytes: int) -> float:
    """Duration of `n_bytes` of mono PCM16 at 24 kHz."""
    return n_bytes / BYTES_PER_S


class Framer:
    """Cuts a byte stream into whole frames of `frame_bytes`."""

    def __init__(self, frame_bytes: int = FRAME_BYTES) -> None:
        self._frame_bytes = frame_bytes
        self._rest = bytearray()

    @property
    def held_bytes(self) -> int:
        """Bytes that wait for their frame to fill."""
        return len(self._rest)

    def push(self, pcm: bytes | memoryview) -> list[bytes]:
        """Adds bytes; returns the frames that are whole now."""
        self._rest += pcm
        n = len(self._rest) // self._frame_bytes
        if not n:
            return []
        frames = [bytes(self._rest[i * self._frame_bytes : (i + 1) * self._frame_bytes]) for i in range(n)]
        del self._rest[: n * self._frame_bytes]
        return frames

    def flush(self) -> bytes | None:
        """The frame in the making, filled up with silence; None if there is none."""
        if not self._rest:
            return None
        frame = bytes(self._rest).ljust(self._frame_bytes, b"\0")
        self._rest.clear()
        return frame
