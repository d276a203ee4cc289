"""A transcription session (`/v1/realtime?intent=transcription`), without I/O.

    created ──session.update──▶ updated        ── expires_at ──▶ error session_expired, close 1001
       └─ input_audio_buffer.append … ─▶ .delta … ── commit ─▶ committed, item.added, item.done ─▶ .completed

What is written says that it is simulated, as the source of a translation does, or is what
`SimulatorOptions.recognise_word` recognises. When it is written: `writing`.
"""

from collections.abc import Callable
from itertools import count
from math import inf

import numpy as np

from .appends import decode_audio
from .hearing import Hearing
from .input_buffer import InputBuffer
from .options import SimulatorOptions
from .records import ItemRecord, SessionRecord
from .session import Ending
from .transcription_settings import TranscriptionSettings, is_streaming
from .usage import transcription_usage
from .validation import validate
from .voice import SAMPLE_RATE_HZ, Pcm
from .wire import ApiError, Event, error_body, schemas
from .writing import Delta, Piece, Writing

__all__ = ["TranscriptionSession"]

_EXPIRED = "Your session hit the maximum duration of 60 minutes."
_TRANSCRIPTION = "conversation.item.input_audio_transcription"
_MOST_ID = 32


class TranscriptionSession:
    """One session: `receive` and `tick` return the server events to send, in order."""

    def __init__(self, record: SessionRecord, options: SimulatorOptions, now: float, unix_now: float) -> None:
        self.record = record
        self.ending: Ending | None = None
        self._schemas = schemas("transcription")["client"]
        self._revise = options.revise or str
        self._settings = TranscriptionSettings(record.id, int(unix_now + options.session_lifetime_s), options)
        self._deadline = now + options.session_lifetime_s
        self._numbers = count(1)
        self._events: list[Event] = []
        self._buffer = InputBuffer()
        self._buffer.configure(self._settings.input["turn_detection"])
        self._hearing = Hearing(options.recognise_word)
        self._writing = Writing(options.drain_speed, options.transcription_delay_s)
        self._piece: Piece | None = None
        self._last_item_id: str | None = None
        self._slow_s, self._slow_until, self._silent_until = 0.0, -inf, -inf
        self._handlers: dict[str, Callable[[Event, float], None]] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": lambda _, now: self._commit(self._buffer.take(), now),
            "input_audio_buffer.clear": self._clear,
        }
        record.settings = self._settings.wire()

    def open(self) -> list[Event]:
        """`session.created`."""
        self._emit("session.created", session=self._settings.wire())
        return self._sent()

    def receive(self, event: Event, now: float) -> list[Event]:
        """Take a client event; a refusal comes back as an `error` event."""
        try:
            _check_kind(event)
            kind = validate(event, self._schemas)
            self._handlers[kind](event, now)
        except ApiError as error:
            return self._sent() + self.refuse(error, event)
        return self._sent()

    def refuse(self, error: ApiError, event: Event | None = None) -> list[Event]:
        """An `error` event that echoes the client event's id."""
        self._emit("error", error=self.record.refuse(error, event))
        return self._sent()

    def tick(self, now: float) -> list[Event]:
        """The deltas and final texts that became due; the error at expiry."""
        if self.ending:
            return []
        for due in self._writing.due(now):
            if now < self._silent_until:
                continue
            if isinstance(due, Delta):
                self._say(due)
            else:
                self._complete(due)
        return self._sent() + (self.expire(now) if now >= self._deadline else [])

    def next_due(self) -> float | None:
        """When to call `tick`; None once the session is over."""
        return None if self.ending else min(self._deadline, self._writing.next_due())

    def expire(self, now: float) -> list[Event]:
        """The API's error at the end of a session's time, and close code 1001."""
        self.ending = Ending(1001, _EXPIRED, "expired")
        self._emit("error", error=error_body(ApiError("session_expired", _EXPIRED)))
        return self._sent()

    def slow(self, extra_s: float, until: float) -> None:
        """What is heard or committed until then is written `extra_s` later."""
        self._slow_s, self._slow_until = extra_s, until

    def silence(self, until: float) -> None:
        """What is due until then is never sent; a final text that comes later is whole."""
        self._silent_until = until

    def fail_next(self, error: ApiError) -> None:
        """The transcription of the next item fails."""
        self._writing.fail_next(error)

    def swap_next(self) -> None:
        """The next item is completed after the one that follows it."""
        self._writing.swap_next()

    def _update(self, event: Event, now: float) -> None:
        before = self._settings.input["turn_detection"]
        self._settings.update(event["session"])
        if self._settings.input["turn_detection"] != before:
            self._buffer.configure(self._settings.input["turn_detection"])
        self.record.updated_at, self.record.settings = now, self._settings.wire()
        self.record.model = self._settings.model
        self._emit("session.updated", session=self._settings.wire())

    def _append(self, event: Event, now: float) -> None:
        data = decode_audio(event["audio"], self._settings.input["format"])
        pcm = np.frombuffer(data, "<i2").astype(np.int16, copy=False)
        self.record.audio_received_s += len(pcm) / SAMPLE_RATE_HZ
        self.record.appends.append((now, len(pcm)))
        self._buffer.append(data)
        self._writing.append(self._open(), len(pcm), now)
        if is_streaming(self._settings.model):
            self._writing.write(self._open(), self._hearing.push(pcm), self._delay_s(now))
        while mark := self._buffer.next_mark():
            item_id = self._open().item_id
            if mark.kind == "started":
                self._emit("input_audio_buffer.speech_started", audio_start_ms=mark.at_ms, item_id=item_id)
            else:
                self._emit("input_audio_buffer.speech_stopped", audio_end_ms=mark.at_ms, item_id=item_id)
                self._commit(self._buffer.take(judged=True), now)

    def _commit(self, pcm: Pcm, now: float) -> None:
        """An item of what the buffer held."""
        piece, self._piece = self._open(), None
        piece.samples, piece.model = len(pcm), self._settings.model
        piece.with_logprobs = bool(self._settings.include)
        extra_s = self._extra_s(now)
        if is_streaming(piece.model):
            self._writing.write(piece, self._hearing.end(), self._delay_s(now))
        elif piece.model:
            self._hearing.clear()
            heard = [*self._hearing.push(pcm), *self._hearing.end()]
            self._writing.write(piece, heard, inf)
        self._announce(piece, now)
        if piece.model:
            self._writing.commit(piece, now, extra_s)

    def _announce(self, piece: Piece, now: float) -> None:
        previous, self._last_item_id = self._last_item_id, piece.item_id
        record = ItemRecord(piece.item_id, "message", "user", now, by_client=False)
        record.audio_ms = piece.samples * 1000 // SAMPLE_RATE_HZ
        self.record.add_item(record)
        piece.record = record
        self._emit("input_audio_buffer.committed", previous_item_id=previous, item_id=piece.item_id)
        item: Event = {"id": piece.item_id, "object": "realtime.item", "type": "message"}
        item |= {"status": "completed", "role": "user", "content": [{"type": "input_audio"}]}
        for kind in ("added", "done"):
            self._emit(f"conversation.item.{kind}", previous_item_id=previous, item=item)

    def _clear(self, _: Event, now: float) -> None:
        self._buffer.clear()
        self._hearing.clear()
        if self._piece is not None:
            self._writing.drop(self._piece)
            self._piece = None
        self._emit("input_audio_buffer.cleared")

    def _say(self, due: Delta) -> None:
        piece, text = due.piece, due.text
        self.record.said(text, source=True)
        more = {"logprobs": [_logprob(text)]} if self._settings.include else {}
        self._emit(f"{_TRANSCRIPTION}.delta", item_id=piece.item_id, content_index=0, delta=text, **more)

    def _complete(self, piece: Piece) -> None:
        where = {"item_id": piece.item_id, "content_index": 0}
        if piece.failure is not None:
            error = piece.failure
            body = {"type": error.type, "code": error.code, "message": error.message}
            self._emit(f"{_TRANSCRIPTION}.failed", **where, error=body)
            return
        text = self._revise(piece.text)
        usage = transcription_usage(piece.model, piece.samples / SAMPLE_RATE_HZ, text)
        self.record.usage.add_transcription(usage)
        self.record.said(f"{text}\n" if text else "", source=False)
        if piece.record is not None:
            piece.record.text = text
        more: Event = {"logprobs": [_logprob(said) for said in piece.said]} if piece.with_logprobs else {}
        if piece.model == "gpt-transcribe":
            more["languages"] = [{"code": code} for code in self._settings.languages[:1] if text]
        self._emit(f"{_TRANSCRIPTION}.completed", **where, transcript=text, usage=usage, **more)

    def _open(self) -> Piece:
        """The piece that the audio in the buffer belongs to."""
        if self._piece is None:
            self._piece = Piece(self._new_id("item"))
        return self._piece

    def _extra_s(self, now: float) -> float:
        return self._slow_s if now < self._slow_until else 0.0

    def _delay_s(self, now: float) -> float:
        return self._settings.delay_s + self._extra_s(now)

    def _emit(self, kind: str, **fields: object) -> None:
        self._events.append({"type": kind, "event_id": self._new_id("event"), **fields})

    def _sent(self) -> list[Event]:
        events, self._events = self._events, []
        return events

    def _new_id(self, prefix: str) -> str:
        tail = f"_{next(self._numbers)}"
        return f"{prefix}_{self.record.id[5:]}"[: _MOST_ID - len(tail)] + tail


def _check_kind(event: Event) -> None:
    """A realtime session's update is refused by its name."""
    session = event.get("session")
    if (
        event.get("type") == "session.update"
        and isinstance(session, dict)
        and session.get("type") == "realtime"
    ):
        message = "Passing a realtime session update event to a transcription session is not allowed."
        raise ApiError("invalid_session_type", message, "session.type")


def _logprob(text: str) -> Event:
    return {"token": text, "logprob": -0.1, "bytes": list(text.encode())}
