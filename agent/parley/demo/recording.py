"""What a listener received: sound with the time of every sample, and text as it came."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from parley.core.minutes import LineKind

from .audio import Pcm, amplitude, rms
from .speech import SAMPLE_RATE_HZ

_WINDOW_S = 4.0
_LOUD = amplitude(-45.0)


class Recording:
    """One subscribed track, `int16[n]` mono at 24 kHz, on this process's monotonic clock.

    Frames arrive late by a varying time, never early: a sample's time is the least of (arrival - samples so
    far) among the frames around it.
    """

    def __init__(self, track_name: str, track_sid: str, publisher_identity: str, *, from_agent: bool) -> None:
        self.track_name = track_name
        self.track_sid = track_sid
        self.publisher_identity = publisher_identity
        self.from_agent = from_agent
        self.ended = False
        self.last_loud_s = 0.0
        self._frames: list[Pcm] = []
        self._arrivals: list[float] = []
        self._ends: list[int] = []

    def add(self, frame: Pcm, arrived_s: float) -> None:
        """The next frame, `int16[n]`, and when it came (monotonic, s)."""
        if rms(frame) > _LOUD:
            self.last_loud_s = arrived_s
        self._frames.append(frame)
        self._arrivals.append(arrived_s)
        self._ends.append((self._ends[-1] if self._ends else 0) + len(frame))

    @property
    def pcm(self) -> Pcm:
        """All that was received, `int16[n]`."""
        return np.concatenate(self._frames) if self._frames else np.zeros(0, np.int16)

    @property
    def duration_s(self) -> float:
        """The length of what was received."""
        return self._ends[-1] / SAMPLE_RATE_HZ if self._ends else 0.0

    @property
    def start_time(self) -> float:
        """When the first sample came (monotonic, s). Raises ValueError where nothing was received."""
        return self.time_of(0.0)

    def time_of(self, position_s: float) -> float:
        """The arrival time (monotonic, s) of the sound `position_s` seconds into `pcm`.

        Any thread may ask while frames are added. Raises ValueError where nothing was received.
        """
        if not self._ends:
            raise ValueError(f"nothing was received on {self.track_name}")
        ends = np.asarray(self._ends) / SAMPLE_RATE_HZ
        arrivals = np.asarray(self._arrivals[: len(ends)])
        near = np.abs(ends - position_s) <= _WINDOW_S
        near[np.argmin(np.abs(ends - position_s))] = True
        return position_s + float(np.min((arrivals - ends)[near]))


@dataclass(frozen=True)
class Place:
    """Where a word may be heard: the speaker and the language of a track, `original` for the microphone
    itself."""

    speaker: str
    language: str


def place_of(recording: Recording) -> Place | None:
    """What a track carries, by its name and publisher; None for an agent's track that is no translation.

    The worker's tracks are named `parley:<speaker identity>:<language>`; the identity may hold colons too.
    """
    if not recording.from_agent:
        return Place(recording.publisher_identity, "original")
    prefix, _, rest = recording.track_name.partition(":")
    speaker, separator, language = rest.rpartition(":")
    return Place(speaker, language) if prefix == "parley" and separator else None


@dataclass
class Caption:
    """One text stream on `lk.transcription`: `text` grows while it comes, `complete` when it has ended."""

    sender: str
    started_s: float
    attributes: dict[str, str] = field(default_factory=dict)
    text: str = ""
    updated_s: float = 0.0
    complete: bool = False

    @property
    def segment_id(self) -> str:
        """`lk.segment_id`: the same for all streams of one segment."""
        return self.attributes.get("lk.segment_id", "")

    @property
    def language(self) -> str:
        """The language of the text, a BCP-47 tag, or empty."""
        return self.attributes.get("language", "")

    @property
    def kind(self) -> LineKind:
        """`source`, `translation` or `agent`."""
        kind = self.attributes.get("parley.kind")
        return "translation" if kind == "translation" else "agent" if kind == "agent" else "source"

    @property
    def final(self) -> bool:
        """Whether this is the segment's last version."""
        return self.attributes.get("lk.transcription_final") == "true"
