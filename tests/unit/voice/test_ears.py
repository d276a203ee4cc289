"""What the AgentSession takes from the microphone: whole, in order, and never too much of it."""

import asyncio

import pytest

from parley.core.framing import BYTES_PER_S
from parley.voice.ears import MOST_S, Ears

FRAME = BYTES_PER_S // 50


def frame(n: int) -> bytes:
    return n.to_bytes(2, "little") * (FRAME // 2)


async def take(ears: Ears, count: int) -> list[int]:
    async with asyncio.timeout(5):
        return [(await anext(ears)).data[0] for _ in range(count)]


async def test_frames_come_out_as_they_went_in() -> None:
    ears = Ears()
    for n in range(1, 6):
        ears.push(frame(n))
    assert ears.waiting_s == pytest.approx(0.1)
    first = await anext(ears)
    assert (first.sample_rate, first.num_channels, first.samples_per_channel) == (24_000, 1, 480)
    assert bytes(first.data.cast("B")) == frame(1)
    assert await take(ears, 4) == [2, 3, 4, 5]
    assert ears.waiting_s == pytest.approx(0)
    assert ears.take_dropped_s() == 0


async def test_who_waits_gets_the_next_frame() -> None:
    ears = Ears()
    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = group.create_task(take(ears, 2))
        await asyncio.sleep(0)
        ears.push(frame(7))
        await asyncio.sleep(0)
        ears.push(frame(8))
    assert waiting.result() == [7, 8]


async def test_the_oldest_is_dropped_and_counted() -> None:
    ears = Ears()
    total = round(MOST_S * 50) + 25
    for n in range(total):
        ears.push(frame(n))
    assert ears.waiting_s == pytest.approx(MOST_S)
    assert ears.take_dropped_s() == pytest.approx(0.5)
    assert await take(ears, 2) == [25, 26]


async def test_what_waits_at_the_end_is_still_taken() -> None:
    ears = Ears()
    ears.push(frame(1))
    ears.push(frame(2))
    ears.close()
    ears.push(frame(3))
    async with asyncio.timeout(5):
        assert [taken.data[0] async for taken in ears] == [1, 2]
        with pytest.raises(StopAsyncIteration):
            await anext(ears)


async def test_the_end_wakes_who_waits() -> None:
    ears = Ears()

    async def all_of_it() -> list[int]:
        return [taken.data[0] async for taken in ears]

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        waiting = group.create_task(all_of_it())
        await asyncio.sleep(0)
        ears.close()
    assert waiting.result() == []


async def test_cancelled_it_loses_nothing() -> None:
    ears = Ears()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await anext(ears)
    ears.push(frame(4))
    assert await take(ears, 1) == [4]
