"""Pictures: raw RGB as PNG, no larger than a model needs it."""

import struct
import zlib

import numpy as np
from numpy.typing import NDArray

MOST_PIXELS = 1024
"""Of the longer side: the API scales larger ones down itself."""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def shrunk(rgb: NDArray[np.uint8], most: int = MOST_PIXELS) -> NDArray[np.uint8]:
    """`uint8[height, width, 3]`, its longer side at most `most`: means of square blocks of pixels."""
    height, width = rgb.shape[:2]
    by = -(-max(height, width) // most)
    if by <= 1:
        return rgb
    rows, columns = height // by, width // by
    blocks = rgb[: rows * by, : columns * by].reshape(rows, by, columns, by, 3)
    means: NDArray[np.uint8] = blocks.mean(axis=(1, 3)).astype(np.uint8)
    return means


def png(rgb: NDArray[np.uint8]) -> bytes:
    """`uint8[height, width, 3]` as a PNG file. Takes tens of milliseconds: not for the event loop."""
    height, width = rgb.shape[:2]
    # Each row is stored as its difference from the one above: filter 2.
    differences = rgb.copy()
    differences[1:] -= rgb[:-1]  # modulo 256, as PNG wants it
    rows = np.empty((height, 1 + width * 3), np.uint8)
    rows[:, 0] = 2
    rows[:, 1:] = differences.reshape(height, width * 3)
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        _SIGNATURE
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(rows.tobytes(), 6))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
