"""What the simulator remembers of a session, for tests and for `GET /simulator/sessions`."""

from collections import deque
from dataclasses import dataclass, field

__all__ = ["SessionRecord"]

APPENDS_KEPT = 1024
REFUSALS_KEPT = 256
TEXT_KEPT = 16_384


@dataclass(slots=True)
class SessionRecord:
    """One session. Times are the event loop's clock in seconds; audio is counted in seconds at 24 kHz."""

    id: str
    kind: str
    model: str
    opened_at: float
    language: str | None = None
    """The output language in force."""
    updated_at: float | None = None
    """When the last accepted `session.update` came."""
    closed_at: float | None = None
    close_reason: str | None = None
    """`session.close`, `expired`, `drop`, `close`, `client gone` or `simulator closed`; None while open."""
    audio_received_s: float = 0.0
    audio_sent_s: float = 0.0
    appends: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=APPENDS_KEPT))
    """The last appends: when, and how many samples."""
    refused: list[str] = field(default_factory=list)
    """The codes of the client events that were refused."""
    transcript: str = ""
    """The output transcript as sent, its last 16384 characters."""
    input_transcript: str = ""

    def refuse(self, code: str) -> None:
        """Count a refusal; the oldest are forgotten."""
        self.refused.append(code)
        del self.refused[:-REFUSALS_KEPT]

    def said(self, text: str, *, source: bool) -> None:
        """Add a transcript delta that was sent."""
        if source:
            self.input_transcript = (self.input_transcript + text)[-TEXT_KEPT:]
        else:
            self.transcript = (self.transcript + text)[-TEXT_KEPT:]

    def as_json(self) -> dict[str, object]:
        """The record as JSON values; the appends are only counted."""
        names = [name for name in self.__slots__ if name != "appends"]
        return {name: getattr(self, name) for name in names} | {"appends": len(self.appends)}
