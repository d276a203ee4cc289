"""Mixes of a room in virtual time: aligned to the sample, at rest when silent, cheap."""

import asyncio
from collections.abc import AsyncIterator
from time import thread_time

import numpy as np
import pytest
from numpy.typing import NDArray

from fakes.native import FakeLayer
from fakes.room import FakeRoom
from parley.core.framing import RATE_HZ
from parley.metrics import Metrics
from parley.room.line import REST_S
from parley.room.mix_output import Mixes, MixLine, MixOriginal, MixOutput
from parley.room.track_output import DuckedTrack, Player

pytestmark = pytest.mark.looptime

FRAME = 480


def level(value: int, frames: int) -> bytes:
    return np.full(frames * FRAME, value, np.int16).tobytes()


class Stage:
    """A room's mixes, their clock, and what each listener was sent."""

    def __init__(self) -> None:
        self.room = FakeRoom()
        self.metrics = Metrics()
        self.player = Player(self.metrics)
        self.mixes = Mixes(self.player, self.metrics)
        self.layers: dict[str, FakeLayer] = {}
        self.muting: dict[str, list[str]] = {}
        self.outputs: list[MixOutput] = []
        self.tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self.tasks.append(asyncio.create_task(self.player.run()))

    async def listener(self, name: str) -> MixOutput:
        layer = self.layers[name] = FakeLayer()
        output = self.mixes.mix(name, layer)  # type: ignore[arg-type]
        said = self.muting[name] = []
        output.outlet.track.mute = lambda: said.append("mute")  # type: ignore[method-assign]
        output.outlet.track.unmute = lambda: said.append("unmute")  # type: ignore[method-assign]
        await output.publish(self.room)  # type: ignore[arg-type]
        self.outputs.append(output)
        return output

    def heard(self, name: str) -> NDArray[np.int16]:
        return np.frombuffer(self.layers[name].pcm, np.int16)

    async def speak(self, original: MixOriginal | DuckedTrack, value: int, frames: int) -> None:
        """A microphone: 20 ms every 20 ms."""
        for _ in range(frames):
            original.hear(level(value, 1), 0.0, value != 0, ())
            await asyncio.sleep(0.02)


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    for module in ("line", "outlet", "track_output", "mix_output"):
        monkeypatch.setattr(f"parley.room.{module}.monotonic", lambda: asyncio.get_running_loop().time())
    stage = Stage()
    yield stage
    for task in stage.tasks:
        task.cancel()
        await asyncio.wait({task})
    for output in stage.outputs:
        await output.unpublish(stage.room)  # type: ignore[arg-type]


async def test_one_voice_alone_comes_through_to_the_bit(stage: Stage) -> None:
    await stage.start()
    line = stage.mixes.line()
    (await stage.listener("ben")).hears({line: 1.0})
    await asyncio.sleep(1)
    pcm = np.random.default_rng(1).integers(-30000, 30000, 50 * FRAME).astype(np.int16)
    line.push(pcm.tobytes())
    await asyncio.sleep(3)
    heard = stage.heard("ben")
    begins = np.flatnonzero(heard)[0]
    assert begins % FRAME == 0
    assert (heard[begins : begins + len(pcm)] == pcm).all()
    assert stage.outputs[0].sid == "TR_parley-mix:ben"


async def test_each_listener_hears_the_sum_of_what_is_theirs_at_the_same_sample(stage: Stage) -> None:
    await stage.start()
    fr, de = stage.mixes.line(), stage.mixes.line()
    (await stage.listener("ben")).hears({fr: 1.0})
    (await stage.listener("cara")).hears({fr: 1.0, de: 1.0})
    await asyncio.sleep(1)
    fr.push(level(1000, 50))
    de.push(level(300, 50))
    await asyncio.sleep(3)
    ben, cara = stage.heard("ben"), stage.heard("cara")
    assert len(ben) == len(cara)
    begins = np.flatnonzero(ben == 1000)[0]
    assert (cara[begins : begins + 50 * FRAME] == 1300).all()


