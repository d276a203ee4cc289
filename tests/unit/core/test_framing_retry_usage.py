"""Arithmetic: frames of PCM, waits between attempts, seconds and dollars."""

import random

import pytest

from parley.core.framing import FRAME_BYTES, FRAME_MS, RATE_HZ, Framer, seconds
from parley.core.retry import RetryPolicy
from parley.core.usage import LIST_PRICES


def test_the_models_frame() -> None:
    assert (RATE_HZ, FRAME_MS, FRAME_BYTES) == (24_000, 200, 9_600)
    assert seconds(FRAME_BYTES) == 0.2


@pytest.mark.parametrize("seed", range(20))
def test_frames_in_any_chunking_are_the_same_bytes(seed: int) -> None:
    rng = random.Random(seed)
    whole = rng.randbytes(rng.randrange(20_000))
    framer, frames, at = Framer(1000), [], 0
    while at < len(whole):
        n = rng.randrange(1, 4000)
        frames += framer.push(memoryview(whole)[at : at + n])
        at += n
        assert framer.held_bytes == min(at, len(whole)) % 1000
    assert all(len(frame) == 1000 for frame in frames)
    rest = framer.flush()
    joined = b"".join(frames) + (rest or b"")
    assert joined == whole.ljust(len(joined), b"\0")
    assert len(joined) - len(whole) < 1000
    assert framer.flush() is None


def test_waits_double_up_to_the_most() -> None:
    policy = RetryPolicy(first_s=0.25, most_s=15)
    waits = [policy.delay_s(n, retryable=True, jitter=0.5) for n in range(1, 10)]
    assert waits == [0.25, 0.5, 1, 2, 4, 8, 15, 15, 15]
    assert policy.delay_s(10**9, retryable=True, jitter=0.5) == 15


def test_jitter_is_a_quarter_either_way() -> None:
    policy = RetryPolicy(first_s=4)
    assert policy.delay_s(1, retryable=True, jitter=0.0) == 3
    assert policy.delay_s(1, retryable=True, jitter=1.0) == 5


def test_what_the_server_asks_is_never_undercut() -> None:
    policy = RetryPolicy()
    assert policy.delay_s(1, retryable=True, jitter=0.5, asked_s=20) == 20
    assert policy.delay_s(9, retryable=True, jitter=0.5, asked_s=0.1) == 15


def test_what_no_retry_mends_waits_long_from_the_first_time() -> None:
    assert RetryPolicy().delay_s(1, retryable=False, jitter=0.5) == 30


def test_an_hour_of_translation_costs_its_list_price() -> None:
    assert 3600 * LIST_PRICES.usd_per_second("gpt-realtime-translate") == pytest.approx(0.034 * 60)


def test_a_snapshot_costs_what_its_family_costs_and_the_unknown_the_most() -> None:
    price = LIST_PRICES.usd_per_second
    assert price("gpt-realtime-whisper-2026-01-01") == pytest.approx(0.017 / 60)
    assert price("gpt-realtime-whispers") == pytest.approx(0.034 / 60)
    assert price("something-else") == pytest.approx(0.034 / 60)
