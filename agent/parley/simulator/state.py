"""What the parts of one conversation session share: its items, its settings, and what it has to send."""

from dataclasses import dataclass, field
from itertools import count
from typing import Any

from .configuration import Configuration
from .items import Item, Items
from .options import SimulatorOptions
from .records import ItemRecord, SessionRecord
from .script import Script
from .transcript import STOP, Words
from .usage import Tokens
from .voice import Pcm, loud_blocks
from .wire import Event

__all__ = ["State"]

_MOST_ID = 32


@dataclass(slots=True)
class State:
    """One session. What is emitted waits in `events` until the session hands it over."""

    record: SessionRecord
    options: SimulatorOptions
    configuration: Configuration
    script: Script
    items: Items = field(default_factory=Items)
    events: list[Event] = field(default_factory=list)
    words_heard: int = 0
    """How many words without a name the session heard."""
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def emit(self, kind: str, **fields: Any) -> None:
        """Send an event."""
        self.events.append({"type": kind, "event_id": self.new_id("event"), **fields})

    def new_id(self, prefix: str) -> str:
        """An id that no other session has: at most 32 characters."""
        tail = f"_{next(self._numbers)}"
        return f"{prefix}_{self.record.id[5:]}"[: _MOST_ID - len(tail)] + tail

    @property
    def conversation_id(self) -> str:
        """The id of the conversation."""
        return f"conv_{self.record.id[5:]}"

    def add_usage(self, given: Tokens, cached: Tokens, out: Tokens) -> None:
        """Add what a response was billed."""
        usage = self.record.usage
        for kind in ("text", "audio", "image"):
            setattr(usage, f"{kind}_in", getattr(usage, f"{kind}_in") + getattr(given, kind))
            name = f"cached_{kind}_in"
            setattr(usage, name, getattr(usage, name) + getattr(cached, kind))
        usage.text_out += out.text
        usage.audio_out += out.audio

    def add_item(self, item: Item, after: str | None = None) -> str | None:
        """Put an item into the conversation and the record; returns the id of that before it. Raises
        ApiError."""
        previous = self.items.insert(item, after)
        self.record.add_item(item.record)
        self.items.shed()
        return previous

    def announce(self, item: Item, previous: str | None) -> None:
        """`conversation.item.added` and `.done` of an item that is whole."""
        for kind in ("added", "done"):
            self.emit(f"conversation.item.{kind}", previous_item_id=previous, item=item.wire())

    def new_item(self, prefix: str, body: Event, now: float, *, by_client: bool = False) -> Item:
        """An item that is not in the conversation yet; the client may have named it in `body["id"]`."""
        rest = {name: value for name, value in body.items() if name not in ("id", "object")}
        item_id = body.get("id") or self.new_id(prefix)
        record = ItemRecord(item_id, body["type"], body.get("role"), now, by_client)
        record.call_id, record.name = body.get("call_id"), body.get("name")
        return Item(item_id, rest, record)

    def words_in(self, pcm: Pcm) -> list[str]:
        """The words in an utterance: those that are recognised, or numbers."""
        if self.options.recognise is not None:
            return self.options.recognise(pcm)
        found = sum(mark != STOP for mark in Words().push(loud_blocks(pcm).tolist()))
        first, self.words_heard = self.words_heard, self.words_heard + found
        return [f"word-{first + place + 1}" for place in range(found)]

    def written(self, words: list[str]) -> str:
        """The transcript of an utterance; what is made up says so."""
        text = " ".join(words)
        return text if self.options.recognise is not None or not words else f"[simulated] {text}"
