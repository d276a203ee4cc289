"""What the simulator remembers of a session, for tests and for `GET /simulator/sessions`."""

from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any

from .wire import ApiError, Event, error_body

__all__ = ["ItemRecord", "ResponseRecord", "SessionRecord", "UsageTotals"]

APPENDS_KEPT = 1024
REFUSALS_KEPT = 256
TEXT_KEPT = 16_384
ITEMS_KEPT = 512
PICTURES_KEPT = 4
RESPONSES_KEPT = 512
CONTEXT_KEPT = 256
LINE_KEPT = 2_000


@dataclass(slots=True)
class ItemRecord:
    """One item of a conversation."""

    id: str
    type: str
    """`message`, `function_call`, `function_call_output`, `mcp_list_tools`, …"""
    role: str | None
    added_at: float
    by_client: bool
    """Whether the client created it (`conversation.item.create`)."""
    text: str = ""
    """What the model knows of it: what was said, of a truncated reply up to the cut; a call's name and
    arguments; a tool's output."""
    audio_ms: int = 0
    truncated_at_ms: int | None = None
    deleted_at: float | None = None
    call_id: str | None = None
    name: str | None = None


@dataclass(slots=True)
class ResponseRecord:
    """One response."""

    id: str
    conversation: str
    """`auto`, or `none` for one out of band."""
    created_at: float
    context: list[str]
    """The texts of the items that it answered, in order: the last 256, each cut at 2000 characters."""
    instructions: str
    status: str = "in_progress"
    reason: str | None = None
    """Why it was cancelled or is incomplete, or the code of its failure."""
    first_audio_at: float | None = None
    ended_at: float | None = None
    text: str = ""
    audio_ms: int = 0
    calls: list[str] = field(default_factory=list)
    """The names of the functions that it called."""
    metadata: dict[str, str] | None = None
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0


@dataclass(slots=True)
class UsageTotals:
    """What all responses of a session, or all items of a transcription, are billed together."""

    text_in: int = 0
    audio_in: int = 0
    image_in: int = 0
    cached_text_in: int = 0
    cached_audio_in: int = 0
    cached_image_in: int = 0
    text_out: int = 0
    audio_out: int = 0
    transcribed_s: float = 0.0
    """Audio billed by its duration, in seconds."""

    def add_transcription(self, usage: dict[str, Any]) -> None:
        """Add the `usage` of a transcription."""
        self.transcribed_s += usage.get("seconds", 0.0)
        self.audio_in += usage.get("input_tokens", 0)
        self.text_out += usage.get("output_tokens", 0)


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
    """The codes of the client events that were refused: every violation of the protocol."""
    transcript: str = ""
    """The output transcript as sent, its last 16384 characters. Conversations: a line for each message.
    Transcriptions: a line for each item that is completed."""
    input_transcript: str = ""
    """The source as sent; of a transcription: its deltas."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Conversations and transcriptions: the effective session, as in the last `session.updated`."""
    items: list[ItemRecord] = field(default_factory=list)
    """Conversations and transcriptions: the last 512 items in the order in which they came, deleted ones
    among them."""
    responses: list[ResponseRecord] = field(default_factory=list)
    """Conversations: the last 512 responses."""
    images: int = 0
    """Images received."""
    pictures: deque[str] = field(default_factory=lambda: deque(maxlen=PICTURES_KEPT))
    """The last of them, as data URLs."""
    usage: UsageTotals = field(default_factory=UsageTotals)

    def refuse(self, error: ApiError, event: Event | None) -> dict[str, Any]:
        """Count a refusal; the oldest are forgotten. Returns the body of the `error` event, which echoes the
        id of the client event."""
        self.refused.append(error.code)
        del self.refused[:-REFUSALS_KEPT]
        event_id = event.get("event_id") if event else None
        return error_body(error, event_id if isinstance(event_id, str) else None)

    def said(self, text: str, *, source: bool) -> None:
        """Add a transcript delta that was sent."""
        if source:
            self.input_transcript = (self.input_transcript + text)[-TEXT_KEPT:]
        else:
            self.transcript = (self.transcript + text)[-TEXT_KEPT:]

    def add_item(self, item: ItemRecord) -> None:
        """Remember an item; the oldest are forgotten."""
        self.items.append(item)
        del self.items[:-ITEMS_KEPT]

    def add_response(self, response: ResponseRecord) -> None:
        """Remember a response; the oldest are forgotten."""
        response.context = [text[:LINE_KEPT] for text in response.context[-CONTEXT_KEPT:]]
        self.responses.append(response)
        del self.responses[:-RESPONSES_KEPT]

    def as_json(self) -> dict[str, object]:
        """The record as JSON values; the appends are only counted."""
        plain: dict[str, object] = {
            name: getattr(self, name)
            for name in self.__slots__
            if name not in ("appends", "pictures", "items", "responses", "usage")
        }
        return plain | {
            "appends": len(self.appends),
            "items": [asdict(item) for item in self.items],
            "responses": [asdict(response) for response in self.responses],
            "usage": asdict(self.usage),
        }