async def test_a_second_voice_begins_on_the_same_grid(stage: Stage) -> None:
    await stage.start()
    fr, de = stage.mixes.line(), stage.mixes.line()
    (await stage.listener("ben")).hears({fr: 1.0, de: 1.0})
    await asyncio.sleep(1)
    fr.push(level(1000, 50))
    await asyncio.sleep(0.333)
    de.push(level(300, 10))
    await asyncio.sleep(3)
    heard = stage.heard("ben")
    both = np.flatnonzero(heard == 1300)
    assert len(both) == 10 * FRAME
    assert both[-1] - both[0] == 10 * FRAME - 1
    assert both[0] % FRAME == 0


async def test_a_mix_rests_when_all_is_silent_and_costs_nothing(stage: Stage) -> None:
    await stage.start()
    line = stage.mixes.line()
    (await stage.listener("ben")).hears({line: 1.0})
    (await stage.listener("cara")).hears({})
    await asyncio.sleep(1)
    line.expect()
    line.push(level(1000, 50))
    line.release()
    await line.played()
    await asyncio.sleep(0.1)
    assert stage.muting["ben"] == ["mute", "unmute", "mute"]
    assert stage.muting["cara"] == ["mute"]
    assert stage.layers["cara"].blocks == []
    silent = np.count_nonzero(stage.heard("ben") == 0) / RATE_HZ
    assert silent == pytest.approx(REST_S, abs=0.1)
    blocks = len(stage.layers["ben"].blocks)
    await asyncio.sleep(100)
    assert len(stage.layers["ben"].blocks) == blocks


async def test_while_something_is_expected_the_mix_is_unmuted_and_nothing_is_sent(stage: Stage) -> None:
    await stage.start()
    line = stage.mixes.line()
    (await stage.listener("ben")).hears({line: 1.0})
    line.expect()
    await asyncio.sleep(2)
    assert stage.muting["ben"] == ["mute", "unmute"], "as soon as it may be, after it was muted"
    assert stage.layers["ben"].blocks == []
    line.release()
    await asyncio.sleep(1)
    assert stage.muting["ben"][-1] == "mute"


async def test_the_first_word_waits_until_the_server_has_heard_of_the_unmuting(stage: Stage) -> None:
    await stage.start()
    line = stage.mixes.line()
    (await stage.listener("ben")).hears({line: 1.0})
    await asyncio.sleep(1)
    began = asyncio.get_running_loop().time()
    line.push(level(1000, 5))
    await asyncio.sleep(2)
    first = next(at for at, pcm in stage.layers["ben"].blocks if any(pcm))
    assert 0.06 <= first - began <= 0.11
    assert np.count_nonzero(stage.heard("ben")) == 5 * FRAME


@pytest.mark.parametrize("others", [False, True])
async def test_an_original_is_heard_from_its_onset_on_though_its_track_rested(
    stage: Stage, others: bool
) -> None:
    await stage.start()
    original, line = stage.mixes.original(), stage.mixes.line()
    (await stage.listener("ben")).hears({original: 1.0})
    (await stage.listener("eve")).hears({line: 1.0})
    await asyncio.sleep(1)
    if others:  # the clock ticks already, for somebody else
        line.push(level(500, 200))
        await asyncio.sleep(0.5)
    began = asyncio.get_running_loop().time()
    await stage.speak(original, 3000, 4)
    await stage.speak(original, 5000, 40)
    first = next(at for at, pcm in stage.layers["ben"].blocks if any(pcm))
    heard = stage.heard("ben")
    assert 0.06 <= first - began <= 0.13, "not before the server has heard of the unmuting"
    assert np.count_nonzero(heard == 3000) > 2 * FRAME, "of the first 80 ms there is more than half"
    assert stage.metrics.dropped_s["original"] == 0.0
    assert original.voice.waiting_s <= 0.02 + 1e-9


