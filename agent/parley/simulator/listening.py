"""The input side of a conversation: audio in, turns found, utterances committed and written down.

speech_started ─▶ speech_stopped ─▶ committed ─▶ item.added ─▶ item.done ─▶ response.created …
                                                      └─ delay ─▶ transcription.delta ─▶ .completed
"""

from collections import deque
from dataclasses import dataclass
from math import inf

import numpy as np

from .answering import Answering
from .appends import decode_audio
from .input_buffer import InputBuffer
from .items import Item
from .state import State
from .usage import transcription_usage
from .voice import SAMPLE_RATE_HZ, Pcm
from .wire import ApiError, Event

__all__ = ["Listening"]

_MOST_WAITING = 256
_LOGPROB = {"logprob": -0.1}


@dataclass(slots=True)
class _Transcription:
    """An utterance that is being written down."""

    due: float
    item: Item
    model: str
    with_logprobs: bool


class Listening:
    """The input audio buffer of one session and what comes of it."""

    def __init__(self, state: State, answering: Answering) -> None:
        self._state, self._answering = state, answering
        self._buffer = InputBuffer()
        self._buffer.configure(state.configuration.turn_detection)
        self._item_id: str | None = None
        self._waiting: deque[_Transcription] = deque()
        self._played_ms = 0

    def configure(self) -> None:
        """Turn detection was set anew; an utterance that was begun stays in the buffer."""
        self._buffer.configure(self._state.configuration.turn_detection)
        self._item_id = None

    def append(self, audio: str, now: float) -> None:
        """`input_audio_buffer.append`. Raises ApiError."""
        data = decode_audio(audio, self._state.configuration.input["format"])
        record = self._state.record
        record.audio_received_s += len(data) / 2 / SAMPLE_RATE_HZ
        record.appends.append((now, len(data) // 2))
        self._buffer.append(data)
        while mark := self._buffer.next_mark():
            if mark.kind == "started":
                self._begin(mark.at_ms, now)
            else:
                self._finish(mark.at_ms, now)

    def commit(self, now: float) -> None:
        """`input_audio_buffer.commit`. Raises ApiError."""
        self._commit(self._buffer.take(), now)

    def clear(self) -> None:
        """`input_audio_buffer.clear`."""
        self._buffer.clear()
        self._item_id = None
        self._state.emit("input_audio_buffer.cleared")

    def next_due(self) -> float:
        """When to call `tick`; infinity if nothing waits for the clock."""
        return min(self._waiting[0].due if self._waiting else inf, self._timeout_at())

    def tick(self, now: float) -> None:
        """Write down what is due, and break a silence that lasted too long."""
        while self._waiting and self._waiting[0].due <= now:
            self._write_down(self._waiting.popleft())
        if self._timeout_at() <= now:
            self._break_silence(now)

    def _begin(self, at_ms: int, now: float) -> None:
        self._item_id = self._state.new_id("item")
        self._answering.idle_since = None
        self._state.emit("input_audio_buffer.speech_started", audio_start_ms=at_ms, item_id=self._item_id)
        settings = self._state.configuration.turn_detection or {}
        if settings.get("interrupt_response") and self._answering.active is not None:
            self._answering.cancel(None, now, "turn_detected")
            self._answering.idle_since = None

    def _finish(self, at_ms: int, now: float) -> None:
        item_id = self._item_id or self._state.new_id("item")
        self._item_id = item_id
        self._state.emit("input_audio_buffer.speech_stopped", audio_end_ms=at_ms, item_id=item_id)
        self._commit(self._buffer.take(judged=True), now)
        self._respond(now)

    def _respond(self, now: float) -> None:
        """The response of turn detection; it is refused while another runs."""
        settings = self._state.configuration.turn_detection or {}
        if settings.get("create_response") and self._answering.active is None:
            self._answering.create({}, now)

    def _commit(self, pcm: Pcm, now: float) -> None:
        state = self._state
        body: Event = {"type": "message", "status": "completed", "role": "user"}
        item_id, self._item_id = self._item_id, None
        named = {"id": item_id} if item_id else {}
        item = state.new_item("item", {**body, **named, "content": [{"type": "input_audio"}]}, now)
        item.pcm, item.samples = pcm, len(pcm)
        item.record.text, item.record.audio_ms = state.written(state.words_in(pcm)), item.audio_ms
        previous = state.add_item(item)
        state.emit("input_audio_buffer.committed", previous_item_id=previous, item_id=item.id)
        state.announce(item, previous)
        wanted = state.configuration.input["transcription"]
        if wanted is not None and len(self._waiting) < _MOST_WAITING:
            due = now + state.options.transcription_delay_s
            with_logprobs = bool(state.configuration.settings["include"])
            self._waiting.append(_Transcription(due, item, wanted["model"], with_logprobs))

    def _write_down(self, waiting: _Transcription) -> None:
        item, state = waiting.item, self._state
        text = item.record.text
        where = {"item_id": item.id, "content_index": 0}
        kind = "conversation.item.input_audio_transcription"
        words = text.split(" ") if text else []
        tokens = [word if place == 0 else f" {word}" for place, word in enumerate(words)]
        logprobs = [{"token": one, **_LOGPROB, "bytes": list(one.encode())} for one in tokens]
        for token, logprob in zip(tokens, logprobs, strict=True):
            more = {"logprobs": [logprob]} if waiting.with_logprobs else {}
            state.emit(f"{kind}.delta", **where, delta=token, **more)
        state.record.said(f"{text}\n" if text else "", source=True)
        item.body["content"] = [{"type": "input_audio", "transcript": text}]
        more = {"logprobs": logprobs} if waiting.with_logprobs else {}
        usage = transcription_usage(waiting.model, item.samples / SAMPLE_RATE_HZ, text)
        state.emit(f"{kind}.completed", **where, transcript=text, usage=usage, **more)

    def _timeout_at(self) -> float:
        settings, since = self._state.configuration.turn_detection or {}, self._answering.idle_since
        timeout_ms = settings.get("idle_timeout_ms")
        if timeout_ms is None or since is None or self._buffer.speaking or self._answering.active is not None:
            return inf
        return since + float(timeout_ms) / 1000

    def _break_silence(self, now: float) -> None:
        """The user says nothing: what was heard is committed, and the model goes on."""
        state = self._state
        self._item_id = state.new_id("item")
        end_ms = self._buffer.end_ms
        start_ms = max(0, end_ms - round((now - (self._answering.idle_since or now)) * 1000))
        state.emit(
            "input_audio_buffer.timeout_triggered",
            audio_start_ms=start_ms,
            audio_end_ms=end_ms,
            item_id=self._item_id,
        )
        self._answering.idle_since = None
        try:
            pcm = self._buffer.take()
        except ApiError:
            pcm = np.zeros(SAMPLE_RATE_HZ // 10, np.int16)
        self._commit(pcm, now)
        self._answering.create({}, now)
