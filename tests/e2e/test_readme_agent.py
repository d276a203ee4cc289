"""The voice agent of the README, as it stands there, in a room: its tool is called, and the answer spoken."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from livekit import api
from parley.demo.listening import find_words
from parley.demo.people import Person
from parley.demo.speech import SAMPLE_RATE_HZ, Word
from parley.simulator import Call, Turn, word_sound

from .counting import recordings, speech
from .running import environment, running_worker
from .talking import agent_track, asks, brisk, hears_it_out, lines, rpc, with_agent
from .venue import Venue

README = Path(__file__).parents[2] / "README.md"
GREETING, ANSWER = "What is the number", "Order 7 leaves tomorrow."


def written_agent() -> str:
    """The snippet that registers it."""
    blocks = re.findall(r"^```python\n(.*?)^```$", README.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (snippet,) = [block for block in blocks if "agents.register" in block]
    return snippet


@pytest.mark.timeout(150)
async def test_the_agent_of_the_readme_looks_up_an_order_and_says_it(venue: Venue, tmp_path: Path) -> None:
    module = tmp_path / "my_agents.py"
    module.write_text(written_agent(), encoding="utf-8")
    script = venue.simulator.script
    script.add(
        Turn(say=GREETING, when=lambda context: not context.lines),
        Turn(calls=(Call("order_status", {"number": "7"}),), when=lambda context: len(context.lines) == 2),
    )
    env = environment(venue.server, venue.simulator.base_url, PARLEY_DRAIN_S="2")
    command = ("-m", "parley", "start", "--agents", str(module))
    async with running_worker(env, command=command) as worker:
        room = await venue.room(dispatch=False)
        await venue.dispatch(room, worker)
        async with with_agent(venue, room, "ann", "support") as ann:
            await hears_it_out(ann, 0.0)
            await asks(ann, brisk(speech("en", 4)))
            await ann.until(lambda person: len(_said(lines(person))) == 2, 20)
            # What the tool returned is said by nobody's script: the simulator repeats it.
            assert _said(lines(ann)) == [GREETING, f"[simulated] {ANSWER}"]
            assert await asyncio.to_thread(_words_heard, ann) == ANSWER.split()
            state = await rpc(ann, venue, room, "parley.state")
            (agent,) = state["agents"]
            assert (agent["of"], agent["agent"]) == ("ann", "support")
            assert agent["usd"] > 0
            assert agent["tokens"]["audio_out"] > 0
        await venue.livekit.room.delete_room(api.DeleteRoomRequest(room=room))
    (session,) = venue.sessions
    assert session.settings["model"] == "gpt-realtime-2.1"
    assert session.settings["audio"]["output"]["voice"] == "marin"
    assert [response.calls for response in session.responses] == [[], ["order_status"], []]
    assert session.refused == []


def _words_heard(person: Person) -> list[str]:
    """The words of the answer that were heard, in their order."""
    words = [Word(word, "en", word_sound(word)) for word in ANSWER.split()]
    (voice,) = recordings(person, agent_track(person.identity))
    found = find_words(voice.pcm, SAMPLE_RATE_HZ, words)
    return [words[heard.word_index].text for heard in found]


def _said(lines: list[str]) -> list[str]:
    """What the agent said, of all that was said."""
    return [line for line in lines if "word-" not in line]
