"""Who heard which word where: listener × speaker, counted from recordings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .listening import find_words
from .recording import Place, Recording, place_of
from .speech import SAMPLE_RATE_HZ, Word


@dataclass(frozen=True)
class Spoken:
    """A word that was said: by whom, which of the speaker's words, and when (monotonic, s)."""

    speaker: str
    word: int
    at_s: float


@dataclass(frozen=True)
class Found:
    """A word at the far end: whose, which, on what kind of track, and when (monotonic, s)."""

    speaker: str
    word: int
    place: Place
    at_s: float
    score: float = 1.0


@dataclass(frozen=True)
class Tally:
    """What one listener got of one speaker. `perfect`: every word once, in order, and nowhere else."""

    listener: str
    speaker: str
    spoken: int
    heard: int
    wrong_place: int
    doubled: int
    out_of_order: int
    missing: tuple[int, ...]
    spans_s: tuple[float, ...]

    @property
    def perfect(self) -> bool:
        """Whether nothing is missing, doubled, out of order or in a wrong place."""
        return not (self.missing or self.wrong_place or self.doubled or self.out_of_order)

    def span_s(self, percent: float) -> float | None:
        """A percentile of the ear-voice span: word spoken → word heard; None where none was heard."""
        return float(np.percentile(self.spans_s, percent)) if self.spans_s else None


def find_all(recordings: Iterable[Recording], words: Mapping[str, Sequence[Word]]) -> list[Found]:
    """All words of all speakers in all recordings of one listener, by time. `words`: speaker → their words.

    Takes seconds of computing for a minute of sound: call it in a thread.
    """
    owners = [(speaker, index) for speaker, list_ in words.items() for index in range(len(list_))]
    templates = [word for list_ in words.values() for word in list_]
    found = []
    for recording in recordings:
        place = place_of(recording)
        if place is None or not recording.duration_s:
            continue
        for heard in find_words(recording.pcm, SAMPLE_RATE_HZ, templates):
            speaker, word = owners[heard.word_index]
            found.append(Found(speaker, word, place, recording.time_of(heard.start_s), heard.score))
    return sorted(found, key=lambda item: item.at_s)


def tally(
    listener: str, spoken: Sequence[Spoken], found: Sequence[Found], belongs: Mapping[str, Place]
) -> list[Tally]:
    """Compare what was said with what `listener` found; one row for each speaker in `belongs`, in its order.

    `belongs`: speaker → the one place where this listener should hear them. A speaker's own original is
    never a wrong place (whether it is kept is another question); everything else is. Words are told apart
    by the speaker and number: each is said once.
    """
    return [_row(listener, speaker, spoken, found, place) for speaker, place in belongs.items()]


def _row(
    listener: str, speaker: str, spoken: Sequence[Spoken], found: Sequence[Found], place: Place
) -> Tally:
    said = {item.word: item.at_s for item in spoken if item.speaker == speaker}
    theirs = [item for item in found if item.speaker == speaker]
    right = [item for item in theirs if item.place == place]
    original = Place(speaker, "original")
    first: dict[int, Found] = {}
    for item in sorted(right, key=lambda item: item.at_s):
        first.setdefault(item.word, item)
    arrived = [item for item in first.values() if item.word in said]
    order = [said[item.word] for item in arrived]
    return Tally(
        listener=listener,
        speaker=speaker,
        spoken=len(said),
        heard=len(arrived),
        wrong_place=sum(item.place not in (place, original) for item in theirs)
        + sum(item.word not in said for item in right),
        doubled=len(right) - len(first),
        out_of_order=sum(later < earlier for earlier, later in pairwise(order)),
        missing=tuple(sorted(set(said) - set(first))),
        spans_s=tuple(item.at_s - said[item.word] for item in arrived),
    )
