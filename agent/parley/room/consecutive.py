"""Consecutive mode in a room: translations are held until their turn comes, and who still listens is told."""

import asyncio
import json
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from time import monotonic

from parley.core.consecutive import Load, Turn, TurnPolicy, Turns
from parley.core.framing import seconds
from parley.core.model import BridgeKey
from parley.metrics import Metrics
from parley.ports import AudioOut, Notices

from .layouts import Heard, Output
from .track_input import Ingress

LISTENING = "parley.listening"
"""The worker's attribute: {listener: speaker} of those who still listen to a phrase that is over."""
TICK_S = 0.05
TELL_S = 0.5
"""The attribute is set this often at most."""
MOST_HELD_S = 120.0
"""Of one translation; the oldest beyond it is given up, counted and announced."""
_EAR = "turns"


class HeldOutput:
    """An output that plays what is pushed when its turn has come. Implements `parley.ports.AudioOut`."""

    def __init__(self, key: BridgeKey, output: AudioOut, take: Callable[[str], Turn]) -> None:
        self.key = key
        self.expected = False
        self.dropped_s = 0.0
        """What was given up, and not told yet."""
        self._output = output
        self._take = take
        self._held: deque[tuple[Turn, bytes]] = deque()
        self._held_bytes = 0
        self._emptied = asyncio.Event()
        self._emptied.set()

    @property
    def playing(self) -> bool:
        """Whether something was let out and has not been played."""
        return self._output.waiting_s > 0

    @property
    def waiting_s(self) -> float:
        """See AudioOut."""
        return seconds(self._held_bytes) + self._output.waiting_s

    def holds(self, turn: Turn) -> bool:
        """Whether something is held of a turn."""
        return any(its is turn for its, _ in self._held)

    def expect(self) -> None:
        """See AudioOut: it can be heard when its turn comes."""
        self.expected = True

    def push(self, pcm: bytes) -> None:
        """See AudioOut."""
        turn = self._take(self.key.speaker)
        if turn.out:
            self._output.push(pcm)
            return
        self._held.append((turn, pcm))
        self._held_bytes += len(pcm)
        self._emptied.clear()
        while seconds(self._held_bytes) > MOST_HELD_S:
            self.dropped_s += seconds(len(self._pop()))

    def release(self) -> None:
        """See AudioOut."""
        self.expected = False
        if not self._held:
            self._output.release()

    async def played(self) -> None:
        """See AudioOut."""
        await self._emptied.wait()
        await self._output.played()

    def let_out(self, turn: Turn) -> None:
        """The turn has come: what is held of it plays."""
        if self.expected:
            self._output.expect()
        while self._held and self._held[0][0] is turn:
            self._output.push(self._pop())
        if not self.expected:
            self._output.release()
        if not self._held:
            self._emptied.set()

    def drop(self) -> None:
        """Nobody will hear what is held."""
        self.dropped_s += seconds(self._held_bytes)
        self._held.clear()
        self._held_bytes = 0
        self.expected = False
        self._emptied.set()

    def _pop(self) -> bytes:
        _, pcm = self._held.popleft()
        self._held_bytes -= len(pcm)
        return pcm


class Ear:
    """Tells when a speaker speaks. Implements `Hearer`."""

    def __init__(self, speaks: Callable[[float], None]) -> None:
        self._speaks = speaks

    def hear(
        self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float = 0.0
    ) -> None:
        """See Hearer."""
        if speaking:
            self._speaks(at)


class RoomTurns:
    """Owns the turns of a room. `hold` each translation's output, `drop` it in the end; `run` meanwhile."""

    def __init__(
        self,
        ingress: Ingress,
        notices: Notices,
        metrics: Metrics,
        heard: Callable[[], Heard],
        tell: Callable[[dict[str, str]], Awaitable[None]],
        policy: TurnPolicy | None = None,
    ) -> None:
        self._ingress = ingress
        self._notices = notices
        self._metrics = metrics
        self._heard = heard
        self._tell = tell
        self._turns = Turns(policy)
        self._outputs: dict[Output, HeldOutput] = {}
        self._wake = asyncio.Event()
        self._listening: dict[str, str] = {}
        self._changed = asyncio.Event()

    def hold(self, key: BridgeKey, output: Output) -> HeldOutput:
        """From now on what is pushed to the returned one waits for its turn to be heard from `output`."""
        held = HeldOutput(key, output, self._take)
        # Also where there is another output still: the microphone may be a new one.
        self._ingress.attach(key.speaker, _EAR, Ear(lambda at: self._hear(key.speaker, at)))
        self._outputs[output] = held
        return held

    def drop(self, output: Output) -> None:
        """The output is closed: what is held for it will not be heard."""
        held = self._outputs.pop(output)
        held.drop()
        self._tell_dropped(held)
        if not self._of(held.key.speaker):
            self._ingress.detach(held.key.speaker, _EAR)

    async def run(self) -> None:
        """Lets turns out and tells who listens, for ever; cancelled when the room ends."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(), name="turns")
            group.create_task(self._tell_listening(), name="listening")

    def _hear(self, speaker: str, at: float) -> None:
        self._turns.hear(speaker, at)
        self._wake.set()

    def _take(self, speaker: str) -> Turn:
        self._wake.set()
        return self._turns.turn_of(speaker, monotonic())

    def _of(self, speaker: str) -> list[HeldOutput]:
        return [held for held in self._outputs.values() if held.key.speaker == speaker]

    async def _follow(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._turns.all:
                self._tick(monotonic())
                await asyncio.sleep(TICK_S)

    def _tick(self, now: float) -> None:
        turn = self._turns.tick(now, self._load)
        if turn is not None:
            if not turn.over and any(held.holds(turn) for held in self._of(turn.speaker)):
                self._say(
                    turn.speaker, None, "phrase.long", "the translation begins before the phrase is over"
                )
            for held in self._of(turn.speaker):
                held.let_out(turn)
                self._tell_dropped(held)
        listening = self._who_listens()
        if listening != self._listening:
            self._listening = listening
            self._changed.set()

    def _load(self, turn: Turn) -> Load:
        outputs = self._of(turn.speaker)
        return Load(
            any(held.playing or held.holds(turn) for held in outputs),
            any(held.expected for held in outputs),
        )

    def _who_listens(self) -> dict[str, str]:
        listeners: dict[str, list[str]] = {}
        for _, key, who in self._heard():
            listeners.setdefault(key.speaker, []).extend(who)
        found: dict[str, str] = {}
        for turn in self._turns.all:
            if turn.over or any(held.playing for held in self._of(turn.speaker)):
                for listener in listeners.get(turn.speaker, ()):
                    found.setdefault(listener, turn.speaker)
        return found

    async def _tell_listening(self) -> None:
        told: dict[str, str] = {}
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._listening != told:
                told = self._listening
                await self._tell({LISTENING: json.dumps(told, ensure_ascii=False, sort_keys=True)})
                await asyncio.sleep(TELL_S)

    def _tell_dropped(self, held: HeldOutput) -> None:
        if held.dropped_s:
            self._metrics.dropped("playout", held.dropped_s)
            detail = f"{held.dropped_s:.1f} s of translation that had waited for its turn"
            self._say(held.key.speaker, held.key.language, "audio.dropped", detail)
            held.dropped_s = 0.0

    def _say(self, speaker: str, language: str | None, event: str, detail: str) -> None:
        self._notices.say(event, speaker=speaker, language=language, detail=detail)
