"""Continuous speech through an API that drops, stalls and refuses at random times: every word is counted.

PARLEY_CHAOS_S sets the seconds of talk (120), PARLEY_CHAOS_FAULTS how many faults hit it (5); an hour and
50 of them take minutes: `PARLEY_CHAOS_S=3600 PARLEY_CHAOS_FAULTS=50 pytest -s` with this file.
"""

import asyncio
import os
import random
import sys
from collections.abc import Callable
from difflib import SequenceMatcher

import numpy as np
import pytest

from component.bridges.conftest import Rig
from component.bridges.simulated import RATE_HZ, TONES_HZ, SimulatedApi, word, words
from parley.bridges.translation import BridgePolicy
from parley.simulator import SimulatorOptions
from parley.testing import RecordingAudioOut

pytestmark = pytest.mark.looptime

MakeRig = Callable[..., Rig]
POLICY = BridgePolicy("gpt-realtime-translate", "gpt-realtime-whisper")
TALK_S = float(os.environ.get("PARLEY_CHAOS_S", "120"))
FAULTS = int(os.environ.get("PARLEY_CHAOS_FAULTS", "5"))
PIECE = RATE_HZ // 20


def talk(duration_s: float, rng: random.Random, gap_s: float = 0.1) -> tuple[bytes, list[float]]:
    """Speech of so long without a pause: words of 250 to 500 ms, `gap_s` apart; and which words."""
    parts, said, total = [], [], 0
    while total < duration_s * RATE_HZ:
        hz = rng.choice([hz for hz in TONES_HZ if not said or hz != said[-1]])
        part = np.concatenate((word(hz, rng.uniform(0.25, 0.5)), np.zeros(round(gap_s * RATE_HZ), np.int16)))
        said.append(hz)
        parts.append(part)
        total += len(part)
    return np.concatenate(parts).astype("<i2").tobytes(), said


async def speak(r: Rig, pcm: bytes) -> None:
    """Delivers it as a microphone does, 50 ms at a time."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    for i in range(0, len(pcm), PIECE * 2):
        r.bridge.hear(pcm[i : i + PIECE * 2], loop.time(), True, ())
        await asyncio.sleep(began + (i / 2 + PIECE) / RATE_HZ - loop.time())


def lost_and_doubled(said: list[float], heard: list[float]) -> tuple[int, int]:
    lost = doubled = 0
    for tag, a, b, c, d in SequenceMatcher(None, said, heard, autojunk=False).get_opcodes():
        if tag != "equal":
            lost += b - a
            doubled += d - c
    return lost, doubled


@pytest.mark.parametrize("seed", range(3))
async def test_faults_at_random_times_lose_and_double_no_word(rig: MakeRig, seed: int) -> None:
    rng = random.Random(seed)
    api = SimulatedApi()
    r = rig(api, POLICY)
    pcm, said = talk(TALK_S, rng)
    slot_s = (TALK_S - 20) / FAULTS
    kinds = [(kind, s) for kind in ("drop", "stall", "503") for s in (0.1, 2.0, 10.0)]
    rng.shuffle(kinds)
    faults = [(*kinds[i % len(kinds)], 5 + (i + rng.random() * 0.4) * slot_s) for i in range(FAULTS)]
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(TALK_S + 600), asyncio.TaskGroup() as group:
        task = group.create_task(r.bridge.run())
        for kind, duration_s, at in faults:
            loop.call_later(at, api.fail, kind, duration_s)
        await speak(r, pcm)
        r.bridge.finish()
        await task
    lost, doubled = lost_and_doubled(said, words(bytes(r.audio.pcm)))
    told_s = sum(float(n.detail.split()[0]) for n in r.notices if n.event == "audio.dropped")
    sys.stdout.write(
        f"\nseed {seed}: {len(said)} words, {len(faults)} faults, {len(api.sessions)} sessions,"
        f" lost {lost}, doubled {doubled}, announced as dropped {told_s:.1f} s\n"
    )
    assert (lost, doubled, told_s) == (0, 0, 0.0), faults


@pytest.mark.parametrize("gap_s", [0.1, 0.0])
async def test_sessions_of_60_s_hand_over_in_unbroken_speech(rig: MakeRig, gap_s: float) -> None:
    """Nothing lost, doubled or late at the seams; where words have gaps, no seam is in a word."""
    api = SimulatedApi(SimulatorOptions(model_lag_s=2.0, session_lifetime_s=60.0))
    r = rig(api, POLICY)
    talk_s = 2 * TALK_S
    pcm, said = talk(talk_s, random.Random(5), gap_s)
    r.audio = PacedAudioOut()
    r.bridge.audio = r.audio
    async with asyncio.timeout(talk_s + 600), asyncio.TaskGroup() as group:
        task = group.create_task(r.bridge.run())
        await speak(r, pcm)
        r.bridge.finish()
        await task
    lost, doubled = lost_and_doubled(said, words(bytes(r.audio.pcm)))
    late_s = max(r.audio.gaps_s, default=0.0)
    sys.stdout.write(
        f"\ngap {gap_s} s: {len(said)} words, {len(api.sessions)} sessions, lost {lost}, doubled {doubled},"
        f" longest wait for audio {late_s:.2f} s\n"
    )
    assert len(api.sessions) >= talk_s / 60
    assert (lost, doubled, r.notices.events) == (0, 0, [])
    assert late_s <= 0.3
    assert all(session.record.close_reason is None for session in api.sessions), "none broke"
    if gap_s:
        for session in api.sessions[1:]:
            assert not session.record.refused
    assert r.value("parley_session_starts_total", kind="translation") == len(api.sessions)


class PacedAudioOut(RecordingAudioOut):
    """Plays in real time, and keeps the silences that it had to make up."""

    def __init__(self) -> None:
        super().__init__()
        self.gaps_s: list[float] = []
        self._until = 0.0

    def push(self, pcm: bytes) -> None:
        """See AudioOut."""
        now = asyncio.get_running_loop().time()
        if self.pcm and now > self._until:
            self.gaps_s.append(now - self._until)
        self._until = max(now, self._until) + len(pcm) / 2 / RATE_HZ
        self.waiting_s = self._until - now
        super().push(pcm)


@pytest.mark.parametrize("after_s", [-1.0, -0.2, 0.3, 1.0])
async def test_a_stall_that_begins_when_all_was_said_loses_and_doubles_no_word(
    rig: MakeRig, after_s: float
) -> None:
    """The tail ends before the stall is known: what was sent is not taken for answered."""
    api = SimulatedApi()
    r = rig(api, POLICY)
    first, said = talk(3.0, random.Random(1))
    second, more = talk(3.0, random.Random(2))
    loop = asyncio.get_running_loop()
    async with r.running():
        for pcm in (first, second):
            if pcm is second:
                loop.call_later(len(second) / 2 / RATE_HZ + after_s, api.fail, "stall", 60.0)
            await speak(r, pcm)
            await r.silence(12.0)
        assert words(bytes(r.audio.pcm)) == said + more
    assert len(api.sessions) == 2
