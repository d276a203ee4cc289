"""Percentiles of spans, from bins."""

import random

import pytest

from parley.core.spans import BIN_S, Spans


def test_of_none_there_is_nothing() -> None:
    spans = Spans()
    assert (spans.count, spans.percentile(0.5), spans.longest_s) == (0, 0.0, 0.0)


def test_of_one_every_percentile_is_that_one() -> None:
    spans = Spans()
    spans.add(2.34)
    assert spans.percentile(0.5) == spans.percentile(0.95) == spans.longest_s == 2.34


@pytest.mark.parametrize("seed", range(5))
def test_percentiles_are_right_to_a_bin_and_never_too_small(seed: int) -> None:
    rng = random.Random(seed)
    given = [rng.lognormvariate(1.0, 0.6) for _ in range(1_000)]
    spans = Spans()
    for span_s in given:
        spans.add(span_s)
    for share in (0.05, 0.5, 0.95, 1.0):
        exact = sorted(given)[max(0, -int(-share * 1_000 // 1) - 1)]
        assert exact - 1e-9 <= spans.percentile(share) <= exact + BIN_S + 1e-9
    assert spans.longest_s == max(given)


def test_what_is_off_the_scale_is_counted_and_the_longest_known() -> None:
    spans = Spans()
    for span_s in (-1.0, 90.0, 500.0):
        spans.add(span_s)
    assert (spans.count, spans.percentile(0.95), spans.longest_s) == (3, 500.0, 500.0)
    assert spans.percentile(0.1) == BIN_S
