"""A hybrid agent: reads what the room says, and opens its audio session only when it has to speak.

transcripts ──▶ read ──addressed by name──▶ VoiceAgent, told what was read ──quiet──▶ closed
                         parley.say ──────▶
"""

import asyncio
import re
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from time import monotonic

from livekit.agents import llm

from parley.agents import Caller
from parley.core.usage import Tokens

from . import prompts
from .agent import MOST_WAITING, VoiceAgent
from .ports import Ending

MOST_LINES = 100
MOST_CHARS = 12_000
"""What was read is kept to these bounds, the newest of it."""
REST_S = 8.0
"""Silence after which the audio session is closed again."""


class HybridAgent:
    """In the place of a `VoiceAgent`; `make` gives a fresh one for each time it speaks."""

    def __init__(self, name: str, caller: Caller, make: Callable[[], VoiceAgent]) -> None:
        self.name = name
        self.caller = caller
        self._make = make
        self._called = re.compile(rf"\b{re.escape(name)}\b", re.IGNORECASE)
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._unread: deque[str] = deque(maxlen=MOST_LINES)
        self._awake: VoiceAgent | None = None
        self._waiting: list[tuple[str, bool]] = []
        self._needed = asyncio.Event()
        self._ending: Ending | None = None
        self._listened_to = False
        self._tokens = Tokens()
        self._usd = 0.0

    @property
    def waiting_s(self) -> float:
        """Seconds of a microphone that wait for the session: it hears none."""
        return 0.0

    @property
    def awake(self) -> bool:
        """Whether its audio session is open."""
        return self._awake is not None

    @property
    def tokens(self) -> Tokens:
        """What it has used so far."""
        return self._tokens + (self._awake.tokens if self._awake is not None else Tokens())

    @property
    def usd(self) -> float:
        """What that cost, at list prices."""
        return self._usd + (self._awake.usd if self._awake is not None else 0.0)

    @property
    def memory(self) -> llm.ChatContext:
        """See VoiceAgent. Nothing: whoever takes over reads on."""
        return llm.ChatContext.empty()

    def read(self, speaker: str, text: str) -> None:
        """A line of the room's transcript. One that names the agent makes it answer."""
        line = f"{speaker}: {text}"
        self._lines.append(line)
        while sum(map(len, self._lines)) > MOST_CHARS and len(self._lines) > 1:
            self._lines.popleft()
        if self._awake is not None:
            self._unread.append(line)
        if self._called.search(text):
            self.say(prompts.ADDRESSED.format(line=line), interrupt=False)

    def hear(
        self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float = 0.0
    ) -> None:
        """A microphone: only whether somebody speaks over the agent matters."""
        if self._awake is not None:
            self._awake.hear(pcm, at, speaking, pre_roll, voiced_s)

    def heard_by_somebody(self) -> None:
        """See VoiceAgent."""
        self._listened_to = True
        if self._awake is not None:
            self._awake.heard_by_somebody()

    def say(self, instructions: str, *, interrupt: bool) -> None:
        """See VoiceAgent. Wakes it."""
        self._waiting = [*self._waiting, (instructions, interrupt)][-MOST_WAITING:]
        self._needed.set()

    async def tell(self, text: str) -> None:
        """See VoiceAgent."""
        self._lines.append(f"(the application) {text}")
        if self._awake is not None:
            await self._awake.tell(text)

    async def speak_language(self, language: str) -> None:
        """See VoiceAgent."""
        self.caller = replace(self.caller, language=language)
        if self._awake is not None:
            await self._awake.speak_language(language)

    def hear_text(self, text: str) -> None:
        """See VoiceAgent."""
        self.say(prompts.ADDRESSED.format(line=text), interrupt=False)

    def end_for_budget(self, detail: str) -> None:
        """See VoiceAgent."""
        if self._awake is not None:
            self._awake.end_for_budget(detail)
        else:
            self.finish(Ending("budget", detail))

    def finish(self, reason: Ending) -> None:
        """See VoiceAgent."""
        self._ending = self._ending or reason
        if self._awake is not None:
            self._awake.finish(reason)
        self._needed.set()

    def take_leave(self, *, back_soon: bool) -> None:
        """See VoiceAgent. One that is asleep says nothing."""
        self._ending = self._ending or Ending("left")
        if self._awake is not None:
            self._awake.take_leave(back_soon=back_soon)
        self._needed.set()

    async def run(self) -> Ending:
        """Works until `finish`, or until a conversation ends otherwise than by silence."""
        while self._ending is None:
            await self._needed.wait()
            if self._ending is None:
                ending = await self._speak()
                if ending.reason != "rest":
                    return ending
        return self._ending

    async def _speak(self) -> Ending:
        """One audio session, from the first thing to say until it has been quiet for a while."""
        self._needed.clear()
        awake = self._awake = self._make()
        if self._listened_to:
            awake.heard_by_somebody()
        self._unread.clear()
        known = "\n".join(self._lines)
        try:
            async with asyncio.TaskGroup() as group:
                feeding = group.create_task(self._feed(awake, known), name=f"hybrid agent {self.name}")
                ending = await awake.run()
                feeding.cancel()
        finally:
            self._tokens, self._usd = self.tokens, self.usd
            self._awake = None
        return ending

    async def _feed(self, awake: VoiceAgent, known: str) -> None:
        await awake.started()
        if known:
            await awake.tell(prompts.READ.format(lines=known))
        quiet_since = monotonic()
        while True:
            if self._unread and self._waiting:
                await awake.tell("\n".join(self._unread))
                self._unread.clear()
            waiting, self._waiting = self._waiting, []
            for instructions, interrupt in waiting:
                awake.say(instructions, interrupt=interrupt)
            if waiting or awake.busy:
                quiet_since = monotonic()
            elif monotonic() - quiet_since >= REST_S:
                awake.finish(Ending("rest"))
                return
            self._needed.clear()
            try:
                async with asyncio.timeout(0.25):
                    await self._needed.wait()
            except TimeoutError:
                pass  # looked at again
