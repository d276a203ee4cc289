"""A voice agent against the simulator on loopback, with a microphone and a track, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from time import monotonic
from typing import Any, Literal

import numpy as np
import pytest
from livekit.agents import Agent

from livekit.plugins.openai_realtime.connection import new_http_session
from livekit.plugins.openai_realtime.conversation_options import ServerVad
from livekit.plugins.openai_realtime.options import ConnectOptions
from parley.access import Access
from parley.agents import Caller, Registry
from parley.config import VoiceAgent as Defaults
from parley.core.transcript import Segment
from parley.core.usage import Budget
from parley.media.frames import FRAME_S, SILENCE
from parley.media.speech import SpeechPlayout
from parley.metrics import Metrics
from parley.simulator import SessionRecord, Simulator, SimulatorOptions, Turn, word_sound
from parley.testing import RecordingNotices
from parley.voice.agent import VoiceAgent
from parley.voice.ports import Ending, Surroundings

DEADLINE_S = 15.0
FRAME = 480
HANGOVER = 10
"""Frames of silence before a gate calls a phrase ended."""
QUIET = np.zeros(FRAME, np.int16)

Pcm = np.ndarray


def said(text: str) -> Pcm:
    """A sentence as a person speaks it: a sound for each word."""
    gap = np.zeros(FRAME * 5, np.int16)
    return np.concatenate([part for word in text.split() for part in (word_sound(word), gap)])


def noise(duration_s: float) -> Pcm:
    """Something loud that is no word."""
    return np.random.default_rng(1).integers(-9000, 9000, round(duration_s * 24_000)).astype(np.int16)


class RealTrack:
    """The track under a mouth, played by a clock of its own. Implements SpeechTrack.

    Attributes:
        pcm: what of the agent's own audio was played.
        times: when each frame of it was.
    """

    def __init__(self, queue: SpeechPlayout) -> None:
        self.queue = queue
        self.on_played: Callable[[], None] | None = None
        self.pcm = bytearray()
        self.times: list[float] = []

    def ready(self, now: float) -> float:
        return now

    def wake(self) -> None:
        pass

    def expect(self) -> None:
        pass

    def release(self) -> None:
        self.queue.flush(monotonic())

    @property
    def played_s(self) -> float:
        return len(self.pcm) / 48_000

    async def run(self) -> None:
        due = monotonic()
        while True:
            due += FRAME_S
            await asyncio.sleep(max(0.0, due - monotonic()))
            now = monotonic()
            frames = self.queue.due(now)
            for frame in frames:
                if frame is not SILENCE:
                    self.pcm += frame
                    self.times.append(now)
            if frames and self.on_played is not None:
                self.on_played()
            if self.queue.playing and self.queue.waiting_s == 0 and self.queue.silent_s >= 0.6:
                self.queue.rest()


class Stage:
    """One voice agent, its participant, and what came of them.

    Attributes:
        lines: (who, id, text, final) of everything that was shown.
        cut: the lines that were cut off.
        understood: what the API understands of each turn, in order; then nothing.
    """

    def __init__(self, simulator: Simulator, understood: list[list[str]]) -> None:
        self.simulator = simulator
        self.understood = understood
        self.lines: list[tuple[str, str, str, bool]] = []
        self.cut: list[str] = []
        self.notices = RecordingNotices()
        self.metrics = Metrics()
        self.queue = SpeechPlayout()
        self.track = RealTrack(self.queue)
        self.agent: VoiceAgent
        self.ending: Ending | None = None
        self.task: asyncio.Task[None]
        self.patience_s = 0.0
        """For how long the agent lets frames wait for each other."""
        self._mouth: list[Pcm] = []

    def send(self, segment: Segment, who: Literal["agent", "person"], *, cut: bool) -> None:
        """See LinesOut."""
        self.lines.append((who, segment.id, segment.text, segment.final))
        self.cut += [segment.text] if cut else []

    @property
    def record(self) -> SessionRecord:
        """What the API knows of the conversation."""
        return self.simulator.sessions[-1]

    def answers(self) -> list[str]:
        """What the API has answered in whole."""
        return [r.text for r in self.record.responses if r.status == "completed"]

    def finals(self, who: str = "agent") -> list[str]:
        """The last text of each line."""
        return [text for by, _, text, final in self.lines if by == who and final]

    async def until(self, ready: Callable[[], bool], within_s: float = DEADLINE_S) -> None:
        """Waits for a state, with a deadline."""
        try:
            async with asyncio.timeout(within_s):
                while not ready():
                    await asyncio.sleep(0.01)
        except TimeoutError:
            pytest.fail(f"did not come: {self.lines} {self.notices.events} {self.simulator.sessions}")

    async def plays(self, seconds: float = 0.1) -> None:
        """Waits until so much more of the agent's voice was heard."""
        target = self.track.played_s + seconds
        await self.until(lambda: self.track.played_s >= target)

    async def silent(self) -> None:
        """Waits until the agent has nothing more to say."""
        await self.until(lambda: not self.agent.busy and self.queue.queued_s == 0)

    def speak(self, pcm: Pcm) -> None:
        """The participant speaks, in real time."""
        short = -len(pcm) % FRAME
        whole = np.concatenate([pcm, np.zeros(short, np.int16)])
        self._mouth += list(whole.reshape(-1, FRAME))

    async def spoken(self) -> None:
        """Waits until the participant has said it."""
        await self.until(lambda: not self._mouth)

    async def microphone(self) -> None:
        """Frames wait for each other as long as the agent lets them, as in the native layer."""
        quiet, recent = HANGOVER, [QUIET.tobytes()] * 20
        waiting: list[tuple[bytes, float, bool, tuple[bytes, ...], float]] = []
        due = monotonic()
        while True:
            due += FRAME_S
            await asyncio.sleep(max(0.0, due - monotonic()))
            frame = self._mouth.pop(0) if self._mouth else QUIET
            is_loud = bool(np.abs(frame).max() > 1000)
            quiet = 0 if is_loud else quiet + 1
            pcm, now = frame.tobytes(), monotonic()
            waiting.append((pcm, now, quiet < HANGOVER, tuple(recent), FRAME_S if is_loud else 0.0))
            if now - waiting[0][1] >= self.patience_s:
                for heard in waiting:
                    self.patience_s = self.agent.hear(*heard)
                waiting = []
            recent = [*recent, pcm][-20:]

    async def end(self) -> Ending:
        """Waits until the conversation is over."""
        async with asyncio.timeout(DEADLINE_S):
            await self.task
        assert self.ending is not None
        return self.ending


