"""A stock `AgentSession` with the plugin's model, ears and a mouth in memory, and the simulator behind it.

Words are sounds of their own (`word_sound`), so that what arrives at either end can be counted.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from functools import lru_cache
from typing import Any

import numpy as np
from livekit.agents import Agent, AgentSession, io, llm
from livekit.agents.voice.io import PlaybackFinishedEvent

from livekit import rtc
from livekit.plugins.openai_realtime import (
    ConnectOptions,
    ConversationOptions,
    RealtimeModel,
    RealtimeSession,
    ResumeOptions,
    TurnEvent,
)
from parley.simulator import Simulator, SimulatorOptions, word_sound
from parley.simulator.validation import validate
from parley.simulator.wire import schemas

RATE = 24_000
DEADLINE_S = 20.0
FRAME = RATE // 50
QUICK = ResumeOptions(backoff_s=0.05, backoff_max_s=0.1, stable_s=0.2)

Pcm = np.ndarray


def quiet(seconds: float) -> Pcm:
    return np.zeros(round(seconds * RATE), np.int16)


def said(text: str) -> Pcm:
    """A sentence as the user speaks it."""
    parts = [part for word in text.split() for part in (word_sound(word), quiet(0.1))]
    return np.concatenate([*parts, quiet(0)])


@lru_cache(maxsize=64)
def _matched(word: str, size: int) -> np.ndarray:
    """The matched filter of a word, as a spectrum of this size: 1 where the whole word is."""
    pattern = word_sound(word).astype(np.float64)
    return np.conj(np.fft.rfft(pattern, size)) / float(pattern @ pattern)


def heard(pcm: Pcm, vocabulary: Iterable[str], share: float = 0.7) -> list[str]:
    """The words of the vocabulary in a sound, in order, each of which at least a `share` is there."""
    found: list[tuple[int, str]] = []
    sound = pcm.astype(np.float64)
    size = 1 << (len(sound) + 12_000).bit_length()
    spectrum = np.fft.rfft(sound, size)
    for word in set(vocabulary):
        half = len(word_sound(word)) // 2
        match = np.fft.irfft(spectrum * _matched(word, size), size)[: len(sound)]
        while len(match) and (best := int(np.argmax(match))) >= 0 and match[best] >= share:
            found.append((best, word))
            match[max(0, best - half) : best + half] = 0
    return [word for _, word in sorted(found)]


def recogniser(vocabulary: Iterable[str]) -> Callable[[Pcm], list[str]]:
    """What the simulator understands."""
    words = list(vocabulary)
    return lambda pcm: heard(pcm, words)


class Mic(io.AudioInput):
    """A microphone that is never silent: frames of 20 ms, `speed` times as fast as real ones."""

    def __init__(self, speed: float = 4.0) -> None:
        super().__init__(label="mic")
        self._speed = speed
        self._waiting: list[Pcm] = []
        self._due = 0.0
        self.paused = False
        self.sent = 0

    def say(self, pcm: Pcm) -> None:
        short = -len(pcm) % FRAME
        whole = np.concatenate([pcm, np.zeros(short, np.int16)])
        self._waiting += list(whole.reshape(-1, FRAME))

    @property
    def done(self) -> bool:
        return not self._waiting

    async def __anext__(self) -> rtc.AudioFrame:
        loop = asyncio.get_running_loop()
        self._due = max(self._due, loop.time() - 0.1) + FRAME / RATE / self._speed
        await asyncio.sleep(max(0.0, self._due - loop.time()))
        while self.paused:
            await asyncio.sleep(0.01)
        block = self._waiting.pop(0) if self._waiting else np.zeros(FRAME, np.int16)
        self.sent += len(block)
        return rtc.AudioFrame(block.tobytes(), RATE, 1, len(block))


class Mouth(io.AudioOutput):
    """A loudspeaker that plays `speed` times as fast as a real one, and keeps what it was given."""

    def __init__(self, speed: float = 8.0) -> None:
        super().__init__(
            label="mouth", capabilities=io.AudioOutputCapabilities(pause=False), sample_rate=RATE
        )
        self._speed = speed
        self._pushed_s = 0.0
        self._started: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.pcm: list[Pcm] = []
        self.finished: list[PlaybackFinishedEvent] = []
        self.on("playback_finished", self.finished.append)

    @property
    def sound(self) -> Pcm:
        return np.concatenate([*self.pcm, quiet(0)])

    @property
    def pushed_s(self) -> float:
        return sum(map(len, self.pcm)) / RATE

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        if self._started is None:
            self._started = asyncio.get_running_loop().time()
            self.on_playback_started(created_at=0.0)
        self.pcm.append(np.frombuffer(frame.data, np.int16))
        self._pushed_s += frame.duration

    def flush(self) -> None:
        super().flush()
        if self._started is not None and self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._started + self._pushed_s / self._speed, self._end, False)

    def clear_buffer(self) -> None:
        if self._started is not None:
            if self._timer is not None:
                self._timer.cancel()
            self._end(True)

    def _end(self, interrupted: bool) -> None:
        assert self._started is not None
        played = (asyncio.get_running_loop().time() - self._started) * self._speed
        position = min(self._pushed_s, played) if interrupted else self._pushed_s
        self._started, self._timer, self._pushed_s = None, None, 0.0
        self.on_playback_finished(playback_position=position, interrupted=interrupted)


class Words(io.TextOutput):
    """What the agent's transcript says."""

    def __init__(self) -> None:
        super().__init__(label="words", next_in_chain=None)
        self.text = ""

    async def capture_text(self, text: str) -> None:
        self.text += text

    def flush(self) -> None:
        self.text += "\n"


