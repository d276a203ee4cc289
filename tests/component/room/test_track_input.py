"""The microphones of a room: which tracks are one speaker, and what is heard while they change."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from time import monotonic
from typing import Any

import numpy as np
import pytest

from fakes.room import FakeParticipant, FakePublication, FakeRoom
from livekit import rtc
from parley.demo.speech import countable_words
from parley.media.gate import GatePolicy
from parley.room.microphone import FRAME_MS, MOST_WAITING, PROMPT_MS, Blend
from parley.room.track_input import Ingress

SCREEN = rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO
UNKNOWN = rtc.TrackSource.SOURCE_UNKNOWN
SAMPLES = 24 * FRAME_MS


def frame(value: int) -> bytes:
    return np.full(SAMPLES, value, np.int16).tobytes()


class Layer:
    """Streams that deliver when the test says so."""

    def __init__(self) -> None:
        self.streams: list[tuple[Any, Callable[[bytes, float], None]]] = []
        self.opened: list[tuple[Any, int]] = []
        self.now = 0.0

    @property
    def open(self) -> set[Any]:
        """The tracks that are captured."""
        return {track for track, _ in self.streams}

    def open_stream(self, track: Any, rate_hz: int, frame_ms: int, on_audio: Any) -> Any:
        own = (track, on_audio)
        self.streams.append(own)
        self.opened.append((track, frame_ms))
        layer = self

        class Stream:
            async def aclose(self) -> None:
                layer.streams.remove(own)

        return Stream()

    def deliver(self, track: Any, value: int) -> None:
        """A frame, which comes right after the one before it."""
        self.now += FRAME_MS / 1000
        self.give(track, frame(value), self.now)

    def give(self, track: Any, pcm: bytes, at: float) -> None:
        for captured, on_audio in list(self.streams):
            if captured == track:
                on_audio(pcm, at)


class Hearer:
    """Writes down the level of each frame."""

    def __init__(self) -> None:
        self.heard: list[int] = []

    def hear(
        self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float = 0.0
    ) -> None:
        self.heard.append(int(np.frombuffer(pcm, np.int16)[0]))


class Stage:
    """A room with ana, whom somebody hears."""

    def __init__(self) -> None:
        self.room = FakeRoom()
        self.layer = Layer()
        layer: Any = self.layer
        room: Any = self.room
        spawn: Any = lambda task, name: asyncio.get_running_loop().create_task(task)  # noqa: E731
        self.missed: list[tuple[str, float]] = []
        self.ingress = Ingress(
            layer, GatePolicy(), spawn, missed=lambda who, duration_s: self.missed.append((who, duration_s))
        )
        self.ingress.listen(room)
        self.ana = self.room.join(FakeParticipant("ana"))
        self.hearer = Hearer()
        self.ingress.attach("ana", "key", self.hearer)

    def publish(self, sid: str, **more: Any) -> FakePublication:
        return self.room.publish("ana", sid, **more)

    def arrive(self, publication: FakePublication) -> None:
        track: Any = f"track {publication.sid}"
        publication.track = track
        self.room.emit("track_subscribed", track, publication, self.ana)

    def unpublish(self, publication: FakePublication) -> None:
        publication.track = None
        del self.ana.track_publications[publication.sid]

    async def follow(self, *wanted: str) -> None:
        participants: Any = dict(self.room.remote_participants)
        await self.ingress.follow(wanted or ("ana",), participants)
        await asyncio.sleep(0)  # what is replaced is closed

    async def here(self, sid: str, **more: Any) -> FakePublication:
        """A track that is published, subscribed to and captured."""
        publication = self.publish(sid, **more)
        self.arrive(publication)
        await self.follow()
        return publication


@pytest.fixture
async def stage() -> Any:
    stage = Stage()
    yield stage
    await stage.ingress.aclose()
    assert stage.layer.streams == []


def test_a_screen_is_heard_under_the_microphone_in_its_time() -> None:
    out: list[int] = []
    blend = Blend(lambda pcm, at: out.append(int(np.frombuffer(pcm, np.int16)[0])))
    for n in range(1, 4):
        blend.microphone(frame(n), 0.0)
    assert out == [1, 2, 3], "a microphone alone waits for nothing"
    for n in range(4, 8):
        blend.screen(frame(100 * n), 0.0)
        blend.microphone(frame(n), 0.0)
    assert out[3:] == [404, 505, 606, 707]


def test_a_screen_alone_is_heard_whole_and_at_once() -> None:
    out: list[int] = []
    blend = Blend(lambda pcm, at: out.append(int(np.frombuffer(pcm, np.int16)[0])))
    for n in range(1, 6):
        blend.screen(frame(n), 0.0)
    assert out == [1, 2, 3, 4, 5]
    blend.microphone(frame(10), 0.0)
    for n in range(6, 10):
        blend.screen(frame(n), 0.0)
    assert out[5:] == [10, 6, 7, 8, 9], "a microphone that says nothing more is not waited for"


def test_a_screen_that_runs_ahead_is_bounded() -> None:
    out: list[int] = []
    blend = Blend(lambda pcm, at: out.append(int(np.frombuffer(pcm, np.int16)[0])))
    for _ in range(100):
        blend.microphone(frame(0), 0.0)
        blend.screen(frame(1), 0.0)
        blend.screen(frame(1), 0.0)
    assert len(out) == 100
    assert len(blend._waiting) == MOST_WAITING


def test_frames_out_of_step_are_each_heard_once_and_make_no_more_time() -> None:
    out: list[int] = []
    blend = Blend(lambda pcm, at: out.append(int(np.frombuffer(pcm, np.int16)[0])))
    for step in "msmssmmsmmssms" * 10:
        (blend.microphone if step == "m" else blend.screen)(frame(1 if step == "m" else 100), 0.0)
    assert len(out) == 70
    assert len(blend._waiting) < MOST_WAITING
    assert sum(out) + 100 * len(blend._waiting) == 70 + 70 * 100


async def test_microphone_and_screen_are_one_speaker(stage: Stage) -> None:
    await stage.here("mic")
    await stage.here("screen", source=SCREEN)
    assert stage.layer.open == {"track mic", "track screen"}
    stage.layer.deliver("track mic", 19)
    stage.layer.deliver("track screen", 300)
    stage.layer.deliver("track mic", 20)
    stage.layer.deliver("track mic", 21)
    assert stage.hearer.heard == [19, 320, 21]
    stage.unpublish(stage.ana.track_publications["screen"])
    await stage.follow()
    stage.layer.deliver("track mic", 22)
    assert stage.hearer.heard[3:] == [22]


async def test_of_several_microphones_the_newest_that_is_not_muted_counts(stage: Stage) -> None:
    old = await stage.here("old")
    new = await stage.here("new")
    stage.layer.deliver("track new", 1)
    await stage.follow()
    assert stage.layer.open == {"track new"}
    assert not old.subscribed
    new.muted = True
    await stage.follow()
    assert old.subscribed
    stage.layer.deliver("track old", 1)
    await stage.follow()
    assert stage.layer.open == {"track old"}
    other = await stage.here("other", source=UNKNOWN)
    assert stage.layer.open == {"track old"}, "one that says it is a microphone comes first"
    assert not other.subscribed


async def test_a_new_microphone_is_asked_for_at_once_and_the_old_one_is_heard_until_it_is_there(
    stage: Stage,
) -> None:
    old = await stage.here("old")
    new = stage.publish("new")
    assert new.subscribed, "not at the next iteration"
    await stage.follow()
    assert stage.layer.open == {"track old"}
    stage.layer.deliver("track old", 1)
    stage.arrive(new)
    stage.layer.deliver("track old", 2)
    await stage.follow()
    stage.layer.deliver("track old", 3)
    stage.layer.deliver("track new", 4)
    stage.layer.deliver("track old", 5)
    assert stage.hearer.heard == [1, 2, 3, 4]
    assert not old.subscribed
    await stage.follow()
    assert stage.layer.open == {"track new"}


async def test_a_new_microphone_that_is_muted_before_it_says_anything_costs_nothing(stage: Stage) -> None:
    old = await stage.here("old")
    new = await stage.here("new")
    stage.layer.deliver("track old", 1)
    new.muted = True
    await stage.follow()
    stage.layer.deliver("track old", 2)
    await stage.follow()
    assert stage.hearer.heard == [1, 2]
    assert stage.layer.open == {"track old"}
    assert old.subscribed
    assert not new.subscribed


@pytest.mark.parametrize("shift", [-600, 0, 600])
async def test_of_two_tracks_of_one_voice_each_sample_is_heard_once(stage: Stage, shift: int) -> None:
    """`shift`: by how many samples the new track is ahead of the old one."""
    await stage.here("old")
    stage.ingress._microphones["ana"]._gate.decide([1.0])
    heard: list[bytes] = []
    stage.hearer.hear = lambda pcm, *of: heard.append(pcm)  # type: ignore[method-assign]
    sound = np.concatenate([word.pcm for word in countable_words("en", voice=0, count=6)])
    for n in range(30):
        at, begin = 0.05 * (n + 1), n * SAMPLES
        if n == 12:
            stage.arrive(stage.publish("new"))
        stage.layer.give("track old", sound[begin : begin + SAMPLES].tobytes(), at)
        if n >= 12:
            stage.layer.give("track new", sound[begin + shift : begin + shift + SAMPLES].tobytes(), at)
    await stage.follow()
    assert stage.layer.open == {"track new"}
    whole = np.frombuffer(b"".join(heard), np.int16)
    assert len(whole) == 30 * SAMPLES + shift
    assert np.array_equal(whole, sound[: len(whole)])


async def test_what_is_said_without_consent_is_not_heard_once_it_is_granted(stage: Stage) -> None:
    await stage.here("old")
    stage.ingress._microphones["ana"]._gate.decide([1.0])
    stage.arrive(stage.publish("new"))
    for value in (1, 2):
        stage.layer.deliver("track old", value)
        stage.layer.give("track new", frame(10 * value), stage.layer.now)
    stage.ingress.silence("ana", True)
    stage.layer.deliver("track new", 30)
    stage.ingress.silence("ana", False)
    stage.layer.deliver("track new", 40)
    assert stage.hearer.heard == [1, 2, 40]


async def test_a_microphone_that_is_gone_is_followed_by_the_next_as_soon_as_it_is_there(stage: Stage) -> None:
    for n in range(20):
        publication = stage.publish(f"{n}")
        assert publication.subscribed
        stage.arrive(publication)
        stage.layer.deliver(f"track {n}", n)
        await stage.follow()
        stage.unpublish(publication)
        await stage.follow()
        assert stage.layer.streams == []
    assert stage.hearer.heard == list(range(20))


async def test_what_nobody_wants_is_not_asked_for(stage: Stage) -> None:
    stage.room.join(FakeParticipant("ben"))
    ben = stage.room.publish("ben", "ben")
    camera = stage.publish("cam", kind=rtc.TrackKind.KIND_VIDEO)
    await stage.follow()
    assert not ben.subscribed
    assert not camera.subscribed
    mic = await stage.here("mic")
    await stage.follow("ben")
    assert not mic.subscribed
    assert ben.subscribed


async def test_an_agent_gets_short_frames_of_both(stage: Stage) -> None:
    await stage.here("mic")
    await stage.here("screen", source=SCREEN)
    stage.ingress.attach("ana", "agent", Hearer(), PROMPT_MS)
    await stage.follow()
    assert stage.layer.opened[2:] == [("track mic", PROMPT_MS), ("track screen", PROMPT_MS)]


async def test_who_withdraws_consent_is_heard_by_nobody_from_that_moment_on(stage: Stage) -> None:
    await stage.here("mic")
    stage.layer.deliver("track mic", 1)
    stage.ingress.silence("ana", True)
    stage.layer.deliver("track mic", 2)
    stage.ingress.detach("ana", "key")
    await stage.follow("nobody")
    stage.ingress.attach("ana", "key", stage.hearer)
    stage.arrive(stage.ana.track_publications["mic"])
    stage.layer.deliver("track mic", 3)
    assert stage.hearer.heard == [1], "nor on a microphone that is made anew"
    stage.ingress.silence("ana", False)
    stage.layer.deliver("track mic", 4)
    assert stage.hearer.heard == [1, 4]


async def test_who_has_left_is_not_remembered(stage: Stage) -> None:
    stage.ingress.silence("ana", True)
    del stage.room.remote_participants["ana"]
    await stage.follow("nobody")
    assert stage.ingress._silenced == set()


async def test_muted_in_the_middle_of_a_phrase_it_is_over(stage: Stage) -> None:
    mic = await stage.here("mic")
    screen = await stage.here("screen", source=SCREEN)
    microphone = stage.ingress._microphones["ana"]
    microphone._gate.decide([1.0])
    assert microphone.speaking
    mic.muted = True
    await stage.follow()
    assert microphone.speaking, "the screen goes on"
    screen.muted = True
    await stage.follow()
    assert not microphone.speaking


def made_anew(stage: Stage, sid: str) -> FakePublication:
    """The connection is made anew: everybody leaves and comes again, with the SIDs that they had."""
    stage.room.leave("ana")
    stage.ana = stage.room.join(FakeParticipant("ana"))
    publication = stage.publish(sid)
    stage.room.emit("reconnected")
    return publication


async def test_after_the_connection_was_made_anew_the_same_sid_is_another_track(stage: Stage) -> None:
    await stage.here("mic")
    before = monotonic()
    stage.room.emit("reconnecting")
    stage.layer.deliver("track mic", 1)
    mic = made_anew(stage, "mic")
    await stage.follow()
    assert mic.subscribed
    assert not stage.layer.open, "the old track says nothing more"
    mic.track = "track mic, the second"  # type: ignore[assignment]
    stage.room.emit("track_subscribed", mic.track, mic, stage.ana)
    stage.layer.deliver(mic.track, 2)
    assert stage.hearer.heard == [1, 2]
    ((speaker, duration_s),) = stage.missed
    assert speaker == "ana"
    assert 0 < duration_s <= monotonic() - before
    await stage.follow()
    assert len(stage.layer.opened) == 2


async def test_a_new_track_that_is_there_before_the_old_one_is_let_go_takes_its_place(stage: Stage) -> None:
    await stage.here("mic")
    stage.room.emit("reconnecting")
    mic = made_anew(stage, "mic")
    mic.track = "track mic, the second"  # type: ignore[assignment]
    await stage.follow()
    assert stage.layer.open == {"track mic, the second"}
    assert [speaker for speaker, _ in stage.missed] == ["ana"]


async def test_what_is_missed_counts_from_the_last_frame_on(stage: Stage) -> None:
    await stage.here("mic")
    stage.room.emit("reconnecting")
    await asyncio.sleep(0.02)
    heard = monotonic()
    stage.layer.give("track mic", frame(1), heard)
    mic = made_anew(stage, "mic")
    mic.track = "track mic, the second"  # type: ignore[assignment]
    await stage.follow()
    ((_, duration_s),) = stage.missed
    assert 0 <= duration_s <= monotonic() - heard


@pytest.mark.parametrize("why", ["resumed", "muted", "silenced", "gone"])
async def test_nothing_is_missed_of_who_is_heard_all_along_or_says_nothing(stage: Stage, why: str) -> None:
    mic = await stage.here("mic")
    mic.muted = why == "muted"
    stage.ingress.silence("ana", why == "silenced")
    stage.room.emit("reconnecting")
    if why == "resumed":
        stage.room.emit("reconnected")
    elif why == "gone":
        stage.room.leave("ana")
        stage.room.emit("reconnected")
        await stage.follow("nobody")
        stage.ana = stage.room.join(FakeParticipant("ana"))
        stage.ingress.attach("ana", "key", stage.hearer)
        await stage.here("mic")
    else:
        mic = made_anew(stage, "mic")
        mic.track = "track mic, the second"  # type: ignore[assignment]
        await stage.follow()
    assert stage.missed == []


async def test_while_media_are_cut_who_is_captured_is_missed_from_the_last_packet_on(stage: Stage) -> None:
    await stage.here("mic")
    since = monotonic() - 4.0
    stage.ingress.lost(stage.room.remote_participants, since)  # type: ignore[arg-type]
    stage.layer.deliver("track mic", 1)  # made up of nothing by the native side
    stage.room.emit("reconnecting")
    stage.room.emit("reconnected")
    assert stage.missed == []
    stage.ingress.found()
    ((speaker, duration_s),) = stage.missed
    assert speaker == "ana"
    assert duration_s == pytest.approx(monotonic() - since, abs=0.5)


async def test_a_track_that_is_made_anew_in_a_cut_is_missed_once(stage: Stage) -> None:
    await stage.here("mic")
    stage.ingress.lost(stage.room.remote_participants, monotonic() - 4.0)  # type: ignore[arg-type]
    stage.layer.deliver("track mic", 1)
    stage.room.emit("reconnecting")
    mic = made_anew(stage, "mic")
    mic.track = "track mic, the second"  # type: ignore[assignment]
    await stage.follow()
    stage.ingress.found()
    ((_, duration_s),) = stage.missed
    assert duration_s == pytest.approx(4.0, abs=0.5)
