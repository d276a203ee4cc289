"""What a room leaves behind as files: whole or not there, under names that any file system takes."""

import fcntl
import os
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import IO

_STEM = r"\d{8}T\d{6}Z-(?:[A-Za-z0-9-]{1,60}-)?[0-9a-f]{8}"
_OWN = re.compile(
    _STEM + r"(?:\.transcript(?:\.[a-z]{2,3})?\.(?:jsonl|srt|vtt|txt)|\.notes\.[a-z]{2,8}\.txt|\.json)"
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


def is_stem(text: str) -> bool:
    """Whether files of a room may begin with it: a name of no other place."""
    return re.fullmatch(_STEM, text) is not None


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
    with _alone(path, "a") as file:
        file.write(text)


def read_newest(path: Path, most_bytes: int) -> tuple[list[str], int] | None:
    """The newest whole lines of a file that grows, and its size; None where there is none.

    Half a line at its end, of a worker that was killed, is ended. Blocks. Raises OSError.
    """
    if not path.exists():
        return None
    with _alone(path, "r") as file:
        size = file.seek(0, os.SEEK_END)
        with path.open("rb") as same:
            same.seek(max(0, size - most_bytes))
            body = same.read(size)
    if body and not body.endswith(b"\n"):
        append(path, "\n")
    lines = body.decode("utf-8", "replace").splitlines()
    return lines[1:] if size > most_bytes else lines, size


@contextmanager
def _alone(path: Path, mode: str) -> Iterator[IO[str]]:
    """A file that no other worker writes to, or puts another in the place of, at this moment."""
    while True:
        with path.open(mode, encoding="utf-8") as file:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            if _is_still(file, path):
                yield file
                return


def _is_still(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def sift(path: Path, keep: Callable[[str], bool]) -> None:
    """Leaves of a file only the lines to keep. Blocks. Raises OSError."""
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with _alone(path, "r") as old, unfinished.open("w", encoding="utf-8") as new:
            new.writelines(line for line in old if keep(line))
            new.flush()
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
