"""Countable words: real synthesised speech of known places in time, to be found again at the far end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .audio import Pcm, Wave, amplitude, fade, resample, rms, stretch, to_pcm
from .synthesis import SpeechUnavailable, synthesise
from .vocabulary import words_of

__all__ = [
    "SAMPLE_RATE_HZ",
    "SpeechUnavailable",
    "Utterance",
    "Word",
    "countable_words",
    "render",
    "say",
    "script",
]

SAMPLE_RATE_HZ = 24_000
WORD_S = 0.4
WORD_DBFS = -20.0
FLOOR_DBFS = -65.0
_FADE_S = 0.005
_AUDIBLE_DBFS = -42.0

# Voice variants of espeak-ng that differ in more than pitch; one per speaker.
_VARIANTS = (
    "m3",
    "f2",
    "m7",
    "f4",
    "m1",
    "f1",
    "m5",
    "f3",
    "m8",
    "f5",
    "m2",
    "m4",
    "m6",
    "Andrea",
    "Michael",
    "Mario",
)


@dataclass(frozen=True, eq=False)
class Word:
    """A word as one speaker says it: its text, language, and `int16[n]` mono at 24 kHz."""

    text: str
    language: str
    pcm: Pcm


@dataclass(frozen=True)
class Utterance:
    """One word in a script: who says it, which of the speaker's words, and when it starts (s into the
    script)."""

    speaker: str
    word: int
    start_s: float


def say(text: str, language: str, *, voice: int = 0, pitch: int = 50, rate: int = 175) -> Pcm:
    """Speak `text` as `int16[n]` mono at 24 kHz, −20 dBFS RMS, silence around it cut off.

    `voice`: any number, one voice per speaker. `pitch`: 0 to 99. `rate`: words a minute, 80 to 450.
    Raises SpeechUnavailable.
    """
    return to_pcm(_level(_spoken(text, language, voice, pitch, rate)))


@lru_cache(maxsize=64)
def countable_words(language: str, *, voice: int, count: int) -> tuple[Word, ...]:
    """`count` different words of a language in one voice, each 400 ms, −20 dBFS and of its own pitch.

    The same arguments give the same sounds; two voices never give the same. Raises ValueError where the
    language has fewer words (24 are safe), SpeechUnavailable where espeak-ng doesn't speak it.
    """
    texts = words_of(language)
    if not 0 <= count <= len(texts):
        raise ValueError(f"count={count}: {language} has {len(texts)} words")
    words = []
    for index, text in enumerate(texts[:count]):
        pitch = 12 + (37 * index + 13 * voice) % 76
        pcm = to_pcm(_level(fade(_fitted(text, language, voice, pitch), int(_FADE_S * SAMPLE_RATE_HZ))))
        words.append(Word(text, language, pcm))
    return tuple(words)


def script(
    words: Mapping[str, int],
    *,
    starts: Mapping[str, float] | None = None,
    period_s: float = 0.83,
    phrase: int = 6,
    pause_s: float = 2.0,
) -> tuple[Utterance, ...]:
    """A timeline in which each speaker says words 0, 1, … once, in phrases with pauses; sorted by time.

    `words`: speaker → number of words. `starts`: speaker → seconds until the first, 0 where absent.
    `period_s`: from one word's start to the next, not a multiple of the model's 200 ms frame, so that all
    phases are met. `phrase`: words in a phrase. `pause_s`: silence added between phrases.
    """
    starts = starts or {}
    spoken = [
        Utterance(speaker, index, starts.get(speaker, 0.0) + index * period_s + index // phrase * pause_s)
        for speaker, count in words.items()
        for index in range(count)
    ]
    return tuple(sorted(spoken, key=lambda utterance: (utterance.start_s, utterance.speaker)))


def render(
    utterances: Sequence[Utterance],
    speaker: str,
    words: Sequence[Word],
    *,
    duration_s: float | None = None,
    floor_dbfs: float = FLOOR_DBFS,
) -> Pcm:
    """A speaker's whole microphone, `int16[n]` mono at 24 kHz, with a faint noise floor between the words.

    `words[utterance.word]` is placed at the utterance's start to the sample. `duration_s`: None ends one
    second after the last word. What lies beyond the duration is cut off.
    """
    mine = [utterance for utterance in utterances if utterance.speaker == speaker]
    if duration_s is None:
        duration_s = max((utterance.start_s for utterance in mine), default=0.0) + WORD_S + 1.0
    length = round(duration_s * SAMPLE_RATE_HZ)
    seed = np.frombuffer(speaker.encode() or b"\0", np.uint8).tolist()
    track = np.random.default_rng(seed).standard_normal(length, np.float32) * np.float32(
        amplitude(floor_dbfs)
    )
    for utterance in mine:
        begin = round(utterance.start_s * SAMPLE_RATE_HZ)
        part = words[utterance.word].pcm[: max(0, length - begin)]
        track[begin : begin + len(part)] += part
    return to_pcm(track)


def _spoken(text: str, language: str, voice: int, pitch: int, rate: int) -> Wave:
    variant = _VARIANTS[voice % len(_VARIANTS)]
    sound, rate_hz = synthesise(text, language, variant=variant, pitch=pitch, rate=rate)
    return _trimmed(resample(sound, rate_hz, SAMPLE_RATE_HZ))


def _trimmed(sound: Wave) -> Wave:
    """Without what is inaudible at either end, by the level of 5 ms steps."""
    step = SAMPLE_RATE_HZ // 200
    count = len(sound) // step
    levels = np.sqrt(np.mean(np.square(sound[: count * step].reshape(count, step)), axis=1))
    loud = np.flatnonzero(levels > amplitude(_AUDIBLE_DBFS))
    return sound[loud[0] * step : (loud[-1] + 1) * step] if len(loud) else sound[:0]


def _fitted(text: str, language: str, voice: int, pitch: int) -> Wave:
    """The word in 400 ms: spoken faster or slower first, then cut, or stretched at its own pitch."""
    length = int(WORD_S * SAMPLE_RATE_HZ)
    rate = 175
    sound = _spoken(text, language, voice, pitch, rate)
    for _ in range(2):
        wanted = int(np.clip(rate * len(sound) / length, 80, 450))
        if not len(sound) or wanted == rate or 0.97 < len(sound) / length < 1.1:
            break
        rate = wanted
        sound = _spoken(text, language, voice, pitch, rate)
    if not len(sound):
        raise SpeechUnavailable(f"espeak-ng says nothing for {text!r} in {language!r}")
    return sound[:length] if len(sound) >= length else stretch(sound, length, SAMPLE_RATE_HZ)


def _level(sound: Wave) -> Wave:
    loudness = rms(sound)
    return sound * np.float32(amplitude(WORD_DBFS) / loudness) if loudness else sound
