"""The bounded buffers at both ends of a model session, and the times it computes."""

import asyncio

import numpy as np
import pytest

from livekit import rtc
from livekit.plugins.openai_realtime.audio_input import APPEND_BYTES, InputAudio
from livekit.plugins.openai_realtime.audio_output import OutputAudio
from livekit.plugins.openai_realtime.model_session import backoff_s, rotate_in_s


def frame(samples: int, *, rate: int = 24000, channels: int = 1, value: int = 1) -> rtc.AudioFrame:
    pcm = np.full(samples * channels, value, dtype="<i2").tobytes()
    return rtc.AudioFrame(pcm, rate, channels, samples)


def test_two_hundred_milliseconds_at_a_time() -> None:
    audio = InputAudio(10)
    for _ in range(9):
        audio.push(frame(1200))
    blocks = [audio.pop(), audio.pop(), audio.pop()]
    assert [len(block) if block else 0 for block in blocks] == [APPEND_BYTES, APPEND_BYTES, 0]
    rest = audio.pop_padded()
    assert rest == np.full(1200, 1, "<i2").tobytes() + bytes(APPEND_BYTES - 2400)
    assert audio.buffered_s == 0


def test_the_oldest_is_dropped_when_full() -> None:
    audio = InputAudio(0.4)
    assert not audio.push(frame(4800, value=1))
    assert not audio.push(frame(4800, value=2))
    assert audio.push(frame(4800, value=3))
    assert audio.dropped_s == pytest.approx(0.2)
    assert audio.pop() == np.full(4800, 2, "<i2").tobytes()
    assert audio.pop() == np.full(4800, 3, "<i2").tobytes()


def test_channels_are_mixed() -> None:
    audio = InputAudio(1)
    stereo = np.tile(np.array([100, 300], "<i2"), 4800)
    audio.push(rtc.AudioFrame(stereo.tobytes(), 24000, 2, 4800))
    assert audio.pop() == np.full(4800, 200, "<i2").tobytes()


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
async def test_other_rates_are_resampled_and_none_of_it_is_lost(rate: int) -> None:
    audio = InputAudio(10)
    for _ in range(20):
        audio.push(frame(rate // 20, rate=rate, value=1000))
    pcm = b""
    while (block := audio.pop()) is not None:
        pcm += block
    pcm += audio.pop_padded()
    heard = np.count_nonzero(np.frombuffer(pcm, "<i2") > 500)
    assert heard == pytest.approx(24000, abs=48)


async def test_output_is_read_in_order_and_ends() -> None:
    output = OutputAudio(10)
    for value in (1, 2):
        output.push(frame(240, value=value))
    output.close()
    assert [item.data[0] async for item in output] == [1, 2]
    assert not output.push(frame(240))
    assert [item async for item in output] == []


async def test_output_drops_the_oldest_when_nobody_reads() -> None:
    output = OutputAudio(1.0)
    dropped = [output.push(frame(12000, value=value)) for value in (1, 2, 3)]
    assert dropped == [False, False, True]
    assert output.dropped_s == pytest.approx(0.5)
    assert output.buffered_s == pytest.approx(1.0)
    assert (await anext(output)).data[0] == 2


async def test_output_wakes_its_reader_and_whoever_waits_for_the_end() -> None:
    output = OutputAudio(1.0)
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        reading = tasks.create_task(anext(output))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        output.push(frame(240, value=7))
        tasks.create_task(output.wait_empty())
    assert reading.result().data[0] == 7
    output.push(frame(240))
    output.clear()
    await asyncio.wait_for(output.wait_empty(), 5)


@pytest.mark.parametrize(
    ("attempt", "retry_after_s", "chance", "expected"),
    [
        (1, None, 0.0, 1.5),
        (1, None, 1.0, 2.0),
        (3, None, 1.0, 8.0),
        (50, None, 1.0, 30.0),
        (1, 12.0, 0.0, 12.0),
    ],
)
def test_backoff(attempt: int, retry_after_s: float | None, chance: float, expected: float) -> None:
    assert backoff_s(attempt, 2.0, retry_after_s, chance) == pytest.approx(expected)


@pytest.mark.parametrize(("left_s", "expected"), [(3600, 3540.0), (100, 90.0), (0, None), (-5, None)])
def test_rotation_is_due_before_the_end(left_s: int, expected: float | None) -> None:
    assert rotate_in_s(1000 + left_s, 1000.0) == expected
