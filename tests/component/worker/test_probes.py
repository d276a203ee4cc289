"""What an operator's probes are answered: alive, ready, and the metrics."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from parley import worker
from parley.config import Settings, load
from parley.metrics import Metrics, Sums, snapshot


@dataclass
class Server:
    """What readiness looks at."""

    id: str = "unregistered"
    _connecting: bool = True
    draining: bool = False


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int) -> Settings:
    for name in ("LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "x")
    monkeypatch.setenv("LIVEKIT_URL", "ws://127.0.0.1")
    monkeypatch.setenv("PARLEY_HTTP_HOST", "127.0.0.1")
    monkeypatch.setenv("PARLEY_HTTP_PORT", str(unused_tcp_port))
    return load()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(5)) as http:
        yield http


async def test_probes(settings: Settings, http: aiohttp.ClientSession) -> None:
    server, sums = Server(), Sums()

    async def ask(path: str) -> tuple[int, str]:
        async with http.get(f"http://127.0.0.1:{settings.http_port}{path}") as response:
            return response.status, await response.text()

    async with worker._http(settings, server, sums):  # type: ignore[arg-type]
        assert await ask("/livez") == (200, "alive\n")
        assert await ask("/readyz") == (503, "not registered\n")
        server.id, server._connecting = "AW_1", False
        assert await ask("/readyz") == (200, "ready\n")
        server._connecting = True
        assert await ask("/readyz") == (503, "not registered\n"), "the connection to LiveKit was lost"
        server._connecting, server.draining = False, True
        assert await ask("/readyz") == (503, "draining\n")
        assert (await ask("/livez"))[0] == 200, "a worker that drains is not to be killed"
        metrics = Metrics()
        metrics.rooms.set(3)
        sums.update(1, snapshot(metrics.registry))
        status, text = await ask("/metrics")
        assert status == 200
        assert "\nparley_rooms 3.0\n" in text
        assert (await ask("/nonsense"))[0] == 404
