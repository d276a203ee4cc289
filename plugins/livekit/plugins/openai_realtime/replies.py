"""What the agent said: messages as LiveKit knows them, and the items of which they are made on the server.

A message is one item until its connection is lost in the middle of it. Then its first part is put into the
new session as text, and the item that continues it becomes its second part.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum

from .options import SAMPLE_RATE_HZ

_PER_MS = SAMPLE_RATE_HZ // 1000
_KEPT = 256
_WITHIN_S = 0.2  # a word may begin anywhere in the audio it comes with
_S_PER_LETTER = 0.065
_S_PER_SIGN = 0.2
_S_PER_WORD = 0.28
_CJK = 0x2E80

CONTINUE = (
    "A failure of the connection cut off your last message in the middle. The user has heard all of it that "
    "is in the conversation. Continue exactly where it stops, with the very next word. Do not repeat "
    "anything, do not start the sentence again, do not apologise and do not mention the failure. "
    "If nothing is missing, end your turn without another word."
)
GO_ON = (
    "A failure of the connection came in the middle of your turn. The user has heard what your last messages "
    "say. Go on with your turn after them: say or do what is still missing. Do not repeat anything and do "
    "not mention the failure. If nothing is missing, end your turn without another word."
)


class Resume(Enum):
    """What to do about a reply that was cut by the end of its connection."""

    END = "nothing more of it comes"
    REPEAT = "ask for it again: nothing of it has been heard"
    CONTINUE = "its last message goes on in mid-sentence"
    GO_ON = "it goes on after its last message"


@dataclass(slots=True)
class Part:
    """An item on the server."""

    item_id: str
    samples: int = 0
    """Audio received of it, 24 kHz."""
    text: str = ""
    """Its words, as far as they were passed on."""
    live: bool = True
    """Whether it came on this connection; False: it was put there as text, if there is any."""

    @property
    def on_server(self) -> bool:
        """Whether the server has it."""
        return self.live or bool(self.text)


@dataclass(slots=True)
class Message:
    """A message of the agent under the id that LiveKit knows."""

    message_id: str
    parts: list[Part] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    """Words for which no audio has come yet: passed on with the next audio, so that the words passed on are
    those that can be heard when the connection is lost."""
    timeline: list[tuple[str, float]] = field(default_factory=list)
    """Words of the last part, each with the second of the message's audio at which it began, as far as the
    order of the events tells."""
    expected: str = ""
    """Words already passed on that are to be said again, because the audio ends in the middle of them."""
    heard: str | None = None
    """What the user heard of it, once it was truncated."""
    done: bool = False
    """Whether all of it has come."""
    phase: str | None = None
    """``commentary`` (more of the turn follows) or ``final_answer``, where the server says so."""

    @property
    def text(self) -> str:
        """What the conversation should remember of it."""
        return self.heard if self.heard is not None else "".join(part.text for part in self.parts)

    @property
    def samples(self) -> int:
        """Audio received of it."""
        return sum(part.samples for part in self.parts)

    def pass_on(self, text: str, *, audio: int = 0) -> str:
        """Words of the last part, with the samples of audio they came with; returns what of them is new."""
        if not self.parts:
            return ""
        part = self.parts[-1]
        if not part.text and len(self.parts) > 1:
            text = joined("".join(before.text for before in self.parts[:-1]), text)
        part.text += text
        within_s = min(audio / SAMPLE_RATE_HZ, _WITHIN_S)
        self.timeline.append((text, part.samples / SAMPLE_RATE_HZ + within_s))
        new, self.expected = without(text, self.expected)
        return new

    def cut(self) -> None:
        """The connection was lost in the middle of it: its last part is what its audio holds in full."""
        if not self.parts or not self.parts[-1].samples:
            return
        part, ends = self.parts[-1], 0.0
        for place, (text, begins) in enumerate(self.timeline):
            ends = max(ends, begins) + spoken_s(text, first=place == 0)
            if ends > part.samples / SAMPLE_RATE_HZ:
                while place and not self.timeline[place][0][:1].isspace() and self._is_spaced(place):
                    place -= 1
                self.expected = "".join(text for text, _ in self.timeline[place:])
                part.text = "".join(text for text, _ in self.timeline[:place])
                return

    def _is_spaced(self, place: int) -> bool:
        """Whether the words there are written with spaces between them."""
        return all(ord(text[-1:] or " ") < _CJK for text, _ in self.timeline[place - 1 : place + 1])

    @property
    def live(self) -> Part | None:
        """The part that can be truncated by time."""
        return self.parts[-1] if self.parts and self.parts[-1].live else None


@dataclass(frozen=True, slots=True)
class Truncate:
    """``conversation.item.truncate``."""

    item_id: str
    audio_end_ms: int


@dataclass(frozen=True, slots=True)
class Delete:
    """``conversation.item.delete``."""

    item_id: str


@dataclass(frozen=True, slots=True)
class Reword:
    """The item that holds the message as text is replaced by one that says what was heard."""

    message_id: str
    text: str


Step = Truncate | Delete | Reword


class Replies:
    """The messages of a conversation; the oldest are forgotten, and their items then stand for themselves."""

    def __init__(self) -> None:
        self._messages: OrderedDict[str, Message] = OrderedDict()
        self._owner: dict[str, str] = {}

    def of_item(self, item_id: str) -> Message | None:
        """The message an item of the server belongs to."""
        return self._messages.get(self._owner.get(item_id, item_id))

    def get(self, message_id: str) -> Message | None:
        """The message LiveKit calls so."""
        return self._messages.get(message_id)

    def begin(self, item_id: str) -> Message:
        """A new message, made of this item."""
        message = Message(item_id, [Part(item_id)])
        self._messages[item_id] = message
        self._owner[item_id] = item_id
        while len(self._messages) > _KEPT:
            _, forgotten = self._messages.popitem(last=False)
            for owned in [key for key, owner in self._owner.items() if owner == forgotten.message_id]:
                del self._owner[owned]
        return message

    def extend(self, message: Message, item_id: str) -> None:
        """The message goes on in this item; a first part of which nothing was heard is forgotten."""
        message.parts = [part for part in message.parts if part.samples or part.text]
        message.parts.append(Part(item_id))
        message.held, message.timeline, message.done = [], [], False
        self._owner[item_id] = message.message_id

    def server_items(self, message_id: str) -> list[str]:
        """The items on the server that make up what LiveKit calls by one id; those unknown are themselves."""
        message = self._messages.get(message_id)
        if message is None:
            return [message_id]
        return [part.item_id for part in message.parts if part.on_server]

    def truncate(self, message_id: str, audio_end_ms: int, heard: str | None) -> list[Step]:
        """What to tell the server when the user has heard a message up to `audio_end_ms` only."""
        message = self._messages.get(message_id)
        if message is None:
            return []
        live = message.live
        earlier = message.samples - (live.samples if live is not None else 0)
        within = min(audio_end_ms * _PER_MS - earlier, live.samples if live is not None else 0)
        message.heard = heard if heard is not None else message.text
        if live is not None and within >= _PER_MS:
            return [Truncate(live.item_id, within // _PER_MS)]
        steps: list[Step] = []
        if live is not None:
            message.parts.remove(live)
            steps.append(Delete(live.item_id))
        if message.parts and message.parts[0].on_server:
            spoken = bool(message.heard) and audio_end_ms > 0
            steps.append(Reword(message_id, message.heard) if spoken else Delete(message.parts[0].item_id))
        return steps

    def lost(self) -> None:
        """The connection is gone: each message is one item of text in the next session, under its own id."""
        for message in self._messages.values():
            whole = Part(message.message_id, message.samples, message.text, live=False)
            message.parts = [whole] if whole.text or whole.samples else []
            message.held = []
        self._owner = {message_id: message_id for message_id in self._messages}


def joined(before: str, text: str) -> str:
    """`text` with the space that a new message does not begin with, where it goes on after `before`."""
    apart = before[-1:].isspace() or text[:1].isspace() or not text[:1].isalnum()
    signs = ord(before[-1:] or " ") >= _CJK or ord(text[:1] or " ") >= _CJK
    return text if apart or signs or not before else f" {text}"


def spoken_s(text: str, *, first: bool = False) -> float:
    """About how long a text takes to be said: by its letters, and a word not less than 0.28 s: rather a word
    twice than half of one.

    A text that does not begin with a space goes on with a word, unless it is the `first`.
    """
    total = 0.0
    for word in text.split():
        letters = sum(_S_PER_SIGN if ord(letter) >= _CJK else _S_PER_LETTER for letter in word)
        total += max(_S_PER_WORD if first or text[0].isspace() else 0.0, letters)
    return total


def without(text: str, expected: str) -> tuple[str, str]:
    """What of `text` is new where `expected` was passed on already, and what is still expected after it.

    Only letters and digits count. Where the two differ, all that comes is new.
    """
    left = [letter.casefold() for letter in expected if letter.isalnum()]
    used = place = 0
    for place, letter in enumerate(text):
        if used == len(left):
            return text[place:], ""
        if letter.isalnum():
            if letter.casefold() != left[used]:
                return text, ""
            used += 1
    return "", "".join(left[used:])


def after_cut(messages: Sequence[Message], *, calls: int, resumed: bool, working: bool) -> Resume:
    """What becomes of a reply whose connection was lost before ``response.done``.

    `calls`: function calls already handed over, whose outputs lead to a reply of their own; asking for more
    could run them twice. `resumed`: it was cut before, and once is enough. `working`: there were signs that
    more was to come (a call had begun, or the server had been silent for long after a whole message).
    """
    if calls or resumed:
        return Resume.END
    if not any(message.text for message in messages):
        return Resume.REPEAT
    last = messages[-1]
    if not last.done and last.text:
        return Resume.CONTINUE
    if last.done and last.phase != "commentary" and (last.phase == "final_answer" or not working):
        return Resume.END
    return Resume.GO_ON
