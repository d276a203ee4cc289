"""The captions bridge over the simulator's transcription sessions: every word is counted."""

import asyncio
import os
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import pairwise

import numpy as np
import pytest

from component.bridges.simulated import RATE_HZ, TONES_HZ, SimulatedApi, SimulatedSession, word, words
from component.bridges.test_chaos import lost_and_doubled
from livekit.plugins.openai_realtime import TranscriberPolicy
from livekit.plugins.openai_realtime.errors import RequestRejected
from livekit.plugins.openai_realtime.events import ErrorReported
from livekit.plugins.openai_realtime.options import TranscriptionOptions
from parley.access import Access
from parley.bridges.captions import CaptionsBridge, CaptionsPolicy, utterances
from parley.bridges.surroundings import Surroundings
from parley.core.accounts import Account, Accounts, Line
from parley.core.model import ORIGINAL, BridgeKey, BridgeSpec
from parley.metrics import Metrics
from parley.simulator import SimulatorOptions
from parley.testing import RecordingNotices, RecordingTextOut

pytestmark = [pytest.mark.looptime, pytest.mark.usefixtures("virtual_time")]

TALK_S = float(os.environ.get("PARLEY_CHAOS_S", "120"))
FAULTS = int(os.environ.get("PARLEY_CHAOS_FAULTS", "6"))
PIECE = RATE_HZ // 20
HANGOVER_S = 0.5
GATE_PIECES = round(HANGOVER_S * 20)
POLICY = CaptionsPolicy(answer_s=4.0, utterances=utterances(HANGOVER_S))
NAMES = {hz: f"t{n}" for n, hz in enumerate(TONES_HZ)}


def understood(burst: np.ndarray) -> list[str]:  # type: ignore[type-arg]
    """The simulated model hears tones, and writes their names."""
    return [NAMES[hz] for hz in words(burst.astype("<i2").tobytes())]


def simulated(**options: object) -> SimulatedApi:
    return SimulatedApi(SimulatorOptions(recognise_word=understood, **options))  # type: ignore[arg-type]


def phrases(duration_s: float, rng: random.Random, *, pauses: bool = True) -> tuple[bytes, list[str]]:
    """Talk of so long: words 200 ms apart, now and then a pause; and the names of the words."""
    parts, said, total = [], [], 0
    while total < duration_s * RATE_HZ:
        hz = rng.choice([hz for hz in TONES_HZ if not said or NAMES[hz] != said[-1]])
        gap_s = 0.2 if not pauses or rng.random() < 0.85 else rng.uniform(0.7, 4.0)
        part = np.concatenate((word(hz, rng.uniform(0.25, 0.5)), np.zeros(round(gap_s * RATE_HZ), np.int16)))
        said.append(NAMES[hz])
        parts.append(part)
        total += len(part)
    return np.concatenate(parts).astype("<i2").tobytes(), said


