"""A translation session on virtual time; every event is checked against the schemas that are shipped."""

import base64
from collections.abc import Callable
from functools import cache
from typing import Any

import jsonschema
import numpy as np
import pytest

from parley.simulator import SessionRecord, SimulatorOptions
from parley.simulator.translation import TranslationSession
from parley.simulator.wire import schemas

RATE = 24_000


def tone(ms: float, dbfs: float = -20.0, hz: float = 310.0) -> np.ndarray:
    amplitude = 32768 * 10 ** (dbfs / 20) * np.sqrt(2)
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(ms * RATE / 1000)) / RATE)).astype(np.int16)


def quiet(ms: float, dbfs: float = -65.0) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 32768 * 10 ** (dbfs / 20), round(ms * RATE / 1000))
    return noise.astype(np.int16)


class Driver:
    """Drives one session: what it sends is in `events`, with the time at which it was due."""

    def __init__(self, **options: Any) -> None:
        self.now = 1000.0
        self.record = SessionRecord("sess_1", "translation", "gpt-realtime-translate", self.now)
        settings = SimulatorOptions(**options)
        self.session = TranslationSession(self.record, settings, self.now, 1_700_000_000.5)
        self.events: list[tuple[float, dict[str, Any]]] = []
        self._take(self.session.open())

    def send(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        before = len(self.events)
        self._take(self.session.receive(event, self.now))
        self._take(self.session.tick(self.now))
        return [event for _, event in self.events[before:]]

    def update(self, **audio: Any) -> list[dict[str, Any]]:
        return self.send({"type": "session.update", "session": {"audio": audio}})

    def append(self, pcm: np.ndarray) -> list[dict[str, Any]]:
        audio = base64.b64encode(pcm.astype("<i2").tobytes()).decode()
        return self.send({"type": "session.input_audio_buffer.append", "audio": audio})

    def speak(self, pcm: np.ndarray, chunk: int = 4800) -> None:
        """Append at the pace of speech."""
        for start in range(0, len(pcm), chunk):
            self.append(pcm[start : start + chunk])
            self.run(chunk / RATE)

    def close(self) -> list[dict[str, Any]]:
        before = len(self.events)
        self.send({"type": "session.close"})
        self.run(60)
        return [event for _, event in self.events[before:]]

    def run(self, seconds: float) -> None:
        """Let time pass, from one due time to the next, as a loop with one timer does."""
        end = self.now + seconds
        for _ in range(100_000):
            due = self.session.next_due()
            if due is None or due > end:
                break
            self.now = max(self.now, due)
            self._take(self.session.tick(self.now))
        else:
            pytest.fail("next_due never moves on")
        self.now = end

    def audio(self) -> list[tuple[float, int, np.ndarray]]:
        """The output deltas: when, elapsed_ms, samples."""
        return [
            (when, event["elapsed_ms"], np.frombuffer(base64.b64decode(event["delta"]), "<i2"))
            for when, event in self.events
            if event["type"] == "session.output_audio.delta"
        ]

    def texts(self, kind: str = "output") -> list[str]:
        return [e["delta"] for _, e in self.events if e["type"] == f"session.{kind}_transcript.delta"]

    def _take(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            validator(event["type"]).validate(event)
            self.events.append((self.now, event))


def closed(schema: Any) -> Any:
    """The schema with every object closed: no property that it does not name."""
    if isinstance(schema, list):
        return [closed(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    out = {name: closed(item) for name, item in schema.items()}
    if isinstance(schema.get("properties"), dict) and schema.get("type") == "object":
        out["additionalProperties"] = False
    return out


@cache
def validator(kind: str) -> Any:
    return jsonschema.Draft202012Validator(closed(schemas("translation")["server"][kind]))


@pytest.fixture
def drive() -> Callable[..., Driver]:
    return Driver


@pytest.fixture
def sound() -> tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]:
    return tone, quiet
