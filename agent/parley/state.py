"""What a job leaves for the one that replaces it, should it be killed: one file, in a private directory.

    worker ──makes, sweeps──▶ directory (0700)
    job ─────writes─────────▶   <room>.<job>.json (0600) ─────reads, deletes─────▶ the next job of that room

Names are digests: what stands in a file says of which room it is. Everything here blocks.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from time import time
from typing import Any

from .errors import SettingsError

VARIABLE = "_PARLEY_STATE"
"""How a job learns the directory from its parent."""
FORMAT = 1
MOST_BYTES = 4_000_000
"""Of one room, as JSON."""
KEPT_S = 3600.0
"""How long a file is kept that nobody writes any more. One of a room that is served is younger."""
_DIRECTORY = "parley-rooms"


class TooLargeError(ValueError):
    """What is to be kept does not fit into `MOST_BYTES`."""


@contextmanager
def state_directory(configured: str, private: Path) -> Iterator[Path]:
    """A directory that only this user may open, in the `configured` one, or else in a `private` one.

    Jobs find it in the environment. Raises SettingsError where there can be none.
    """
    directory = (Path(configured) if configured else private) / _DIRECTORY
    try:
        directory.parent.mkdir(parents=True, exist_ok=True)
        directory.mkdir(mode=0o700, exist_ok=True)
        if directory.is_symlink() or directory.stat().st_uid != os.geteuid():
            raise PermissionError(0, f"{directory} is somebody else's")
        directory.chmod(0o700)
    except OSError as e:
        why = e.strerror or type(e).__name__
        raise SettingsError(
            "PARLEY_STATE_DIR", configured, f"a directory that can be written ({why})"
        ) from None
    os.environ[VARIABLE] = str(directory)
    try:
        yield directory
    finally:
        del os.environ[VARIABLE]


class StateFile:
    """One job's file of one room."""

    def __init__(self, directory: Path, room_sid: str, job: str) -> None:
        self._directory = directory
        self._room_sid = room_sid
        self._job = job
        self._path = directory / f"{_digest(room_sid)}.{_digest(job)}.json"

    @classmethod
    def of(cls, room_sid: str, job: str) -> "StateFile | None":
        """Where the worker said that it should be; None: nowhere."""
        directory = os.environ.get(VARIABLE)
        return cls(Path(directory), room_sid, job) if directory and room_sid else None

    def write(self, *states: Callable[[], Mapping[str, Any]]) -> int:
        """Writes the first of these that is not too large; returns which. It is there whole, or as it was.

        Raises OSError, and TooLargeError.
        """
        for index, state in enumerate(states):
            told = {"format": FORMAT, "room": self._room_sid, "job": self._job, "saved_at": time(), **state()}
            body = json.dumps(told, separators=(",", ":")).encode()
            if len(body) <= MOST_BYTES:
                self._replace(body)
                return index
        raise TooLargeError(f"more than {MOST_BYTES} bytes")

    def read(self) -> dict[str, Any] | None:
        """The newest that another job has left of this room; None: there is nothing. Raises OSError."""
        found = [state for path in self._others() if (state := self._read(path)) is not None]
        return max(found, key=lambda state: state["saved_at"], default=None)

    def delete(self) -> None:
        """Nothing is left of this job. Raises OSError."""
        self._path.unlink(missing_ok=True)

    def delete_others(self) -> None:
        """Nothing is left of the jobs before this one. Raises OSError."""
        for path in self._others():
            path.unlink(missing_ok=True)

    def _others(self) -> list[Path]:
        return [p for p in self._directory.glob(f"{_digest(self._room_sid)}.*.json") if p != self._path]

    def _read(self, path: Path) -> dict[str, Any] | None:
        """What stands in a file, if it is one of this room's that can be gone on with."""
        with suppress(FileNotFoundError), path.open("rb") as file:
            try:
                state = json.loads(file.read(MOST_BYTES))
            except (ValueError, RecursionError):
                return None
            match state:
                case {"format": int(form), "room": str(room), "job": str(), "saved_at": float(at)}:
                    ours = form == FORMAT and room == self._room_sid
                    return dict(state) if ours and time() - at <= KEPT_S else None
        return None

    def _replace(self, body: bytes) -> None:
        unfinished = self._path.with_suffix(".part")
        try:
            unfinished.unlink(missing_ok=True)
            handle = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(handle, "wb") as file:
                file.write(body)
            unfinished.replace(self._path)
        except OSError:
            with suppress(OSError):
                unfinished.unlink(missing_ok=True)
            raise


def sweep(directory: Path) -> int:
    """Deletes what nobody has written for `KEPT_S`; returns how many files. Raises OSError."""
    deleted = 0
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                if entry.is_file(follow_symlinks=False) and time() - entry.stat().st_mtime > KEPT_S:
                    os.unlink(entry.path)
                    deleted += 1
    return deleted


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(errors="replace"), digest_size=12).hexdigest()
