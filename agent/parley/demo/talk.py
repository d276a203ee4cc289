"""One person's side of a conversation with a voice agent: speaks lines, and follows what is said."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from livekit import rtc

from .dialogue import Dialogue
from .dialogue_view import DialogueView
from .keyboard import Keyboard
from .people import Person
from .speech import SpeechUnavailable, say
from .standin import Standin

LANGUAGE = "en"
"""What is spoken by those who type."""
_CHAT = "lk.chat"
_REFRESH_S = 0.1
_BILL_EVERY_S = 3.0
_BILL_TIMEOUT_S = 3.0
_QUIET_S = 2.0
_TROUBLE = (".failed", ".error", ".exceeded", ".filtered")


@dataclass(frozen=True)
class Bill:
    """What the conversation has used, by RPC `parley.state`."""

    tokens: Mapping[str, int]
    usd: float


def bill_of(state: str, identity: str) -> Bill | None:
    """The entry of one participant's agent in an answer of `parley.state`; None where there is none."""
    found = [one for one in json.loads(state).get("agents", ()) if one["of"] == identity]
    return Bill(found[0]["tokens"], found[0]["usd"]) if found else None


def summary(turns: int, seconds: float, bill: Bill | None) -> str:
    """`3 turns · 42 s · tokens audio_in 900, audio_out 400 · 0.0401 USD`."""
    parts = [f"{turns} turn{'' if turns == 1 else 's'}", f"{seconds:.0f} s"]
    if bill is not None:
        used = ", ".join(f"{kind} {count}" for kind, count in bill.tokens.items() if count)
        parts += [f"tokens {used or 'none'}", f"{bill.usd:.4f} USD at list prices"]
    return " · ".join(parts)


class Talk:
    """One person's side of the conversation."""

    def __init__(self, person: Person, worker: str, view: DialogueView, standin: Standin | None) -> None:
        self.dialogue = Dialogue(person.identity)
        self.bill: Bill | None = None
        self.troubles: list[str] = []
        """What the worker said went wrong."""
        self.over = asyncio.Event()
        """The agent has gone, or somebody wants to end it."""
        self.keyboard: Keyboard | None = None
        self._person = person
        self._worker = worker
        self._view = view
        self._standin = standin
        self._changed = asyncio.Event()
        self._growing: list[str] = []

    async def watch(self) -> None:
        """Keep the screen and the bill up to date, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._ask_again_and_again(), name="bill")
            while True:
                self.look()
                await asyncio.sleep(_REFRESH_S)

    async def _ask_again_and_again(self) -> None:
        """The bill of an agent that ends by itself is the last one that was asked for."""
        while True:
            await asyncio.sleep(_BILL_EVERY_S)
            await self.ask()

    def look(self) -> None:
        """Take in and show what has come."""
        ended, growing = self.dialogue.read(self._person.captions)
        self._view.draw(growing, self.keyboard.draft if self.keyboard is not None else None)
        for line in ended:
            self._view.said(line)
        while self._person.events:
            event = self._person.events.popleft()
            self._view.event(event)
            if str(event.get("event")).endswith(_TROUBLE):
                self.troubles.append(f"{event['event']}: {event.get('detail')}")
            if event.get("event") == "agent.ended":
                self.over.set()
        self._growing = [line.text for line in growing if not line.mine]
        self._changed.set()
        self._changed = asyncio.Event()

    async def ask(self) -> None:
        """Ask the worker what was used; the last answer stays where none comes."""
        with contextlib.suppress(rtc.RpcError, TimeoutError):
            state = await self._person.room.local_participant.perform_rpc(
                destination_identity=self._worker,
                method="parley.state",
                payload="",
                response_timeout=_BILL_TIMEOUT_S,
            )
            self.bill = bill_of(state, self._person.identity) or self.bill

    async def say(self, text: str) -> None:
        """Speak a line into the room, or send it as text where there is no speech."""
        try:
            # Without its punctuation a line has no pause at which a simulated turn would end.
            spoken = "".join(c for c in text if c.isalnum() or c in " '") if self._standin else text
            pcm = await asyncio.to_thread(say, spoken, LANGUAGE)
        except SpeechUnavailable as error:
            self._view.note(f"sent as text: {error}")
            await self._person.room.local_participant.send_text(text, topic=_CHAT)
            self.dialogue.spoke(time.monotonic())
            return
        if self._standin is not None:
            self._standin.hears(text, pcm)
        self.dialogue.spoke(self._person.say(pcm))

    async def until_answered(self, count: int, timeout_s: float) -> bool:
        """Wait until the agent has said so many lines; whether it has."""
        return await self._until(lambda: len(self.dialogue.answers) >= count, timeout_s)

    async def until_saying(self, words: int, timeout_s: float) -> bool:
        """Wait until the agent is in the midst of a line, so many words into it; whether it is."""
        return await self._until(lambda: any(len(text.split()) >= words for text in self._growing), timeout_s)

    async def until_quiet(self) -> None:
        """Wait until nobody has said anything for two seconds."""
        since = time.monotonic()
        while time.monotonic() - since < _QUIET_S and not self.over.is_set():
            if self._growing or self._person.speaking:
                since = time.monotonic()
            await self._changed.wait()

    async def _until(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                while not condition() and not self.over.is_set():
                    await self._changed.wait()
        return condition()
