"""The user's audio: in order, bounded, and sent again from where it is not settled."""

import random

import pytest

from livekit.plugins.openai_realtime.input_log import InputLog


def pcm(start: int, samples: int) -> bytes:
    return b"".join((value % 30_000).to_bytes(2, "little") for value in range(start, start + samples))


def taken(log: InputLog, most: int = 1200) -> bytes:
    pieces = []
    while piece := log.take(log.end, most):
        pieces.append(piece)
    return b"".join(pieces)


@pytest.fixture
def log() -> InputLog:
    return InputLog(kept_max_s=1.0, unsent_max_s=0.5)


def test_it_comes_out_as_it_went_in(log: InputLog) -> None:
    log.push(pcm(0, 1000))
    assert log.take(log.end, 1200) == pcm(0, 1000)
    assert log.take(log.end, 1200) == b""
    log.push(pcm(1000, 3000))
    assert log.take(2000, 1200) == pcm(1000, 1000)
    assert log.take(2000, 1200) == b""
    assert taken(log) == pcm(2000, 2000)


def test_what_is_not_settled_is_sent_again(log: InputLog) -> None:
    log.push(pcm(0, 5000))
    taken(log)
    log.settle(2000)
    log.restart()
    log.push(pcm(5000, 1000))
    log.resume()
    assert taken(log) == pcm(2000, 4000)
    assert log.dropped_s == 0


def test_the_clock_of_a_connection_begins_with_its_first_sample(log: InputLog) -> None:
    log.push(pcm(0, 4800))
    taken(log)
    log.settle(2400)
    assert log.at(100) == 2400
    log.restart()
    log.resume(before=240)
    assert log.at(10) == 2400
    assert log.at(60) == 3600


def test_too_much_that_waits_is_dropped_oldest_first(log: InputLog) -> None:
    log.restart()
    assert not log.push(pcm(0, 12_000))
    assert log.push(pcm(12_000, 2400))
    assert log.dropped_s == pytest.approx(0.1)
    log.resume()
    assert taken(log) == pcm(2400, 12_000)


def test_what_was_sent_before_the_loss_does_not_count_as_waiting(log: InputLog) -> None:
    log.push(pcm(0, 10_000))
    taken(log)
    log.restart()
    assert not log.push(pcm(10_000, 12_000))
    assert log.push(pcm(22_000, 1))
    log.resume()
    assert taken(log) == pcm(1, 22_000)


def test_only_so_much_is_kept_and_the_rest_is_counted_when_it_is_missed(log: InputLog) -> None:
    for start in range(0, 48_000, 480):
        log.push(pcm(start, 480))
        taken(log)
    assert log.dropped_s == 0
    log.restart()
    log.resume()
    assert len(taken(log)) // 2 == 24_000 + 480
    assert log.dropped_s == pytest.approx(0.98)


def test_silence_that_was_heard_is_not_kept(log: InputLog) -> None:
    for start in range(0, 48_000, 480):
        log.push(pcm(start, 480), keep_s=0.1)
        taken(log)
    log.restart()
    log.resume()
    assert len(taken(log)) // 2 == 2400 + 480
    assert log.dropped_s == 0


def test_audio_can_be_given_up(log: InputLog) -> None:
    log.push(pcm(0, 1000))
    log.discard(None)
    log.push(pcm(1000, 100))
    assert taken(log) == pcm(1000, 100)
    log.restart()
    log.push(pcm(1100, 500))
    log.discard(1300)
    log.resume()
    assert taken(log) == pcm(1000, 300)


def test_cut() -> None:
    log = InputLog(kept_max_s=1.0, unsent_max_s=1.0)
    log.push(pcm(0, 1000))
    taken(log)
    log.settle(200)
    assert log.cut(300, 500) == pcm(300, 200)
    assert log.cut(100, 300) == pcm(200, 100)


def test_whatever_happens_each_sample_is_settled_or_sent_on_the_last_connection() -> None:
    chance = random.Random(7)
    for _ in range(200):
        log = InputLog(kept_max_s=100.0, unsent_max_s=100.0)
        end = settled = 0
        connection = bytearray()
        begun = 0
        for _ in range(60):
            act = chance.randrange(5)
            if act <= 1:
                log.push(pcm(end, size := chance.randrange(1, 900)))
                end += size
            elif act == 2:
                connection += log.take(log.end, chance.randrange(1, 2000))
            elif act == 3:
                settled = max(settled, chance.randrange(settled, log.sent + 1))
                log.settle(settled)
            else:
                assert bytes(connection) == pcm(begun, len(connection) // 2)
                log.restart()
                log.resume()
                connection.clear()
                begun = settled
        connection += taken(log)
        assert bytes(connection) == pcm(begun, end - begun)
        assert log.dropped_s == 0
