"""What the AgentSession takes from the microphone: whole, in order, and never too much of it."""

import asyncio

import pytest

from livekit import rtc
from parley.core.framing import BYTES_PER_S
from parley.voice.ears import MOST_S, Ears

FRAME = BYTES_PER_S // 50
SAMPLES = FRAME // 2


def frame(n: int) -> bytes:
    return n.to_bytes(2, "little") * SAMPLES


def numbers(taken: rtc.AudioFrame) -> list[int]:
    """Which frames were put together to one."""
    return list(taken.data[::SAMPLES])


async def take(ears: Ears, count: int) -> list[int]:
    """At least so many frames."""
    found: list[int] = []
    async with asyncio.timeout(5):
        while len(found) < count:
            found += numbers(await anext(ears))
    return found


async def test_frames_come_out_as_they_went_in_together() -> None:
    ears = Ears()
    for n in range(1, 6):
        ears.push(frame(n))
    assert ears.waiting_s == pytest.approx(0.1)
    first = await anext(ears)
    assert (first.sample_rate, first.num_channels) == (24_000, 1)
    assert bytes(first.data.cast("B")) == b"".join(frame(n) for n in range(1, 6))
    assert ears.waiting_s == pytest.approx(0)
    assert ears.take_dropped_s() == 0


async def test_who_waits_gets_three_frames_at_a_time() -> None:
    ears = Ears()
    got: list[list[int]] = []

    async def listen() -> None:
        while True:
            got.append(numbers(await anext(ears)))

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        listening = group.create_task(listen())
        for n in range(1, 7):
            ears.push(frame(n))
            for _ in range(5):
                await asyncio.sleep(0)
        assert got == [[1, 2, 3], [4, 5, 6]]
        listening.cancel()


async def test_the_oldest_is_dropped_and_counted_once() -> None:
    ears = Ears()
    total = round(MOST_S * 50) + 25
    for n in range(total):
        ears.push(frame(n))
    assert ears.waiting_s == pytest.approx(MOST_S)
    assert ears.take_dropped_s() == pytest.approx(0.5)
    assert ears.take_dropped_s() == 0
    assert (await take(ears, total - 25))[: total - 25] == list(range(25, total))


async def test_what_waits_at_the_end_is_still_taken() -> None:
    ears = Ears()
    ears.push(frame(1))
    ears.close()
    ears.push(frame(3))
    async with asyncio.timeout(5):
        assert [numbers(taken) async for taken in ears] == [[1]]
        with pytest.raises(StopAsyncIteration):
            await anext(ears)


async def test_the_end_wakes_who_waits() -> None:
    ears = Ears()

    async def all_of_it() -> list[list[int]]:
        return [numbers(taken) async for taken in ears]

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
    ears.push(frame(5))
    ears.push(frame(6))
    assert await take(ears, 3) == [4, 5, 6]
