"""Pictures: a PNG that another decoder reads back, and no larger than it must be."""

import struct
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray

from parley.media.picture import png, shrunk

Rgb = NDArray[np.uint8]


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """The chunks of a PNG file; their checksums are checked."""
    assert data[:8] == bytes([137, 80, 78, 71, 13, 10, 26, 10])
    found, at = [], 8
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        (checksum,) = struct.unpack(">I", data[at + 8 + length : at + 12 + length])
        assert checksum == zlib.crc32(kind + body)
        found.append((kind, body))
        at += 12 + length
    return found


def paeth(a: int, b: int, c: int) -> int:
    estimate = a + b - c
    return min((a, b, c), key=lambda value: abs(estimate - value))


def decoded(data: bytes) -> Rgb:
    """A PNG of eight-bit RGB, by the specification: all five filters, byte by byte."""
    parts = chunks(data)
    assert next(kind for kind, _ in parts) == b"IHDR"
    assert parts[-1] == (b"IEND", b"")
    width, height, depth, colour, packed, filtered, laced = struct.unpack(">IIBBBBB", parts[0][1])
    assert (depth, colour, packed, filtered, laced) == (8, 2, 0, 0, 0)
    raw = zlib.decompress(b"".join(body for kind, body in parts if kind == b"IDAT"))
    stride = width * 3
    assert len(raw) == height * (stride + 1)
    above = bytearray(stride)
    rows = []
    for y in range(height):
        kind, line = raw[y * (stride + 1)], bytearray(raw[y * (stride + 1) + 1 : (y + 1) * (stride + 1)])
        for x in range(stride):
            left = line[x - 3] if x >= 3 else 0
            corner = above[x - 3] if x >= 3 else 0
            guess = {
                0: 0,
                1: left,
                2: above[x],
                3: (left + above[x]) // 2,
                4: paeth(left, above[x], corner),
            }[kind]
            line[x] = (line[x] + guess) % 256
        rows.append(bytes(line))
        above = line
    return np.frombuffer(b"".join(rows), np.uint8).reshape(height, width, 3)


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (2, 3), (37, 53)])
def test_every_pixel_comes_back(size: tuple[int, int]) -> None:
    picture = np.random.default_rng(1).integers(0, 256, (*size, 3), np.uint8)
    assert np.array_equal(decoded(png(picture)), picture)


def test_differences_beyond_a_byte_wrap() -> None:
    picture = np.zeros((4, 2, 3), np.uint8)
    picture[1::2] = 255
    assert np.array_equal(decoded(png(picture)), picture)


def test_the_callers_picture_is_left_alone() -> None:
    picture = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
    before = picture.copy()
    png(picture)
    shrunk(picture, 2)
    assert np.array_equal(picture, before)


def test_a_view_of_a_picture_is_a_picture() -> None:
    whole = np.random.default_rng(2).integers(0, 256, (20, 30, 4), np.uint8)
    view = whole[2:18:2, 5:25, :3]
    assert np.array_equal(decoded(png(view)), view)


def test_a_plain_picture_is_small() -> None:
    assert len(png(np.full((480, 640, 3), 200, np.uint8))) < 10_000


@pytest.mark.parametrize(
    ("size", "most", "result"),
    [
        ((10, 10), 10, (10, 10)),
        ((720, 1280), 1280, (720, 1280)),
        ((720, 1280), 640, (360, 640)),
        ((1280, 720), 640, (640, 360)),
        ((1080, 1920), 1024, (540, 960)),
        ((11, 20), 10, (5, 10)),
    ],
)
def test_the_longer_side_fits(size: tuple[int, int], most: int, result: tuple[int, int]) -> None:
    assert shrunk(np.zeros((*size, 3), np.uint8), most).shape == (*result, 3)


def test_what_fits_is_not_touched() -> None:
    picture = np.random.default_rng(3).integers(0, 256, (10, 12, 3), np.uint8)
    assert np.array_equal(shrunk(picture, 12), picture)


def test_a_smaller_picture_is_made_of_means() -> None:
    picture = np.zeros((4, 4, 3), np.uint8)
    picture[:2, :2, 0] = [[0, 100], [200, 100]]
    picture[2:, 2:, 2] = 255
    small = shrunk(picture, 2)
    assert small[..., 0].tolist() == [[100, 0], [0, 0]]
    assert small[..., 2].tolist() == [[0, 0], [0, 255]]
    assert small.dtype == np.uint8


def test_a_small_picture_of_a_large_one_can_be_read() -> None:
    picture = np.random.default_rng(4).integers(0, 256, (90, 160, 3), np.uint8)
    small = shrunk(picture, 40)
    assert np.array_equal(decoded(png(small)), small)