async def test_an_original_under_a_line_wakes_the_mixes_that_carry_the_line(stage: Stage) -> None:
    await stage.start()
    original = stage.mixes.original()
    (await stage.listener("ben")).hears({stage.mixes.line(under=original, duck_db=-20.0): 1.0})
    await asyncio.sleep(1)
    await stage.speak(original, 3000, 4)
    await stage.speak(original, 5000, 40)
    assert np.count_nonzero(stage.heard("ben") == 3000) > 2 * FRAME
    assert stage.metrics.dropped_s["original"] == 0.0


async def test_of_two_workers_that_hand_over_one_carries_an_original_at_a_time(stage: Stage) -> None:
    await stage.start()
    leaving, coming = stage.mixes.original(), stage.mixes.original()
    old, new = stage.mixes.line(under=leaving, duck_db=-20.0), stage.mixes.line()
    (await stage.listener("old")).hears({old: 1.0})
    (await stage.listener("new")).hears({new: 1.0})
    await asyncio.sleep(1)
    await stage.speak(leaving, 3000, 50)
    leaving.close()
    new.under = coming
    begun = len(stage.heard("old"))
    await stage.speak(coming, 3000, 50)
    assert np.count_nonzero(stage.heard("old")[begun:]) == 0
    both = np.count_nonzero(stage.heard("old")) + np.count_nonzero(stage.heard("new"))
    assert 90 * FRAME < both <= 100 * FRAME


async def test_an_original_is_undimmed_for_some_and_ducked_for_others(stage: Stage) -> None:
    await stage.start()
    original = stage.mixes.original()
    line = stage.mixes.line(under=original, duck_db=-20.0)
    (await stage.listener("ben")).hears({line: 1.0})
    (await stage.listener("eve")).hears({original: 1.0})
    await asyncio.sleep(1)
    speaking = asyncio.create_task(stage.speak(original, 1000, 250))
    await asyncio.sleep(2)
    line.push(level(50, 50))
    await speaking
    ben, eve = stage.heard("ben"), stage.heard("eve")
    assert len(ben) == len(eve)
    assert set(eve[FRAME : 200 * FRAME]) == {1000}
    assert np.count_nonzero(ben == 150) > 40 * FRAME, "under the translation"
    assert np.count_nonzero(ben == 1000) > 100 * FRAME, "before and after it"


async def test_after_all_was_silent_the_original_begins_undimmed(stage: Stage) -> None:
    await stage.start()
    original = stage.mixes.original()
    line = stage.mixes.line(under=original, duck_db=-20.0)
    (await stage.listener("ben")).hears({line: 1.0})
    await asyncio.sleep(1)
    line.push(level(50, 50))
    await asyncio.sleep(3)
    assert stage.muting["ben"][-1] == "mute"
    before = len(stage.heard("ben"))
    await stage.speak(original, 1000, 50)
    heard = stage.heard("ben")[before:]
    begins = np.flatnonzero(heard)[0]
    assert (heard[begins + 60 : begins + 10 * FRAME] == 1000).all()


async def test_a_burst_of_a_microphone_does_not_stay_in_the_mix(stage: Stage) -> None:
    await stage.start()
    original = stage.mixes.original()
    (await stage.listener("eve")).hears({original: 1.0})
    await asyncio.sleep(1)
    await stage.speak(original, 1000, 20)
    for _ in range(5):
        original.hear(level(1000, 1), 0.0, True, ())
    await stage.speak(original, 1000, 2)
    assert original.voice.waiting_s <= 0.04
    counted = {"where": "original"}
    assert stage.metrics.registry.get_sample_value("parley_audio_dropped_seconds_total", counted)


async def test_the_original_of_a_silent_microphone_keeps_nothing_awake(stage: Stage) -> None:
    await stage.start()
    original = stage.mixes.original()
    (await stage.listener("eve")).hears({original: 1.0})
    await asyncio.sleep(1)
    await stage.speak(original, 1000, 10)
    assert stage.muting["eve"] == ["mute", "unmute"]
    await stage.speak(original, 0, 60)
    assert stage.muting["eve"] == ["mute", "unmute", "mute"]
    blocks = len(stage.layers["eve"].blocks)
    await stage.speak(original, 0, 100)
    assert len(stage.layers["eve"].blocks) == blocks