class Talk:
    """Everything a test may want to look at."""

    def __init__(self, sim: Simulator, model: RealtimeModel, mic: Mic, mouth: Mouth) -> None:
        self.sim, self.model, self.mic, self.mouth = sim, model, mic, mouth
        self.words = Words()
        self.turns: list[TurnEvent] = []
        self.errors: list[llm.RealtimeModelError] = []
        self.items: list[Any] = []
        self.live: RealtimeSession
        self.agent: AgentSession[None]

    async def until(self, condition: Callable[[], Any], what: str = "") -> None:
        """Wait for a state; the deadline fails the test and says what there is instead."""
        try:
            async with asyncio.timeout(DEADLINE_S):
                while not condition():
                    await asyncio.sleep(0.005)
        except TimeoutError:
            records = json.dumps([record.as_json() for record in self.sim.sessions], indent=1, default=str)
            raise AssertionError(f"never: {what}\n{self.turns}\n{self.errors}\n{records}") from None

    def turns_of(self, kind: type) -> list[Any]:
        return [event for event in self.turns if isinstance(event, kind)]

    @property
    def record(self) -> Any:
        """The newest session."""
        return self.sim.sessions[-1]

    def spoken(self) -> str:
        """The agent's transcript in one line."""
        return " ".join(self.words.text.split())

    def history(self) -> list[tuple[str, str]]:
        """What the agent's chat context says was said."""
        return [
            (str(item.role), item.text_content or "")
            for item in self.agent.history.items
            if item.type == "message" and item.text_content
        ]


SENT: list[dict[str, Any]] = []
"""Every client event of the running test: the fixture of that name empties and checks it."""


def check_sent() -> None:
    """Every event that was sent keeps to the schema of client events, where no property is unknown."""
    known = schemas("conversation")["client"]
    for event in SENT:
        validate(event, known)


@asynccontextmanager
async def talking(
    options: ConversationOptions | None = None,
    *,
    sim: SimulatorOptions | None = None,
    tools: list[Any] | None = None,
    resume: ResumeOptions = QUICK,
    connect: dict[str, Any] | None = None,
    speed: float = 8.0,
    plays: float = 12.0,
    instructions: str = "Be brief.",
    **model_options: Any,
) -> AsyncIterator[Talk]:
    """An agent in conversation with whoever speaks into `Talk.mic`."""
    async with Simulator(sim or SimulatorOptions(response_latency_s=0.1)) as simulator:
        where = ConnectOptions(
            **{
                "api_key": "sk-test",
                "base_url": simulator.base_url,
                "close_timeout_s": 0.5,
                **(connect or {}),
            }
        )
        model = RealtimeModel(options, connect=where, resume=resume, **model_options)
        mic, mouth = Mic(speed), Mouth(plays)
        talk = Talk(simulator, model, mic, mouth)
        made = model.session

        def session(*, turn_detection_disabled: bool = False) -> RealtimeSession:
            live = made(turn_detection_disabled=turn_detection_disabled)
            live.on("turn", talk.turns.append)
            live.on("error", talk.errors.append)
            live.on("openai_client_event_queued", SENT.append)
            talk.live = live
            return live

        model.session = session  # type: ignore[method-assign]
        detects = model.options.turn_detection is not None
        agent: AgentSession[None] = AgentSession(
            llm=model,
            vad=None,
            aec_warmup_duration=None,
            turn_handling={"turn_detection": "realtime_llm" if detects else "manual"},
        )
        agent.on("conversation_item_added", lambda event: talk.items.append(event.item))
        agent.input.audio, agent.output.audio, agent.output.transcription = mic, mouth, talk.words
        talk.agent = agent
        try:
            await agent.start(Agent(instructions=instructions, tools=tools or []), record=False)
            yield talk
        finally:
            with suppress(RuntimeError):
                await agent.aclose()
            await model.aclose()
