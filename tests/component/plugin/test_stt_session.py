"""The stock AgentSession with our speech to text: what a user said, over connections that are lost."""

import asyncio
import random

import numpy as np
import pytest
from livekit.agents import Agent, AgentSession, UserInputTranscribedEvent

from component.plugin.talk import Mic
from component.plugin.test_stt import DEADLINE_S, LoudVad, api, named, phrase, speech_to_text
from parley.simulator import Fault


@pytest.mark.parametrize(
    "kind", ["drop", *(pytest.param(k, marks=pytest.mark.long) for k in ("expire", "close"))]
)
async def test_a_user_is_understood_word_by_word_while_connections_are_lost(kind: str) -> None:
    chance = random.Random(kind)
    async with api() as sim, speech_to_text(sim) as made:
        for _ in range(3):
            sim.faults.add(Fault(kind, after_audio_s=chance.uniform(0.2, 2.5)))  # type: ignore[arg-type]
        session = AgentSession(stt=made, vad=LoudVad(), turn_detection="manual")
        microphone = Mic(speed=2.0)
        heard: list[UserInputTranscribedEvent] = []
        closed: list[object] = []
        changed = asyncio.Event()

        def on_words(event: UserInputTranscribedEvent) -> None:
            heard.append(event)
            changed.set()

        session.on("user_input_transcribed", on_words)
        session.on("close", closed.append)
        session.input.audio = microphone
        await session.start(Agent(instructions=""))
        microphone.say(np.concatenate([phrase(first, first + 4) for first in range(1, 21, 5)]))
        async with asyncio.timeout(DEADLINE_S):
            while not heard or "w20" not in heard[-1].transcript or not heard[-1].is_final:
                changed.clear()
                await changed.wait()
        assert closed == []
        await session.aclose()
        finals = [event.transcript for event in heard if event.is_final]
        assert " ".join(finals).split() == named(1, 20)
        assert len(sim.sessions) >= 2