class Rig:
    """One bridge, its reader, and what is around it."""

    def __init__(
        self,
        api: SimulatedApi,
        policy: CaptionsPolicy = POLICY,
        *,
        usd: float | None = None,
        access: Access | None = None,
    ) -> None:
        self.api = api
        self.text = RecordingTextOut()
        self.notices = RecordingNotices()
        self.metrics = Metrics()
        self.accounts = Accounts(usd=usd)
        spec = BridgeSpec(BridgeKey("ana", ORIGINAL), frozenset(), frozenset(), frozenset({"ben"}))
        around = Surroundings(self.text, self.notices, self.metrics, access or Access(), self._account)
        self.bridge = CaptionsBridge(spec, policy, around, api.listen, self._hints)
        self._quiet = GATE_PIECES
        self._recent: list[bytes] = []

    def _hints(self, options: TranscriptionOptions, speaker: str) -> TranscriptionOptions:
        return options

    def _account(self, spec: Callable[[], BridgeSpec]) -> Account:
        line = Line("captions", spec().key.speaker, ORIGINAL)
        return self.accounts.open(line, "gpt-realtime-whisper", lambda: spec().source_readers)

    async def hear(self, pcm: bytes) -> None:
        """What a microphone delivers, 50 ms at a time, with the gate's hangover."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for i in range(0, len(pcm), PIECE * 2):
            piece = pcm[i : i + PIECE * 2]
            self._quiet = 0 if any(piece) else self._quiet + 1
            self.bridge.hear(piece, loop.time(), self._quiet < GATE_PIECES, tuple(self._recent))
            self._recent = [*self._recent, piece][-8:]
            await asyncio.sleep(began + (i / 2 + PIECE) / RATE_HZ - loop.time())

    async def silence(self, duration_s: float) -> None:
        await self.hear(bytes(round(duration_s * RATE_HZ) * 2))

    @property
    def written(self) -> list[str]:
        """The words of all final lines, in order."""
        return " ".join(segment.text for _, segment in self.text.segments if segment.final).split()

    def value(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0

    def check_lines(self) -> None:
        """Ids do not change, one final each, nothing shown is taken back, in the order of what was said."""
        versions: dict[str, list[tuple[str, bool]]] = {}
        for kind, segment in self.text.segments:
            assert kind == "source"
            versions.setdefault(segment.id, []).append((segment.text, segment.final))
        for line in versions.values():
            assert [final for _, final in line] == [False] * (len(line) - 1) + [True], line
            for (earlier, _), (later, _) in pairwise(line):
                assert later.startswith(earlier), line
        finals = [segment for _, segment in self.text.segments if segment.final]
        assert finals == sorted(finals, key=lambda segment: segment.started_s)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The bridge at work until the block ends, and all is written down."""
        async with asyncio.timeout(TALK_S * 3 + 600), asyncio.TaskGroup() as group:
            group.create_task(self.bridge.run())
            yield
            self.bridge.finish()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    return random.Random(str(request.node.name))


async def test_what_is_said_is_written_down_and_silence_is_not_sent(rng: random.Random) -> None:
    r = Rig(simulated())
    pcm, said = phrases(30, rng)
    async with r.running():
        await r.silence(5)
        await r.hear(pcm)
        await r.silence(20)
    assert r.written == said
    r.check_lines()
    (session,) = r.api.sessions
    assert session.record.audio_received_s < 32 + len(r.text.segments)
    assert r.value("parley_audio_sent_seconds_total", kind="captions") < 36
    assert r.accounts.usd == pytest.approx(session.record.audio_received_s * 0.017 / 60, rel=0.01)
    assert r.notices.events == []


@pytest.mark.parametrize("seed", range(3))
async def test_faults_at_random_times_lose_double_and_take_back_no_word(seed: int) -> None:
    rng = random.Random(seed)
    api = simulated()
    r = Rig(api)
    pcm, said = phrases(TALK_S, rng)
    kinds = [(kind, s) for kind in ("drop", "stall", "503") for s in (0.1, 2.0, 10.0)]
    rng.shuffle(kinds)
    slot_s = (len(pcm) / 2 / RATE_HZ - 20) / FAULTS
    faults = [(*kinds[i % len(kinds)], 5 + (i + rng.random() * 0.4) * slot_s) for i in range(FAULTS)]
    async with r.running():
        for kind, duration_s, at in faults:
            asyncio.get_running_loop().call_later(at, api.fail, kind, duration_s)
        await r.hear(pcm)
    lost, doubled = lost_and_doubled(said, r.written)  # type: ignore[arg-type]
    sys.stdout.write(f"\nseed {seed}: {len(said)} words, {FAULTS} faults, {len(api.sessions)} sessions\n")
    assert (lost, doubled) == (0, 0), faults
    r.check_lines()


