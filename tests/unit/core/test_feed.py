"""What a session is fed: nothing lost, nothing twice, in order, within bounds."""

import random
from collections.abc import Iterable

import pytest

from parley.core.feed import MISSING_S, Feed, FeedPolicy
from parley.core.framing import BYTES_PER_S, FRAME_BYTES, FRAME_MS
from parley.core.ledger import Frame
from parley.core.tail import TailPolicy

HALF = FRAME_BYTES // 2
"""Bytes of 100 ms, which is how a microphone delivers."""
SILENCE = bytes(HALF)


def mark(n: int) -> bytes:
    """100 ms that can be told apart."""
    return n.to_bytes(2, "little") * (HALF // 2)


def marks(pcm: bytes) -> list[int]:
    """Which marks are in it, in order; 0 is silence."""
    return [int.from_bytes(pcm[i : i + 2], "little") for i in range(0, len(pcm), HALF)]


def all_marks(frames: Iterable[Frame]) -> list[int]:
    return [n for frame in frames for n in marks(frame.pcm) if n]


def taken(feed: Feed, now: float) -> list[Frame]:
    frames = []
    while (frame := feed.take(now)) is not None:
        frames.append(frame)
    return frames


def talk(feed: Feed, numbers: Iterable[int], at: float = 0.0) -> float:
    """Hears a mark each 100 ms; returns the time after them."""
    for n in numbers:
        feed.hear(mark(n), at, True, ())
        at += 0.1
    return at


def test_nothing_is_fed_before_speech() -> None:
    feed = Feed()
    for i in range(100):
        assert not feed.hear(mark(9), i / 10, False, [mark(8)])
    assert (feed.live, feed.waiting_s, feed.take(10.0)) == (False, 0, None)


def test_a_phrase_begins_with_its_pre_roll_exactly_once() -> None:
    feed = Feed()
    feed.hear(mark(5), 1.0, True, [mark(1), mark(2), mark(3), mark(4)])
    feed.hear(mark(6), 1.1, True, [mark(2), mark(3), mark(4), mark(5)])
    frames = taken(feed, 1.2)
    assert all_marks(frames) == [1, 2, 3, 4, 5, 6]
    assert [frame.onset for frame in frames] == [True, False, False]
    assert all(frame.speech for frame in frames)


def test_speech_that_returns_in_the_tail_has_no_second_pre_roll() -> None:
    feed = Feed()
    feed.hear(mark(1), 0.0, True, [])
    feed.hear(SILENCE, 0.1, False, [])
    feed.hear(mark(2), 0.2, True, [mark(1), SILENCE])
    feed.hear(mark(3), 0.3, True, [])
    frames = taken(feed, 0.4)
    assert all_marks(frames) == [1, 2, 3]
    assert [frame.onset for frame in frames] == [True, True]


def test_the_phrase_after_a_tail_has_its_own_pre_roll() -> None:
    feed = Feed()
    at = talk(feed, [1, 2])
    taken(feed, at)
    feed.hear(SILENCE, at, False, ())
    feed.hear(SILENCE, at, False, ())
    taken(feed, at)
    for i in range(200):
        feed.hear(SILENCE, at + i / 10, False, ())
        taken(feed, at + i / 10)
        if feed.tick(at + i / 10):
            break
    assert not feed.live
    feed.hear(mark(4), at + 30, True, [mark(3)])
    assert all_marks(taken(feed, at + 30)) == [3, 4]


def test_a_frame_knows_when_it_was_captured() -> None:
    feed = Feed()
    talk(feed, [1, 2, 3, 4], at=5.0)
    assert [frame.captured_at for frame in taken(feed, 9.0)] == [pytest.approx(5.1), pytest.approx(5.3)]


def test_what_waits_beyond_the_bound_is_dropped_oldest_first_and_counted() -> None:
    feed = Feed(FeedPolicy(buffer_s=2.0))
    at = talk(feed, range(1, 101))
    assert feed.waiting_s <= 2.2
    assert all_marks(taken(feed, at)) == list(range(81, 101))
    assert feed.dropped_s == pytest.approx(8.0)


def test_silence_that_is_dropped_is_not_counted_as_speech() -> None:
    feed = Feed(FeedPolicy(buffer_s=2.0, waiting_silence_s=99.0))
    at = talk(feed, [1, 2])
    for i in range(60):
        feed.hear(SILENCE, at + i / 10, False, ())
    assert feed.dropped_s == pytest.approx(0.2)


def test_silence_does_not_pile_up_while_there_is_no_session() -> None:
    feed = Feed(FeedPolicy(waiting_silence_s=1.0))
    at = talk(feed, [1, 2])
    for i in range(600):
        feed.hear(SILENCE, at + i / 10, False, ())
    assert feed.waiting_s <= 1.4
    talk(feed, [3, 4], at + 60)
    feed.end_input(at + 61)
    assert all_marks(taken(feed, at + 61)) == [1, 2, 3, 4]


def test_a_pause_inside_a_phrase_is_sent_as_it_is() -> None:
    feed = Feed()
    sent = []
    at = talk(feed, [1, 2])
    for _i in range(30):
        sent += taken(feed, at)
        feed.hear(SILENCE, at, False, ())
        at += 0.1
    talk(feed, [3, 4], at)
    sent += taken(feed, at)
    assert [n for frame in sent for n in marks(frame.pcm)] == [1, 2, *[0] * 30, 3, 4]


@pytest.mark.parametrize("answered", [None, 0, 400, 1800])
def test_what_was_not_answered_is_sent_again_before_all_else(answered: int | None) -> None:
    feed = Feed()
    at = talk(feed, range(1, 21))
    taken(feed, at)
    talk(feed, [21, 22], at)
    if answered is not None:
        feed.answered(feed.ledger, at, 0, at)
        feed.answered(feed.ledger, at, answered, at)
    feed.cut_off()
    first = 1 if answered is None else answered // 100 + 3
    assert all_marks(taken(feed, at + 1)) == list(range(first, 23))


def test_what_was_sent_again_is_sent_again_when_that_session_is_lost_too() -> None:
    feed = Feed()
    at = talk(feed, range(1, 11))
    taken(feed, at)
    feed.answered(feed.ledger, at, 0, at)
    feed.answered(feed.ledger, at, 200, at)
    feed.cut_off()
    taken(feed, at + 1)
    feed.answered(feed.ledger, at + 1, 0, at + 1)  # the new session counts from zero
    feed.cut_off()
    assert all_marks(taken(feed, at + 2)) == [7, 8, 9, 10]


def test_a_session_that_ended_well_owes_nothing() -> None:
    feed = Feed()
    at = talk(feed, range(1, 11))
    taken(feed, at)
    feed.end_session(feed.ledger)
    feed.cut_off()
    assert taken(feed, at) == []


def test_silence_at_the_end_is_not_worth_sending_again() -> None:
    feed = Feed()
    at = talk(feed, [1, 2])
    for i in range(20):
        feed.hear(SILENCE, at + i / 10, False, ())
        taken(feed, at + i / 10)
    feed.cut_off()
    assert [marks(frame.pcm) for frame in taken(feed, at + 3)] == [[1, 2]]


def test_what_is_kept_for_sending_again_is_bounded() -> None:
    feed = Feed(FeedPolicy(buffer_s=2.0))
    for i in range(1, 301):
        talk(feed, [i], i / 10)
        taken(feed, i / 10)
    feed.cut_off()
    assert all_marks(taken(feed, 31.0)) == list(range(281, 301))


def test_what_has_waited_too_long_is_forgotten_and_counted() -> None:
    feed = Feed(FeedPolicy(buffer_s=2.0))
    at = talk(feed, range(1, 11))
    feed.forget(at + 1.0)
    assert feed.dropped_s == 0
    feed.forget(at + 1.55)
    assert feed.dropped_s == pytest.approx(0.6)
    assert all_marks(taken(feed, at + 2)) == [7, 8, 9, 10]


def test_a_missing_microphone_is_silence() -> None:
    feed = Feed()
    at = talk(feed, [1, 2, 3])
    sent = taken(feed, at)
    ended_at = None
    while ended_at is None and at < 60:
        at += 0.1
        if feed.tick(at):
            ended_at = at
        sent += taken(feed, at)
    assert all_marks(sent) == [1, 2, 3]
    silent_s = sum(not frame.speech for frame in sent) * FRAME_MS / 1000
    assert ended_at is not None, "the tail of a microphone that is gone ends too"
    assert silent_s == pytest.approx(ended_at, abs=2 * MISSING_S + 0.3)
    assert sum(len(frame.pcm) for frame in sent) / BYTES_PER_S == pytest.approx(ended_at, abs=MISSING_S + 0.3)


def test_a_short_gap_in_delivery_is_not_filled() -> None:
    feed = Feed()
    at = talk(feed, [1, 2])
    taken(feed, at)
    feed.tick(at + MISSING_S - 0.11)
    assert feed.take(at + 1) is None


def test_the_tail_ends_only_when_all_is_sent() -> None:
    feed = Feed(FeedPolicy(tail=TailPolicy(least_s=0.1, most_s=0.1)))
    at = talk(feed, [1, 2])
    taken(feed, at)
    feed.hear(SILENCE * 2, at, False, ())
    taken(feed, at)
    feed.hear(SILENCE * 2, at + 0.2, False, ())
    assert not feed.tick(at + 0.25)
    taken(feed, at + 0.25)
    assert feed.tick(at + 0.25)
    assert not feed.live


def test_the_end_of_input_fills_up_the_last_frame() -> None:
    feed = Feed()
    talk(feed, [1, 2, 3])
    feed.end_input(0.3)
    assert [marks(frame.pcm) for frame in taken(feed, 0.3)] == [[1, 2], [3, 0]]
    assert feed.waiting_s == 0


@pytest.mark.parametrize("seed", range(40))
def test_no_word_is_lost_or_doubled_in_any_order_of_events(seed: int) -> None:
    """Random speech and pauses, a sender that comes and goes, sessions that answer some and are lost."""
    rng = random.Random(seed)
    feed = Feed(FeedPolicy(buffer_s=1e6))
    heard: list[int] = []
    answered: list[int] = []
    sent: list[Frame] = []
    done = 0
    at, count, speaking_left, quiet = 0.0, 0, 0, 0

    def answer(upto: int) -> None:
        nonlocal done
        answered.extend(all_marks(sent[done:upto]))
        done = max(done, upto)
        feed.answered(feed.ledger, at, 0, at)
        feed.answered(feed.ledger, at, (upto - 1) * FRAME_MS, at)

    for _ in range(3000):
        at += 0.1
        if speaking_left:
            speaking_left -= 1
            quiet = 0
            count += 1
            heard.append(count)
            feed.hear(mark(count), at, True, ())
        else:
            quiet += 1
            feed.hear(SILENCE, at, quiet < 5 and bool(heard), ())
            if rng.random() < 0.05:
                speaking_left = rng.randrange(1, 40)
        if rng.random() < 0.6:
            sent += taken(feed, at)
        if len(sent) > done and rng.random() < 0.3:
            answer(rng.randrange(done + 1, len(sent) + 1))
        if rng.random() < 0.02:
            feed.cut_off()
            del sent[:]
            done = 0
        feed.tick(at)
    feed.end_input(at)
    sent += taken(feed, at)
    if sent:
        answer(len(sent))
    assert answered == heard
    assert feed.dropped_s == 0


def test_after_the_end_of_input_nothing_is_filled_in() -> None:
    """Silence made up for a bridge that finishes would keep it from ever finishing."""
    feed = Feed()
    at = talk(feed, [1, 2])
    feed.end_input(at)
    feed.tick(at + 10)
    taken(feed, at + 10)
    feed.tick(at + 20)
    assert feed.waiting_s == 0
