"""What a reply sounds like: words with their sounds, so that text, audio and the rest of a cut reply agree.

A text that nobody spoke is voiced by one sound for each word, made from the word's letters alone: three
chirps of a voice's band, 0.30 s to 0.40 s together, at -20 dBFS. The same word is the same sound in every
session, and a matched filter tells it from others. What the user said is repeated as it sounded: the loud
stretches, with at most 200 ms between them.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from itertools import pairwise

import numpy as np

from .voice import BLOCK, SAMPLE_RATE_HZ, Pcm, VoiceState, loud_blocks, speak

__all__ = [
    "Segment",
    "left_of",
    "loud_stretches",
    "marked",
    "repeated",
    "sound_of",
    "text_of",
    "voiced",
    "word_sound",
]

_GAP = np.zeros(round(0.1 * SAMPLE_RATE_HZ), np.int16)
_LONGEST_GAP_BLOCKS = 10
_JOINED_BLOCKS = 3
_SHORTEST_BLOCKS = 3
_LEVEL = 32768 * 10 ** (-20 / 20)
_EMPTY = np.zeros(0, np.int16)


@dataclass(frozen=True, eq=False, slots=True)
class Segment:
    """A piece of text, with the space before it, and its sound (`int16[n]`, it may be empty)."""

    text: str
    pcm: Pcm


def text_of(segments: list[Segment]) -> str:
    """The whole text."""
    return "".join(segment.text for segment in segments)


def sound_of(segments: list[Segment]) -> Pcm:
    """The whole sound."""
    return np.concatenate([_EMPTY, *(segment.pcm for segment in segments)])


def voiced(text: str, pronounce: Callable[[str], Pcm] | None = None) -> list[Segment]:
    """A text that nobody spoke: each word has its own sound, and a gap of 100 ms after it."""
    say = pronounce or word_sound
    return [
        Segment(token, np.concatenate([say(token.strip()), _GAP])) for token in re.findall(r"\s*\S+", text)
    ]


def repeated(words: list[str], pcm: Pcm) -> list[Segment]:
    """The user's words in the user's own sound, `int16[n]`: one stretch for each word, if there are as many
    of both, otherwise the sound is divided evenly."""
    stretches = loud_stretches(pcm)
    if not words:
        return [Segment("", np.concatenate([_EMPTY, *stretches]))] if stretches else []
    if len(stretches) != len(words):
        stretches = _divided(np.concatenate([_EMPTY, *stretches]), len(words))
    return [
        Segment(f"{' ' if place else ''}{word}", stretch)
        for place, (word, stretch) in enumerate(zip(words, stretches, strict=True))
    ]


def left_of(segments: list[Segment], said: str) -> list[Segment] | None:
    """What is left to say when the text `said` was said already; a word that was cut is said again. None if
    `said` is not a beginning of the text, or is all of it. Spaces do not count."""
    told = "".join(said.split())
    whole = "".join(text_of(segments).split())
    if not told or not whole.startswith(told) or told == whole:
        return None
    length = 0
    for place, segment in enumerate(segments):
        length += len("".join(segment.text.split()))
        if length > len(told):
            first = Segment(segment.text.lstrip(), segment.pcm)
            return [first, *segments[place + 1 :]]
    return None


def loud_stretches(pcm: Pcm) -> list[Pcm]:
    """The loud parts of `int16[n]`, each with the quiet that follows it, of which at most 200 ms are kept."""
    loud = loud_blocks(pcm)
    places = np.flatnonzero(loud)
    if not len(places):
        return []
    breaks = np.flatnonzero(np.diff(places) > _JOINED_BLOCKS)
    starts = [int(places[0]), *(int(places[place + 1]) for place in breaks)]
    ends = [*(int(places[place]) + 1 for place in breaks), int(places[-1]) + 1]
    found: list[Pcm] = []
    for start, end, following in zip(starts, ends, [*starts[1:], len(loud)], strict=True):
        if end - start >= _SHORTEST_BLOCKS:
            stop = min(following, end + _LONGEST_GAP_BLOCKS)
            found.append(pcm[max(0, start - 1) * BLOCK if not found else start * BLOCK : stop * BLOCK])
    return found


def marked(pcm: Pcm, voice: str) -> Pcm:
    """`int16[n]` in the voice: n is filled up to a multiple of 480."""
    short = -len(pcm) % BLOCK
    whole = np.concatenate([pcm, np.zeros(short, np.int16)]) if short else pcm
    return speak(whole, voice, VoiceState()) if len(whole) else whole


@lru_cache(maxsize=1024)
def word_sound(word: str) -> Pcm:
    """How a word sounds, `int16[n]` mono at 24 kHz, 0.30 s to 0.40 s; case and punctuation do not count."""
    letters = "".join(letter for letter in word.lower() if letter.isalnum()) or word
    chance = np.random.default_rng(int.from_bytes(sha256(letters.encode()).digest()[:8]))
    syllables = []
    for _ in range(3):
        length = round(chance.uniform(0.1, 0.13) * SAMPLE_RATE_HZ)
        time = np.arange(length) / SAMPLE_RATE_HZ
        sound = np.zeros(length)
        for weight in (1.0, 0.6):
            low, high = chance.uniform(300, 3200, 2)
            sweep = low * time + (high - low) * np.square(time) * SAMPLE_RATE_HZ / length / 2
            sound += weight * np.sin(2 * np.pi * sweep + chance.uniform(0, 2 * np.pi))
        edge = np.minimum(1.0, np.minimum(np.arange(length), np.arange(length)[::-1]) / 240)
        syllables.append(sound * edge)
    whole = np.concatenate(syllables)
    whole *= _LEVEL / np.sqrt(np.mean(np.square(whole)))
    made: Pcm = np.clip(np.rint(whole), -32768, 32767).astype(np.int16)
    made.setflags(write=False)
    return made


def _divided(pcm: Pcm, count: int) -> list[Pcm]:
    edges = [round(place * len(pcm) / count) for place in range(count + 1)]
    return [pcm[start:end] for start, end in pairwise(edges)]
