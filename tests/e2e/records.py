"""What a room leaves behind in a directory, and whether it is what was said, when it was said."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from statistics import median
from typing import Any

import pytest
import srt
import webvtt

from .counting import WORD_S, Speech
from .dictation import texts

WITHIN_S = 0.3
"""How far a time in a transcript may be from when it was spoken."""


def rows(directory: Path) -> list[dict[str, Any]]:
    """All JSON lines of the transcripts in a directory."""
    found = sorted(directory.glob("*.transcript.jsonl"))
    return [json.loads(row) for path in found for row in path.read_text(encoding="utf-8").splitlines()]


def files(directory: Path, ending: str) -> list[Path]:
    """The other files of the transcripts in a directory."""
    return sorted(directory.glob(f"*.transcript{ending}"))


def summary(directory: Path) -> dict[str, Any]:
    """The one summary in a directory."""
    (path,) = (p for p in directory.glob("*.json") if "transcript" not in p.name)
    told: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return told


def of(found: list[dict[str, Any]], speaker: str, kind: str = "source") -> list[dict[str, Any]]:
    """A speaker's lines, by when they were said."""
    own = [row for row in found if row["type"] == "line" and (row["speaker"], row["kind"]) == (speaker, kind)]
    return sorted(own, key=lambda row: float(row["start_s"]))


def check_words(found: list[dict[str, Any]], speaker: str, said: Speech) -> None:
    """Every word that was said stands in the speaker's own lines, once, in its place."""
    written = " ".join(row["text"] for row in of(found, speaker)).split()
    assert written == texts(said), f"{speaker}: {written}"


def check_times(found: list[dict[str, Any]], speaker: str, said: Speech) -> float:
    """Lines begin and end when their words were said; returns by how much they are off at most, in seconds.

    How long a microphone's sound takes to the worker is the same for all lines of a speaker.
    """
    off: list[float] = []
    place = 0
    for row in of(found, speaker):
        count = len(row["text"].split())
        first, last = said.starts_s[place], said.starts_s[place + count - 1]
        off += [row["start_s"] - first, row["end_s"] - last - WORD_S]
        place += count
    usual = median(off)
    worst = max(abs(one - usual) for one in off)
    assert worst < WITHIN_S, f"{speaker}: {[round(one - usual, 2) for one in off]}"
    return worst


def check_subtitles(path: Path) -> list[tuple[float, float]]:
    """A file of subtitles is read by a parser, and alike by ffmpeg where it is installed; returns from when
    to when its cues are shown, in seconds."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".srt":
        cues = list(srt.parse(text))
        times = [(cue.start.total_seconds(), cue.end.total_seconds()) for cue in cues]
    else:
        captions = webvtt.read(str(path)).captions
        times = [(_seconds(cue.start), _seconds(cue.end)) for cue in captions]
    assert times
    assert times == sorted(times, key=lambda one: one[0])
    assert all(begin < end for begin, end in times)
    played = in_ffmpeg(path)
    assert played is None or played == [pytest.approx(one, abs=0.011) for one in times]
    return times


def _seconds(clock: str) -> float:
    hours, minutes, seconds = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def count(directory: Path) -> int:
    """How many words stand in the own words of all speakers so far."""
    return sum(len(row["text"].split()) for row in rows(directory) if row.get("kind") == "source")


def in_ffmpeg(path: Path) -> list[tuple[float, float]] | None:
    """The times of the cues that ffmpeg reads without complaint; None where it is not installed."""
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        return None
    command = [ffmpeg, "-v", "warning", "-xerror", "-i", str(path), "-f", "srt", "-"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return [(cue.start.total_seconds(), cue.end.total_seconds()) for cue in srt.parse(done.stdout)]


def wall(monotonic_s: float) -> float:
    """A moment as Unix time."""
    return monotonic_s - time.monotonic() + time.time()
