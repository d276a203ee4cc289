"""Sessions of the simulator on virtual time; every event is checked against the schemas that are shipped."""

import base64
from collections.abc import Callable
from functools import cache
from typing import Any

import jsonschema
import numpy as np
import pytest

from parley.simulator import Script, SessionRecord, SimulatorOptions
from parley.simulator.conversation import ConversationSession
from parley.simulator.session import Session
from parley.simulator.transcription import TranscriptionSession
from parley.simulator.translation import TranslationSession
from parley.simulator.wire import schemas

RATE = 24_000
OPENED_AT = 1000.0
OPENED_UNIX = 1_700_000_000.5


def tone(ms: float, dbfs: float = -20.0, hz: float = 310.0) -> np.ndarray:
    amplitude = 32768 * 10 ** (dbfs / 20) * np.sqrt(2)
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(ms * RATE / 1000)) / RATE)).astype(np.int16)


def quiet(ms: float, dbfs: float = -65.0) -> np.ndarray:
    noise = np.random.default_rng(1).normal(0, 32768 * 10 ** (dbfs / 20), round(ms * RATE / 1000))
    return noise.astype(np.int16)


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
def validator(session: str, kind: str) -> Any:
    return jsonschema.Draft202012Validator(closed(schemas(session)["server"][kind]))


