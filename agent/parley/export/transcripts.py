"""A room's transcript on its way out: JSON lines as they come, the other formats and the webhook at the end.

add ──▶ pending ──run──▶ …transcript.jsonl          leave ──▶ …transcript.fr.srt, .fr.vtt, .txt
forget ─▶ (removed from the file)                         └─▶ webhook, in parts
go_on ──▶ the file of the worker before this one is gone on with, if it is there
"""

import asyncio
import json
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import aiohttp

from parley.core.caption_layout import CaptionLayout
from parley.core.minutes import Line, languages, reads
from parley.errors import WebhookError
from parley.metrics import Metrics
from parley.ports import Notices

from .files import append, delete_older, is_stem, read_newest, sift, stem, write
from .formats import (
    FORMAT,
    Format,
    as_json,
    from_json,
    in_parts,
    iso,
    opening,
    to_jsonl,
    to_srt,
    to_txt,
    to_vtt,
)
from .notes import Written
from .webhook import WebhookPolicy, send

logger = logging.getLogger("parley.export")

T = TypeVar("T")

MOST_WAITING = 5_000
"""Lines that wait to be written; beyond it the oldest is left out of the file."""
MOST_FILE_BYTES = 100_000_000
"""Of the JSON lines of one room; what is said after that is not in the file."""
MOST_READ_BYTES = 20_000_000
"""Of the JSON lines of a worker before this one: the newest are read again."""
MOST_POST_BYTES = 500_000
"""Of one message to the webhook: a longer transcript is posted in parts."""
MOST_PARTS = 20
WRITE_S = 5.0
"""How long the file system is waited for."""
POST_S = 30.0
"""How long all parts together may take to be posted."""
DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class TranscriptPolicy:
    """Where transcripts go, and as what."""

    formats: tuple[Format, ...] = ()
    """None: no transcript is kept."""
    directory: Path | None = None
    webhook: WebhookPolicy | None = None
    version: str = ""
    """Of Parley."""
    layout: CaptionLayout = field(default_factory=CaptionLayout)
    """Of subtitles."""

    @property
    def wanted(self) -> bool:
        """Whether a transcript goes anywhere."""
        return bool(self.formats) and (self.directory is not None or self.webhook is not None)


@dataclass(frozen=True, slots=True)
class _GoOn:
    """What was written before is to be read, and what is not in the file is to be written."""

    known: "Known"


Known = Callable[[list[Line]], list[Line]]
"""Is told the lines that were found in a file; returns all that are known now."""


