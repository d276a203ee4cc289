"""What a first conversation in a process would otherwise wait for."""

from __future__ import annotations

from livekit.agents.llm._realtime import openai as stock
from pydantic import BaseModel


def warm_up() -> int:
    """Build the schemas of the SDK's events; returns how many.

    The SDK leaves that to the first event of each kind: a tenth of a second in the middle of a greeting.
    Done in a process from which others are forked, it is done for all of them.
    """
    known = [kind for kind in vars(stock).values() if isinstance(kind, type) and issubclass(kind, BaseModel)]
    kinds = [kind for kind in known if kind is not BaseModel]
    for kind in kinds:
        kind.model_rebuild()
    return len(kinds)
