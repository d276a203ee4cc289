"""Words at the far end and their times, from what the listeners and the simulated API have kept.

spoken ──in → wire──▶ append … model lag … delta ──wire → track──▶ ──plain path──▶ heard
added = heard − spoken − plain path of the same word − model time (lag + one frame of 200 ms)
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from meeting import Meeting, Member, Talk, recordings

from parley.demo.listening import find_words
from parley.demo.recording import Recording
from parley.demo.speech import SAMPLE_RATE_HZ, Word

FRAME_S = 0.2
MODEL_LAG_S = 0.8
_PLAIN_S = (-0.1, 3.0)
_TRANSLATED_S = (0.5, 12.0)
_IDENTIFY_S = 20.0

Key = tuple[str, str, int]
"""(speaker, language, which of the speaker's words, from 0)."""


@dataclass
class Words:
    """What became of the words of one run; all times in seconds."""

    due: int = 0
    """Words times languages: what should be heard."""
    missing: list[Key] = field(default_factory=list)
    """Those that nobody heard."""
    doubled: int = 0
    added: list[float] = field(default_factory=list)
    plain: list[float] = field(default_factory=list)
    in_wire: list[float] = field(default_factory=list)
    wire_track: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class _Session:
    """One session of the simulated API."""

    language: str
    pcm: np.ndarray
    ends: list[int]
    """Samples so far after each append."""
    arrivals: list[float]
    said_at: Mapping[int, float]
    """Start of an input frame (ms) → when its output was sent."""


def sent_s(directory: Path, begin: float, end: float) -> float:
    """Seconds of audio that came to the API between two moments, all sessions together."""
    sessions = json.loads((directory / "sessions.json").read_text())
    samples = sum(n for s in sessions for at, n in s["appends"] if begin <= at < end)
    return float(samples / SAMPLE_RATE_HZ)


def words_of(people: Meeting, talks: Mapping[str, Talk], directory: Path) -> Words:
    """Finds every word of the talks again, at the witnesses and in what the API received."""
    result = Words()
    wires = _wires(people.speakers, talks, directory)
    for witness, speaker, language in people.translations:
        said = talks[speaker.identity].said
        result.due += len(said)
        translated, microphone = recordings(witness, speaker.identity, language)
        heard = _heard(translated, speaker.words(), said, _TRANSLATED_S)
        plain = _heard(microphone, speaker.words(), said, _PLAIN_S)
        result.missing += [
            (speaker.identity, language, place) for place in range(len(said)) if place not in heard
        ]
        result.doubled += sum(len(times) - 1 for times in heard.values())
        for place, times in heard.items():
            if place not in plain:
                continue
            hop = plain[place][0] - said[place][1]
            total = min(times) - said[place][1]
            result.plain.append(hop)
            result.added.append(total - hop - MODEL_LAG_S - FRAME_S)
            wire = wires.get((speaker.identity, language, place))
            if wire is not None:
                arrived, said_at = wire
                result.in_wire.append(arrived - said[place][1])
                result.wire_track.append(min(times) - hop - said_at)
    return result


def _heard(
    recording: Recording | None,
    words: Sequence[Word],
    said: Sequence[tuple[int, float]],
    within: tuple[float, float],
) -> dict[int, list[float]]:
    """Which of the words were heard, by their place in `said`: when, as often as they were."""
    if recording is None:
        return {}
    found = find_words(recording.pcm, SAMPLE_RATE_HZ, words)
    hits = ((h.word_index, recording.time_of(h.start_s)) for h in found)
    return _placed(hits, said, within)


def _placed(
    hits: Iterable[tuple[int, float]], said: Sequence[tuple[int, float]], within: tuple[float, float]
) -> dict[int, list[float]]:
    """Hits (word, time) at the places where that word was said just before; a word comes again only after
    half a minute, so there is one at most."""
    placed: dict[int, list[float]] = {}
    for word, at in hits:
        for place, (spoken, moment) in enumerate(said):
            if spoken == word and within[0] <= at - moment <= within[1]:
                placed.setdefault(place, []).append(at)
    return placed


def _wires(
    speakers: Sequence[Member], talks: Mapping[str, Talk], directory: Path
) -> dict[Key, tuple[float, float]]:
    """For each word: when the API got the frame it begins in, and when its output was there to be played."""
    wires: dict[Key, tuple[float, float]] = {}
    for session in _sessions(directory):
        speaker = _speaker_of(session, speakers)
        if speaker is None:
            continue
        said = talks[speaker.identity].said
        for hit in find_words(session.pcm, SAMPLE_RATE_HZ, speaker.words()):
            sample = max(0, round(hit.start_s * SAMPLE_RATE_HZ))
            append = bisect.bisect_right(session.ends, sample)
            frame = int(hit.start_s / FRAME_S)
            said_at = session.said_at.get(round(frame * FRAME_S * 1000))
            if append >= len(session.arrivals) or said_at is None:
                continue
            arrived = session.arrivals[append]
            for place in _placed([(hit.word_index, arrived)], said, (-0.1, 6.0)):
                key = (speaker.identity, session.language, place)
                wires.setdefault(key, (arrived, said_at + hit.start_s - frame * FRAME_S))
    return wires


def _sessions(directory: Path) -> list[_Session]:
    sessions = []
    for kept in json.loads((directory / "sessions.json").read_text()):
        pcm = np.fromfile(directory / f"{kept['id']}.pcm", np.int16)
        ends = np.cumsum([n for _, n in kept["appends"]]).tolist()
        said_at: dict[int, float] = {}
        for at, elapsed_ms in kept["deltas"]:
            said_at.setdefault(elapsed_ms, at)
        arrivals = [at for at, _ in kept["appends"]]
        sessions.append(_Session(kept["language"], pcm, ends, arrivals, said_at))
    return sessions


def _speaker_of(session: _Session, speakers: Sequence[Member]) -> Member | None:
    """Whose voice a session received: whose words are found in its first loud seconds."""
    loud = np.flatnonzero(np.abs(session.pcm[::240].astype(np.int32)) > 300)
    if not len(loud):
        return None
    begin = int(loud[0]) * 240
    part = session.pcm[max(0, begin - SAMPLE_RATE_HZ) : begin + round(_IDENTIFY_S * SAMPLE_RATE_HZ)]
    templates = [(s, word) for s in speakers for word in s.words() if s.language != session.language]
    found = find_words(part, SAMPLE_RATE_HZ, [word for _, word in templates])
    votes = [templates[hit.word_index][0].identity for hit in found]
    best = max(set(votes), key=votes.count, default=None)
    return next((s for s in speakers if s.identity == best), None)