@pytest.mark.parametrize("pauses", [True, False])
async def test_short_sessions_hand_over_between_utterances(rng: random.Random, pauses: bool) -> None:
    r = Rig(simulated(session_lifetime_s=40.0))
    pcm, said = phrases(150, rng, pauses=pauses)
    async with r.running():
        await r.hear(pcm)
    assert r.written == said
    r.check_lines()
    assert len(r.api.sessions) >= 4
    assert r.notices.events == []
    assert {session.record.close_reason for session in r.api.sessions} == {None}
    assert not [one for session in r.api.sessions for one in session.record.refused]


async def test_a_session_of_somebody_who_says_nothing_is_closed(rng: random.Random) -> None:
    r = Rig(simulated(), CaptionsPolicy(idle_s=10.0, utterances=utterances(HANGOVER_S)))
    first, one = phrases(5, rng)
    second, two = phrases(5, rng)
    async with r.running():
        await r.hear(first)
        await r.silence(20)
        assert r.api.open == []
        await r.hear(second)
        await r.silence(3)
        assert r.written == one + two
    assert len(r.api.sessions) == 2


async def test_an_utterance_that_is_refused_is_said_to_another_session(
    rng: random.Random, monkeypatch: pytest.MonkeyPatch
) -> None:
    r = Rig(simulated())
    pcm, said = phrases(20, rng)
    commit, refused = SimulatedSession.commit, []

    async def refusing(self: SimulatedSession, event_id: str) -> None:
        if refused:
            return await commit(self, event_id)
        refused.append(event_id)
        error = RequestRejected("not now", code="invalid_request", event_id=event_id)
        self._events.append(ErrorReported(error))
        self._wake.set()
        return None

    monkeypatch.setattr(SimulatedSession, "commit", refusing)
    async with r.running():
        await r.hear(pcm)
    assert r.written == said
    r.check_lines()
    assert len(r.api.sessions) == 2
    assert r.notices.events == ["session.error", "session.failed", "session.recovered"]


async def test_an_outage_is_said_once_and_what_was_said_meanwhile_is_written_afterwards(
    rng: random.Random,
) -> None:
    r = Rig(simulated())
    pcm, said = phrases(40, rng)
    async with r.running():
        asyncio.get_running_loop().call_later(10.0, r.api.fail, "503", 12.0)
        await r.hear(pcm)
    assert r.written == said
    assert r.notices.events == ["session.failed", "session.recovered"]
    assert r.notices.said[0].language == ORIGINAL


async def test_more_than_can_be_kept_is_dropped_counted_and_said(rng: random.Random) -> None:
    policy = CaptionsPolicy(utterances=TranscriberPolicy(hangover_s=HANGOVER_S, kept_s=25.0))
    r = Rig(simulated(), policy)
    pcm, said = phrases(60, rng)
    r.api.down_until = asyncio.get_running_loop().time() + 50.0
    async with r.running():
        await r.hear(pcm)
    lost, doubled = lost_and_doubled(said, r.written)  # type: ignore[arg-type]
    dropped_s = sum(float(e.detail.split()[0]) for e in r.notices.said if e.event == "audio.dropped")
    assert dropped_s == pytest.approx(r.value("parley_audio_dropped_seconds_total", where="session"), abs=0.2)
    assert 0 < lost <= dropped_s / 0.4 + 1
    assert doubled == 0


async def test_who_cannot_pay_is_not_served(rng: random.Random) -> None:
    r = Rig(simulated(), usd=0.017 / 60 * 12)
    pcm, said = phrases(40, rng)
    async with r.running():
        await r.hear(pcm)
    (session,) = r.api.sessions
    assert session.record.audio_received_s <= 12.01
    assert r.written == said[: len(r.written)]
    assert len(r.written) >= 12
    assert r.bridge.waiting_s == 0


async def test_a_microphone_that_is_muted_in_a_word_ends_the_utterance(rng: random.Random) -> None:
    r = Rig(simulated())
    pcm, said = phrases(4, rng, pauses=False)
    async with r.running():
        await r.hear(pcm)
        assert r.bridge.speaking
        await asyncio.sleep(3)
        assert not r.bridge.speaking
        assert r.written == said
