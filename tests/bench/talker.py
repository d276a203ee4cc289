"""A person who talks with an agent: asks, waits for the answer, interrupts it. What was said is kept."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from parley.demo.audio import Pcm
from parley.demo.people import Person
from parley.demo.recording import Recording
from parley.demo.speech import SAMPLE_RATE_HZ, Word, countable_words

Kind = Literal["early", "turn", "interruption"]
EARLY_WORDS = 5
"""Said within 3 s of the agent's first sound, and never again."""
_TURN_WORDS = 3
_PERIOD_S = 0.45
"""From word to word: without a pause that would end the turn."""
_WORDS = 24
_AUDIBLE_S = 0.15
_QUIET_S = 0.35
_GREETED_S = 30.0
_ANSWERED_S = 6.0
_RESTED_S = 25.0
_LOUD = 200


@dataclass(frozen=True)
class Said:
    """One utterance: its first and its last sample (monotonic, s), and how far away the API was."""

    kind: Kind
    began: float
    ended: float
    words: tuple[int, ...]
    round_trip_s: float = 0.0


def agent_track(identity: str, name: str, _publisher: str) -> bool:
    """Whether a track is that of somebody's own agent, on either side."""
    return name in (f"parley-agent:{identity}", f"stock-agent:{identity}")


class Talker:
    """One person. `greeted`, `ask` and `interrupt` take as long as what they say."""

    def __init__(self, identity: str, number: int, person: Person) -> None:
        self.identity = identity
        self.person = person
        self.words: tuple[Word, ...] = countable_words("en", voice=number, count=_WORDS)
        self.said: list[Said] = []
        self.silent_agent = 0
        """Times that an answer was waited for in vain."""
        self._next = EARLY_WORDS
        self._chance = random.Random(number)

    @property
    def recordings(self) -> list[Recording]:
        """All that was heard of the agent."""
        return self.person.recordings

    async def greeted(self) -> None:
        """Waits for the greeting, and talks over its first seconds."""
        if not await self._until(self._hears, _GREETED_S):
            raise RuntimeError(f"{self.identity}'s agent never spoke")
        self._say("early", tuple(range(EARLY_WORDS)))
        await self.person.quiet()

    async def rested(self) -> None:
        """Waits until neither has said anything for a while."""
        await self.person.quiet()
        await asyncio.sleep(1.5)
        await self._until(lambda: time.monotonic() - self._last_loud() > 1.5, _RESTED_S)

    async def ask(self, seconds: float) -> None:
        """Asks again and again, each time when the answer is over."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            await asyncio.sleep(self._chance.uniform(0.3, 1.2))
            self._say("turn", self._some())
            if not await self._answered():
                continue
            await self._until(lambda: time.monotonic() - self._last_loud() > _QUIET_S, _RESTED_S)

    async def interrupt(self, times: int, round_trip_s: float) -> None:
        """Starts an answer, then talks over it so many times; each interruption starts the next."""
        self._say("turn", self._some(), round_trip_s)
        for _ in range(times):
            if not await self._answered():
                self._say("turn", self._some(), round_trip_s)
                if not await self._answered():
                    continue
            await asyncio.sleep(self._chance.uniform(0.8, 3.0))
            self._say("interruption", self._some(), round_trip_s)
        await self.person.quiet()

    def _some(self) -> tuple[int, ...]:
        chosen = []
        for _ in range(_TURN_WORDS):
            chosen.append(self._next)
            self._next = self._next + 1 if self._next + 1 < _WORDS else EARLY_WORDS
        return tuple(chosen)

    def _say(self, kind: Kind, words: tuple[int, ...], round_trip_s: float = 0.0) -> None:
        pcm = self._spoken(words)
        loud = np.flatnonzero(np.abs(pcm.astype(np.int32)) > _LOUD)
        began = self.person.say(pcm)
        first, last = began + int(loud[0]) / SAMPLE_RATE_HZ, began + int(loud[-1]) / SAMPLE_RATE_HZ
        self.said.append(Said(kind, first, last, words, round_trip_s))

    def _spoken(self, words: tuple[int, ...]) -> Pcm:
        period = round(_PERIOD_S * SAMPLE_RATE_HZ)
        pcm = np.zeros(period * len(words), np.int16)
        for place, word in enumerate(words):
            sound = self.words[word].pcm[:period]
            pcm[place * period : place * period + len(sound)] = sound
        return pcm

    async def _answered(self) -> bool:
        """Waits until it is said, and the agent was quiet, and then speaks; False where it does not."""
        await self.person.quiet()
        await self._until(lambda: not self._hears(), _ANSWERED_S)
        answers = await self._until(self._hears, _ANSWERED_S)
        self.silent_agent += not answers
        return answers

    def _hears(self) -> bool:
        return time.monotonic() - self._last_loud() < _AUDIBLE_S

    def _last_loud(self) -> float:
        return max((recording.last_loud_s for recording in self.recordings), default=0.0)

    async def _until(self, condition: Callable[[], bool], within_s: float) -> bool:
        deadline = time.monotonic() + within_s
        while not condition():
            if time.monotonic() > deadline:
                return False
            await asyncio.sleep(0.02)
        return True
