"""What came of a conversation, from what its person heard and what the simulated API has kept.

A reply is an item of the API's conversation; what is heard of it is what begins between it and the next.
All times are the monotonic clock in seconds.
"""

from __future__ import annotations

import bisect
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from talker import EARLY_WORDS, Said, Talker

from parley.demo.audio import noise
from parley.demo.listening import find_words, heard_until
from parley.demo.recording import Recording
from parley.demo.speech import SAMPLE_RATE_HZ

_STEP_S = 0.005
_PEAK = 300
_SILENCE_S = 0.12
"""So long a silence ends what was being said; shorter ones are holes in it."""
_HOLE_S = 0.01
_STOPPED_S = 3.0
"""An agent that goes on for longer over the person's voice was not interrupted."""
_WHOLE_S = 0.25
_SPOILT_S = 0.02
_REPLY = noise(20.0, SAMPLE_RATE_HZ)
"""What all replies are the begin of."""
_TURN_S = 0.5
"""The silence after which the API takes a turn for over."""


class Stretch(NamedTuple):
    """Of unbroken sound: when it was heard, and where it ends in which recording."""

    began: float
    ended: float
    recording: Recording
    until: int
    """The sample after its last one."""


@dataclass
class Reply:
    """One reply of the agent: what was sent, and what was heard."""

    added_at: float
    sent_s: float
    truncated_s: float | None
    created_at: float
    """Of its response."""
    first_audio_at: float
    spoken_over: bool = False
    heard: list[Stretch] = field(default_factory=list)
    """What was heard of it, cut at every hole."""

    @property
    def heard_s(self) -> float:
        """Seconds in which it was heard."""
        return sum(one.ended - one.began for one in self.heard)

    @property
    def heard_until_s(self) -> float | None:
        """The place in it up to which it was heard, by its waveform: an ear stretches what it waits for."""
        last = self.heard[-1]
        pcm = last.recording.pcm[: last.until]
        return heard_until(pcm, SAMPLE_RATE_HZ, _REPLY, self.heard_s)

    @property
    def holes(self) -> list[float]:
        """The silences inside it, in seconds."""
        pairs = zip(self.heard, self.heard[1:], strict=False)
        return [after.began - before.ended for before, after in pairs]


@dataclass
class Found:
    """Of all conversations of one visit together."""

    answer_s: list[float] = field(default_factory=list)
    """From the last sample of a question to the first of the answer; the API at no distance."""
    answer_far_s: list[float] = field(default_factory=list)
    in_s: list[float] = field(default_factory=list)
    """Of that: until the API took the turn for over, less the silence that it waits for."""
    out_s: list[float] = field(default_factory=list)
    """Of that: from the first audio that the API sent to the ear."""
    asked: int = 0
    answered: int = 0
    spoilt: int = 0
    """Utterances in which the microphone ran dry: they are not counted at all."""
    barge_in_s: dict[str, list[float]] = field(default_factory=dict)
    """From the first sample of an interruption to silence, by the API's round trip in ms."""
    not_interrupted: int = 0
    truncation_s: list[float] = field(default_factory=list)
    """Where the API was told that the reply was cut, less what was heard of it."""
    not_found: int = 0
    """Truncated replies of which nothing was found in what was heard."""
    not_truncated: int = 0
    """Replies that were cut at the ear, of which the API was told nothing."""
    early_words: int = 0
    early_words_lost: int = 0
    early_interruptions: int = 0
    early_interruptions_lost: int = 0
    early_stop_s: list[float] = field(default_factory=list)
    replies_s: float = 0.0
    """Seconds of replies that nobody spoke over, as they were sent."""
    holes_s: list[float] = field(default_factory=list)
    missing_s: float = 0.0
    """What of these was not heard: at their ends, or in holes."""
    refused: list[str] = field(default_factory=list)
    """What the API refused."""


def found_in(talkers: list[Talker], directory: Path) -> Found:
    """Everything that can be said of the conversations. Raises RuntimeError for one without a session."""
    found = Found()
    sessions = json.loads((directory / "sessions.json").read_text())
    for talker in talkers:
        own = [s for s in sessions if f"<{talker.identity}>" in s["instructions"]]
        if not own:
            raise RuntimeError(f"{talker.identity}'s agent never had a session")
        parts = (stretch for recording in talker.recordings for stretch in stretches(recording))
        heard = sorted(parts, key=lambda part: part.began)
        replies = replies_of(own, heard, talker.said)
        sound = {utterance for utterance in talker.said if not _spoilt(utterance, talker)}
        found.spoilt += len(talker.said) - len(sound)
        found.refused += [code for session in own for code in session["refused"]]
        _answers(found, talker.said, sound, replies)
        _interruptions(found, [utterance for utterance in talker.said if utterance in sound], heard)
        _truncations(found, replies)
        _losses(found, replies)
        _early_words(found, talker, own, directory)
    return found


