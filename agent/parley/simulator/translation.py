"""A translation session (`/v1/realtime/translations`), without I/O.

    created ──session.update──▶ updated ──append…──▶ deltas, the lag later
       └──session.close──▶ closing: flush ──▶ session.closed        └── expires_at ──▶ error session_expired

The session repeats what it hears in the output language's marked voice (`voice`) and numbers the words it
hears (`transcript`). Each engine frame of 200 ms of input gives one output frame of the same length, the
model lag later. `elapsed_ms` is the start of the input frame that the output repeats, in steps of 200 ms, or
of the engine frame in which it was said (`SimulatorOptions.elapsed_of`). The source transcript comes after
half the lag.
"""

import base64
from itertools import count
from math import inf

from .appends import decode_pcm
from .interpreter import Interpreter, Said
from .options import SimulatorOptions
from .pipeline import FRAME_S
from .records import SessionRecord
from .session import Ending
from .validation import validate
from .voice import LANGUAGES, SAMPLE_RATE_HZ
from .wire import ApiError, Event, error_body, schemas, supported

__all__ = ["MODEL", "TranslationSession"]

MODEL = "gpt-realtime-translate"

_EXPIRED = "Your session hit the maximum duration of 60 minutes."


class TranslationSession:
    """One session: `receive` and `tick` return the server events to send, in order."""

    def __init__(self, record: SessionRecord, options: SimulatorOptions, now: float, unix_now: float) -> None:
        self.record = record
        self.ending: Ending | None = None
        self._options = options
        self._schemas = schemas("translation")["client"]
        self._numbers = count(1)
        self._expires_at = int(unix_now + options.session_lifetime_s)
        self._deadline = now + options.session_lifetime_s
        self._transcription: Event | None = None
        self._noise_reduction: Event | None = None
        self._ahead_s, self._ahead_at = 0.0, now
        self._slow_s, self._slow_until, self._silent_until = 0.0, -inf, -inf
        self._closing = False
        self._interpreter = Interpreter(options)
        record.language = "es"

    def open(self) -> list[Event]:
        """`session.created`."""
        return [self._event("session.created", session=self._session())]

    def receive(self, event: Event, now: float) -> list[Event]:
        """Take a client event; a refusal comes back as an `error` event."""
        try:
            kind = validate(event, self._schemas)
            if self._closing:
                raise ApiError("invalid_event", f"The session is closing: '{kind}' is not accepted any more.")
            if kind == "session.update":
                return self._update(event["session"], now)
            if kind == "session.close":
                self._close(now)
            else:
                self._append(event["audio"], now)
        except ApiError as error:
            return self.refuse(error, event)
        return []

    def refuse(self, error: ApiError, event: Event | None = None) -> list[Event]:
        """An `error` event that echoes the client event's id."""
        return [self._event("error", error=self.record.refuse(error, event))]

    def tick(self, now: float) -> list[Event]:
        """The deltas that became due; `session.closed` after the last; the error at expiry."""
        if self.ending:
            return []
        events = [
            event for said in self._interpreter.source_due(now) for event in self._write(said, source=True)
        ]
        for said in self._interpreter.output_due(now):
            if now >= self._silent_until:
                events += self._write(said, source=False)
        if self._closing and self._interpreter.is_empty:
            self.ending = Ending(1000, "", "session.close")
            events.append(self._event("session.closed"))
        elif now >= self._deadline:
            events += self.expire(now)
        return events

    def next_due(self) -> float | None:
        """When to call `tick`: the next output, at the latest the expiry; None once the session is over."""
        return None if self.ending else min(self._deadline, self._interpreter.next_due())

    def expire(self, now: float) -> list[Event]:
        """The API's error at the end of a session's time, and close code 1001."""
        self.ending = Ending(1001, _EXPIRED, "expired")
        error = error_body(ApiError("session_expired", _EXPIRED))
        return [self._event("error", error=error)]

    def slow(self, extra_s: float, until: float) -> None:
        """What comes in until then is said `extra_s` later."""
        self._slow_s, self._slow_until = extra_s, until

    def silence(self, until: float) -> None:
        """What is due until then is never said."""
        self._silent_until = until

    def _update(self, session: Event, now: float) -> list[Event]:
        audio = session.get("audio", {})
        given = audio.get("input", {})
        language = audio.get("output", {}).get("language", self.record.language)
        if language not in LANGUAGES:
            message = (
                f"Invalid value: '{language[:100]}'. Supported values are: {supported(list(LANGUAGES))}."
            )
            raise ApiError("invalid_value", message, "session.audio.output.language")
        if "noise_reduction" in given:
            wanted, had = given["noise_reduction"], self._noise_reduction or {"strength": 1.0}
            self._noise_reduction = {"strength": had["strength"], **wanted} if wanted else None
        if "transcription" in given:
            self._transcription = given["transcription"]
        self.record.language, self.record.updated_at = language, now
        self._interpreter.configure(language, self._transcription is not None)
        return [self._event("session.updated", session=self._session())]

    def _append(self, audio: str, now: float) -> None:
        data = decode_pcm(audio)
        seconds = len(data) / 2 / SAMPLE_RATE_HZ
        ahead_s = max(0.0, self._ahead_s - (now - self._ahead_at))
        if ahead_s + seconds > self._options.max_ahead_s + FRAME_S:
            message = (
                f"Audio was appended {ahead_s + seconds:.1f} s ahead of real time, the limit is "
                f"{self._options.max_ahead_s:.0f} s. Expected mono PCM16 at 24kHz in real time."
            )
            raise ApiError("rate_limit_exceeded", message, "audio")
        self._ahead_s, self._ahead_at = ahead_s + seconds, now
        self.record.audio_received_s += seconds
        self.record.appends.append((now, len(data) // 2))
        self._interpreter.feed(data, now, self._slow_s if now < self._slow_until else 0.0)

    def _close(self, now: float) -> None:
        self._closing = True
        self._interpreter.finish(now)

    def _write(self, said: Said, *, source: bool) -> list[Event]:
        kind = "session.input_transcript.delta" if source else "session.output_transcript.delta"
        events = []
        for text in said.texts:
            self.record.said(text, source=source)
            events.append(self._event(kind, delta=text, elapsed_ms=said.elapsed_ms))
        if said.pcm is not None:
            self.record.audio_sent_s += len(said.pcm) / SAMPLE_RATE_HZ
            delta = base64.b64encode(said.pcm.astype("<i2", copy=False).tobytes()).decode()
            event = self._event("session.output_audio.delta", delta=delta, sample_rate=SAMPLE_RATE_HZ)
            events.append(event | {"channels": 1, "format": "pcm16", "elapsed_ms": said.elapsed_ms})
        return events

    def _session(self) -> Event:
        heard = {"transcription": self._transcription, "noise_reduction": self._noise_reduction}
        audio = {"input": heard, "output": {"language": self.record.language}}
        return {
            "id": self.record.id,
            "type": "translation",
            "model": self.record.model,
            "expires_at": self._expires_at,
            "audio": audio,
        }

    def _event(self, kind: str, **fields: object) -> Event:
        return {"type": kind, "event_id": f"event_{self.record.id[5:]}_{next(self._numbers)}", **fields}