class Plain(Agent):
    """An agent without tools."""

    def __init__(self) -> None:
        super().__init__(instructions="Talk.")


SIMULATED: dict[str, Any] = {
    "response_latency_s": 0.05,
    "transcription_delay_s": 0.1,
    "reply_speed": 10.0,
}

Play = Callable[..., Any]


@pytest.fixture
def play(virtual_time: None) -> Play:
    """`async with play(agent, [Turn(…)], understood, **options) as stage`: a conversation on its stage."""

    @asynccontextmanager
    async def playing(
        make: Callable[[], Agent] = Plain,
        script: Iterable[Turn] = (),
        understood: Iterable[str] = (),
        *,
        budget: Budget | None = None,
        budgets: tuple[Budget, ...] = (),
        simulated: dict[str, Any] | None = None,
        alone: bool = False,
        goes_on: bool = False,
        access: Access | None = None,
        before: Callable[[Stage], None] | None = None,
        **options: Any,
    ) -> AsyncIterator[Stage]:
        texts = [text.split() for text in understood]

        def recognise(pcm: Pcm) -> list[str]:
            return texts.pop(0) if texts else []

        given = {**SIMULATED, "script": list(script), "recognise": recognise, **(simulated or {})}
        asked = {
            "idle_s": None,
            "turn_detection": ServerVad(silence_duration_ms=300, prefix_padding_ms=100),
            **options,
        }
        spec = Registry().register("test", make, **asked)
        async with (
            asyncio.timeout(60),
            Simulator(SimulatorOptions(**given)) as simulator,
            new_http_session() as http,
            asyncio.TaskGroup() as group,
        ):
            stage = Stage(simulator, texts)
            around = Surroundings(
                ConnectOptions(api_key="k", base_url=simulator.base_url, close_timeout_s=1.0),
                http,
                stage,
                stage.notices,
                stage.metrics,
                access=access or Access(),
            )
            caller = Caller("ana", "Ana", language="en", room="r")
            all_budgets = (*budgets, *((budget,) if budget is not None else ()))
            stage.agent = VoiceAgent(
                spec,
                spec.make(caller),
                caller,
                spec.conversation(Defaults()),
                around,
                stage.queue,
                stage.track,
                all_budgets,
                silence_s=0.3,
                goes_on=goes_on,
            )
            if before is not None:
                before(stage)
            if not alone:
                stage.agent.heard_by_somebody()

            async def run() -> None:
                stage.ending = await stage.agent.run()

            stage.task = group.create_task(run())
            work = [group.create_task(stage.track.run()), group.create_task(stage.microphone())]
            try:
                yield stage
            finally:
                stage.agent.finish(Ending("left"))
                await asyncio.wait({stage.task})
                for task in work:
                    task.cancel()

    return playing
