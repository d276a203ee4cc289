"""What a room leaves behind as files: whole or not there, under names that any file system takes."""

import os
import re
import secrets
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

_OWN = re.compile(
    r"\d{8}T\d{6}Z-(?:[A-Za-z0-9-]{1,60}-)?[0-9a-f]{8}"
    r"(?:\.transcript(?:\.[a-z]{2,3})?\.(?:jsonl|srt|vtt|txt)|\.notes\.[a-z]{2,8}\.txt|\.json)"
)
MOST_DELETED = 1_000
"""Files that are deleted at a time."""
NAME_CHARS = 60
"""What of a room's name stands in the name of its file, at most."""


def file_name(room: str, ended_at: datetime) -> str:
    """The name of a summary; see `stem`."""
    return stem(room, ended_at) + ".json"


def stem(room: str, at: datetime) -> str:
    """What the files of a room begin with: when it ended or began, what of its name is plain ASCII, and
    something that no other room has."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", room).strip("-")[:NAME_CHARS].rstrip("-")
    parts = (at.strftime("%Y%m%dT%H%M%SZ"), plain, secrets.token_hex(4))
    return "-".join(part for part in parts if part)


def write(directory: Path, name: str, body: bytes) -> Path:
    """Writes a file that is whole as soon as it is there; makes the directory. Blocks. Raises OSError."""
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / name
    unfinished = directory / f".{name}.part"
    try:
        with unfinished.open("xb") as file:
            file.write(body)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise
    return path


def append(path: Path, text: str) -> None:
    """Writes to the end of a file that grows, for everybody to read at once. Blocks. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(text)


def sift(path: Path, keep: Callable[[str], bool]) -> None:
    """Leaves of a file only the lines to keep. Blocks. Raises OSError."""
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with path.open(encoding="utf-8") as old, unfinished.open("w", encoding="utf-8") as new:
            new.writelines(line for line in old if keep(line))
        unfinished.replace(path)
    except OSError:
        with suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise


def delete_older(directory: Path, than_s: float) -> int:
    """Deletes files that Parley wrote before this time (Unix, s), at most `MOST_DELETED`; returns how many.

    Blocks. What is not there, or not to be deleted, is passed over.
    """
    deleted = 0
    with suppress(FileNotFoundError), os.scandir(directory) as entries:
        for entry in entries:
            if deleted >= MOST_DELETED:
                break
            with suppress(OSError):
                if not _OWN.fullmatch(entry.name) or not entry.is_file(follow_symlinks=False):
                    continue
                if entry.stat(follow_symlinks=False).st_mtime < than_s:
                    os.unlink(entry.path)
                    deleted += 1
    return deleted
