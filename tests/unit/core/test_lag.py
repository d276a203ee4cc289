"""The rules of lag on numbers: when silence is shortened, how fast speech is played, what is given up."""

import itertools

import pytest

from parley.core.lag import LagGovernor, LagPolicy, given_up

STEP_S = 0.02


def watched(waiting_s: float, duration_s: float, governor: LagGovernor | None = None) -> LagGovernor:
    """A governor that has seen that much wait for so long."""
    governor = governor or LagGovernor(LagPolicy())
    for _ in range(round(duration_s / STEP_S)):
        governor.observe(waiting_s, 0.01, STEP_S)
    return governor


def test_lag_is_what_waits_all_the_while_beyond_what_is_needed() -> None:
    governor = LagGovernor(LagPolicy())
    for i in range(200):
        governor.observe(0.3 + 0.2 * (i % 10 == 0), 0.1, STEP_S)
    assert governor.lag_s == pytest.approx(0.2)


def test_a_burst_is_no_lag() -> None:
    governor = LagGovernor(LagPolicy())
    for i in range(500):
        governor.observe(5.0 - i % 50 * 0.1, 0.01, STEP_S)
    assert governor.lag_s == pytest.approx(0.09)
    assert governor.speed == 1.0


def test_silence_is_shortened_from_little_lag_on_and_some_of_it_stays() -> None:
    assert not watched(0.05, 2).shortens(0.5, 0.05)
    governor = watched(0.07, 2)
    assert governor.shortens(0.12, 0.07)
    assert not governor.shortens(0.1, 0.07)


def test_silence_is_shortened_at_once_where_much_waits() -> None:
    governor = LagGovernor(LagPolicy())
    assert governor.shortens(0.12, 1.02)
    assert not governor.shortens(0.12, 0.98)


def test_speech_is_played_faster_by_a_share_of_the_lag_up_to_the_bound() -> None:
    assert watched(0.7, 10).speed == 1.0
    assert watched(0.91, 10).speed == pytest.approx(1.3)
    assert watched(20.0, 10).speed == pytest.approx(1.35)


def test_once_faster_it_stays_so_until_little_is_left() -> None:
    governor = watched(0.91, 10)
    assert watched(0.4, 10, governor).speed == pytest.approx(1.13)
    assert watched(0.2, 10, governor).speed == 1.0
    assert watched(0.4, 10, governor).speed == 1.0


def test_the_speed_changes_gradually_both_ways() -> None:
    governor = LagGovernor(LagPolicy())
    speeds = []
    for i in range(1000):
        governor.observe(10.0 if i < 500 else 0.0, 0.01, STEP_S)
        speeds.append(governor.speed)
    assert max(speeds) == pytest.approx(1.35)
    assert speeds[-1] == 1.0
    assert max(abs(b - a) for a, b in itertools.pairwise(speeds)) <= 0.3 * STEP_S + 1e-9


def test_where_silence_yields_enough_speech_is_not_played_faster() -> None:
    governor = LagGovernor(LagPolicy())
    for i in range(1500):
        governor.observe(10.0, 0.01, STEP_S)
        if i % 40 == 0:
            governor.gained(0.4, silent=True)
        if i > 200:
            assert governor.speed == 1.0


def test_what_was_gained_is_no_lag_any_more() -> None:
    governor = watched(1.0, 2)
    governor.gained(0.6, silent=False)
    assert governor.lag_s == pytest.approx(0.39)


def test_nothing_waits_nothing_lags() -> None:
    governor = watched(10.0, 5)
    governor.caught_up()
    assert (governor.lag_s, governor.speed) == (0.0, 1.0)


def phrases(*lengths: int) -> list[int]:
    """Peaks: so many frames of speech, so many of silence, and so on."""
    return [peak for i, n in enumerate(lengths) for peak in [0 if i % 2 else 1000] * n]


@pytest.mark.parametrize(
    ("peaks", "fresh", "expected"),
    [
        pytest.param(phrases(20, 10, 30, 10, 40), False, (30, 70), id="the oldest unplayed one"),
        pytest.param(phrases(20, 10, 30, 10, 40), True, (0, 30), id="the first, if nothing of it was played"),
        pytest.param(phrases(20, 10, 30, 3, 30, 10, 40), False, (30, 103), id="words are no phrases"),
        pytest.param(phrases(20, 10, 30, 10), False, (30, 60), id="the last, when it has ended"),
        pytest.param(phrases(0, 10, 30, 10, 40), False, (10, 50), id="after a pause"),
    ],
)
def test_a_phrase_is_given_up_whole(peaks: list[int], fresh: bool, expected: tuple[int, int]) -> None:
    assert given_up(peaks, 5, silent=32, pause=5, within=50, fresh=fresh) == expected


def test_speech_without_a_pause_is_cut_where_it_is_quietest() -> None:
    peaks = [1000] * 200
    peaks[17], peaks[60] = 100, 90
    assert given_up(peaks, 20, silent=32, pause=5, within=50, fresh=False) == (17, 60)


def test_at_least_what_is_too_much_is_cut_out_of_speech_without_a_pause() -> None:
    assert given_up([1000] * 10, 9, silent=32, pause=5, within=50, fresh=False) == (0, 9)
