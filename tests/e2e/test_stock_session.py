"""The plugin without Parley: LiveKit's stock TranslationSession speaks with our model."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pytest

from parley.demo.listening import find_words
from parley.demo.livekit_server import LiveKitServer
from parley.demo.speech import SAMPLE_RATE_HZ

from .counting import languages_of, speech
from .running import environment, eventually, running_worker
from .venue import CountedSimulator, Venue

SCRIPT = Path(__file__).with_name("stock_worker.py")


@pytest.mark.long
async def test_the_stock_session_translates_every_word_once_with_our_model(
    venue: Venue, server: LiveKitServer, simulator: CountedSimulator
) -> None:
    said = speech("en", 10, phrase=5, pause_s=1.2)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = str(probe.getsockname()[1])
    env = environment(server, simulator.base_url, STOCK_PORT=port)
    async with running_worker(env, command=(str(SCRIPT), "start"), ready=False) as worker:
        await eventually(lambda: "registered worker" in worker.log, 40, "the worker is registered")
        room = await venue.room(dispatch=False)
        await venue.dispatch(room, worker)
        async with (
            venue.join(room, "ann") as ann,
            venue.join(
                *(room, "bob"), hears_tracks=lambda _, publisher: publisher != "ann", microphone=False
            ) as bob,
        ):
            await bob.until(lambda p: bool(p.recordings), 30)
            await eventually(lambda: venue.open_sessions, 20, "a session is open")
            ann.say(said.pcm)
            (recording,) = bob.recordings
            last = said.words[-1:]
            for _ in range(100):
                tail = recording.pcm[-8 * SAMPLE_RATE_HZ :]
                if await asyncio.to_thread(find_words, tail, SAMPLE_RATE_HZ, last):
                    break
                await asyncio.sleep(0.3)
            heard = await asyncio.to_thread(find_words, recording.pcm, SAMPLE_RATE_HZ, said.words)
            assert [h.word_index for h in heard] == list(range(10))
            assert languages_of(recording, heard) == {"fr"}
            assert {session.language for session in venue.sessions} == {"fr"}
