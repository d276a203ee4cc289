"""The stand-in's part in a conversation that nobody has written: it hears what was typed, and calls tools."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from parley.simulator import Call, Context, SimulatorOptions, Turn, word_sound
from parley.voice.prompts import exactly

from .audio import Pcm
from .speech import SAMPLE_RATE_HZ, SpeechUnavailable, say

_MOST_LINES = 100
_NOTHING = np.zeros(0, np.int16)
_AROUND_S = 1.5
_MARK = "[simulated]"
_EXACTLY = exactly("")
_ASKED = (
    ("notes", "read_notes"),
    ("note", "take_note"),
    ("time", "current_time"),
    ("camera", "look"),
    ("bye", "hang_up"),
)
"""Words that make it call a tool of the built-in assistant."""


class Standin:
    """Understands lines because it is told them, in the order in which they are spoken."""

    def __init__(self) -> None:
        self._spoken: deque[tuple[str, float]] = deque(maxlen=_MOST_LINES)

    @property
    def options(self) -> SimulatorOptions:
        """For the simulator."""
        return SimulatorOptions(recognise=self._recognise, pronounce=pronounced, script=answered)

    def hears(self, text: str, pcm: Pcm) -> None:
        """This line is spoken next, as `int16[n]` mono at 24 kHz."""
        self._spoken.append((text, len(pcm) / SAMPLE_RATE_HZ))

    def _recognise(self, pcm: Pcm) -> list[str]:
        """The lines that fit into an utterance, at least one if there is any."""
        left_s = len(pcm) / SAMPLE_RATE_HZ
        words: list[str] = []
        while self._spoken and (not words or self._spoken[0][1] + _AROUND_S < left_s):
            text, length_s = self._spoken.popleft()
            words += text.split()
            left_s -= length_s
        return words


@lru_cache(maxsize=1_000)
def pronounced(word: str) -> Pcm:
    """A word in the agent's voice, `int16[n]` mono at 24 kHz."""
    if word == _MARK:
        return _NOTHING
    try:
        sound = say(word, "en", voice=1, pitch=60)
    except SpeechUnavailable:
        return word_sound(word)
    return sound if len(sound) else word_sound(word)


def answered(context: Context) -> Turn | None:
    """A greeting; what it is told to do, in these words; or the tool that the last line asks for.

    A line asks for a tool by a word of `_ASKED`, or by the tool's name, with JSON after it. None, which
    repeats the line, where it does not.
    """
    _, told, text = context.instructions.rpartition(_EXACTLY)
    if told:
        return Turn(say=text)
    if not context.lines:
        tools = ", ".join(context.tools) or "none"
        return Turn(say=f"{_MARK} Hello. I repeat what you say. My tools: {tools}.")
    if context.said:
        return Turn(say=f"{_MARK} {context.instructions.rpartition(chr(10))[2]}")
    return _call(context) if context.lines[-1].role == "user" else None


def _call(context: Context) -> Turn | None:
    text = context.lines[-1].text
    plain = text.lower()
    for tool in context.tools:
        if tool.lower() in plain or tool.replace("_", " ").lower() in plain:
            return Turn(calls=(Call(tool, _arguments(tool, text)),))
    for word, tool in _ASKED:
        if tool in context.tools and word in plain:
            return Turn(calls=(Call(tool, _arguments(tool, text)),))
    return None


def _arguments(tool: str, text: str) -> str | Mapping[str, str]:
    given = re.search(r"\{.*\}", text)
    if given:
        return given[0]
    return {"text": text} if tool == "take_note" else "{}"
