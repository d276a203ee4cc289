"""A reply's playout on a clock that is a number: stopped, resumed and cut to the frame."""

import random

import pytest

from parley.media.frames import FRAME_BYTES, FRAME_S, SILENCE
from parley.media.speech import MARGIN_S, SpeechPlayout


def frame(n: int) -> bytes:
    """An audible frame that can be told apart."""
    return (1000 + n).to_bytes(2, "little") * (FRAME_BYTES // 2)


def frames(*numbers: int) -> bytes:
    return b"".join(map(frame, numbers))


def number(pcm: bytes) -> int | None:
    value = int.from_bytes(pcm[:2], "little")
    return value - 1000 if value >= 1000 else None


class Track:
    """Ticks the queue every 20 ms and keeps what it played."""

    def __init__(self) -> None:
        self.queue = SpeechPlayout()
        self.now = 10.0
        self.played: list[int | None] = []

    def push(self, *numbers: int) -> None:
        assert self.queue.push(frames(*numbers), self.now) == 0

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            self.now += FRAME_S
            self.played += [number(pcm) for pcm in self.queue.due(self.now)]

    @property
    def words(self) -> list[int]:
        return [n for n in self.played if n is not None]


@pytest.fixture
def track() -> Track:
    return Track()


def test_the_first_audio_waits_a_margin_and_the_rest_follows_in_real_time() -> None:
    queue = SpeechPlayout()
    queue.push(frames(0, 1, 2), 1.0)
    assert queue.playing
    assert queue.due(1.0 + MARGIN_S - 0.001) == []
    assert queue.due(1.0 + MARGIN_S) == [frame(0)]
    assert queue.due(1.0 + MARGIN_S + FRAME_S - 0.001) == []
    assert queue.due(1.0 + MARGIN_S + 2 * FRAME_S) == [frame(1), frame(2)]


def test_the_position_is_what_was_played(track: Track) -> None:
    track.push(*range(10))
    assert (track.queue.position_s, track.queue.pushed_s) == (0.0, pytest.approx(0.2))
    for i in range(1, 11):
        track.tick()
        assert track.queue.position_s == pytest.approx(i * FRAME_S)
        assert track.queue.queued_s == pytest.approx(0.2 - i * FRAME_S)


def test_silence_for_lack_of_audio_does_not_count(track: Track) -> None:
    track.push(0, 1)
    track.tick(10)
    assert track.played == [0, 1, *[None] * 8]
    assert track.queue.position_s == pytest.approx(0.04)
    assert track.queue.silent_s == pytest.approx(0.16)
    track.push(2)
    track.tick()
    assert track.played[-1] == 2
    assert track.queue.position_s == pytest.approx(0.06)
    assert track.queue.silent_s == 0


def test_a_pause_takes_hold_with_the_next_frame_and_loses_none(track: Track) -> None:
    track.push(*range(6))
    track.tick(3)
    track.queue.pause()
    assert track.queue.paused
    track.tick(20)
    assert track.words == [0, 1, 2]
    assert track.queue.position_s == pytest.approx(0.06)
    assert track.queue.queued_s == pytest.approx(0.06)
    assert track.queue.waiting_s == 0, "nothing of it may be played now"
    track.queue.resume(track.now)
    assert not track.queue.paused
    assert track.queue.waiting_s == pytest.approx(0.06)
    track.tick(3)
    assert track.played[-3:] == [3, 4, 5]


def test_what_comes_while_paused_waits_too(track: Track) -> None:
    track.queue.pause()
    track.push(0, 1)
    assert not track.queue.playing, "a paused reply does not keep the clock ticking"
    track.tick(5)
    assert track.played == []
    track.queue.resume(track.now)
    track.tick(2)
    assert track.words == [0, 1]


def test_a_pause_outlasts_the_rest_of_the_track(track: Track) -> None:
    track.push(*range(4))
    track.tick(2)
    track.queue.pause()
    track.tick(10)
    track.queue.rest()
    assert not track.queue.playing
    track.now += 100.0
    track.queue.resume(track.now)
    track.tick(2)
    assert track.words == [0, 1, 2, 3]


def test_resumed_twice_nothing_is_played_twice(track: Track) -> None:
    track.push(*range(4))
    track.tick(1)
    track.queue.pause()
    track.queue.pause()
    track.tick(1)
    track.queue.resume(track.now)
    track.queue.resume(track.now)
    track.tick(5)
    assert track.words == [0, 1, 2, 3]


def test_a_cut_is_exact_and_gives_up_the_rest(track: Track) -> None:
    track.push(*range(50))
    track.tick(7)
    assert track.queue.cut() == pytest.approx(7 * FRAME_S)
    assert track.queue.queued_s == 0
    assert track.queue.done
    track.tick(10)
    assert track.words == list(range(7))
    assert track.queue.position_s == pytest.approx(7 * FRAME_S)


def test_a_cut_while_paused_is_where_it_stopped_and_lets_the_next_reply_play(track: Track) -> None:
    track.push(*range(10))
    track.tick(4)
    track.queue.pause()
    track.tick(30)
    assert track.queue.cut() == pytest.approx(4 * FRAME_S)
    assert not track.queue.paused
    track.queue.begin()
    track.push(20, 21)
    track.tick(2)
    assert track.words == [0, 1, 2, 3, 20, 21]


def test_a_cut_before_anything_was_played_is_at_nothing(track: Track) -> None:
    track.push(0, 1)
    assert track.queue.cut() == 0
    track.tick(5)
    assert track.words == []


def test_each_reply_counts_from_its_own_beginning(track: Track) -> None:
    track.push(*range(5))
    track.queue.complete(track.now)
    track.tick(5)
    assert track.queue.done
    track.queue.begin()
    assert (track.queue.position_s, track.queue.pushed_s, track.queue.done) == (0, 0, False)
    track.push(*range(5, 8))
    track.tick(2)
    assert track.queue.position_s == pytest.approx(0.04)


def test_a_reply_is_done_when_it_is_whole_and_played(track: Track) -> None:
    track.push(0, 1)
    track.tick(5)
    assert not track.queue.done, "more may come"
    track.push(2)
    track.queue.complete(track.now)
    assert not track.queue.done
    track.tick()
    assert track.queue.done


@pytest.mark.parametrize("extra", [2, 100, FRAME_BYTES - 2])
def test_the_last_frame_is_filled_up_and_counts_as_long_as_it_is(track: Track, extra: int) -> None:
    pcm = frames(0, 1) + frame(2)[:extra]
    track.queue.push(pcm, track.now)
    track.tick(2)
    assert track.queue.position_s == pytest.approx(2 * FRAME_S)
    assert not track.queue.done
    track.queue.complete(track.now)
    assert track.queue.due(track.now + FRAME_S) == [frame(2)[:extra].ljust(FRAME_BYTES, b"\0")]
    assert track.queue.done
    assert track.queue.position_s == pytest.approx(len(pcm) / 48_000)
    assert track.queue.position_s == track.queue.pushed_s


def test_a_reply_of_less_than_a_frame_is_played_when_it_is_whole(track: Track) -> None:
    track.queue.push(frame(0)[:10], track.now)
    assert not track.queue.playing
    track.queue.flush(track.now)
    track.tick()
    assert track.words == [0]
    assert track.queue.done


def test_an_empty_reply_is_done_when_it_is_whole() -> None:
    queue = SpeechPlayout()
    queue.complete(1.0)
    assert queue.done
    assert not queue.playing


def test_silence_in_the_reply_itself_is_part_of_it(track: Track) -> None:
    track.queue.push(SILENCE * 3 + frame(1), track.now)
    track.tick(3)
    assert track.queue.position_s == pytest.approx(0.06)
    assert track.queue.silent_s == 0
    track.tick()
    assert track.words == [1]


def test_a_late_tick_makes_up_for_what_it_missed(track: Track) -> None:
    track.push(*range(10))
    track.now += 0.2
    assert [number(pcm) for pcm in track.queue.due(track.now)] == list(range(10))
    assert track.queue.position_s == pytest.approx(0.2)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_done_to_it_no_frame_is_lost_doubled_or_miscounted(seed: int) -> None:
    """Pieces of any size, stalls, pauses and rests at random: the words are those of the reply, in order."""
    rng = random.Random(seed)
    queue = SpeechPlayout()
    now = 5.0
    for reply in range(3):
        count = rng.randrange(1, 120)
        pcm = frames(*range(count)) + frame(count)[: rng.randrange(2, FRAME_BYTES, 2)]
        is_cut = rng.random() < 0.4
        at, got, complete = 0, bytearray(), False
        queue.begin()
        while not queue.done:
            if at < len(pcm) and rng.random() < 0.6:
                n = rng.choice([6, FRAME_BYTES, 3332, 20 * FRAME_BYTES])
                queue.push(pcm[at : at + n], now)
                at += n
            elif at >= len(pcm) and not complete:
                queue.complete(now)
                complete = True
            chance = rng.random()
            if chance < 0.05:
                queue.pause()
            elif chance < 0.15:
                queue.resume(now)
            elif chance < 0.2 and queue.playing and queue.waiting_s == 0:
                queue.rest()
            before = queue.position_s
            played = [one for one in queue.due(now) if one != SILENCE]
            got += b"".join(played)
            assert queue.position_s - before <= len(played) * FRAME_S + 1e-9
            assert queue.position_s == pytest.approx(min(len(got), len(pcm)) / 48_000)
            assert queue.queued_s == pytest.approx((min(at, len(pcm)) - min(len(got), len(pcm))) / 48_000)
            if is_cut and len(got) > count * FRAME_BYTES // 2:
                position_s = queue.cut()
                assert position_s == pytest.approx(min(len(got), len(pcm)) / 48_000)
                break
            now += rng.choice([0.005, 0.02, 0.02, 0.3])
        if not is_cut:
            assert bytes(got) == pcm.ljust(len(got), b"\0"), f"reply {reply}"
            assert len(got) - len(pcm) < FRAME_BYTES
        queue.resume(now)
