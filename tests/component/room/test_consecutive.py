"""Consecutive mode in a room, in virtual time: what is held, when it is played, and who is said to listen."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Hashable
from typing import Any

import pytest

from fakes.native import FakeLayer
from fakes.room import FakeParticipant, FakeRoom
from parley.bridges.translation import BridgePolicy
from parley.core.consecutive import TurnPolicy
from parley.core.model import BridgeKey, Preferences
from parley.core.preferences import Allowed
from parley.media.gate import GatePolicy
from parley.media.playout import Playout
from parley.metrics import Metrics
from parley.room import consecutive as module
from parley.room.consecutive import HeldOutput, RoomTurns
from parley.room.layouts import UNHURRIED, LayoutPolicy
from parley.room.mix_output import Mixes
from parley.room.policy import RoomPolicy
from parley.room.supervisor import RoomSupervisor
from parley.room.track_input import Ingress
from parley.room.track_output import DuckedTrack, Player, TrackOutput
from parley.testing import RecordingNotices, ScriptedDial

pytestmark = pytest.mark.looptime

FRAME = 960
STEP_S = 0.1
STEP = round(STEP_S / 0.02)
ANN = BridgeKey("ann", "fr")
BOB = BridgeKey("bob", "en")
HEARD_BY = {ANN: ["bob"], BOB: ["ann"]}


def now() -> float:
    return asyncio.get_running_loop().time()


def sound(value: int, duration_s: float = STEP_S) -> bytes:
    return value.to_bytes(2, "little") * (FRAME // 2 * round(duration_s / 0.02))


class Sounding:
    """An output that plays what it is given, and remembers when it was given."""

    def __init__(self) -> None:
        self.values: list[int] = []
        self.began_at: float | None = None
        self.done_at = 0.0

    @property
    def waiting_s(self) -> float:
        return max(0.0, self.done_at - now())

    def expect(self) -> None: ...

    def release(self) -> None: ...

    def push(self, pcm: bytes) -> None:
        if self.began_at is None:
            self.began_at = now()
        self.values.append(int.from_bytes(pcm[:2], "little"))
        self.done_at = max(self.done_at, now()) + len(pcm) / FRAME * 0.02

    async def played(self) -> None:
        await asyncio.sleep(self.waiting_s)


class Ears:
    """The microphones of the room."""

    def __init__(self) -> None:
        self.hearers: dict[str, Any] = {}

    def attach(self, speaker: str, key: Hashable, hearer: Any) -> None:
        self.hearers[speaker] = hearer

    def detach(self, speaker: str, key: Hashable) -> None:
        self.hearers.pop(speaker, None)


class Stage:
    """The turns of a room in which ann is heard in French by bob, and he in English by her."""

    def __init__(self, policy: TurnPolicy | None = None) -> None:
        self.ears = Ears()
        self.notices = RecordingNotices()
        self.told: list[tuple[float, dict[str, str]]] = []
        self.outputs: dict[BridgeKey, Any] = {}
        self.held: dict[BridgeKey, HeldOutput] = {}
        self.turns = RoomTurns(
            self.ears,  # type: ignore[arg-type]
            self.notices,
            Metrics(),
            lambda: [(self.outputs[key], key, HEARD_BY[key]) for key in self.outputs],
            self._tell,
            policy,
        )
        self.running = asyncio.create_task(self.turns.run())

    def open(self, key: BridgeKey, output: Any = None) -> HeldOutput:
        self.outputs[key] = Sounding() if output is None else output
        self.held[key] = self.turns.hold(key, self.outputs[key])
        return self.held[key]

    def close(self, key: BridgeKey) -> None:
        self.turns.drop(self.outputs.pop(key))

    async def says(self, key: BridgeKey, values: range, *, finishes: bool = True) -> None:
        """A phrase of which each tenth of a second is translated at once."""
        self.held[key].expect()
        for value in values:
            self.ears.hearers[key.speaker].hear(b"", now(), True, ())
            self.held[key].push(sound(value))
            await asyncio.sleep(STEP_S)
        if finishes:
            self.held[key].release()

    @property
    def listening(self) -> dict[str, str]:
        return self.told[-1][1] if self.told else {}

    async def until(self, ready: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not ready():
                await asyncio.sleep(0.01)

    async def _tell(self, attributes: dict[str, str]) -> None:
        self.told.append((now(), json.loads(attributes["parley.listening"])))


Opens = Callable[..., Stage]


@pytest.fixture
async def opens(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Opens]:
    """Opens a stage: in the test, for only there is time virtual."""
    for name in ("consecutive", "line", "outlet", "track_output", "mix_output"):
        monkeypatch.setattr(f"parley.room.{name}.monotonic", now)
    stages: list[Stage] = []

    def opened(policy: TurnPolicy | None = None) -> Stage:
        stages.append(Stage(policy))
        return stages[-1]

    yield opened
    for stage in stages:
        stage.running.cancel()
        await asyncio.wait({stage.running})


async def test_nothing_is_heard_before_the_phrase_is_over_and_then_all_of_it(opens: Opens) -> None:
    stage = opens()
    stage.open(ANN)
    await stage.says(ANN, range(1, 31))
    spoken_at = now()
    assert stage.outputs[ANN].values == []
    assert stage.listening == {}
    assert stage.held[ANN].waiting_s == pytest.approx(3)
    await stage.until(lambda: stage.outputs[ANN].values != [])
    assert stage.outputs[ANN].values == list(range(1, 31))
    assert now() - spoken_at == pytest.approx(0.45, abs=0.1)


async def test_it_is_told_who_still_listens_until_all_was_played(opens: Opens) -> None:
    stage = opens()
    stage.open(ANN)
    await stage.says(ANN, range(1, 31))
    await stage.until(lambda: stage.listening == {"bob": "ann"})
    await stage.until(lambda: stage.listening == {})
    assert now() >= stage.outputs[ANN].done_at
    assert now() - stage.outputs[ANN].done_at < 1.2
    assert [who for _, who in stage.told] == [{"bob": "ann"}, {}]


async def test_who_speaks_meanwhile_is_heard_afterwards(opens: Opens) -> None:
    stage = opens()
    stage.open(ANN)
    stage.open(BOB)
    await stage.says(ANN, range(1, 31))
    await stage.says(BOB, range(1, 11))
    await stage.until(lambda: stage.outputs[BOB].values != [])
    assert stage.outputs[BOB].values == list(range(1, 11))
    assert stage.outputs[BOB].began_at >= stage.outputs[ANN].done_at
    await stage.until(lambda: stage.listening == {})
    assert [who for _, who in stage.told] == [
        {"bob": "ann"},
        {"bob": "ann", "ann": "bob"},
        {"ann": "bob"},
        {},
    ]


async def test_words_that_come_after_the_phrase_are_played_at_once(opens: Opens) -> None:
    stage = opens()
    held = stage.open(ANN)
    await stage.says(ANN, range(1, 4), finishes=False)
    await stage.until(lambda: stage.outputs[ANN].values != [])
    held.push(sound(4))
    assert stage.outputs[ANN].values == [1, 2, 3, 4]
    held.release()


async def test_the_attribute_is_set_twice_a_second_at_most(opens: Opens) -> None:
    stage = opens(TurnPolicy(breath_s=0.05, rest_s=0.05))
    stage.open(ANN)
    for _ in range(20):
        await stage.says(ANN, range(1, 2))
        await asyncio.sleep(0.3)
    times = [at for at, _ in stage.told]
    assert len(times) > 4
    assert all(b - a >= module.TELL_S - 1e-6 for a, b in itertools.pairwise(times))


async def test_a_phrase_that_is_too_long_is_let_out_and_that_is_told(opens: Opens) -> None:
    stage = opens(TurnPolicy(most_s=5))
    stage.open(ANN)
    await stage.says(ANN, range(1, 71))
    assert stage.outputs[ANN].values[:50] == list(range(1, 51))
    assert [notice.event for notice in stage.notices.said] == ["phrase.long"]


async def test_what_is_held_is_bounded_and_what_is_given_up_is_told(
    opens: Opens, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_HELD_S", 2.05)
    stage = opens()
    stage.open(ANN)
    await stage.says(ANN, range(1, 31))
    await stage.until(lambda: stage.outputs[ANN].values != [])
    assert stage.outputs[ANN].values == list(range(11, 31))
    assert [(n.event, n.detail[:5]) for n in stage.notices.said] == [("audio.dropped", "1.0 s")]


async def test_a_speaker_who_leaves_is_heard_out(opens: Opens) -> None:
    stage = opens()
    held = stage.open(ANN)
    await stage.says(ANN, range(1, 11))
    await held.played()
    assert stage.outputs[ANN].values == list(range(1, 11))
    assert now() == pytest.approx(stage.outputs[ANN].done_at)
    stage.close(ANN)
    assert stage.ears.hearers == {}
    assert stage.notices.said == []


async def test_a_speaker_who_comes_back_while_being_heard_out_is_held_again(opens: Opens) -> None:
    stage = opens()
    stage.open(ANN)
    await stage.says(ANN, range(1, 11))
    before = stage.outputs[ANN]
    del stage.ears.hearers["ann"]  # the microphone has gone with the speaker
    stage.open(ANN)
    await stage.says(ANN, range(11, 21))
    assert stage.outputs[ANN].values == []
    await stage.until(lambda: stage.outputs[ANN].values != [])
    assert before.values + stage.outputs[ANN].values == list(range(1, 21))
    stage.turns.drop(before)
    assert stage.ears.hearers.keys() == {"ann"}, "the ear is the newer output's too"


async def test_a_bridge_that_fails_or_lost_consent_in_mid_phrase_keeps_nobody_waiting(opens: Opens) -> None:
    stage = opens()
    stage.open(ANN)
    stage.open(BOB)
    await stage.says(ANN, range(1, 11), finishes=False)
    failed = stage.outputs[ANN]
    stage.close(ANN)
    await stage.says(BOB, range(1, 11))
    spoken_at = now()
    await stage.held[BOB].played()
    assert failed.values == []
    assert stage.outputs[BOB].values == list(range(1, 11))
    assert stage.outputs[BOB].began_at - spoken_at < 1.5
    await stage.until(lambda: stage.listening == {})


async def test_what_is_held_when_its_output_is_closed_is_told_and_nobody_waits_for_it(opens: Opens) -> None:
    stage = opens()
    held = stage.open(ANN)
    await stage.says(ANN, range(1, 11), finishes=False)
    stage.close(ANN)
    await held.played()
    assert [(n.event, n.detail[:5]) for n in stage.notices.said] == [("audio.dropped", "1.0 s")]


async def test_a_session_that_fails_in_mid_phrase_keeps_others_waiting_for_a_while_only(opens: Opens) -> None:
    stage = opens(TurnPolicy(patience_s=2))
    stage.open(ANN)
    stage.open(BOB)
    await stage.says(ANN, range(1, 11), finishes=False)
    await stage.says(BOB, range(1, 11))
    await stage.until(lambda: stage.outputs[BOB].values != [])
    assert stage.outputs[ANN].values == list(range(1, 11))
    assert now() - stage.outputs[ANN].done_at == pytest.approx(2, abs=0.2)
    stage.held[ANN].push(sound(11))
    assert stage.outputs[ANN].values[-1] == 10, "not while bob's translation plays"
    await stage.until(lambda: stage.outputs[ANN].values[-1] == 11)
    assert now() >= stage.outputs[BOB].done_at


@pytest.mark.parametrize("kind", ["track", "ducked", "mix"])
async def test_what_was_held_is_not_hurried_as_if_it_lagged(opens: Opens, kind: str) -> None:
    stage = opens()
    room, layer, metrics = FakeRoom(), FakeLayer(), Metrics()
    player = Player(metrics)
    playing = asyncio.create_task(player.run())
    mixes = Mixes(player, metrics)
    track: Any
    if kind == "mix":
        output: Any = mixes.line(policy=UNHURRIED)
        track = mixes.mix("bob", layer)  # type: ignore[arg-type]
        track.hears({output: 1.0})
    elif kind == "ducked":
        track = output = DuckedTrack(player, "t", layer, metrics, -18.0, UNHURRIED)  # type: ignore[arg-type]
    else:
        track = output = TrackOutput(player, "t", layer, metrics, Playout(UNHURRIED))  # type: ignore[arg-type]
    await track.publish(room)
    held = stage.open(ANN, output)
    held.expect()
    for _ in range(8):  # 1 s of speech and 1 s of silence, by turns
        stage.ears.hearers["ann"].hear(b"", now(), True, ())
        held.push(sound(1000, 1.0))
        held.push(sound(0, 1.0))
    held.release()
    await held.played()
    pcm = layer.pcm
    values = [pcm[i : i + 2] for i in range(0, len(pcm), FRAME)]
    spoken = [i for i, value in enumerate(values) if any(value)]
    assert len(spoken) == 8 * 50, "no speech was lost or played faster"
    assert spoken[-1] - spoken[0] == 15 * 50 - 1, "no silence was shortened"
    playing.cancel()
    await asyncio.wait({playing})
    await track.unpublish(room)


@pytest.mark.parametrize("layout", ["per_speaker", "per_listener"])
@pytest.mark.parametrize("original", ["keep", "duck"])
async def test_the_workers_attribute_says_who_listens_in_every_layout(
    opens: Opens, monkeypatch: pytest.MonkeyPatch, layout: Any, original: Any
) -> None:
    room = FakeRoom()
    hearers: dict[Hashable, Any] = {}
    monkeypatch.setattr("parley.room.supervisor.native_layer", lambda loop, logs: None)
    monkeypatch.setattr(
        Ingress, "attach", lambda self, speaker, key, hearer, frame_ms=50: hearers.update({key: hearer})
    )
    policy = RoomPolicy(
        BridgePolicy("m", "t"),
        GatePolicy(),
        Preferences(),
        Allowed(("en", "fr")),
        sessions=9,
        layout=LayoutPolicy(layout, original, mode="consecutive"),
    )
    room.join(FakeParticipant("ana", {"parley.speaks": "en"}))
    room.join(FakeParticipant("ben", {"parley.speaks": "fr", "parley.hears": "fr"}))
    supervisor = RoomSupervisor(room, policy, ScriptedDial(), Metrics())  # type: ignore[arg-type]
    attributes = room.local_participant.attributes
    async with asyncio.timeout(30), asyncio.TaskGroup() as group:
        group.create_task(supervisor.run())
        await room.until(lambda: BridgeKey("ana", "fr") in hearers)
        hearers["turns"].hear(b"", now(), True, ())
        await room.until(lambda: "parley.listening" in attributes)
        assert json.loads(attributes["parley.listening"]) == {"ben": "ana"}
        await room.until(lambda: attributes["parley.listening"] == "{}")
        supervisor.leave()
