"""What a session owes, where it may be cut, and how it is known to be dead."""

import pytest

from parley.core.ledger import Frame, Ledger
from parley.core.seam import Seam
from parley.core.stall import StallPolicy, Watch


def sent(ledger: Ledger, count: int, onsets: dict[int, float] | None = None) -> None:
    for n in range(count):
        ledger.sent(Frame(b"", 100.0 + 0.2 * n + 0.2, True, (onsets or {}).get(n)))


def test_the_span_of_each_phrase_is_told_once_from_its_own_beginning() -> None:
    ledger = Ledger(15.0)
    sent(ledger, 20, {0: 100.0, 10: 102.0})
    assert ledger.heard(0, 103.5) == pytest.approx(3.5)
    assert ledger.heard(200, 103.7) is None
    assert ledger.heard(2000, 106.0) == pytest.approx(4.0)
    assert ledger.lag_s == pytest.approx(4.0)


def test_a_phrase_that_was_passed_over_has_no_span() -> None:
    ledger = Ledger(15.0)
    sent(ledger, 40, {0: 100.0, 5: 101.0, 10: 102.0})
    assert ledger.heard(0, 103.0) == pytest.approx(3.0)
    assert ledger.heard(2200, 106.0) == pytest.approx(4.0)
    assert ledger.heard(2400, 106.0) is None


def test_without_elapsed_the_oldest_phrase_is_the_one_that_is_heard() -> None:
    ledger = Ledger(15.0)
    sent(ledger, 10, {0: 100.0, 5: 101.0})
    assert ledger.heard(None, 102.0) == pytest.approx(2.0)
    assert ledger.heard(None, 104.0) == pytest.approx(3.0)
    assert ledger.heard(None, 105.0) is None
    assert len(ledger.owed()) == 10


def test_a_session_that_counts_its_own_time_owes_what_it_has_not_said() -> None:
    ledger = Ledger(15.0)
    sent(ledger, 11, {0: 100.0})
    assert ledger.heard(2000, 102.2) == pytest.approx(2.2)
    assert ledger.shift_ms == 2000
    assert len(ledger.owed()) == 10
    ledger.heard(2200, 102.4)
    assert len(ledger.owed()) == 9


def test_a_late_answer_is_not_taken_for_the_time_of_the_engine() -> None:
    ledger = Ledger(15.0)
    sent(ledger, 30, {0: 100.0})
    ledger.heard(1000, 106.0)
    assert ledger.shift_ms == 0
    assert len(ledger.owed()) == 24


LOUD, QUIET = 3000.0, 20.0


def test_a_seam_waits_for_a_pause_between_words_and_takes_a_shorter_one_later() -> None:
    early, late = Seam(0.0, 5.0), Seam(0.0, 5.0)
    assert not early.hear([LOUD] * 50, 0.5)
    assert not early.hear([QUIET] * 6, 0.6), "60 ms may be a consonant"
    assert early.hear([QUIET] * 15, 0.75)
    assert not late.hear([LOUD] * 50, 4.5)
    assert late.hear([QUIET] * 6, 4.6)


def test_a_seam_is_made_in_time_although_nobody_pauses() -> None:
    seam = Seam(10.0, 5.0)
    assert not any(seam.hear([LOUD] * 5, 10 + i / 20) for i in range(100))
    assert seam.hear([LOUD] * 5, 15.0)
    assert seam.over(15.0)


def test_noise_between_words_is_quiet_enough() -> None:
    seam = Seam(0.0, 5.0)
    seam.hear([LOUD] * 50, 0.5)
    assert seam.hear([200.0] * 20, 0.7)


def test_a_session_that_does_not_answer_is_stalled() -> None:
    watch = Watch(StallPolicy(least_s=3, unknown_s=8, answer_s=2))
    assert watch.verdict(100.0, 1.0) == "lives", "nothing was sent"
    watch.sent(100.0)
    watch.sent(102.0)
    assert watch.verdict(102.9, 1.0) == "lives"
    assert watch.verdict(103.0, 1.0) == "ask"
    watch.asked(103.0)
    assert watch.verdict(104.9, 1.0) == "lives"
    assert watch.verdict(105.0, 1.0) == "stalled"


def test_a_session_that_answers_lives_however_little_it_says() -> None:
    watch = Watch(StallPolicy(least_s=3, unknown_s=8, answer_s=2))
    for i in range(100):
        now = float(i)
        watch.sent(now)
        verdict = watch.verdict(now, 1.0)
        assert verdict != "stalled"
        if verdict == "ask":
            watch.asked(now)
            watch.heard()


def test_a_slow_model_is_given_its_time() -> None:
    watch = Watch(StallPolicy(least_s=3, unknown_s=8, answer_s=2))
    watch.sent(0.0)
    assert watch.verdict(5.9, 4.0) == "lives"
    assert watch.verdict(7.1, 4.0) == "ask"
    assert watch.verdict(7.9, None) == "lives"
    assert watch.verdict(8.0, None) == "ask"


def test_a_session_that_is_doubted_is_asked_at_once_and_believed_when_it_answers() -> None:
    watch = Watch(StallPolicy(least_s=3, unknown_s=8, answer_s=2))
    watch.sent(0.0)
    watch.heard()
    watch.doubt()
    assert watch.verdict(5.0, 1.0) == "ask"
    watch.asked(5.0)
    assert watch.verdict(6.9, 1.0) == "lives"
    assert watch.verdict(7.0, 1.0) == "stalled"
    watch.heard()
    assert watch.verdict(7.0, 1.0) == "lives"
