"""A way to a TCP server that is as long as one likes: what passes is handed on later, in order, both ways."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

_MOST_WAITING = 1024
_PIECE_BYTES = 1 << 16


class Distance:
    """`round_trip_s` may be changed while connections are open; half of it is added in each direction."""

    def __init__(self, port: int) -> None:
        self.round_trip_s = 0.0
        self._port = port

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[int]:
        """Listens on the loopback interface in front of `port`; yields the port of its own."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()

    async def _serve(self, near_in: asyncio.StreamReader, near_out: asyncio.StreamWriter) -> None:
        try:
            far_in, far_out = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            near_out.close()
            return
        # Either side may go at any time: that is the end of the way, not a fault of it.
        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(self._carry(near_in, far_out))
                group.create_task(self._carry(far_in, near_out))

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        clock = asyncio.get_running_loop().time
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue(_MOST_WAITING)

        async def hand_on() -> None:
            while True:
                due, piece = await pieces.get()
                if (wait_s := due - clock()) > 0:
                    await asyncio.sleep(wait_s)
                if not piece:
                    return
                target.write(piece)
                await target.drain()

        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(hand_on())
                while True:
                    piece = await source.read(_PIECE_BYTES)
                    await pieces.put((clock() + self.round_trip_s / 2, piece))
                    if not piece:
                        break
        finally:
            target.close()
