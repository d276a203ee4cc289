"""What came of the words that were said, from the lines that a reader got. Times are the monotonic clock."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from parley.demo.recording import Caption
from parley.demo.speech import WORD_S, Word, countable_words

LANGUAGE = "en"
WORDS = 24
PERIOD_S = 0.61
"""From word to word: the simulated transcription needs 160 ms of quiet between them."""
PHRASE = 6
PAUSE_S = 1.5
_LATEST_S = 10.0
"""A word that is shown later is not that word, but the same one said again."""


def words_of(voice: int) -> tuple[Word, ...]:
    """What the speaker with this voice says, again and again."""
    return countable_words(LANGUAGE, voice=voice, count=WORDS)


def token(word: Word) -> str:
    """The word as it is written."""
    return word.text.replace(" ", "-")


@dataclass(frozen=True)
class Said:
    """One word, and when its sound ended."""

    text: str
    ended: float
    ends_phrase: bool


@dataclass
class Read:
    """What one reader got of one stretch of talk, of all speakers together."""

    spoken: int = 0
    lost: int = 0
    doubled: int = 0
    """Words of final lines that were not said there."""
    taken_back: int = 0
    """Words that were shown and are in no final line."""
    interim_s: list[float] = field(default_factory=list)
    """From the end of a word until it is shown."""
    final_s: list[float] = field(default_factory=list)
    """From the end of a phrase to the final line with its last word."""
    lines: int = 0
    misnamed: int = 0
    """Versions of lines that came in another name than the speaker's."""

    def add(self, said: Sequence[Said], captions: Sequence[Caption], speaker: str) -> None:
        """What one speaker said, and what was written of it, in the order in which it came."""
        lines: dict[str, list[Caption]] = {}
        for caption in captions:
            if caption.complete:
                lines.setdefault(caption.segment_id, []).append(caption)
        finals = [line[-1] for line in lines.values() if line[-1].final]
        written = [word for line in finals for word in line.text.split()]
        spoken = [one.text for one in said]
        pairs = SequenceMatcher(None, spoken, written, autojunk=False).get_matching_blocks()
        found = sum(pair.size for pair in pairs)
        self.spoken += len(spoken)
        self.lost += len(spoken) - found
        self.doubled += len(written) - found
        self.taken_back += sum(_taken_back(line) for line in lines.values())
        self.lines += len(finals)
        self.misnamed += sum(caption.sender != speaker for caption in captions)
        self.interim_s += _delays(said, captions)
        self.final_s += _delays([one for one in said if one.ends_phrase], finals)


def _taken_back(line: Sequence[Caption]) -> int:
    """Words of one line that were shown and do not stay."""
    shown: Counter[str] = Counter()
    for version in line:
        shown |= Counter(version.text.split())
    stays = Counter(line[-1].text.split()) if line[-1].final else Counter[str]()
    return (shown - stays).total()


def _delays(said: Iterable[Said], captions: Sequence[Caption]) -> list[float]:
    """From each word's end to the first line that shows it."""
    texts = [(caption.updated_s, set(caption.text.split())) for caption in captions if caption.complete]
    delays = []
    for one in said:
        earliest, latest = one.ended - WORD_S, one.ended + _LATEST_S
        shown = [at for at, words in texts if earliest < at < latest and one.text in words]
        if shown:
            delays.append(min(shown) - one.ended)
    return delays
