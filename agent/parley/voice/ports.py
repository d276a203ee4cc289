"""What stands around a voice agent, and how it ends."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

import aiohttp

from livekit.plugins.openai_realtime.options import ConnectOptions
from parley.access import Access
from parley.agents import Source
from parley.core.transcript import Segment
from parley.core.usage import Tokens
from parley.metrics import Metrics
from parley.ports import Notices

Who = Literal["agent", "person"]
"""Whose line it is."""


class LinesOut(Protocol):
    """Where the transcript of a conversation goes."""

    def send(self, segment: Segment, who: Who, *, cut: bool) -> None:
        """A line so far, or in the end; `cut`: more was to be said, and was given up."""


class Meter(Protocol):
    """Where the room counts what a conversation uses."""

    def tokens(self, used: Tokens) -> None:
        """What one response used."""

    def transcribed(self, audio_s: float) -> None:
        """What the transcription of one turn used."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The ports of a voice agent."""

    connect: ConnectOptions
    http: aiohttp.ClientSession
    lines: LinesOut
    notices: Notices
    metrics: Metrics
    see: Callable[[Source], Awaitable[bytes]] | None = None
    """Takes a picture of what the participant shows, PNG or JPEG. Raises NothingToSeeError."""
    meter: Meter | None = None
    access: Access = field(default_factory=Access)
    """Leave to use the API."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a conversation is over."""

    reason: Literal["left", "rest", "hang_up", "idle", "budget", "failed"]
    detail: str = ""
    retryable: bool = False