async def test_what_is_closed_is_heard_no_more(stage: Stage) -> None:
    await stage.start()
    original = stage.mixes.original()
    line, other = stage.mixes.line(under=original), stage.mixes.line()
    mix = await stage.listener("ben")
    mix.hears({line: 1.0, other: 1.0, original: 0.0})
    await asyncio.sleep(1)
    for each in (line, other):
        each.push(level(100, 100))
    await asyncio.sleep(1)
    line.close()
    original.close()
    await asyncio.sleep(3)
    assert set(mix.gains) == {other}
    assert np.count_nonzero(stage.heard("ben") == 100) > 40 * FRAME


async def test_lines_that_nobody_hears_are_played_all_the_same(stage: Stage) -> None:
    await stage.start()
    line = stage.mixes.line()
    line.push(level(100, 50))
    line.release()
    async with asyncio.timeout(3):
        await line.played()
    assert line.waiting_s == 0


async def test_a_stalled_loop_loses_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await stage.start()
    late = 0.0
    for module in ("line", "outlet", "track_output", "mix_output"):
        monkeypatch.setattr(
            f"parley.room.{module}.monotonic", lambda: asyncio.get_running_loop().time() + late
        )
    line = stage.mixes.line()
    (await stage.listener("ben")).hears({line: 1.0})
    await asyncio.sleep(1)
    line.push(level(100, 50))
    await asyncio.sleep(0.4)
    late = 0.3
    await asyncio.sleep(5)
    assert np.count_nonzero(stage.heard("ben") == 100) == 50 * FRAME


async def test_ten_listeners_of_ten_speakers_cost_little(stage: Stage) -> None:
    """All speak at once. A share of a core that also a busy machine keeps; `micro.py` has the true one."""
    lines: list[MixLine] = [stage.mixes.line() for _ in range(10)]
    for i in range(10):
        (await stage.listener(f"p{i}")).hears(dict.fromkeys(lines, 1.0))
    await asyncio.sleep(1)
    spent = 0.0
    for tick in range(500):
        if tick % 10 == 0:
            for i, line in enumerate(lines):
                line.push(level(1000 + i, 10))
        began = thread_time()
        stage.mixes.play(asyncio.get_running_loop().time())
        spent += thread_time() - began
        await asyncio.sleep(0.02)
    assert np.count_nonzero(stage.heard("p0") == 10_045) > 400 * FRAME
    assert spent / 10 < 0.2


async def test_a_ducked_track_carries_both_and_rests(stage: Stage) -> None:
    await stage.start()
    layer, said = FakeLayer(), list[str]()
    output = DuckedTrack(stage.player, "parley:ana:fr", layer, stage.metrics, -20.0)  # type: ignore[arg-type]
    output.outlet.track.mute = lambda: said.append("mute")  # type: ignore[method-assign]
    output.outlet.track.unmute = lambda: said.append("unmute")  # type: ignore[method-assign]
    await output.publish(stage.room)  # type: ignore[arg-type]
    await asyncio.sleep(1)
    await stage.speak(output, 0, 20)
    assert said == ["mute"]
    speaking = asyncio.create_task(stage.speak(output, 1000, 300))
    await asyncio.sleep(2)
    output.expect()
    output.push(level(50, 50))
    output.release()
    async with asyncio.timeout(2):
        await output.played()
    assert not speaking.done(), "the translation was played; the speaker goes on"
    output.push(level(0, 50))
    assert output.waiting_s == 0, "silence is not played for itself"
    await speaking
    await stage.speak(output, 0, 60)
    assert said == ["mute", "unmute", "mute"]
    heard = np.frombuffer(layer.pcm, np.int16)
    assert np.count_nonzero(heard == 150) > 40 * FRAME
    assert np.count_nonzero(heard == 1000) > 150 * FRAME
    await output.unpublish(stage.room)  # type: ignore[arg-type]
