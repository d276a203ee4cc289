"""When the lines of a transcript were spoken: their own microphone's time, whatever came between."""

import asyncio
from collections.abc import Callable
from typing import Literal

import numpy as np
import pytest

from component.bridges.conftest import Rig
from component.bridges.simulated import SimulatedApi, word
from parley.bridges.translation import BridgePolicy
from parley.core.framing import BYTES_PER_S
from parley.core.transcript import Segment
from parley.media.gate import GatePolicy, PhraseGate
from parley.ports import TextKind
from parley.simulator import SimulatorOptions

pytestmark = pytest.mark.looptime

PIECE_S = 0.05
PIECE = int(PIECE_S * BYTES_PER_S)
WITHIN_S = 0.3
POLICY = BridgePolicy("gpt-realtime-translate", "gpt-realtime-whisper", idle_s=30.0, rotate_s=20.0)


class Speaker:
    """A microphone behind a gate; `spoken` are the phrases, from when to when."""

    def __init__(self, rig: Rig) -> None:
        self._rig = rig
        self._gate = PhraseGate(GatePolicy())
        self.spoken: list[tuple[float, float]] = []

    async def phrase(self, words: int) -> None:
        """Words of 0.3 s, 0.1 s apart."""
        began = asyncio.get_running_loop().time()
        for n in range(words):
            if n:
                await self._hear(np.zeros(2400, "<i2").tobytes())
            await self._hear(word(400.0 + 150 * (n % 8), 0.3).tobytes())
        self.spoken.append((began, asyncio.get_running_loop().time()))

    async def quiet(self, duration_s: float) -> None:
        await self._hear(bytes(round(duration_s / PIECE_S) * PIECE))

    async def _hear(self, pcm: bytes) -> None:
        for at in range(0, len(pcm), PIECE):
            piece = pcm[at : at + PIECE]
            await asyncio.sleep(PIECE_S)
            loud = any(piece)
            speaking = self._gate.decide([0.99 if loud else 0.01] * 2)
            now = asyncio.get_running_loop().time()
            voiced_s = self._gate.voiced_s
            self._rig.bridge.hear(piece, now, speaking, self._gate.pre_roll, voiced_s)
            self._gate.remember(piece, PIECE_S)


def finals(rig: Rig, kind: TextKind) -> list[Segment]:
    return [segment for found, segment in rig.text.segments if found == kind and segment.final]


def check(rig: Rig, speaker: Speaker, within_s: float = WITHIN_S) -> None:
    """One line for each phrase, of each kind, in its time."""
    kinds: tuple[TextKind, ...] = ("source", "translation")
    for kind in kinds:
        found = finals(rig, kind)
        assert len(found) == len(speaker.spoken), [segment.text for segment in found]
        for segment, (began, ended) in zip(found, speaker.spoken, strict=True):
            assert segment.started_s == pytest.approx(began, abs=within_s)
            assert segment.ended_s == pytest.approx(ended, abs=within_s)


async def talk(speaker: Speaker) -> None:
    for words, pause_s in ((3, 1.0), (1, 1.5), (8, 0.8), (2, 20.0), (4, 40.0), (5, 1.0), (12, 12.0)):
        await speaker.phrase(words)
        await speaker.quiet(pause_s)


@pytest.mark.parametrize(
    ("counts", "lag_s"), [("input", 1.0), ("input", 2.0), ("input", 5.0), ("engine", 2.0), ("engine", 5.0)]
)
async def test_lines_have_the_time_of_the_voice(
    rig: Callable[..., Rig], counts: Literal["input", "engine"], lag_s: float
) -> None:
    api = SimulatedApi(SimulatorOptions(model_lag_s=lag_s, elapsed_of=counts))
    r = rig(api, POLICY, source_readers=["cat"])
    speaker = Speaker(r)
    async with r.running():
        await talk(speaker)
    check(r, speaker)


async def test_what_is_said_again_after_a_drop_has_the_time_at_which_it_was_said(
    rig: Callable[..., Rig],
) -> None:
    api = SimulatedApi(SimulatorOptions(model_lag_s=2.0))
    r = rig(api, POLICY, source_readers=["cat"])
    speaker = Speaker(r)
    async with r.running():
        await speaker.phrase(3)
        await speaker.quiet(8.0)
        await speaker.phrase(4)
        api.fail("drop", 3.0)
        await speaker.quiet(12.0)
        await speaker.phrase(2)
        await speaker.quiet(12.0)
    assert api.attempts > 1
    translated = finals(r, "translation")
    for segment, (began, ended) in zip(translated, speaker.spoken, strict=True):
        assert segment.started_s == pytest.approx(began, abs=WITHIN_S)
        assert segment.ended_s == pytest.approx(ended, abs=WITHIN_S)


async def test_a_session_that_replaces_one_goes_on_in_time(rig: Callable[..., Rig]) -> None:
    api = SimulatedApi(SimulatorOptions(model_lag_s=2.0, session_lifetime_s=30.0))
    r = rig(api, POLICY, source_readers=["cat"])
    speaker = Speaker(r)
    async with r.running():
        for _ in range(12):
            await speaker.phrase(6)
            await speaker.quiet(1.2)
        await speaker.quiet(12.0)
    assert len(api.sessions) > 1
    for kind in ("source", "translation"):
        for segment in finals(r, kind):
            near = min(speaker.spoken, key=lambda phrase: abs(phrase[0] - segment.started_s))
            assert near[0] - WITHIN_S <= segment.started_s
            assert segment.ended_s <= near[1] + WITHIN_S
