"""Who writes down what a speaker says in their own words.

A translation session can do it beside its work; a captions session does nothing else. Each phrase is written
down by one of them, from its first word to its last: the task changes hands between two phrases.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from dataclasses import dataclass

from .model import ORIGINAL, RECORD, BridgeKey, Routes

SWITCH_S = 30.0
"""Somebody who speaks this long without a pause is not waited for any more."""


@dataclass(slots=True)
class _Writer:
    language: str
    unwanted_since: float | None = None


class OwnWords:
    """One room's choice of bridges, remembered from one look at the room to the next."""

    def __init__(self) -> None:
        self._writers: dict[str, _Writer] = {}

    def writer(
        self, speaker: str, languages: Sequence[str], live: Callable[[BridgeKey], bool], now: float
    ) -> str:
        """The language of the bridge that writes; ORIGINAL is the captions bridge.

        `languages`: into which the speaker is translated. `live`: whether a bridge is in the middle of a
        phrase. A translation is preferred, as its session costs nothing more for it; of several the one
        that has the task keeps it.
        """
        writer = self._writers.get(speaker)
        best = languages[0] if languages else ORIGINAL
        if writer is None:
            writer = self._writers[speaker] = _Writer(best)
        if writer.language in languages or writer.language == best:
            writer.unwanted_since = None
            return writer.language
        if writer.unwanted_since is None:
            writer.unwanted_since = now
        if not live(BridgeKey(speaker, writer.language)) or now - writer.unwanted_since >= SWITCH_S:
            self._writers[speaker] = _Writer(best)
            return best
        return writer.language

    def keep(self, speakers: Container[str]) -> None:
        """Only the words of these speakers are read."""
        for speaker in [speaker for speaker in self._writers if speaker not in speakers]:
            del self._writers[speaker]

    @property
    def switching(self) -> bool:
        """Whether any bridge has the task only until its phrase is over."""
        return any(writer.unwanted_since is not None for writer in self._writers.values())

    def due(self, live: Callable[[BridgeKey], bool], now: float) -> bool:
        """Whether one of those has come to that."""
        return any(
            now - writer.unwanted_since >= SWITCH_S or not live(BridgeKey(speaker, writer.language))
            for speaker, writer in self._writers.items()
            if writer.unwanted_since is not None
        )


def for_record(found: Iterable[Routes], written: Container[str]) -> list[Routes]:
    """Without those that only the record reads, of speakers who are `written` down elsewhere: by an agent."""
    return [route for route in found if route.readers != {RECORD} or route.speaker not in written]