class Transcripts:
    """One room's. Nothing that goes wrong in it goes further: it is counted and told."""

    def __init__(
        self,
        policy: TranscriptPolicy,
        room: str,
        began_at: datetime,
        http: aiohttp.ClientSession,
        metrics: Metrics,
        notices: Notices,
    ) -> None:
        self._policy = policy
        self._room = room
        self._began_at = began_at
        self._http = http
        self._metrics = metrics
        self._notices = notices
        self._stem = stem(room, began_at)
        self._pending: deque[Line | str | _GoOn] = deque()
        """Lines to write, identities to forget, and a file to go on with."""
        self._some = asyncio.Event()
        self._writing = asyncio.Lock()
        self._bytes = 0
        self._begun = False
        self._broken = False

    def add(self, line: Line) -> None:
        """A line is final. Never blocks."""
        if not self._grows or self._broken:
            return
        self._pending.append(line)
        if len(self._pending) > MOST_WAITING:
            self._pending.remove(next(one for one in self._pending if isinstance(one, Line)))
            self._break(f"more than {MOST_WAITING} lines wait to be written")
        self._some.set()

    def forget(self, identity: str) -> None:
        """What this participant said must not stay in the file."""
        if self._grows:
            self._pending.append(identity)
            self._some.set()

    @property
    def stem(self) -> str:
        """What all files of this room begin with."""
        return self._stem

    def go_on(self, stem: str, began_at: datetime, known: Known) -> None:
        """Another worker began these transcripts: where its file is, it is gone on with, else begun with all
        that is known. Raises ValueError for a stem that is none."""
        if not is_stem(stem):
            raise ValueError(f"{stem[:80]!r} is no name of a transcript")
        self._stem, self._began_at = stem, began_at
        if self._grows:
            self._pending.append(_GoOn(known))
            self._some.set()

    async def flush(self) -> None:
        """Returns when all that was added is in the file, or could not be written."""
        await asyncio.shield(self._write_pending())

    async def run(self) -> None:
        """Writes lines as they come; cancelled when the room ends."""
        while True:
            await self._some.wait()
            await asyncio.shield(self._write_pending())

    async def leave(self, lines: list[Line], dropped: int) -> None:
        """The room has ended: `lines` are all that is kept, `dropped` had to go before them. Never raises."""
        if not self._policy.wanted:
            return
        await self._write_pending()
        ended_at = datetime.now(UTC)
        async with asyncio.TaskGroup() as group:
            if self._policy.directory is not None and (lines or self._begun):
                group.create_task(self._write_all(self._policy.directory, lines, ended_at), name="transcript")
            if self._policy.webhook is not None and lines:
                work = self._post_all(self._policy.webhook, lines, dropped, ended_at)
                group.create_task(work, name="transcript webhook")

    async def notes(self, written: Written, model: str) -> None:
        """Notes of the room were written. Never raises."""
        if self._policy.directory is not None:
            name = f"{self._stem}.notes.{written.language}.txt"
            await self._in_thread(
                write, self._policy.directory, name, f"{written.text}\n".encode(errors="replace")
            )
        if self._policy.webhook is not None:
            about = {"room": self._room, "began_at": iso(self._began_at), "parley": self._policy.version}
            text = {"language": written.language, "model": model, "text": written.text, "cut": written.cut}
            try:
                async with asyncio.timeout(POST_S):
                    await send(self._http, self._policy.webhook, "room.notes", about | text)
            except (WebhookError, TimeoutError) as e:
                self._failed("webhook", str(e) or f"not taken within {POST_S:g} s")

    # Files

    @property
    def _grows(self) -> bool:
        return self._policy.directory is not None and "jsonl" in self._policy.formats

    async def _write_pending(self) -> None:
        async with self._writing:
            self._some.clear()
            pending, self._pending = self._pending, deque()
            await self._write(pending)

    async def _write(self, pending: Collection[Line | str | _GoOn]) -> None:
        path = self._path("jsonl")
        for one in pending:
            if isinstance(one, _GoOn):
                await self._join(path, one.known)
                pending = [other for other in pending if not isinstance(other, Line)]  # known, and written
        for forgotten in (one for one in pending if isinstance(one, str)):
            if self._begun:
                await self._in_thread(sift, path, partial(_is_not_of, forgotten))
        gone = {one for one in pending if isinstance(one, str)}
        rows = [one for one in pending if isinstance(one, Line) and not any(map(one.is_by_or_with, gone))]
        if rows and not self._broken:
            await self._append(as_json(row, self._began_at) for row in rows)

    async def _join(self, path: Path, known: Known) -> None:
        """Reads what another worker has written, and adds what is not in it."""
        read = await self._in_thread(read_newest, path, MOST_READ_BYTES)
        rows, self._bytes = read if read is not None else ([], 0)
        self._begun = read is not None
        found = [line for row in rows if (line := _line_of(row)) is not None]
        written = {line.id for line in found}
        missing = [line for line in known(found) if line.id not in written]
        self._pending = deque(one for one in self._pending if not isinstance(one, Line))
        if missing and not self._broken:
            await self._append(as_json(line, self._began_at) for line in missing)

    async def _append(self, rows: Iterable[dict[str, Any]]) -> None:
        text = to_jsonl(rows)
        if not self._begun:
            text = to_jsonl([opening(self._room, self._policy.version, self._began_at)]) + text
        self._bytes += len(text.encode())
        if self._bytes > MOST_FILE_BYTES:
            self._break(f"the file has {MOST_FILE_BYTES // 1_000_000} MB")
            return
        self._begun = True
        await self._in_thread(append, self._path("jsonl"), text)

    async def _write_all(self, directory: Path, lines: list[Line], ended_at: datetime) -> None:
        if self._grows and self._begun and not self._broken:
            await self._append([{"type": "end", "ended_at": iso(ended_at)}])
        for name, body in self._bodies(lines):
            await self._in_thread(write, directory, f"{self._stem}.transcript{name}", body.encode())
        if not self._broken:
            self._metrics.exported("directory", done=True)
            logger.info("the room's transcript was written", extra={"detail": self._stem})

    def _bodies(self, lines: list[Line]) -> Iterator[tuple[str, str]]:
        """Endings of names, and what is in the files."""
        if "txt" in self._policy.formats:
            yield ".txt", to_txt(lines)
        for language in languages(lines):
            own = [line for line in lines if reads(language, line)]
            if "srt" in self._policy.formats:
                yield f".{language}.srt", to_srt(own, self._policy.layout)
            if "vtt" in self._policy.formats:
                yield f".{language}.vtt", to_vtt(own, self._policy.layout)

    def _path(self, ending: str) -> Path:
        assert self._policy.directory is not None or not self._grows
        return (self._policy.directory or Path()) / f"{self._stem}.transcript.{ending}"

    async def _in_thread(self, work: Callable[..., T], *args: object) -> T | None:
        if self._broken and work is not sift:
            return None
        try:
            async with asyncio.timeout(WRITE_S):
                return await asyncio.to_thread(partial(work, *args))
        except TimeoutError:
            self._break(f"no answer of the file system within {WRITE_S:g} s")
        except OSError as e:
            self._break(f"{e.strerror or type(e).__name__}: {self._policy.directory}")
        return None

    def _break(self, why: str) -> None:
        """Nothing more is written; said once."""
        if not self._broken:
            self._broken = True
            self._failed("directory", why)

    # The webhook

    async def _post_all(
        self, webhook: WebhookPolicy, lines: list[Line], dropped: int, ended_at: datetime
    ) -> None:
        parts = in_parts([as_json(line, self._began_at) for line in lines], MOST_POST_BYTES)
        if len(parts) > MOST_PARTS:
            dropped += sum(map(len, parts[:-MOST_PARTS]))
            parts = parts[-MOST_PARTS:]
        about = {
            "parley": self._policy.version,
            "format": FORMAT,
            "room": self._room,
            "began_at": iso(self._began_at),
            "ended_at": iso(ended_at),
            "parts": len(parts),
            "dropped": dropped,
        }
        try:
            async with asyncio.timeout(POST_S):
                for number, rows in enumerate(parts, 1):
                    data = about | {"part": number, "lines": rows}
                    await send(self._http, webhook, "room.transcript", data)
        except (WebhookError, TimeoutError) as e:
            self._failed("webhook", str(e) or f"not taken within {POST_S:g} s")
        else:
            self._metrics.exported("webhook", done=True)
            logger.info("the room's transcript was posted", extra={"detail": f"{len(parts)} parts"})

    def _failed(self, to: str, why: str) -> None:
        self._metrics.exported(to, done=False)
        logger.error("the room's transcript is not whole at its %s: %s", to, why)
        detail = f"transcript, to its {to}: {why}"
        self._notices.say("export.failed", speaker=None, language=None, detail=detail)


async def clean(directory: Path, keep_days: float) -> None:
    """Deletes what Parley wrote there more than so many days ago; never raises, waits `WRITE_S` at most."""
    than_s = (datetime.now(UTC) - timedelta(seconds=keep_days * DAY_S)).timestamp()
    try:
        async with asyncio.timeout(WRITE_S):
            deleted = await asyncio.to_thread(delete_older, directory, than_s)
    except (TimeoutError, OSError) as e:
        logger.warning("old files could not be deleted: %s", e or type(e).__name__)
    else:
        if deleted:
            logger.info("files were deleted that are older than PARLEY_EXPORT__KEEP_DAYS: %d", deleted)


def _line_of(row: str) -> Line | None:
    try:
        return from_json(json.loads(row))
    except (ValueError, RecursionError):
        return None  # half a line, of a worker that was killed


def _is_not_of(identity: str, row: str) -> bool:
    """Whether a JSON line is of somebody else."""
    try:
        told = json.loads(row)
    except ValueError:
        return False  # half a line, of a disk that was full
    own = told.get("speaker") == identity and told.get("kind") != "agent"
    return not (own or told.get("beside") == identity)
