"""The native layer's capture side, without a track: what is handed to the source is kept, with its time."""

import asyncio
import ctypes
from typing import Any


class FakeLayer:
    """Takes captures as `NativeLayer` does; reads the memory at the address, as the native side would."""

    def __init__(self) -> None:
        self.blocks: list[tuple[float, bytes]] = []
        """(loop time, PCM) of each block."""

    def capture_request(self, source: Any, rate_hz: int, samples: int, address: int) -> tuple[int, int]:
        return address, samples * 2

    def capture(self, request: tuple[int, int]) -> None:
        pcm = ctypes.string_at(*request)
        self.blocks.append((asyncio.get_running_loop().time(), pcm))

    @property
    def pcm(self) -> bytes:
        return b"".join(pcm for _, pcm in self.blocks)
