"""A room's summary as a file: whole or not there, under a name that any file system takes."""

import os
import re
import secrets
from contextlib import suppress
from datetime import datetime
from pathlib import Path

NAME_CHARS = 60
"""What of a room's name stands in the name of its file, at most."""


def file_name(room: str, ended_at: datetime) -> str:
    """When the room ended, what of its name is plain ASCII, and something that no other file has."""
    plain = re.sub(r"[^A-Za-z0-9]+", "-", room).strip("-")[:NAME_CHARS].rstrip("-")
    parts = (ended_at.strftime("%Y%m%dT%H%M%SZ"), plain, secrets.token_hex(4))
    return "-".join(part for part in parts if part) + ".json"


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