def stretches(recording: Recording) -> Iterator[Stretch]:
    """Where it is loud, cut at every silence of 10 ms and more."""
    step = round(_STEP_S * SAMPLE_RATE_HZ)
    pcm = recording.pcm
    count = len(pcm) // step
    levels = np.abs(pcm[: count * step].astype(np.int32)).reshape(count, step).max(axis=1, initial=0)
    loud = np.flatnonzero(levels > _PEAK)
    if not len(loud):
        return
    breaks = np.flatnonzero(np.diff(loud) > round(_HOLE_S / _STEP_S)) + 1
    for run in np.split(loud, breaks):
        begin, count = recording.time_of(float(run[0]) * _STEP_S), int(run[-1]) + 1 - int(run[0])
        yield Stretch(begin, begin + count * _STEP_S, recording, (int(run[-1]) + 1) * step)


def replies_of(sessions: list[dict[str, Any]], heard: list[Stretch], said: list[Said]) -> list[Reply]:
    """The replies in their order, each with what was heard of it."""
    replies = []
    for session in sessions:
        for item in session["items"]:
            if item["role"] != "assistant" or item["by_client"] or not item["audio_ms"]:
                continue
            # Its response is the newest that was created before it.
            response = max(
                (r for r in session["responses"] if r["created_at"] <= item["added_at"]),
                key=lambda r: float(r["created_at"]),
            )
            cut = item["truncated_at_ms"]
            replies.append(
                Reply(
                    item["added_at"],
                    item["audio_ms"] / 1000,
                    None if cut is None else cut / 1000,
                    response["created_at"],
                    response["first_audio_at"] or item["added_at"],
                )
            )
    replies.sort(key=lambda reply: reply.added_at)
    starts = [reply.added_at for reply in replies]
    for stretch in heard:
        place = bisect.bisect_right(starts, stretch.began) - 1
        if place >= 0:
            replies[place].heard.append(stretch)
    for reply in replies:
        ends = reply.heard[-1].ended if reply.heard else reply.added_at + reply.sent_s
        reply.spoken_over = any(s.began < ends and s.ended > reply.added_at for s in said)
    return replies


def _spoilt(utterance: Said, talker: Talker) -> bool:
    return any(
        utterance.began - 0.3 < stall.at_s < utterance.ended and stall.lost_s > _SPOILT_S
        for stall in talker.person.stalls
    )


def _answers(found: Found, said: list[Said], sound: set[Said], replies: list[Reply]) -> None:
    for place, utterance in enumerate(said):
        if utterance.kind == "early" or utterance not in sound:
            continue
        until = said[place + 1].began if place + 1 < len(said) else float("inf")
        answer = next((r for r in replies if utterance.began <= r.added_at < until and r.heard), None)
        found.asked += 1
        if answer is None:
            continue
        found.answered += 1
        latency_s = answer.heard[0].began - utterance.ended
        if utterance.round_trip_s:
            found.answer_far_s.append(latency_s)
            continue
        found.answer_s.append(latency_s)
        found.in_s.append(answer.created_at - utterance.ended - _TURN_S)
        found.out_s.append(answer.heard[0].began - answer.first_audio_at)


def _interruptions(found: Found, said: list[Said], heard: list[Stretch]) -> None:
    phrases = _joined(heard, _SILENCE_S)
    for utterance in said:
        over = [phrase for phrase in phrases if phrase[0] < utterance.began < phrase[1]]
        if utterance.kind == "turn" or not over:
            continue
        stop_s = over[0][1] - utterance.began
        lost = stop_s > _STOPPED_S
        if utterance.kind == "early":
            found.early_interruptions += 1
            found.early_interruptions_lost += lost
            found.early_stop_s.append(stop_s)
        elif lost:
            found.not_interrupted += 1
        else:
            name = f"{1000 * utterance.round_trip_s:.0f}"
            found.barge_in_s.setdefault(name, []).append(stop_s)


def _truncations(found: Found, replies: list[Reply]) -> None:
    for reply in replies:
        if not reply.heard or not reply.spoken_over:
            continue  # one that is cut because the room ends is nobody's interruption
        if reply.truncated_s is not None:
            until_s = reply.heard_until_s
            if until_s is None:
                found.not_found += 1
            else:
                found.truncation_s.append(reply.truncated_s - until_s)
        elif reply.heard_s < reply.sent_s - _WHOLE_S:
            found.not_truncated += 1


def _losses(found: Found, replies: list[Reply]) -> None:
    # The last reply may still be on its way when the room ends.
    for reply in replies[:-1]:
        if reply.truncated_s is None and not reply.spoken_over:
            found.replies_s += reply.sent_s
            found.holes_s += reply.holes
            found.missing_s += max(0.0, reply.sent_s - reply.heard_s)


def _early_words(found: Found, talker: Talker, sessions: list[dict[str, Any]], directory: Path) -> None:
    if not any(utterance.kind == "early" for utterance in talker.said):
        return
    arrived: set[int] = set()
    for session in sessions:
        pcm = np.fromfile(directory / f"{session['id']}.pcm", np.int16)
        arrived |= {hit.word_index for hit in find_words(pcm, SAMPLE_RATE_HZ, talker.words)}
    found.early_words += EARLY_WORDS
    found.early_words_lost += len(set(range(EARLY_WORDS)) - arrived)


def _joined(heard: list[Stretch], silence_s: float) -> list[tuple[float, float]]:
    """Their begins and ends, without the holes that are shorter than a silence."""
    joined: list[tuple[float, float]] = []
    for begin, end, *_ in heard:
        if joined and begin - joined[-1][1] < silence_s:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((begin, end))
    return joined
