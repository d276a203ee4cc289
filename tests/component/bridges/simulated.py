"""The simulator's sessions behind a bridge's dial, on the loop's clock, with faults; no socket.

The plugin's own protocol reads what they say, so that the only thing missing is the network.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import numpy as np

from livekit.plugins.openai_realtime.errors import ConnectError, ConnectionLost, RealtimeError
from livekit.plugins.openai_realtime.options import TranscriptionOptions, TranslationOptions
from livekit.plugins.openai_realtime.session_protocol import State
from livekit.plugins.openai_realtime.transcription import TranscriptionProtocol
from livekit.plugins.openai_realtime.translation import TranslationProtocol
from parley.simulator import SimulatorOptions
from parley.simulator.records import SessionRecord
from parley.simulator.transcription import TranscriptionSession
from parley.simulator.translation import TranslationSession

RATE_HZ = 24_000
TONES_HZ = tuple(350.0 + 150.0 * n for n in range(16))
"""Each below the simulator's marker tones, all apart by more than a window of 50 ms tells."""
_WINDOW = RATE_HZ // 20


def now() -> float:
    return asyncio.get_running_loop().time()


class SimulatedSession:
    """One session of either kind. Implements `parley.ports.Session` and `parley.ports.Listening`."""

    def __init__(self, api: "SimulatedApi", record: SessionRecord, server: Any, client: Any) -> None:
        self.lifetime_s = api.options.session_lifetime_s
        self.stalled_until = 0.0
        self.ended_at: float | None = None
        self.record = record
        self._server = server
        self._client = client
        self._events: list[Any] = []
        self._lost: RealtimeError | None = None
        self._wake = asyncio.Event()
        self._inbox: list[str] = []
        self._outbox = [json.dumps(event) for event in self._server.open()]
        self._exchange()
        assert self._client.state is State.OPEN

    def drop(self) -> None:
        """The connection breaks."""
        self._lost = ConnectionLost(reason="the socket was dropped")
        self._wake.set()

    def stall(self, duration_s: float) -> None:
        """The server neither reads nor sends."""
        self.stalled_until = now() + duration_s
        self._wake.set()

    async def append(self, pcm: bytes) -> None:
        await asyncio.sleep(0)
        self._require()
        self._client.append(pcm)
        self._flush()

    async def update(self, *, transcription_model: str | None) -> None:
        self._require()
        self._client.update(transcription_model=transcription_model)
        self._flush()
        await asyncio.sleep(0)

    async def commit(self, event_id: str) -> None:
        await asyncio.sleep(0)
        self._require()
        self._client.commit(event_id)
        self._flush()

    async def close(self) -> None:
        self._require()
        self._client.close()
        self._flush()
        await asyncio.sleep(0)

    async def __aiter__(self) -> AsyncIterator[Any]:
        while True:
            if self._lost is not None:
                raise self._lost
            if not self._stalled:
                self._exchange()
            while self._events:
                yield self._events.pop(0)
            if self._client.state is State.CLOSED:
                if self._client.failure is not None:
                    raise self._client.failure
                return
            self._wake.clear()
            due = self.stalled_until if self._stalled else self._server.next_due()
            sleeps = due is None or due == float("inf")
            try:
                # Virtual time has steps: what is due in less than one would never come.
                async with asyncio.timeout_at(None if sleeps else max(due, now() + 0.001)):
                    await self._wake.wait()
            except TimeoutError:
                pass

    @property
    def _stalled(self) -> bool:
        """Timers are a little early: what is over in a moment is over."""
        return now() < self.stalled_until - 0.001

    def _require(self) -> None:
        if self._lost is not None:
            raise self._lost

    def _flush(self) -> None:
        self._inbox += self._client.data_to_send()
        self._wake.set()

    def _exchange(self) -> None:
        """What waits on both sides is taken, and what is due is said."""
        while True:
            for message in self._inbox + self._client.data_to_send():
                self._outbox += [json.dumps(e) for e in self._server.receive(json.loads(message), now())]
            self._inbox = []
            self._outbox += [json.dumps(event) for event in self._server.tick(now())]
            if not self._outbox:
                return
            for message in self._outbox:
                self._events += self._client.receive_text(message)
            self._outbox = []


@dataclass
class SimulatedApi:
    """Opens sessions, or refuses while it is down. Implements `parley.ports.Dial`."""

    options: SimulatorOptions = field(default_factory=lambda: SimulatorOptions(model_lag_s=2.0))
    connect_s: float = 0.3
    down_until: float = 0.0
    attempts: int = 0
    sessions: list[SimulatedSession] = field(default_factory=list)
    open: list[SimulatedSession] = field(default_factory=list)
    _numbers: "count[int]" = field(default_factory=count)

    def __call__(self, options: TranslationOptions) -> AbstractAsyncContextManager[SimulatedSession]:
        def opened() -> SimulatedSession:
            record = self._record("translation", options.model)
            server = TranslationSession(record, self.options, now(), 0.0)
            return SimulatedSession(self, record, server, TranslationProtocol(options))

        return self._open(opened)

    def listen(self, options: TranscriptionOptions) -> AbstractAsyncContextManager[SimulatedSession]:
        """A transcription session."""

        def opened() -> SimulatedSession:
            record = self._record("transcription", options.model)
            server = TranscriptionSession(record, self.options, now(), 0.0)
            return SimulatedSession(self, record, server, TranscriptionProtocol(options))

        return self._open(opened)

    def _record(self, kind: Any, model: str) -> SessionRecord:
        return SessionRecord(f"sess_{next(self._numbers)}", kind, model, now())

    @asynccontextmanager
    async def _open(self, opened: Callable[[], SimulatedSession]) -> AsyncIterator[SimulatedSession]:
        self.attempts += 1
        await asyncio.sleep(self.connect_s)
        if now() < self.down_until:
            raise ConnectError("the server is overloaded", status=503)
        session = opened()
        self.sessions.append(session)
        self.open.append(session)
        try:
            yield session
        finally:
            self.open.remove(session)
            session.ended_at = now()

    def fail(self, kind: str, duration_s: float) -> None:
        """`drop`, `stall` or `503` (dropped as well), for so long."""
        if kind != "stall":
            self.down_until = now() + duration_s
        for session in self.open:
            if kind == "stall":
                session.stall(duration_s)
            else:
                session.drop()


def word(hz: float, duration_s: float) -> np.ndarray:  # type: ignore[type-arg]
    t = np.arange(round(duration_s * RATE_HZ)) / RATE_HZ
    fade = np.minimum(1.0, np.minimum(t, t[::-1]) / 0.005)
    return (6000 * fade * np.sin(2 * np.pi * hz * t)).astype("<i2")


def words(pcm: bytes) -> list[float]:
    """The words in it, in order: the loudest tone of each 50 ms, repeats as one."""
    samples = np.frombuffer(pcm, "<i2").astype(np.float32)
    whole = samples[: len(samples) // _WINDOW * _WINDOW].reshape(-1, _WINDOW)
    t = np.arange(_WINDOW) / RATE_HZ
    basis = np.exp(-2j * np.pi * np.outer(t, TONES_HZ)).astype(np.complex64)
    power = np.abs((whole * np.hanning(_WINDOW).astype(np.float32)) @ basis) / (_WINDOW / 4)
    best = power.argmax(axis=1)
    loud = power.max(axis=1) > 2000
    found: list[float] = []
    last: float | None = None
    for is_loud, index in zip(loud.tolist(), best.tolist(), strict=True):
        hz = TONES_HZ[index] if is_loud else None
        if hz is not None and hz != last:
            found.append(hz)
        last = hz
    return found
