"""A tiny server for `Transcriber`: a word is a sound of a level of its own, with some silence after it."""

from __future__ import annotations

import random
from array import array
from collections import deque
from dataclasses import dataclass, field

import numpy as np

from livekit.plugins.openai_realtime.errors import from_error_event
from livekit.plugins.openai_realtime.events import (
    Committed,
    ErrorReported,
    NotTranscribed,
    Transcribed,
    TranscriptionEvent,
    Words,
)
from livekit.plugins.openai_realtime.spoken import BYTES_PER_S
from livekit.plugins.openai_realtime.transcriber import Append, Commit, Leg, Line

FRAME_S = 0.04
FRAME = round(BYTES_PER_S * FRAME_S)
_FIRST_LEVEL = 8_000


def silence(seconds: float) -> bytes:
    return bytes(round(seconds * BYTES_PER_S) // 2 * 2)


def word(number: int, seconds: float = 0.24) -> bytes:
    """Speech: each sample has the level of the word, plus or minus, so that its mean is silence."""
    level = _FIRST_LEVEL + number
    return array("h", [level, -level]).tobytes() * (round(seconds * BYTES_PER_S) // 4)


def words_in(pcm: bytes | bytearray) -> list[int]:
    """The words, each run of one level; a word cut in half is found in both halves."""
    levels = np.frombuffer(bytes(pcm), dtype="<i2")[::2]
    begins = np.flatnonzero(np.diff(levels, prepend=0))
    return [abs(int(level)) - _FIRST_LEVEL for level in levels[begins] if level]


def text_of(numbers: list[int]) -> str:
    return "".join(f" w{number}" for number in numbers)


@dataclass
class Item:
    """Audio of one commit, and what was said of it."""

    item_id: str
    pcm: bytearray = field(default_factory=bytearray)
    told: int = 0


class TinyServer:
    """One connection's other end: takes steps, and says events in any order that the API allows."""

    def __init__(self, name: str, chance: random.Random, *, fails: float = 0.0) -> None:
        self.said: deque[TranscriptionEvent] = deque()
        self.commits = 0
        self._name = name
        self._chance = chance
        self._fails = fails
        self._items = 0
        self._buffer = self._new_item()
        self._last: str | None = None
        self._untranscribed: list[Item] = []

    def take(self, step: Append | Commit) -> None:
        if isinstance(step, Append):
            assert 0 < len(step.pcm) <= BYTES_PER_S
            self._buffer.pcm += step.pcm
            self._tell_words(self._buffer, certain=1)
            return
        self.commits += 1
        item = self._buffer
        if len(item.pcm) < BYTES_PER_S // 10:
            code = {"code": "input_audio_buffer_commit_empty", "event_id": step.event_id}
            self.said.append(ErrorReported(from_error_event(code)))
            return
        self.said.append(Committed(item.item_id, self._last))
        self._last = item.item_id
        self._untranscribed.append(item)
        self._buffer = self._new_item()

    def transcribe(self) -> None:
        """Any one of the committed items is done."""
        if not self._untranscribed:
            return
        item = self._untranscribed.pop(self._chance.randrange(len(self._untranscribed)))
        if self._chance.random() < self._fails:
            self.said.append(NotTranscribed(item.item_id, from_error_event({"code": "server_error"})))
            return
        if self._chance.random() < 0.5:
            self._tell_words(item, certain=0)
        transcript = text_of(words_in(item.pcm))
        self.said.append(Transcribed(item.item_id, transcript, None, 0.9))

    @property
    def owes(self) -> bool:
        return bool(self._untranscribed or self.said)

    def _tell_words(self, item: Item, *, certain: int) -> None:
        known = words_in(item.pcm)
        ready = max(item.told, len(known) - certain)
        if ready > item.told and (certain == 0 or self._chance.random() < 0.5):
            self.said.append(Words(item.item_id, text_of(known[item.told : ready])))
            item.told = ready

    def _new_item(self) -> Item:
        self._items += 1
        return Item(f"{self._name}_item_{self._items}")


class Reader:
    """What a person has read. Raises AssertionError for words taken back, said twice or out of order."""

    def __init__(self) -> None:
        self.finals: list[Line] = []
        self.interims: dict[str, str] = {}
        self.taken_back = 0

    def read(self, lines: list[Line]) -> None:
        done = {line.id for line in self.finals}
        for line in lines:
            assert line.id not in done, f"{line} after its final"
            assert line.started_at <= line.ended_at
            shown = self.interims.get(line.id, "")
            if not line.text.startswith(shown):
                self.taken_back += 1
            if line.final:
                self.finals.append(line)
                done.add(line.id)
            else:
                assert len(line.text) > len(shown)
                self.interims[line.id] = line.text

    @property
    def words(self) -> list[int]:
        return [int(name[1:]) for line in self.finals for name in line.text.split()]


def give(leg: Leg, server: TinyServer, now: float) -> None:
    """Everything that is to be sent."""
    while (step := leg.take(now)) is not None:
        server.take(step)
