"""What the user said, turn by turn, as far as the conversation may have to be told of it again."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from .input_log import InputLog
from .options import SAMPLE_RATE_HZ

_BYTES_PER_S = 2 * SAMPLE_RATE_HZ


@dataclass(slots=True)
class Utterance:
    """One turn of the user. Positions are those of the `InputLog`."""

    start: int
    end: int | None = None
    pcm: bytes = b""
    """Its audio, from the commit until its words are known."""
    words: str = ""
    """Its transcript so far."""


class Utterances:
    """Follows turns from the first sound to the transcript, and keeps the audio of those without one.

    Attributes:
        unanswered: the committed turn for which the server owes a response that it has not created yet.
    """

    def __init__(self, log: InputLog, *, kept_max_s: float) -> None:
        self._log = log
        self._kept_max = round(kept_max_s * _BYTES_PER_S)
        self._open: dict[str, Utterance] = {}
        self._committed: OrderedDict[str, Utterance] = OrderedDict()
        self._marks: deque[int] = deque()
        self._again: deque[str] = deque()
        self.unanswered: str | None = None

    @property
    def speaking(self) -> bool:
        """Whether the user is in a turn that is in no item yet."""
        return bool(self._open)

    @property
    def transcribing(self) -> bool:
        """Whether the words of a turn are still to come."""
        return bool(self._committed)

    @property
    def marks(self) -> tuple[int, ...]:
        """Positions of the client's own commits that the server has not confirmed."""
        return tuple(self._marks)

    def started(self, item_id: str, start_ms: int) -> None:
        """``speech_started``."""
        self._open[item_id] = Utterance(self._log.at(start_ms))

    def stopped(self, item_id: str, end_ms: int) -> None:
        """``speech_stopped``."""
        if (utterance := self._open.get(item_id)) is not None:
            utterance.end = self._log.at(end_ms)

    def mark(self, position: int) -> None:
        """The client commits everything before `position`."""
        self._marks.append(position)

    def unmark(self) -> None:
        """The server refused the oldest commit."""
        if self._marks:
            self._marks.popleft()

    def say_again(self, item_id: str) -> None:
        """A committed turn is appended and committed on this connection, too, before anything else."""
        self._again.append(item_id)

    def not_again(self) -> str | None:
        """The server refused a turn that was said again. Returns which one it was."""
        item_id = self._again.popleft() if self._again else None
        if item_id is not None:
            self._committed.pop(item_id, None)
        return item_id

    def committed(self, item_id: str, *, owes_response: bool) -> str:
        """``committed``: the turn is an item; its audio is kept until it is transcribed.

        Returns the id by which the turn is known: another one if it was said again.
        """
        if self._again and item_id not in self._open:
            return self._again.popleft()
        utterance = self._open.pop(item_id, None)
        if utterance is None:
            utterance = Utterance(self._log.settled, self._marks.popleft() if self._marks else None)
        end = utterance.end if utterance.end is not None else self._log.sent
        utterance.pcm = self._log.cut(utterance.start, end)[-self._kept_max :]
        self._log.settle(end)
        self._committed[item_id] = utterance
        if owes_response:
            self.unanswered = item_id
        self._bound()
        return item_id

    def silenced(self) -> None:
        """``clear``: what was being said is no turn."""
        self._open.clear()

    def heard(self, item_id: str, delta: str) -> str:
        """More words; returns all so far."""
        utterance = self._committed.get(item_id) or self._open.get(item_id)
        if utterance is None:
            return delta
        utterance.words += delta
        return utterance.words

    def transcribed(self, item_id: str) -> str:
        """The transcript is complete, or will never be. Returns the words so far."""
        utterance = self._committed.pop(item_id, None)
        return utterance.words if utterance is not None else ""

    def deleted(self, item_id: str) -> None:
        """The item is gone from the conversation."""
        self._committed.pop(item_id, None)
        if self.unanswered == item_id:
            self.unanswered = None

    def audio(self) -> dict[str, bytes]:
        """The audio of each committed turn without a transcript, by item, in order."""
        return {item_id: utterance.pcm for item_id, utterance in self._committed.items() if utterance.pcm}

    def lost(self) -> None:
        """The connection is gone. Turns that are in no item are spoken again, under other ids."""
        self._open.clear()
        self._again.clear()
        for utterance in self._committed.values():
            utterance.words = ""

    def clear(self) -> None:
        """Forget everything."""
        self._open.clear()
        self._committed.clear()
        self._marks.clear()
        self._again.clear()
        self.unanswered = None

    def _bound(self) -> None:
        kept = 0
        for item_id in reversed(list(self._committed)):
            kept += len(self._committed[item_id].pcm)
            if kept > self._kept_max and len(self._committed) > 1:
                del self._committed[item_id]
