"""Media stop while the signalling goes on: what is to be played waits, what was said is told as missed."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from fakes.room import FakeRoom
from livekit import rtc
from parley.metrics import Metrics
from parley.room.media_watch import CUT_S, POLL_S, MediaWatch
from parley.room.track_output import Player

pytestmark = pytest.mark.looptime


class Ingress:
    """Stands for the microphones."""

    def __init__(self) -> None:
        self.capturing = True
        self.lost_since: float | None = None

    def lost(self, participants: object, since: float) -> None:
        self.lost_since = since

    def found(self) -> None:
        self.lost_since = None


class Watched:
    def __init__(self) -> None:
        self.room, self.ingress, self.player = FakeRoom(), Ingress(), Player(Metrics())
        self._watch = MediaWatch(self.room, self.ingress, self.player)  # type: ignore[arg-type]
        self.task: asyncio.Task[None] | None = None

    async def flow(self, seconds: float, packets: int = 50) -> None:
        """So many come in each second; from the first call on they are watched."""
        self.task = self.task or asyncio.get_running_loop().create_task(self._watch.run())
        for _ in range(round(seconds / POLL_S)):
            self.room.packets = (self.room.packets or 0) + packets
            await asyncio.sleep(POLL_S)


@pytest.fixture
async def watched() -> AsyncIterator[Watched]:
    made = Watched()
    yield made
    if made.task is not None:
        made.task.cancel()


async def test_a_cut_is_noticed_and_what_was_missed_counts_from_the_last_packet(watched: Watched) -> None:
    await watched.flow(5)
    cut_at = asyncio.get_running_loop().time()
    await watched.flow(CUT_S + 2 * POLL_S, packets=0)
    assert watched.player.held
    assert watched.ingress.lost_since == pytest.approx(cut_at, abs=POLL_S)
    await watched.flow(2 * POLL_S)
    assert not watched.player.held
    assert watched.ingress.lost_since is None


async def test_what_another_holds_stays_held_when_media_come_again(watched: Watched) -> None:
    blip = object()
    await watched.flow(3)
    await watched.flow(CUT_S + 2 * POLL_S, packets=0)
    watched.player.hold(blip)
    await watched.flow(2 * POLL_S)
    assert watched.ingress.lost_since is None
    assert watched.player.held, "the connection is still away"
    watched.player.release(blip)
    assert not watched.player.held


async def test_a_path_on_which_little_comes_is_no_cut(watched: Watched) -> None:
    await watched.flow(3)
    for _ in range(10):
        await watched.flow(CUT_S - POLL_S, packets=0)
        await watched.flow(POLL_S, packets=1)
        assert not watched.player.held


async def test_nobody_is_watched_for_while_nobody_is_captured(watched: Watched) -> None:
    watched.ingress.capturing = False
    await watched.flow(3 * CUT_S, packets=0)
    assert not watched.player.held
    watched.ingress.capturing = True
    await watched.flow(CUT_S - POLL_S, packets=0)
    assert not watched.player.held, "it counts from when somebody is captured"


@pytest.mark.parametrize("why", ["away", "unknown", "failing"])
async def test_what_is_not_known_is_no_cut(
    watched: Watched, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails() -> rtc.RtcStats:
        raise RuntimeError("not now")

    await watched.flow(3)
    if why == "away":
        watched.room.connection_state = rtc.ConnectionState.CONN_RECONNECTING
    elif why == "unknown":
        watched.room.packets = None
    else:
        monkeypatch.setattr(watched.room, "get_rtc_stats", fails)
    await asyncio.sleep(3 * CUT_S)
    assert not watched.player.held
