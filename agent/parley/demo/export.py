"""What somebody read as lines of a transcript, and what they heard as WAV: functions from values to bytes."""

from __future__ import annotations

import io
import time
import wave
from collections.abc import Iterable

import numpy as np

from parley.core.minutes import Line

from .audio import Pcm, to_pcm
from .recording import Caption, Recording
from .speech import SAMPLE_RATE_HZ


def lines_of(captions: Iterable[Caption], *, origin_s: float) -> list[Line]:
    """The last version of each segment, by time. `origin_s`: the moment (monotonic, s) that becomes 0.

    A segment has the time at which it was spoken, as its sender tells; else that of its arrival.
    """
    last: dict[tuple[str, str, str], Caption] = {}
    begun: dict[tuple[str, str, str], float] = {}
    for number, caption in enumerate(captions):
        key = (caption.sender, caption.language, caption.segment_id or str(number))
        begun.setdefault(key, caption.started_s)
        if key not in last or caption.final or not last[key].final:
            last[key] = caption
    lines = []
    for key, caption in last.items():
        if caption.text.strip():
            start_s, end_s = _spoken(caption) or (begun[key], max(begun[key], caption.updated_s))
            who = (caption.segment_id, caption.sender, caption.language, caption.kind)
            times = (max(0.0, start_s - origin_s), max(0.0, end_s - origin_s))
            lines.append(Line(*who, *times, caption.text.strip()))
    return sorted(lines, key=lambda line: line.start_s)


def _spoken(caption: Caption) -> tuple[float, float] | None:
    """From when to when (monotonic, s) it was spoken, where the caption tells."""
    told = [caption.attributes.get(f"parley.{end}") for end in ("start", "end")]
    if None in told:
        return None
    ahead_s = time.time() - time.monotonic()
    start_s, end_s = (float(at or 0.0) - ahead_s for at in told)
    return start_s, end_s


def mixed(recordings: Iterable[Recording]) -> Pcm:
    """All that one listener heard, `int16[n]` mono at 24 kHz, tracks laid over each other by their arrival
    times.

    Turned down as a whole where the sum would clip.
    """
    heard = [recording for recording in recordings if recording.duration_s]
    if not heard:
        return np.zeros(0, np.int16)
    begin_s = min(recording.start_time for recording in heard)
    places = [round((recording.start_time - begin_s) * SAMPLE_RATE_HZ) for recording in heard]
    tracks = [recording.pcm for recording in heard]
    total = np.zeros(max(place + len(track) for place, track in zip(places, tracks, strict=True)), np.float32)
    for place, track in zip(places, tracks, strict=True):
        total[place : place + len(track)] += track
    loudest = float(np.abs(total).max(initial=0.0))
    return to_pcm(total * np.float32(32767.0 / loudest) if loudest > 32767.0 else total)


def to_wav(pcm: Pcm, sample_rate: int = SAMPLE_RATE_HZ) -> bytes:
    """A WAV file of `int16[n]` mono."""
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes(pcm.astype("<i2").tobytes())
    return target.getvalue()
