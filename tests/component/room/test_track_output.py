"""A track and the clock that plays it, in virtual time, down to the blocks handed to the source."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable

import pytest

from fakes.native import FakeLayer
from fakes.room import FakeRoom
from livekit import rtc
from parley.core.lag import LagPolicy
from parley.media.playout import Playout, PlayoutPolicy
from parley.metrics import Metrics
from parley.room.line import REST_S
from parley.room.outlet import DWELL_S, LEAD_S
from parley.room.track_output import Player, TrackOutput

pytestmark = pytest.mark.looptime

FRAME = 960


def audible(n: int) -> bytes:
    """20 ms that can be told apart."""
    return (1000 + n).to_bytes(2, "little") * (FRAME // 2)


def played(layer: FakeLayer) -> list[int]:
    """The audible frames that were handed over, in order."""
    values = [int.from_bytes(layer.pcm[i : i + 2], "little") for i in range(0, len(layer.pcm), FRAME)]
    return [value - 1000 for value in values if value]


def tell_time(monkeypatch: pytest.MonkeyPatch, late: Callable[[], float] = lambda: 0.0) -> None:
    """The room's clock is the loop's, which is virtual."""
    for module in ("line", "outlet", "track_output"):
        monkeypatch.setattr(
            f"parley.room.{module}.monotonic", lambda: asyncio.get_running_loop().time() + late()
        )


class Stage:
    """One track, its clock, and what happens to it."""

    def __init__(self) -> None:
        self.room = FakeRoom()
        self.layer = FakeLayer()
        self.metrics = Metrics()
        self.player = Player(self.metrics)
        self.playing: asyncio.Task[None] | None = None
        self.muting: list[tuple[float, str]] = []
        self.output = self.track("parley:ana:fr", self.layer)

    def track(self, name: str, layer: FakeLayer) -> TrackOutput:
        # Frames of one value each stand for speech: they are told apart only at their own speed.
        queue = Playout(PlayoutPolicy(lag=LagPolicy(most_speed=1.0)))
        output = TrackOutput(self.player, name, layer, self.metrics, queue)  # type: ignore[arg-type]
        track = output.outlet.track
        track.mute = lambda: self.muting.append((self.now, "mute"))  # type: ignore[method-assign]
        track.unmute = lambda: self.muting.append((self.now, "unmute"))  # type: ignore[method-assign]
        return output

    async def start(self) -> None:
        """Publishes the track and starts the clock: in the test, for only there is time virtual."""
        self.playing = asyncio.create_task(self.player.run())
        await self.output.publish(self.room)  # type: ignore[arg-type]

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    @property
    def muted(self) -> bool:
        return self.muting[-1][1] == "mute"


@pytest.fixture
async def stage(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stage]:
    tell_time(monkeypatch)
    stage = Stage()
    yield stage
    if stage.playing is not None:
        stage.playing.cancel()
        await asyncio.wait({stage.playing})
    await stage.output.unpublish(stage.room)  # type: ignore[arg-type]


async def test_a_published_track_is_muted_and_costs_nothing(stage: Stage) -> None:
    await stage.start()
    assert stage.output.sid == "TR_parley:ana:fr"
    await asyncio.sleep(3600)
    assert stage.layer.blocks == []
    assert stage.muting == [(stage.muting[0][0], "mute")]


async def test_audio_is_played_in_real_time_after_the_track_is_unmuted(stage: Stage) -> None:
    await stage.start()
    await asyncio.sleep(10)
    stage.output.expect()
    await asyncio.sleep(0.5)
    assert not stage.muted
    began = stage.now
    stage.output.push(b"".join(map(audible, range(50))))
    await asyncio.sleep(3)
    assert played(stage.layer) == list(range(50))
    times = [t - began for t, pcm in stage.layer.blocks if any(pcm)]
    assert times[0] < 0.05
    assert times[-1] == pytest.approx(times[0] + 49 * 0.02, abs=0.03)
    assert all(0 <= b - a <= 0.021 for a, b in itertools.pairwise(times))


async def test_audio_that_nobody_announced_waits_for_the_server_to_hear_of_the_unmuting(stage: Stage) -> None:
    await stage.start()
    await asyncio.sleep(10)
    began = stage.now
    stage.output.push(b"".join(map(audible, range(5))))
    assert not stage.muted
    await asyncio.sleep(2)
    assert played(stage.layer) == list(range(5))
    assert stage.layer.blocks[0][0] - began >= LEAD_S - 1e-6


async def test_a_track_is_not_unmuted_right_after_it_was_muted(stage: Stage) -> None:
    await stage.start()
    muted_at = stage.muting[0][0]
    stage.output.push(audible(0))
    await asyncio.sleep(2)
    assert stage.muting[1][1] == "unmute"
    assert stage.muting[1][0] - muted_at >= DWELL_S - 1e-6
    assert stage.layer.blocks[0][0] - stage.muting[1][0] >= LEAD_S - 0.021
    assert played(stage.layer) == [0]


async def test_after_release_it_rests_when_all_is_played(stage: Stage) -> None:
    await stage.start()
    await asyncio.sleep(1)
    stage.output.expect()
    stage.output.push(b"".join(map(audible, range(100))))
    stage.output.release()
    waiter = asyncio.create_task(stage.output.played())
    await asyncio.sleep(1.5)
    assert not waiter.done()
    assert not stage.muted
    await asyncio.sleep(2)
    assert waiter.done()
    assert stage.muted
    assert played(stage.layer) == list(range(100))
    silent = sum(not any(pcm) for _, pcm in stage.layer.blocks) * 0.01
    assert silent == pytest.approx(REST_S, abs=0.05)
    blocks = len(stage.layer.blocks)
    await asyncio.sleep(100)
    assert len(stage.layer.blocks) == blocks


async def test_a_track_of_which_nothing_came_is_muted_again(stage: Stage) -> None:
    """What was no speech after all: else the next phrase would find the track unmuted and out of time."""
    await stage.start()
    await asyncio.sleep(1)
    stage.output.expect()
    await asyncio.sleep(5)
    assert not stage.muted
    stage.output.release()
    await asyncio.sleep(1)
    assert stage.muted
    assert stage.layer.blocks == []


async def test_while_more_is_expected_pauses_are_played(stage: Stage) -> None:
    await stage.start()
    await asyncio.sleep(1)
    stage.output.expect()
    stage.output.push(audible(0))
    await asyncio.sleep(5)
    stage.output.push(audible(1))
    await asyncio.sleep(1)
    assert not stage.muted
    assert played(stage.layer) == [0, 1]
    assert len(stage.layer.pcm) / 48_000 == pytest.approx(6, abs=0.2)


async def test_what_does_not_fill_a_frame_is_played_on_release(stage: Stage) -> None:
    await stage.start()
    await asyncio.sleep(1)
    stage.output.expect()
    stage.output.push(audible(0) + audible(1)[:100])
    stage.output.release()
    await asyncio.sleep(2)
    assert played(stage.layer) == [0, 1]


async def test_more_than_may_wait_is_dropped_and_counted(stage: Stage) -> None:
    await stage.start()
    await asyncio.sleep(1)
    stage.output.push(audible(0) * 50 * 40)
    assert stage.output.waiting_s <= 30.1
    dropped = stage.metrics.registry.get_sample_value(
        "parley_audio_dropped_seconds_total", {"where": "playout"}
    )
    assert dropped == pytest.approx(10.0)


async def test_what_is_given_up_is_told_and_is_a_whole_phrase(stage: Stage) -> None:
    await stage.start()
    await asyncio.sleep(1)
    told: list[float] = []
    stage.output.on_dropped = told.append
    for n in range(5):
        stage.output.push(audible(n) * 400 + bytes(FRAME) * 50)
    assert told == pytest.approx([9.0, 9.0])
    stage.output.release()
    await stage.output.played()
    assert set(played(stage.layer)) == {2, 3, 4}


async def test_lag_that_was_made_up_for_is_counted(stage: Stage) -> None:
    await stage.start()
    output = TrackOutput(stage.player, "parley:ana:de", FakeLayer(), stage.metrics)  # type: ignore[arg-type]
    await output.publish(stage.room)  # type: ignore[arg-type]
    await asyncio.sleep(1)
    output.push(audible(0) * 200 + bytes(FRAME) * 55)
    output.push(audible(1) * 200)
    output.release()
    await output.played()
    recovered = [
        stage.metrics.registry.get_sample_value("parley_lag_recovered_seconds_total", {"by": by})
        for by in ("silence", "speed")
    ]
    assert recovered[0] == pytest.approx(1.0, abs=0.1)
    assert recovered[1] is not None
    assert 0.5 < recovered[1] < 2
    await output.unpublish(stage.room)  # type: ignore[arg-type]


async def test_the_time_from_wire_to_track_is_measured_once_a_burst(stage: Stage) -> None:
    await stage.start()
    await asyncio.sleep(1)
    for _ in range(3):
        stage.output.expect()
        await asyncio.sleep(1)
        stage.output.push(b"".join(map(audible, range(50))))
        stage.output.release()
        await asyncio.sleep(5)
    assert stage.metrics.registry.get_sample_value("parley_egress_seconds_count") == 3
    assert (stage.metrics.registry.get_sample_value("parley_egress_seconds_sum") or 9) < 0.3


async def test_tracks_do_not_disturb_each_other(stage: Stage) -> None:
    await stage.start()
    layers = [FakeLayer() for _ in range(5)]
    outputs = [stage.track(f"t{i}", layer) for i, layer in enumerate(layers)]
    for output in outputs:
        await output.publish(stage.room)  # type: ignore[arg-type]
    await asyncio.sleep(1)
    for output in outputs:
        output.push(b"".join(map(audible, range(100))))
    await asyncio.sleep(1)
    await outputs[0].unpublish(stage.room)  # type: ignore[arg-type]
    await asyncio.sleep(5)
    assert len(played(layers[0])) < 60
    assert all(played(layer) == list(range(100)) for layer in layers[1:])
    for output in outputs[1:]:
        await output.unpublish(stage.room)  # type: ignore[arg-type]


async def test_a_stalled_loop_loses_no_audio(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    await stage.start()
    late = 0.0
    tell_time(monkeypatch, lambda: late)
    await asyncio.sleep(1)
    stage.output.push(b"".join(map(audible, range(200))))
    await asyncio.sleep(1)
    late = 1.3
    await asyncio.sleep(5)
    assert played(stage.layer) == list(range(200))


async def test_the_public_api_plays_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    tell_time(monkeypatch)
    captured: list[bytes] = []

    async def capture_frame(self: rtc.AudioSource, frame: rtc.AudioFrame) -> None:
        assert (frame.sample_rate, frame.num_channels, frame.samples_per_channel) == (24_000, 1, 240)
        captured.append(bytes(frame.data.cast("B")))

    monkeypatch.setattr(rtc.AudioSource, "capture_frame", capture_frame)
    player = Player(Metrics())
    output = TrackOutput(player, "parley:ana:fr", None, Metrics())
    task = asyncio.create_task(player.run())
    pcm = b"".join(map(audible, range(30)))
    output.push(pcm)
    output.release()
    await output.played()
    assert b"".join(captured).startswith(pcm)
    task.cancel()
    await asyncio.wait({task})
    await output.unpublish(FakeRoom())  # type: ignore[arg-type]
