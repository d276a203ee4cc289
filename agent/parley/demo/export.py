"""Transcripts as JSON lines, SRT and WebVTT, and what a listener heard as WAV: functions from values to
text and bytes."""

from __future__ import annotations

import io
import json
import textwrap
import wave
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from .audio import Pcm, to_pcm
from .recording import Caption, Recording
from .speech import SAMPLE_RATE_HZ

LINE_CHARACTERS = 42
CUE_LINES = 2


@dataclass(frozen=True)
class Segment:
    """A piece of transcript: who said it, in which language it is written, and from when to when (s)."""

    speaker: str
    language: str
    kind: str
    start_s: float
    end_s: float
    text: str


def segments_of(captions: Iterable[Caption], *, origin_s: float) -> list[Segment]:
    """The last version of each segment, by time. `origin_s`: the moment (monotonic, s) that becomes 0."""
    last: dict[tuple[str, str, str], Caption] = {}
    begun: dict[tuple[str, str, str], float] = {}
    for number, caption in enumerate(captions):
        key = (caption.sender, caption.language, caption.segment_id or str(number))
        begun.setdefault(key, caption.started_s)
        if key not in last or caption.final or not last[key].final:
            last[key] = caption
    segments = [
        Segment(
            speaker=caption.sender,
            language=caption.language,
            kind=caption.kind,
            start_s=max(0.0, begun[key] - origin_s),
            end_s=max(0.0, begun[key] - origin_s, caption.updated_s - origin_s),
            text=caption.text.strip(),
        )
        for key, caption in last.items()
        if caption.text.strip()
    ]
    return sorted(segments, key=lambda segment: segment.start_s)


def to_jsonl(segments: Iterable[Segment]) -> str:
    """One JSON object a line, with the fields of `Segment`; text as it is, not escaped to ASCII."""
    return "".join(json.dumps(asdict(segment), ensure_ascii=False) + "\n" for segment in segments)


def to_srt(segments: Iterable[Segment]) -> str:
    """SubRip: cues numbered from 1, of two lines of 42 characters; long segments become several cues."""
    cues = []
    for number, (start_s, end_s, speaker, lines) in enumerate(_cues(segments), 1):
        # SubRip has no escapes: a blank line would end the cue, and tags are all that players interpret.
        text = "\n".join(lines).replace("<", "‹").replace(">", "›")
        name = speaker.replace("<", "‹").replace(">", "›")
        cues.append(f"{number}\n{_clock(start_s, ',')} --> {_clock(end_s, ',')}\n{name}: {text}\n")
    return "\n".join(cues)


def to_vtt(segments: Iterable[Segment]) -> str:
    """WebVTT: the speaker as a voice span, `&`, `<` and `>` escaped, two lines of 42 characters a cue."""
    cues = ["WEBVTT\n"]
    for start_s, end_s, speaker, lines in _cues(segments):
        text = "\n".join(_escaped(line) for line in lines)
        cues.append(f"{_clock(start_s, '.')} --> {_clock(end_s, '.')}\n<v {_escaped(speaker)}>{text}</v>\n")
    return "\n".join(cues)


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


def _cues(segments: Iterable[Segment]) -> list[tuple[float, float, str, Sequence[str]]]:
    """Segments cut into cues of at most two lines; a segment's time is shared out by the length of the
    text."""
    cues: list[tuple[float, float, str, Sequence[str]]] = []
    for segment in segments:
        speaker = " ".join(segment.speaker.split())
        lines = _wrapped(" ".join(segment.text.split()))
        groups = [lines[index : index + CUE_LINES] for index in range(0, len(lines), CUE_LINES)]
        letters = sum(map(len, lines)) or 1
        start_s = segment.start_s
        length_s = max(segment.end_s - segment.start_s, 0.001 * len(groups))
        for group in groups:
            end_s = start_s + length_s * sum(map(len, group)) / letters
            cues.append((start_s, end_s, speaker, group))
            start_s = end_s
    return cues


def _wrapped(text: str) -> list[str]:
    """Lines of at most 42 characters; scripts that write no spaces are cut anywhere."""
    return textwrap.wrap(text, LINE_CHARACTERS, break_on_hyphens=False)


def _clock(seconds: float, point: str) -> str:
    """`HH:MM:SS,mmm`, hours as many digits as they need."""
    milliseconds = round(max(0.0, seconds) * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{whole:02}{point}{milliseconds:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
