"""Transcripts as files: read back by parsers of others, and by ffmpeg where there is one."""

import json
import random
import shutil
import subprocess
from datetime import UTC, datetime
from html import unescape
from io import StringIO
from pathlib import Path

import pytest
import srt
import webvtt

from parley.core.minutes import Line
from parley.export.formats import as_json, opening, to_jsonl, to_srt, to_txt, to_vtt

BEGAN = datetime(2026, 11, 21, 19, 30, 5, tzinfo=UTC)
LINES = [
    Line("t-0", "ann", "fr", "translation", 1.0, 2.5, "Bonjour & <bienvenue> à tous"),
    Line("s-0", "bob\n--> x", "ja", "source", 3661.2, 3669.2, "あ" * 100),
]
NASTY = [
    "1\n00:00:00,000 --> 00:00:01,000\nme: forged\n\n2",
    "WEBVTT\n\nNOTE x",
    "</v><v eve>I am eve",
    "a\r\n\r\nb\x00c\x1b[31m\x85\u2028d",
    "\ud83d half a pair",
    "{\\an8}&nbsp;<i>x",
    "مرحبا بالعالم، كيف حالكم؟ " * 5,
    "क्षत्रिय स्त्री ने कहा " * 10,
    "-->",
    "…",
]


def test_json_lines_have_a_first_one_that_says_from_when_they_count() -> None:
    text = to_jsonl([opening("the room", "1.2", BEGAN), *(as_json(line, BEGAN) for line in LINES)])
    first, *lines = [json.loads(row) for row in text.splitlines()]
    assert first == {
        "type": "room",
        "format": 1,
        "parley": "1.2",
        "room": "the room",
        "began_at": "2026-11-21T19:30:05.000Z",
    }
    assert lines[0] == {
        "type": "line",
        "id": "t-0",
        "speaker": "ann",
        "language": "fr",
        "kind": "translation",
        "start_s": 1.0,
        "end_s": 2.5,
        "at": "2026-11-21T19:30:06.000Z",
        "text": "Bonjour & <bienvenue> à tous",
    }
    assert "à" in text


def test_srt_numbers_cues_wraps_and_cannot_be_broken_by_text() -> None:
    text = to_srt(LINES)
    assert text.startswith("1\n00:00:01,000 --> 00:00:02,")
    assert "ann: Bonjour & ‹bienvenue› à tous\n" in text
    assert "01:01:01,200 --> " in text
    assert text.count("-->") == len(text.strip().split("\n\n"))
    assert all(len(row) <= 42 for row in text.splitlines())


def test_vtt_escapes_and_names_the_voice() -> None:
    text = to_vtt(LINES)
    assert text.startswith("WEBVTT\n\n00:00:01.000 --> 00:00:02.500\n")
    assert "<v ann>Bonjour &amp; &lt;bienvenue&gt; à tous</v>" in text
    assert "<v bob --› x>" in text


def test_plain_text_says_when_who_and_what() -> None:
    assert to_txt(LINES[:1]) == "[00:00:01] ann: Bonjour & <bienvenue> à tous\n"


def test_no_lines_are_empty_files() -> None:
    assert to_jsonl([]) == to_srt([]) == to_txt([]) == ""
    assert to_vtt([]).strip() == "WEBVTT"


def many(seed: int) -> list[Line]:
    rng = random.Random(seed)
    lines, at = [], 0.0
    for n in range(rng.randrange(1, 40)):
        at += rng.uniform(0, 4)
        text = " ".join(
            rng.choices([*NASTY, "word", "Ein ganzer Satz, der länger ist."], k=rng.randrange(1, 6))
        )
        who = rng.choice(("ann", "bob & <co>", "eve\n\n9", "-->", ""))
        lines.append(Line(f"s-{n}", who, "en", "source", at, at + rng.uniform(0, 9), text))
    return lines


@pytest.mark.parametrize("seed", range(30))
def test_other_peoples_parsers_read_what_is_written(seed: int) -> None:
    lines = many(seed)
    read = list(srt.parse(to_srt(lines)))
    captions = webvtt.from_buffer(StringIO(to_vtt(lines))).captions
    assert read, "there is something"
    assert [cue.index for cue in read] == list(range(1, len(read) + 1))
    voices = {unescape(caption.voice or "") for caption in captions}
    assert voices <= {" ".join(line.speaker.split()).replace("<", "‹").replace(">", "›") for line in lines}
    starts = {round(line.start_s, 2) for line in lines}
    for times in ([cue.start.total_seconds() for cue in read], [c.start_in_seconds for c in captions]):
        assert times == sorted(times)
    assert {round(cue.start.total_seconds(), 2) for cue in read} & starts
    for cue in read:
        assert cue.start < cue.end
        assert cue.content.strip()


@pytest.mark.skipif(shutil.which("ffprobe") is None, reason="there is no ffmpeg here")
@pytest.mark.parametrize("seed", range(3))
def test_ffmpeg_takes_every_cue(seed: int, tmp_path: Path) -> None:
    lines = many(seed)
    for name, text in (("a.srt", to_srt(lines)), ("a.vtt", to_vtt(lines))):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        count = ["-count_packets", "-show_entries", "stream=nb_read_packets", "-of", "csv=p=0"]
        command = ["ffprobe", "-v", "error", *count, str(path)]
        done = subprocess.run(command, capture_output=True, check=True, encoding="utf-8")
        assert done.stderr == ""
        assert int(done.stdout) == text.count(" --> ")
