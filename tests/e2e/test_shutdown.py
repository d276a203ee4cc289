"""How a worker ends: in order when it is asked to, and with nothing left of it however it ends."""

from __future__ import annotations

import signal
import time

import pytest

from parley.demo.livekit_server import LiveKitServer

from .counting import audible, events, gets, heard_out, speech, told, track_name, words_on
from .running import environment, running_worker
from .venue import CountedSimulator, Venue

NAME = track_name("ann", "fr")


async def test_sigterm_while_somebody_speaks_loses_no_word_said_until_the_drain_is_over(
    venue: Venue,
) -> None:
    drain_s = 4.0
    said = speech("en", 20, phrase=4, pause_s=1.2)
    async with (
        venue.served(PARLEY_DRAIN_S=str(drain_s)) as (worker, room),
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
    ):
        await gets(bob, NAME)
        begun = ann.say(said.pcm)
        await bob.until(lambda p: any(audible(r) for r in p.recordings), 20)
        asked = time.monotonic()
        worker.signal(signal.SIGTERM)
        await told(bob, "worker.draining")
        assert (await worker.probe("/readyz"))[0] == 503
        assert (await worker.probe("/livez"))[0] == 200
        await told(bob, "worker.left", drain_s + 60)
        assert time.monotonic() - asked >= drain_s, "it left before the drain was over"
        assert await worker.exit() == 0
        until = asked + drain_s
        spoken = sum(begun + start + 0.4 <= until for start in said.starts_s)
        found = words_on(bob, NAME, said)
        assert found == list(range(len(found)))
        assert len(found) >= spoken >= 5
        assert len(events(bob, "worker.draining")) == len(events(bob, "worker.left")) == 1
    await worker.nothing_left()


@pytest.mark.long
async def test_sigterm_ends_a_worker_soon_once_its_room_is_empty(
    venue: Venue,
) -> None:
    async with venue.served(PARLEY_DRAIN_S="600") as (worker, room):
        async with (
            venue.join(room, "ann", speaks="en") as ann,
            venue.join(room, "bob", speaks="fr", hears="fr") as bob,
        ):
            await gets(bob, NAME)
            worker.signal(signal.SIGTERM)
            await told(bob, "worker.draining")
            await worker.until("/readyz", 503, 5)
            said = speech("en", 2)
            ann.say(said.pcm)
            await heard_out(bob, NAME, said)
        assert await worker.exit(25) == 0
        assert not list(worker.directory.iterdir()), "files were left"


@pytest.mark.long
async def test_a_worker_that_is_killed_leaves_no_child_and_a_second_sigterm_ends_at_once(
    venue: Venue, server: LiveKitServer, simulator: CountedSimulator
) -> None:
    env = environment(server, simulator.base_url, PARLEY_DRAIN_S="600")
    async with running_worker(env) as killed, running_worker(env) as hurried:
        one, two = await venue.room(dispatch=False), await venue.room(dispatch=False)
        await venue.dispatch(one, killed)
        await venue.dispatch(two, hurried)
        async with (
            venue.join(one, "ann", speaks="en") as ann,
            venue.join(one, "bob", speaks="fr", hears="fr") as bob,
            venue.join(two, "ann", speaks="en") as amy,
            venue.join(two, "bob", speaks="fr", hears="fr") as ben,
        ):
            await gets(bob, NAME)
            await gets(ben, NAME)
            said = speech("en", 12)
            ann.say(said.pcm)
            amy.say(said.pcm)
            for listener in (bob, ben):
                await listener.until(lambda p: any(audible(r) for r in p.recordings), 20)
            assert len(killed.processes) > 2, "a main process, a job, and what they need"
            killed.signal(signal.SIGKILL)
            hurried.signal(signal.SIGTERM)
            await told(ben, "worker.draining")
            hurried.signal(signal.SIGTERM)
            assert await hurried.exit(3) != 0
            await hurried.nothing_left(5)
            assert await killed.exit(3) == -signal.SIGKILL
            await killed.nothing_left(40)
