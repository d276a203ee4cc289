"""The voice agent that Parley's worker puts beside participants in `agents.py`, as stock_agents.py does."""

from livekit.agents import Agent

from parley import agents
from parley.agents import Caller


def talker(caller: Caller) -> Agent:
    """An agent without tools, whose instructions name its participant."""
    return Agent(instructions=f"You talk to <{caller.identity}>.")


agents.register("talker", talker, greeting="Greet the participant.", idle_s=None)