class Drive:
    """Drives one session: what it sends is in `events`, with the time at which it was due."""

    def __init__(self, kind: str, record: SessionRecord, session: Session) -> None:
        self.now = OPENED_AT
        self.record = record
        self.events: list[tuple[float, dict[str, Any]]] = []
        self._kind = kind
        self._session = session
        self._take(session.open())

    def receive(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        """Let an event come; returns what it is answered."""
        before = len(self.events)
        self._take(self._session.receive(event, self.now))
        self._take(self._session.tick(self.now))
        return [event for _, event in self.events[before:]]

    def run(self, seconds: float) -> None:
        """Let time pass, from one due time to the next, as a loop with one timer does."""
        end = self.now + seconds
        for _ in range(100_000):
            due = self._session.next_due()
            if due is None or due > end:
                break
            self._tick(due)
        else:
            pytest.fail("next_due never moves on")
        self.now = end

    def _tick(self, due: float) -> None:
        self.now = max(self.now, due)
        self._take(self._session.tick(self.now))

    def _take(self, events: list[dict[str, Any]]) -> None:
        for event in events:
            validator(self._kind, event["type"]).validate(event)
            self.events.append((self.now, event))


class Driver(Drive):
    """Drives one translation."""

    def __init__(self, **options: Any) -> None:
        record = SessionRecord("sess_1", "translation", "gpt-realtime-translate", OPENED_AT)
        self.session = TranslationSession(record, SimulatorOptions(**options), OPENED_AT, OPENED_UNIX)
        super().__init__("translation", record, self.session)

    def send(self, event: dict[str, Any]) -> list[dict[str, Any]]:
        return self.receive(event)

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

    def audio(self) -> list[tuple[float, int, np.ndarray]]:
        """The output deltas: when, elapsed_ms, samples."""
        return [
            (when, event["elapsed_ms"], np.frombuffer(base64.b64decode(event["delta"]), "<i2"))
            for when, event in self.events
            if event["type"] == "session.output_audio.delta"
        ]

    def texts(self, kind: str = "output") -> list[str]:
        return [e["delta"] for _, e in self.events if e["type"] == f"session.{kind}_transcript.delta"]


class Talk(Drive):
    """Drives one conversation."""

    def __init__(
        self,
        model: str = "gpt-realtime-2.1",
        name: str = "sess_0123456789abcdef01234567",
        script: Any = (),
        **options: Any,
    ) -> None:
        record = SessionRecord(name, "conversation", model, OPENED_AT)
        settings = SimulatorOptions(**options)
        shared = script if isinstance(script, Script) else Script.of(script)
        self.session = ConversationSession(record, settings, OPENED_AT, OPENED_UNIX, shared)
        super().__init__("conversation", record, self.session)

    def send(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        return self.receive({"type": kind, **fields})

    def update(self, **session: Any) -> dict[str, Any]:
        return self.send("session.update", session={"type": "realtime", **session})[0]

    def manual(self) -> None:
        """No turn detection."""
        assert self.update(audio={"input": {"turn_detection": None}})["type"] == "session.updated"

    def append(self, pcm: np.ndarray) -> list[dict[str, Any]]:
        audio = base64.b64encode(pcm.astype("<i2").tobytes()).decode()
        return self.send("input_audio_buffer.append", audio=audio)

    def speak(self, pcm: np.ndarray, chunk: int = 480) -> None:
        """Append at the pace of speech."""
        for start in range(0, len(pcm), chunk):
            self.append(pcm[start : start + chunk])
            self.run(chunk / RATE)

    def type(self, text: str, role: str = "user", **fields: Any) -> list[dict[str, Any]]:
        kind = "output_text" if role == "assistant" else "input_text"
        item = {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}
        return self.send("conversation.item.create", item=item, **fields)

    def respond(self, seconds: float = 30.0, **response: Any) -> dict[str, Any]:
        """`response.create`; returns the response as it is done."""
        fields = {"response": response} if response else {}
        self.send("response.create", **fields)
        self.run(seconds)
        return self.last("response.done")["response"]

    def run_until(self, kind: str) -> dict[str, Any]:
        """Let time pass until an event of this type comes."""
        seen = len(self.events)
        while True:
            for _, event in self.events[seen:]:
                if event["type"] == kind:
                    return event
            due = self.session.next_due()
            assert due is not None
            assert due < self.now + 60
            self._tick(due)

    def types(self) -> list[str]:
        """The types in order, deltas of one kind in a row named once, without `session.*`."""
        found: list[str] = []
        for _, event in self.events:
            if event["type"].startswith("session.") or (found and found[-1] == event["type"]):
                continue
            found.append(event["type"])
        return found

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [event for _, event in self.events if event["type"] == kind]

    def last(self, kind: str) -> dict[str, Any]:
        return self.all(kind)[-1]

    def codes(self) -> list[str]:
        return [event["error"]["code"] for event in self.all("error")]

    def audio(self, response_id: str | None = None) -> np.ndarray:
        """The audio sent, of one response or of all."""
        deltas = [
            base64.b64decode(event["delta"])
            for event in self.all("response.output_audio.delta")
            if response_id in (None, event["response_id"])
        ]
        return np.frombuffer(b"".join(deltas), "<i2")

    def text(self, response_id: str | None = None) -> str:
        return "".join(
            event["delta"]
            for event in self.all("response.output_audio_transcript.delta")
            if response_id in (None, event["response_id"])
        )


class Dictation(Drive):
    """Drives one transcription session."""

    def __init__(self, name: str = "sess_0123456789abcdef01234567", **options: Any) -> None:
        record = SessionRecord(name, "transcription", "", OPENED_AT)
        self.session = TranscriptionSession(record, SimulatorOptions(**options), OPENED_AT, OPENED_UNIX)
        super().__init__("transcription", record, self.session)

    def send(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        return self.receive({"type": kind, **fields})

    def update(self, include: Any = None, **heard: Any) -> dict[str, Any]:
        more = {} if include is None else {"include": include}
        session = {"type": "transcription", "audio": {"input": heard}, **more}
        return self.send("session.update", session=session)[0]

    def whisper(self, include: Any = None, **transcription: Any) -> dict[str, Any]:
        """As a client of the streaming model begins."""
        given = {"model": "gpt-realtime-whisper", **transcription}
        return self.update(include, transcription=given, turn_detection=None)

    def append(self, pcm: np.ndarray) -> list[dict[str, Any]]:
        audio = base64.b64encode(pcm.astype("<i2").tobytes()).decode()
        return self.send("input_audio_buffer.append", audio=audio)

    def speak(self, *pieces: np.ndarray, chunk: int = 480) -> None:
        """Append at the pace of speech: a chunk comes when it is over."""
        pcm = np.concatenate(pieces)
        for start in range(0, len(pcm), chunk):
            self.run(len(pcm[start : start + chunk]) / RATE)
            self.append(pcm[start : start + chunk])

    def commit(self) -> list[dict[str, Any]]:
        return self.send("input_audio_buffer.commit")

    def all(self, kind: str) -> list[dict[str, Any]]:
        """The events whose type ends so."""
        return [event for _, event in self.events if event["type"].endswith(kind)]

    def deltas(self) -> list[tuple[float, str]]:
        """When each delta came, from the session's opening, and its text."""
        deltas = (
            (when, event) for when, event in self.events if event["type"].endswith("transcription.delta")
        )
        return [(round(when - OPENED_AT, 2), event["delta"]) for when, event in deltas]

    def finals(self) -> list[str]:
        return [event["transcript"] for event in self.all(".completed")]

    def error(self) -> dict[str, Any]:
        return self.all("error")[-1]["error"]


@pytest.fixture
def dictate() -> Callable[..., Dictation]:
    return Dictation


@pytest.fixture
def talk() -> Callable[..., Talk]:
    return Talk


@pytest.fixture
def drive() -> Callable[..., Driver]:
    return Driver


@pytest.fixture
def sound() -> tuple[Callable[..., np.ndarray], Callable[..., np.ndarray]]:
    return tone, quiet
