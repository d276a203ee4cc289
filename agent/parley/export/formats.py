"""Lines of a room as JSON lines, SRT, WebVTT and plain text: functions from values to text."""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from math import isfinite
from typing import Any, Literal, get_args

from parley.core.caption_layout import CaptionLayout, Spoken, laid_out
from parley.core.minutes import Line, LineKind

Format = Literal["jsonl", "srt", "vtt", "txt"]
FORMATS: tuple[Format, ...] = get_args(Format)
MIME: dict[Format, str] = {
    "jsonl": "application/jsonl",
    "srt": "application/x-subrip",
    "vtt": "text/vtt",
    "txt": "text/plain",
}
"""Media types; all of them are UTF-8."""
FORMAT = 1
"""Version of the JSON."""


def iso(at: datetime) -> str:
    """A time in UTC, to the millisecond."""
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def dumped(value: Any, indent: int | None = None) -> str:
    """JSON that UTF-8 can write, whatever people are called."""
    text = json.dumps(value, ensure_ascii=False, indent=indent, allow_nan=False)
    return _writable(text)


def in_parts(rows: Sequence[dict[str, Any]], most_bytes: int) -> list[list[dict[str, Any]]]:
    """JSON objects, in their order, in messages of at most so many bytes; one that is larger is alone."""
    parts: list[list[dict[str, Any]]] = []
    size = most_bytes
    for row in rows:
        length = len(dumped(row).encode()) + 2
        if size + length > most_bytes:
            parts.append([])
            size = 0
        parts[-1].append(row)
        size += length
    return parts


def opening(room: str, version: str, began_at: datetime) -> dict[str, Any]:
    """The first of the JSON lines: which room, and from when its times count."""
    return {"type": "room", "format": FORMAT, "parley": version, "room": room, "began_at": iso(began_at)}


def as_json(line: Line, began_at: datetime) -> dict[str, Any]:
    """A line; `at`: when it began, as a time of day."""
    told = {
        "type": "line",
        "id": line.id,
        "speaker": line.speaker,
        "language": line.language,
        "kind": line.kind,
        "start_s": round(line.start_s, 3),
        "end_s": round(line.end_s, 3),
        "at": iso(began_at + timedelta(seconds=line.start_s)),
        "text": line.text,
    }
    return told | {"beside": line.beside} if line.beside else told


def from_json(row: object) -> Line | None:
    """The line of a row that `as_json` made; None: it is another row, or none of them."""
    if not isinstance(row, dict) or row.get("type", "line") != "line":
        return None
    texts = [row.get(key) for key in ("id", "speaker", "language", "kind", "text")]
    beside = row.get("beside", "")
    if not all(isinstance(text, str) for text in (*texts, beside)) or texts[3] not in get_args(LineKind):
        return None
    times = [row.get(key) for key in ("start_s", "end_s")]
    if not all(isinstance(at, int | float) and isfinite(at) and at >= 0 for at in times):
        return None
    given = row.get("to", [beside] if beside else [])
    to = frozenset(who for who in given if isinstance(who, str)) if isinstance(given, list) else frozenset()
    identity, speaker, language, kind, text = texts
    return Line(identity, speaker, language, kind, float(times[0]), float(times[1]), text, beside, to)  # type: ignore[arg-type]


def to_jsonl(rows: Iterable[dict[str, Any]]) -> str:
    """One JSON object a line."""
    return "".join(dumped(row) + "\n" for row in rows)


def to_srt(lines: Iterable[Line], layout: CaptionLayout | None = None) -> str:
    """SubRip: cues numbered from 1, the speaker's name before the first words of each line of the record."""
    spoken = [
        Spoken(line.speaker, line.start_s, line.end_s, f"{_one_line(line.speaker)}: {line.text}")
        for line in lines
        if line.text.strip()
    ]
    cues = []
    for number, cue in enumerate(laid_out(spoken, layout), 1):
        # SubRip has no escapes: a blank line would end the cue, and tags are all that players interpret.
        text = _plain("\n".join(cue.lines))
        cues.append(f"{number}\n{_clock(cue.start_s, ',')} --> {_clock(cue.end_s, ',')}\n{text}\n")
    return "\n".join(cues)


def to_vtt(lines: Iterable[Line], layout: CaptionLayout | None = None) -> str:
    """WebVTT: the speaker as a voice span, `&`, `<` and `>` escaped."""
    spoken = [Spoken(line.speaker, line.start_s, line.end_s, line.text) for line in lines]
    cues = ["WEBVTT\n"]
    for cue in laid_out(spoken, layout):
        text = _writable(_escaped("\n".join(cue.lines)))
        name = _escaped(_plain(_one_line(cue.speaker)))
        times = f"{_clock(cue.start_s, '.')} --> {_clock(cue.end_s, '.')}"
        cues.append(f"{times}\n<v {name}>{text}</v>\n")
    return "\n".join(cues)


def to_txt(lines: Iterable[Line]) -> str:
    """Plain text: when, who, what."""
    rows = (f"[{_clock(x.start_s, '.')[:-4]}] {_one_line(x.speaker)}: {_one_line(x.text)}\n" for x in lines)
    return _writable("".join(rows))


def _clock(seconds: float, point: str) -> str:
    """`HH:MM:SS,mmm`, hours as many digits as they need."""
    milliseconds = round(max(0.0, seconds) * 1000)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    whole, milliseconds = divmod(milliseconds, 1000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{whole:02}{point}{milliseconds:03}"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _plain(text: str) -> str:
    """Text in which no player sees a tag."""
    return _writable(text).replace("<", "‹").replace(">", "›")


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _writable(text: str) -> str:
    """What UTF-8 can write, without the control characters that a player stumbles over."""
    kept = "".join(char for char in text if char >= " " or char in "\n\t")
    return kept.encode("utf-8", "replace").decode()
