"""When something was said: places in a session's input as times, and texts where the voice was."""

import pytest

from parley.core.feed import Feed
from parley.core.framing import BYTES_PER_S
from parley.core.ledger import Frame, Ledger
from parley.core.spoken import Timeline, Voiced

PIECE = bytes(BYTES_PER_S // 10)


def test_a_place_in_the_input_is_the_time_at_which_it_was_spoken_whatever_lay_between() -> None:
    timeline = Timeline(0.2)
    for position, at in enumerate((10.0, 10.2, 10.41, 30.0, 30.2)):
        timeline.sent(position, at)
    assert timeline.at(0.0) == 10.0
    assert timeline.at(0.5) == pytest.approx(10.5)
    assert timeline.at(0.6) == 30.0
    assert timeline.at(0.9) == pytest.approx(30.3)
    assert timeline.at(-0.1) is None
    assert Timeline(0.2).at(0.0) is None


def test_only_so_much_is_remembered() -> None:
    timeline, voiced = Timeline(0.2), Voiced()
    for n in range(10_000):
        timeline.sent(n, float(n))
        voiced.add(float(n), n + 0.1)
    assert timeline.at(0.0) is None
    assert timeline.at(9_999 * 0.2) == 9_999.0
    assert voiced.fit(0.3, 0.5, 0.0) == (0.3, 0.5)


def test_a_text_begins_and_ends_with_the_voice() -> None:
    voiced = Voiced()
    for at in (1.0, 1.1, 1.3, 1.4, 4.0, 4.1):
        voiced.add(at, at + 0.1)
    assert voiced.fit(1.2, 2.4, 0.0) == (1.0, 1.5), "the full stop was known a second later"
    assert voiced.fit(0.9, 1.3, 0.0) == (1.0, 1.5)
    assert voiced.fit(4.1, 4.1, 1.5) == pytest.approx((4.0, 4.2))


def test_a_text_does_not_begin_before_the_one_before_it_was_over() -> None:
    voiced = Voiced()
    voiced.add(1.0, 5.0)
    assert voiced.fit(1.4, 2.0, 1.3) == (1.3, 2.0)
    assert voiced.fit(3.0, 4.0, 1.3) == (3.0, 4.0), "in the middle of what is said the text knows best"


def test_a_text_far_from_any_voice_stays_where_it_is() -> None:
    voiced = Voiced()
    assert voiced.fit(1.0, 2.0, 0.0) == (1.0, 2.0)
    voiced.add(1.0, 2.0)
    assert voiced.fit(8.0, 9.0, 0.0) == (8.0, 9.0)


def test_frames_know_when_they_were_captured_pre_roll_too() -> None:
    feed = Feed()
    feed.hear(PIECE, 5.0, True, [PIECE] * 4)
    feed.hear(PIECE, 5.1, True, [])
    feed.hear(PIECE * 4, 5.5, True, [])
    began = []
    while (frame := feed.take(6.0)) is not None:
        began.append(frame.began_at)
    assert began == pytest.approx([4.5, 4.7, 4.9, 5.1, 5.3])


def test_a_frame_that_was_filled_up_began_when_its_audio_did() -> None:
    feed = Feed()
    feed.hear(PIECE, 5.0, True, [])
    feed.part()
    frame = feed.take(5.0)
    assert frame is not None
    assert frame.began_at == pytest.approx(4.9)


def _ledger(frames: int, onset: int = 0) -> Ledger:
    ledger = Ledger(15.0)
    for n in range(frames):
        ledger.sent(Frame(b"", 100.2 + 0.2 * n, True, 100.0 if n == onset else None))
    return ledger


def test_texts_of_a_session_that_counts_its_input_are_placed_by_it() -> None:
    ledger = _ledger(20)
    assert ledger.spoken(800, source=True) == pytest.approx(100.8)
    ledger.heard(400, 104.0)
    assert ledger.spoken(1000, source=False) == pytest.approx(101.0)
    assert ledger.spoken(1000, source=True) == pytest.approx(101.0)


def test_texts_of_a_session_that_counts_its_own_time_are_placed_by_their_phrase() -> None:
    ledger = _ledger(11)
    assert ledger.spoken(2000, source=True) == pytest.approx(100.4), "the first word, behind the pre-roll"
    ledger = _ledger(21)
    ledger.heard(4000, 104.2)
    assert ledger.spoken(4000, source=False) == pytest.approx(100.0)
