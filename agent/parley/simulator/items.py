"""The items of a conversation: their order, what the model knows of each, and how they are cut."""

import base64
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from .records import ItemRecord
from .speech import Segment
from .turns import Approval, Line
from .voice import SAMPLE_RATE_HZ, Pcm
from .wire import ApiError, Event

__all__ = ["Item", "Items"]

_MOST_ITEMS = 2000
_MOST_SAMPLES = 600 * SAMPLE_RATE_HZ
_ROLES = {
    "function_call": "assistant",
    "mcp_call": "assistant",
    "mcp_approval_request": "assistant",
    "mcp_list_tools": "system",
}


@dataclass(slots=True)
class Item:
    """One item: `body` is what goes on the wire, without sound."""

    id: str
    body: Event
    record: ItemRecord
    pcm: Pcm | None = None
    samples: int = 0
    """How much audio it has; the sound itself is kept only for the last ten minutes of a conversation."""
    spoken: list[Segment] = field(default_factory=list)
    """Of a reply: what was said so far."""
    images: int = 0
    approval: Approval | None = None
    """Of a request to approve a call: the call."""

    @property
    def type(self) -> str:
        """`message`, `function_call`, …"""
        return str(self.body["type"])

    @property
    def audio_ms(self) -> int:
        """How much audio it has, in whole milliseconds."""
        return self.samples * 1000 // SAMPLE_RATE_HZ

    def line(self) -> Line:
        """The item as the model knows it."""
        role = self.record.role or _ROLES.get(self.type, "tool")
        is_audio = self.record.role == "user" and self.samples > 0
        return Line(role, self.record.text, self.id, is_audio, self._peak() if is_audio else b"")

    def _peak(self) -> bytes:
        if self.pcm is None:
            return b""
        loudest = int(np.argmax(np.abs(self.pcm.astype(np.int32))))
        around = SAMPLE_RATE_HZ // 20
        return self.pcm[max(0, loudest - around) : loudest + around].tobytes()

    def wire(self, **changes: Any) -> Event:
        """The item as it is sent."""
        known = {} if self.type.startswith("mcp_") else {"object": "realtime.item"}
        return {"id": self.id, **known, **self.body, **changes}

    def whole(self) -> Event:
        """The item with its sound, as far as it is kept: PCM16 at 24 kHz."""
        wire = deepcopy(self.wire())
        for part in wire.get("content", ()):
            if part["type"] in ("input_audio", "output_audio") and self.pcm is not None:
                part["audio"] = base64.b64encode(self.pcm.astype("<i2", copy=False).tobytes()).decode()
        return wire


class Items:
    """The items in order, at most 2000; the oldest are forgotten, as truncation does."""

    def __init__(self) -> None:
        self._items: dict[str, Item] = {}
        self._order: list[str] = []

    def __iter__(self) -> Iterator[Item]:
        return (self._items[name] for name in self._order)

    @property
    def last_id(self) -> str | None:
        """The last item's id."""
        return self._order[-1] if self._order else None

    def find(self, item_id: str) -> Item | None:
        """The item of that id."""
        return self._items.get(item_id)

    def before(self, item_id: str) -> str | None:
        """The id of the item before this one."""
        place = self._order.index(item_id)
        return self._order[place - 1] if place else None

    def insert(self, item: Item, after: str | None = None) -> str | None:
        """Put an item behind another, `root`: first, None: last. Returns the id of that before it.

        Raises ApiError: the id is taken, or there is no item `after`.
        """
        if item.id in self._items:
            message = f"Error adding item: an item with id '{item.id}' already exists in the conversation."
            raise ApiError("item_create_duplicate_item_id", message, "item.id")
        if after is None:
            place = len(self._order)
        elif after == "root":
            place = 0
        elif after in self._items:
            place = self._order.index(after) + 1
        else:
            message = f"Error adding item: the previous item with id '{after[:100]}' does not exist."
            raise ApiError("item_create_invalid_previous_item_id", message, "previous_item_id")
        self._order.insert(place, item.id)
        self._items[item.id] = item
        previous = self._order[place - 1] if place else None
        if len(self._order) > _MOST_ITEMS:
            del self._items[self._order.pop(0)]
        return previous

    def get(self, item_id: str, doing: str) -> Item:
        """The item of that id. Raises ApiError in the words of what is done: delete, retrieve, truncate."""
        item = self._items.get(item_id)
        if item is None:
            gerund = {"delete": "deleting", "retrieve": "retrieving", "truncate": "truncating"}[doing]
            message = f"Error {gerund} item: the item with id '{item_id[:100]}' does not exist."
            raise ApiError(f"item_{doing}_invalid_item_id", message, "item_id")
        return item

    def delete(self, item_id: str, now: float) -> None:
        """Take an item out. Raises ApiError if there is none."""
        item = self.get(item_id, "delete")
        del self._items[item_id]
        self._order.remove(item_id)
        item.record.deleted_at = now

    def has_call(self, call_id: str | None) -> bool:
        """Whether there is a function call of that id."""
        return any(one.type == "function_call" and one.record.call_id == call_id for one in self)

    def truncate(self, item_id: str, content_index: int, end_ms: int) -> None:
        """Cut a reply at what was played: the rest of its sound goes, and all of its transcript. Raises
        ApiError."""
        item = self.get(item_id, "truncate")
        only = "Only model output audio messages can be truncated"
        if item.record.role != "assistant" or not item.samples:
            raise ApiError("invalid_value", f"{only}.", "item_id")
        if content_index != 0:
            message = f"Content index {content_index} is out of range: the item has one content part."
            raise ApiError("invalid_value", message, "content_index")
        if end_ms <= 0:
            raise ApiError("invalid_value", f"{only}, at more than 0 ms.", "audio_end_ms")
        if end_ms > item.audio_ms:
            message = f"Audio content of {item.audio_ms}ms is already shorter than {end_ms}ms"
            raise ApiError("invalid_value", message, "audio_end_ms")
        end = end_ms * SAMPLE_RATE_HZ // 1000
        item.record.text = _heard(item.spoken, end)
        item.samples = end
        item.pcm = None if item.pcm is None else item.pcm[:end]
        item.record.audio_ms = item.record.truncated_at_ms = end_ms
        item.body["content"] = [{"type": "output_audio"}]

    def shed(self) -> None:
        """Forget the sound of the oldest items when there is more than ten minutes of it."""
        held = 0
        for item in reversed(list(self)):
            held += 0 if item.pcm is None else len(item.pcm)
            if held > _MOST_SAMPLES:
                item.pcm = None


def _heard(spoken: list[Segment], end: int) -> str:
    """The text of what was said in the first `end` samples: a word counts once half of it was."""
    text, at = "", 0
    for segment in spoken:
        if at + len(segment.pcm) / 2 > end:
            break
        text += segment.text
        at += len(segment.pcm)
    return text
