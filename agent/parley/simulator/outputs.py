"""The output items of one response, as they go out: each is added, filled by deltas, and done."""

from dataclasses import dataclass

import numpy as np

from .appends import encode_audio
from .items import Item
from .records import ResponseRecord
from .speech import Segment
from .state import State
from .usage import Tokens, audio_tokens, text_tokens
from .voice import SAMPLE_RATE_HZ, Pcm
from .wire import Event

__all__ = ["Exhausted", "Outputs"]


class Exhausted(Exception):
    """The response has put out as many tokens as it may."""


@dataclass(slots=True)
class _Open:
    """The item that is being put out."""

    item: Item
    index: int
    has_part: bool = False
    text: str = ""

    @property
    def is_cut(self) -> bool:
        """Whether the client truncated it already."""
        return self.item.record.truncated_at_ms is not None


class Outputs:
    """Sends the items of one response, one after the other. `settings` are the response's."""

    def __init__(self, state: State, record: ResponseRecord, settings: Event, now: float) -> None:
        self.now = now
        self.done: list[Event] = []
        """The items that are done, as they were sent."""
        self.spent = Tokens()
        self.playback_s = 0.0
        """How long the audio that was sent plays."""
        self._state, self._record = state, record
        self._limit: int | str = settings["max_output_tokens"]
        self._format: Event = settings["audio"]["output"]["format"]
        self._with_audio = settings["output_modalities"] == ["audio"]
        self._in_conversation = record.conversation == "auto"
        self._open: _Open | None = None

    @property
    def has_begun(self) -> bool:
        """Whether anything was put out."""
        return self._open is not None or bool(self.done)

    def begin(self, prefix: str, body: Event) -> Item:
        """`response.output_item.added`, and `conversation.item.added`."""
        state = self._state
        item = state.new_item(prefix, body, self.now)
        self._open = _Open(item, len(self.done))
        state.emit(
            "response.output_item.added",
            response_id=self._record.id,
            output_index=len(self.done),
            item=item.wire(),
        )
        if self._in_conversation:
            previous = state.add_item(item)
            state.emit("conversation.item.added", previous_item_id=previous, item=item.wire())
        return item

    def begin_part(self) -> None:
        """`response.content_part.added`."""
        self._current.has_part = True
        self.emit("response.content_part.added", content_index=0, part=self._part(""))

    def write(self, segment: Segment) -> None:
        """A delta of the transcript, or of the text. Raises Exhausted."""
        self.count(Tokens(text=text_tokens(segment.text)))
        current = self._current
        current.text += segment.text
        if not current.is_cut:
            current.item.record.text = current.text
            if self._with_audio:
                current.item.spoken.append(segment)
        if segment.text:
            self._state.record.said(segment.text, source=False)
            kind = "output_audio_transcript" if self._with_audio else "output_text"
            self.emit(f"response.{kind}.delta", content_index=0, delta=segment.text)

    def send(self, piece: Pcm) -> None:
        """A delta of the audio, `int16[n]`. Raises Exhausted."""
        item, duration_s = self._current.item, len(piece) / SAMPLE_RATE_HZ
        before = audio_tokens(self.playback_s * 1000, is_output=True)
        self.count(Tokens(audio=audio_tokens((self.playback_s + duration_s) * 1000, is_output=True) - before))
        self.playback_s += duration_s
        if not self._current.is_cut:
            item.pcm = piece if item.pcm is None else np.concatenate([item.pcm, piece])
            item.samples += len(piece)
            item.record.audio_ms = item.audio_ms
        self._state.configuration.has_spoken = True
        self._state.record.audio_sent_s += duration_s
        self._record.audio_ms = round(self.playback_s * 1000)
        if self._record.first_audio_at is None:
            self._record.first_audio_at = self.now
        delta = encode_audio(piece, self._format)
        self.emit("response.output_audio.delta", content_index=0, delta=delta)

    def count(self, tokens: Tokens) -> None:
        """Count what is put out next. Raises Exhausted if it is too much."""
        if isinstance(self._limit, int) and (self.spent + tokens).total > self._limit:
            raise Exhausted
        self.spent += tokens

    def finish(self, status: str | None) -> None:
        """The item is done: `completed`, `incomplete`, or None where it has no status."""
        if self._current.has_part:
            self._finish_part()
        current, item = self._current, self._current.item
        if status is not None:
            item.body["status"] = status
        wire = item.wire()
        self.done.append(wire)
        self._state.emit(
            "response.output_item.done", response_id=self._record.id, output_index=current.index, item=wire
        )
        if self._in_conversation and self._state.items.find(item.id) is not None:
            previous = self._state.items.before(item.id)
            self._state.emit("conversation.item.done", previous_item_id=previous, item=wire)
        self._open = None

    def stop(self) -> None:
        """The response ends: an item that is not done is incomplete."""
        if self._open is not None:
            self.finish("incomplete")

    def emit(self, kind: str, **fields: object) -> None:
        """An event about the item that is put out."""
        where = {"item_id": self._current.item.id, "output_index": self._current.index}
        self._state.emit(kind, response_id=self._record.id, **where, **fields)

    @property
    def _current(self) -> _Open:
        if self._open is None:
            raise RuntimeError("no item is being put out")
        return self._open

    def _part(self, text: str) -> Event:
        return {"type": "audio", "transcript": text} if self._with_audio else {"type": "text", "text": text}

    def _finish_part(self) -> None:
        current = self._current
        if self._with_audio:
            self.emit("response.output_audio.done", content_index=0)
            self.emit("response.output_audio_transcript.done", content_index=0, transcript=current.text)
            content = {"type": "output_audio", "transcript": current.text}
        else:
            self.emit("response.output_text.done", content_index=0, text=current.text)
            content = {"type": "output_text", "text": current.text}
        self.emit("response.content_part.done", content_index=0, part=self._part(current.text))
        if not current.is_cut:
            current.item.body["content"] = [content]
        self._state.record.said("\n", source=False)
        self._record.text = f"{self._record.text} {current.text}".strip()
