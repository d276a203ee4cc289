"""The mouth under LiveKit's own AudioOutput: each reply is reported once, at the place where it ended."""

import asyncio
import logging
import random
from collections.abc import Iterator

import pytest
from livekit.agents.voice.io import PlaybackFinishedEvent, PlaybackStartedEvent

from parley.core.transcript import Segment
from parley.media.frames import FRAME_S
from parley.media.speech import SpeechPlayout
from parley.voice.lines import Lines
from parley.voice.mouth import MOST_S, Hold, Mouth
from unit.voice.conftest import Clock, HandTrack, speech


@pytest.fixture(autouse=True)
def no_complaint(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """LiveKit complains about a playback that is reported too often."""
    yield
    assert [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING] == []


@pytest.fixture
def finished(mouth: Mouth) -> list[PlaybackFinishedEvent]:
    events: list[PlaybackFinishedEvent] = []
    mouth.on("playback_finished", events.append)
    return events


async def settled(mouth: Mouth) -> PlaybackFinishedEvent:
    """What LiveKit is told; it hangs if a reply is never reported."""
    async with asyncio.timeout(1):
        return await mouth.wait_for_playout()


async def test_a_reply_is_played_and_reported(
    mouth: Mouth, track: HandTrack, finished: list[PlaybackFinishedEvent]
) -> None:
    started: list[PlaybackStartedEvent] = []
    mouth.on("playback_started", started.append)
    await mouth.capture_frame(speech(*range(5)))
    mouth.flush()
    assert mouth.speaking
    assert (started, finished) == ([], [])
    track.tick()
    assert len(started) == 1
    track.tick(3)
    assert finished == []
    track.tick(2)
    assert track.words == list(range(5))
    assert [(e.playback_position, e.interrupted) for e in finished] == [(pytest.approx(0.1), False)]
    assert len(started) == 1
    assert not mouth.speaking
    assert (await settled(mouth)).playback_position == pytest.approx(0.1)


async def test_a_reply_that_was_played_before_it_was_whole_is_reported_when_it_is(
    mouth: Mouth, track: HandTrack, finished: list[PlaybackFinishedEvent]
) -> None:
    await mouth.capture_frame(speech(0, 1))
    track.tick(10)
    assert finished == []
    await mouth.capture_frame(speech(2))
    track.tick(10)
    mouth.flush()
    assert [e.playback_position for e in finished] == [pytest.approx(0.06)]
    assert track.words == [0, 1, 2]


async def test_cut_it_says_where_to_the_frame(
    mouth: Mouth, track: HandTrack, finished: list[PlaybackFinishedEvent]
) -> None:
    await mouth.capture_frame(speech(*range(50)))
    mouth.flush()
    track.tick(13)
    mouth.clear_buffer()
    assert [(e.playback_position, e.interrupted) for e in finished] == [(pytest.approx(0.26), True)]
    track.tick(20)
    assert track.words == list(range(13))
    assert not mouth.speaking
    await settled(mouth)


async def test_cleared_before_it_is_whole(
    mouth: Mouth, track: HandTrack, finished: list[PlaybackFinishedEvent]
) -> None:
    """LiveKit clears, then flushes, when the interruption comes while the reply is still arriving."""
    await mouth.capture_frame(speech(*range(10)))
    track.tick(4)
    mouth.clear_buffer()
    mouth.flush()
    assert [e.playback_position for e in finished] == [pytest.approx(0.08)]
    await settled(mouth)
    await mouth.capture_frame(speech(20, 21))
    mouth.flush()
    track.tick(5)
    assert len(finished) == 2
    assert track.words == [0, 1, 2, 3, 20, 21]


async def test_cleared_twice_it_is_reported_once(
    mouth: Mouth, track: HandTrack, finished: list[PlaybackFinishedEvent]
) -> None:
    await mouth.capture_frame(speech(*range(10)))
    track.tick(2)
    mouth.flush()
    mouth.clear_buffer()
    mouth.clear_buffer()
    mouth.flush()
    mouth.clear_buffer()
    assert len(finished) == 1
    await settled(mouth)


async def test_cleared_after_its_end_it_is_not_reported_again(
    mouth: Mouth, track: HandTrack, finished: list[PlaybackFinishedEvent]
) -> None:
    await mouth.capture_frame(speech(0))
    mouth.flush()
    track.tick(3)
    mouth.clear_buffer()
    assert [e.interrupted for e in finished] == [False]


async def test_two_replies_in_a_row_are_both_cut(
    mouth: Mouth, track: HandTrack, finished: list[PlaybackFinishedEvent]
) -> None:
    for _ in range(2):
        await mouth.capture_frame(speech(*range(10)))
        mouth.flush()
        track.tick(3)
        mouth.clear_buffer()
    assert [(e.playback_position, e.interrupted) for e in finished] == [(pytest.approx(0.06), True)] * 2
    assert (await settled(mouth)).interrupted


async def test_nothing_is_reported_where_nothing_was_said(
    mouth: Mouth, finished: list[PlaybackFinishedEvent]
) -> None:
    mouth.flush()
    mouth.clear_buffer()
    mouth.pause()
    mouth.resume()
    assert finished == []
    await settled(mouth)


# Holding back


HOLDS: list[Hold] = ["alone", "doubt", "session"]


@pytest.mark.parametrize("why", HOLDS)
async def test_held_it_is_silent_and_goes_on_where_it_stopped(
    mouth: Mouth, track: HandTrack, why: Hold
) -> None:
    await mouth.capture_frame(speech(*range(10)))
    mouth.flush()
    track.tick(4)
    mouth.hold(why)
    track.tick(100)
    assert track.words == [0, 1, 2, 3]
    assert mouth.speaking
    mouth.let_go(why)
    track.tick(10)
    assert track.words == list(range(10))


async def test_what_holds_it_back_adds_up(mouth: Mouth, track: HandTrack) -> None:
    for why in HOLDS:
        mouth.hold(why)
    await mouth.capture_frame(speech(0, 1))
    mouth.flush()
    for why in HOLDS[:2]:
        track.tick(5)
        mouth.let_go(why)
    track.tick(5)
    assert track.words == []
    mouth.let_go(HOLDS[2])
    track.tick(5)
    assert track.words == [0, 1]


async def test_letting_go_of_what_does_not_hold_changes_nothing(mouth: Mouth, track: HandTrack) -> None:
    mouth.hold("alone")
    await mouth.capture_frame(speech(0))
    mouth.let_go("doubt")
    mouth.let_go("session")
    track.tick(5)
    assert track.words == []


async def test_held_twice_it_is_let_go_once(mouth: Mouth, track: HandTrack) -> None:
    await mouth.capture_frame(speech(0, 1))
    mouth.hold("doubt")
    mouth.hold("doubt")
    mouth.let_go("doubt")
    track.tick(5)
    assert track.words == [0, 1]


async def test_the_session_pauses_and_resumes(mouth: Mouth, track: HandTrack) -> None:
    assert mouth.can_pause
    await mouth.capture_frame(speech(*range(6)))
    track.tick(2)
    mouth.pause()
    track.tick(50)
    mouth.resume()
    track.tick(10)
    assert track.words == list(range(6))


async def test_until_somebody_listens_replies_wait_whatever_is_cut(
    mouth: Mouth, track: HandTrack, finished: list[PlaybackFinishedEvent]
) -> None:
    mouth.hold("alone")
    await mouth.capture_frame(speech(0, 1))
    mouth.flush()
    track.tick(10)
    mouth.clear_buffer()
    assert [e.playback_position for e in finished] == [0.0]
    await mouth.capture_frame(speech(2, 3))
    mouth.flush()
    track.tick(10)
    assert track.words == []
    mouth.let_go("alone")
    track.tick(10)
    assert track.words == [2, 3]


@pytest.mark.parametrize("why", ["doubt", "session"])
async def test_a_cut_ends_the_doubt_that_held_the_reply(mouth: Mouth, track: HandTrack, why: Hold) -> None:
    await mouth.capture_frame(speech(*range(5)))
    track.tick(2)
    mouth.hold(why)
    track.tick(2)
    mouth.clear_buffer()
    mouth.flush()
    await mouth.capture_frame(speech(10, 11))
    mouth.flush()
    track.tick(5)
    assert track.words == [0, 1, 10, 11]


async def test_held_before_it_begins_a_reply_waits(mouth: Mouth, track: HandTrack) -> None:
    mouth.hold("doubt")
    await mouth.capture_frame(speech(0, 1))
    mouth.flush()
    track.tick(50)
    assert track.words == []
    mouth.let_go("doubt")
    track.tick(5)
    assert track.words == [0, 1]


async def test_let_go_before_anything_came_the_next_reply_is_played(mouth: Mouth, track: HandTrack) -> None:
    mouth.hold("doubt")
    mouth.let_go("doubt")
    await mouth.capture_frame(speech(0))
    track.tick(3)
    assert track.words == [0]


async def test_held_by_who_is_told_that_it_begins(mouth: Mouth, track: HandTrack) -> None:
    mouth.on_begin = lambda: mouth.hold("doubt")
    await mouth.capture_frame(speech(0, 1))
    track.tick(5)
    assert track.words == []


# What is told


async def test_the_beginning_and_the_end_of_each_reply_are_told_once(mouth: Mouth, track: HandTrack) -> None:
    told: list[str] = []
    mouth.on_begin = lambda: told.append("begin")
    mouth.on_silent = lambda: told.append("silent")
    for _ in range(2):
        for n in range(3):
            await mouth.capture_frame(speech(n))
        mouth.flush()
        track.tick(5)
    await mouth.capture_frame(speech(0, 1))
    mouth.clear_buffer()
    mouth.flush()
    assert told == ["begin", "silent"] * 3


async def test_the_track_is_not_expected_to_go_on_after_a_reply(mouth: Mouth, track: HandTrack) -> None:
    track.expect()
    await mouth.capture_frame(speech(0))
    mouth.flush()
    track.tick(2)
    assert not track.expecting


async def test_a_cut_says_what_was_heard(
    mouth: Mouth, track: HandTrack, lines: Lines, finished: list[PlaybackFinishedEvent], shown: list[Segment]
) -> None:
    await lines.capture_text("one two three four five six seven eight nine ten")
    lines.flush()
    await mouth.capture_frame(speech(*range(100)))
    mouth.flush()
    track.tick(50)
    mouth.clear_buffer()
    assert finished[0].synchronized_transcript == "one two three four five"
    assert (shown[-1].text, shown[-1].final) == ("one two three four five", True)


async def test_a_whole_reply_is_shown_whole(
    mouth: Mouth, track: HandTrack, lines: Lines, shown: list[Segment]
) -> None:
    await lines.capture_text("Hello there.")
    lines.flush()
    await mouth.capture_frame(speech(*range(50)))
    mouth.flush()
    track.tick(60)
    assert (shown[-1].text, shown[-1].final) == ("Hello there.", True)


# Back-pressure


async def test_much_that_waits_makes_the_session_wait(mouth: Mouth, track: HandTrack) -> None:
    second = speech(*range(50))
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:

        async def capture() -> None:
            for _ in range(int(MOST_S) + 5):
                await mouth.capture_frame(second)
            mouth.flush()

        task = group.create_task(capture())
        for _ in range(100):
            await asyncio.sleep(0)
        assert track.queue.queued_s == pytest.approx(MOST_S + 1)
        assert not task.done()
        while not task.done():
            track.tick(10)
            await asyncio.sleep(0)
        while mouth.speaking:
            track.tick(10)
    assert len(track.words) == 50 * (int(MOST_S) + 5), "not a frame of it was lost"


async def test_a_session_that_waits_is_let_go_by_a_cut(
    mouth: Mouth, track: HandTrack, finished: list[PlaybackFinishedEvent]
) -> None:
    frame = speech(*range(50 * (int(MOST_S) + 1)))
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(mouth.capture_frame(frame))
        await asyncio.sleep(0)
        track.tick(5)
        mouth.clear_buffer()
    mouth.flush()
    assert [e.playback_position for e in finished] == [pytest.approx(0.1)]


@pytest.mark.parametrize("seed", range(30))
async def test_whatever_is_done_each_reply_is_reported_once_at_what_was_played(
    clock: Clock, seed: int
) -> None:
    rng = random.Random(seed)
    track = HandTrack(SpeechPlayout(), clock)
    mouth = Mouth(track.queue, track, Lines("a", lambda segment, cut: None))
    finished: list[PlaybackFinishedEvent] = []
    mouth.on("playback_finished", finished.append)
    for reply in range(20):
        before = len(track.words)
        count = rng.randrange(1, 40)
        is_cut, is_whole = rng.random() < 0.5, False
        for n in range(count):
            await mouth.capture_frame(speech(n))
            if rng.random() < 0.1:
                mouth.hold(rng.choice(["doubt", "session"]))
            if rng.random() < 0.3:
                mouth.let_go("doubt")
                mouth.let_go("session")
            track.tick(rng.randrange(3))
        if rng.random() < 0.7:
            is_whole = True
            mouth.flush()
        if is_cut:
            mouth.clear_buffer()
            mouth.clear_buffer()
        if not is_whole:
            mouth.flush()
        mouth.let_go("doubt")
        mouth.let_go("session")
        track.tick(count + 5)
        played = track.words[before:]
        assert played == list(range(len(played)))
        assert len(finished) == reply + 1
        assert finished[-1].playback_position == pytest.approx(len(played) * FRAME_S)
        assert finished[-1].interrupted or len(played) == count
        await settled(mouth)
