"""One worker follows another in a room in which people speak: no word is lost, none is heard twice."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import psutil
import pytest

from livekit import rtc
from parley.demo.livekit_server import LiveKitServer

from .counting import (
    audible,
    events,
    gets,
    heard_out,
    publication,
    recordings,
    speech,
    told,
    track_name,
    words_on,
)
from .running import RunningWorker, environment, eventually, running_worker
from .venue import CountedSimulator, Venue

FR, ES = track_name("ann", "fr"), track_name("bob", "es")


@pytest.mark.long
async def test_a_worker_that_drains_calls_another_and_hands_over_each_speaker_at_a_pause(
    venue: Venue, server: LiveKitServer, simulator: CountedSimulator
) -> None:
    env = environment(server, simulator.base_url, PARLEY_DRAIN_S="60")
    ann_says = speech("en", 24, phrase=4, pause_s=1.0)
    bob_says = speech("fr", 16, voice=3, phrase=8, pause_s=1.4)
    async with running_worker(env) as first, running_worker(env, beside=first) as second:
        room = await venue.room(dispatch=False)
        await venue.dispatch(room, first)
        async with (
            venue.join(room, "ann", speaks="en", hears="es") as ann,
            venue.join(room, "bob", speaks="fr", hears="fr") as bob,
        ):
            await gets(bob, FR)
            await gets(ann, ES)
            serving, waiting = (first, second) if await rooms(first) else (second, first)
            ann.say(ann_says.pcm)
            bob.say(bob_says.pcm)
            for listener in (bob, ann):
                await listener.until(lambda p: any(audible(r) for r in p.recordings), 20)
            serving.signal(signal.SIGTERM)
            await told(bob, "worker.draining")
            await told(bob, "worker.left", 40)
            await heard_out(bob, FR, ann_says)
            await heard_out(ann, ES, bob_says)
            assert sorted(words_on(bob, FR, ann_says)) == list(range(24))
            assert sorted(words_on(ann, ES, bob_says)) == list(range(16))
            assert len(events(bob, "worker.left")) == 1
            assert len({r.publisher_identity for r in recordings(bob, FR) if audible(r)}) == 2
            assert await rooms(waiting) == 1
        assert await serving.exit() == 0
        await serving.nothing_left()


async def test_a_job_that_is_killed_is_replaced_within_seconds_and_leaves_nothing(
    venue: Venue,
) -> None:
    said, more = speech("en", 6), speech("en", 6, first=6)
    async with (
        venue.served(PARLEY_DRAIN_S="0") as (worker, room),
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
    ):
        await gets(bob, FR)
        (killed,) = [p.identity for p in bob.room.remote_participants.values() if serving(p)]
        ann.say(said.pcm)
        await bob.until(lambda p: any(audible(r) for r in p.recordings), 20)
        died = time.monotonic()
        os.kill(_job(worker), signal.SIGKILL)

        def replaced() -> bool:
            there = [p for p in bob.room.remote_participants.values() if serving(p)]
            return len(there) == 1 and there[0].identity != killed and publication(bob, FR) is not None

        await eventually(replaced, 15, "another job serves the room, alone")
        took_s = time.monotonic() - died
        await gets(bob, FR)
        ann.say(more.pcm)
        await heard_out(bob, FR, more)
        assert words_on(bob, FR, more) == list(range(6))
        assert took_s < 6, f"the room was without a job for {took_s:.1f} s"
        assert "a job died" in worker.log


def serving(participant: rtc.RemoteParticipant) -> bool:
    """Whether this is a worker."""
    return "parley.worker" in participant.attributes


def _job(worker: RunningWorker) -> int:
    """The process of a worker that is in a room: the one with media sockets."""
    (job,) = [n for n in worker.processes if psutil.Process(n).net_connections(kind="udp")]
    return job


async def rooms(worker: RunningWorker) -> float:
    """In how many rooms a worker is, as its metrics say after a second."""
    await asyncio.sleep(1.2)
    return (await worker.metrics())["parley_rooms"]
