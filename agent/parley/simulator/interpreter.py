"""The simulated model itself: audio in, and what is said and written for each frame, when it is due."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, inf

import numpy as np

from .hearing import Hearing
from .options import SimulatorOptions
from .pipeline import FRAME_S, Engine, Item, Line
from .transcript import Transcript, Words
from .voice import SAMPLE_RATE_HZ, Pcm, VoiceState, loud_blocks, speak

__all__ = ["Interpreter", "Said"]

FRAME = round(FRAME_S * SAMPLE_RATE_HZ)
_FRAME_MS = round(FRAME_S * 1000)


@dataclass(frozen=True, slots=True)
class Said:
    """What comes out for one engine frame: transcript deltas, and `int16[n]` mono at 24 kHz or None."""

    elapsed_ms: int
    texts: tuple[str, ...] = ()
    pcm: Pcm | None = None


class Interpreter:
    """Splits the input into engine frames and lets their output go when it is due. Without I/O and without a
    clock."""

    def __init__(self, options: SimulatorOptions) -> None:
        self._options = options
        self._engine = Engine(options.drain_speed)
        self._output: Line[Said] = Line()
        self._source: Line[Said] = Line()
        self._partial = bytearray()
        self._frames = 0
        self._words = Words()
        self._voice = VoiceState()
        self._language = "es"
        self._written = Transcript("es")
        self._transcribed: Transcript | None = None
        self._hearing = Hearing(options.recognise_word)
        self._heard_from = 0
        """The frame from which on it hears."""
        self._held: Said | None = None
        self._last = (0, 0.0)

    @property
    def is_empty(self) -> bool:
        """Whether all that was heard has been said."""
        return not (self._output.items or self._source.items or self._held)

    def configure(self, language: str, transcribe: bool) -> None:
        """From the next whole frame on, speak `language` and write the source down or not."""
        if language != self._language:
            self._language = language
            if texts := self._written.switch(language):
                step, at = self._last
                self._output.items.append(Item(step, at, Said(self._elapsed_ms(step), tuple(texts))))
        if transcribe != (self._transcribed is not None):
            self._transcribed = Transcript("source") if transcribe else None
            self._hearing.clear()
            self._heard_from = self._frames

    def feed(self, data: bytes, now: float, extra_lag_s: float = 0.0) -> None:
        """Take PCM16 bytes; what does not fill a frame waits for more."""
        self._partial += data
        whole = len(self._partial) // (2 * FRAME) * 2 * FRAME
        if not whole:
            return
        pcm = np.frombuffer(bytes(self._partial[:whole]), "<i2").astype(np.int16, copy=False)
        del self._partial[:whole]
        for start in range(0, len(pcm), FRAME):
            self._frame(pcm[start : start + FRAME], now, extra_lag_s)

    def finish(self, now: float) -> None:
        """The input is over: fill up the last frame, end the sentence, and hurry."""
        if self._partial:
            self.feed(bytes(2 * FRAME - len(self._partial)), now)
        step, at = self._last
        if texts := self._written.end():
            self._output.items.append(Item(step, at, Said(self._elapsed_ms(step), tuple(texts))))
        if texts := self._source_ended():
            self._source.items.append(Item(step, at, Said(self._elapsed_ms(step), tuple(texts))))
        self._engine.free_running = True
        self._output.hurry(self._engine, now)
        self._source.hurry(self._engine, now)

    def source_due(self, now: float) -> list[Said]:
        """Consume what can be consumed by now; returns the source transcript that is due."""
        while not (self._engine.free_running and self.is_empty) and self._engine.step(now):
            pass
        return self._source.release(self._engine.consumed, now)

    def output_due(self, now: float) -> list[Said]:
        """The output that is due, in deltas of the length that the options say."""
        said = self._output.release(self._engine.consumed, now)
        if self._options.delta_ms == _FRAME_MS:
            return said
        paired = [done for one in said for done in self._pair(one)]
        if self._engine.free_running and not self._output.items and self._held:
            paired.append(self._held)
            self._held = None
        return paired

    def next_due(self) -> float:
        """When something is due next; infinity if nothing is until more audio comes."""
        consumed = self._engine.consumed
        dues = (self._output.next_due(consumed), self._source.next_due(consumed), self._engine.next_due)
        return min((due for due in dues if due is not None), default=inf)

    def _frame(self, pcm: Pcm, now: float, extra_lag_s: float) -> None:
        index, self._frames = self._frames, self._frames + 1
        self._engine.feed(now)
        loud = loud_blocks(pcm)
        marks = self._words.push(loud.tolist())
        spoken = speak(pcm, self._language, self._voice, loud)
        silence = np.zeros(FRAME, np.int16) if self._options.silent_deltas else None
        written = tuple(self._written.deltas(marks))
        said = Said(0, written, spoken if self._voice.audible else silence)
        lag_s = self._options.model_lag_s + extra_lag_s
        self._last = self._put(self._output, index, now, lag_s, said)
        for place, heard in self._source_texts(pcm, marks, index):
            self._put(self._source, index, now, lag_s / 2, Said(0, tuple(heard)), place)

    def _source_texts(self, pcm: Pcm, marks: list[int], index: int) -> list[tuple[int, Sequence[str]]]:
        """What is written of the source, by the frame in which it was said: the marks' numbers, or what is
        recognised, which is known a while after it was said."""
        if self._transcribed is None:
            return []
        if self._options.recognise_word is None:
            texts = self._transcribed.deltas(marks)
            return [(index, texts)] if texts else []
        known = self._hearing.push(pcm)
        return [(self._heard_from + (heard.end - 1) // FRAME, heard.texts) for heard in known if heard.texts]

    def _source_ended(self) -> list[str]:
        if self._transcribed is None:
            return []
        if self._options.recognise_word is None:
            return self._transcribed.end()
        return [text for heard in self._hearing.end() for text in heard.texts]

    def _put(
        self, line: Line[Said], index: int, now: float, lag_s: float, said: Said, place: int | None = None
    ) -> tuple[int, float]:
        """`index`: the frame with which it is known; `place`: the one that it is about, if another."""
        lag = ceil(lag_s / FRAME_S - 1e-6)
        about = index if place is None else place
        counts = about if self._options.elapsed_of == "input" else index + lag
        step, at = (index + lag, -inf) if self._options.lag_clock == "model" else (index, now + lag_s)
        line.items.append(Item(step, at, replace(said, elapsed_ms=counts * _FRAME_MS)))
        return step, at

    def _elapsed_ms(self, step: int) -> int:
        return (self._frames - 1 if self._options.elapsed_of == "input" else step) * _FRAME_MS

    def _pair(self, said: Said) -> list[Said]:
        """Join two audible frames; a frame that has no sound lets the one before it go."""
        held, self._held = self._held, None
        if said.pcm is None:
            return [held, said] if held else [said]
        if held is None or held.pcm is None:
            self._held = said
            return []
        both = np.concatenate((held.pcm, said.pcm))
        return [Said(held.elapsed_ms, held.texts + said.texts, both)]
