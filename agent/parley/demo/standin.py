"""The stand-in's part in a conversation that nobody has written: it hears what was typed, and calls tools."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping
from functools import lru_cache

from parley.simulator import Call, Context, SimulatorOptions, Turn, word_sound

from .audio import Pcm
from .speech import SAMPLE_RATE_HZ, SpeechUnavailable, say

_MOST_LINES = 100
_AROUND_S = 1.5
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
        return SimulatorOptions(recognise=self._recognise, pronounce=pronounced, script=called)

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
    try:
        sound = say(word, "en", voice=1, pitch=60)
    except SpeechUnavailable:
        return word_sound(word)
    return sound if len(sound) else word_sound(word)


def called(context: Context) -> Turn | None:
    """The tool that the last line asks for: by a word of `_ASKED`, or by its own name, with JSON after it.

    None, which repeats the line, where it asks for none.
    """
    if not context.lines or context.lines[-1].role != "user":
        return None
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
