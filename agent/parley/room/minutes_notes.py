"""Notes of one room: for those who ask (RPC `parley.notes`), and in each reader's language when it ends."""

import asyncio
import json
import logging
from collections.abc import Callable
from typing import Any

from livekit import rtc
from parley.core.language import OUTPUT_LANGUAGES, is_tag, primary
from parley.core.minutes import Line, may_read, tongue_of
from parley.core.model import Preferences
from parley.core.preferences import shown
from parley.core.usage import Tokens
from parley.errors import NotesError
from parley.export.notes import MOST_LANGUAGES, NotesPolicy, Written, write_notes
from parley.metrics import Metrics
from parley.ports import Notices

from .files import send_file
from .minutes import RoomMinutes
from .refusals import INVALID, NOT_FOUND, TOO_MANY, Refused

logger = logging.getLogger("parley.room")

METHOD = "parley.notes"
TOPIC = "parley.notes"
KIND = "notes"
MOST_AT_ONCE = 2
"""Notes that are being written on request at a time."""
_FORM = '{"language": one of yours}'


Charge = Callable[[str, str, Tokens], None]
"""Is told the model, the language, and what notes took."""


class RoomNotes:
    """Writes notes, meters them, and hands them to those who asked, or to where the settings say."""

    def __init__(
        self,
        room: rtc.Room,
        minutes: RoomMinutes,
        policy: NotesPolicy,
        metrics: Metrics,
        notices: Notices,
        charge: Charge,
    ) -> None:
        self._room = room
        self._minutes = minutes
        self._policy = policy
        self._metrics = metrics
        self._notices = notices
        self._charge = charge
        self._writing = 0

    async def leave(self) -> None:
        """The room has ended: notes in the languages of those who were there. Never raises."""
        lines = self._minutes.minutes.lines(lambda line: line.kind != "agent")
        transcripts = self._minutes.transcripts
        if not lines or transcripts is None:
            return
        wanted = self._minutes.tongues[:MOST_LANGUAGES] or [lines[0].tongue]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(self._write(lines, language), name="notes") for language in wanted]
        for task in tasks:
            if (written := task.result()) is not None:
                await transcripts.notes(written, self._policy.model)

    def answer(
        self, caller: str, payload: str, wish: Preferences, group: asyncio.TaskGroup
    ) -> dict[str, Any]:
        """Begins to write notes for somebody who may ask. Raises Refused."""
        language = _language(payload, wish)
        lines = self._minutes.minutes.lines(lambda line: may_read(caller, wish, line))
        if not lines:
            raise Refused(NOT_FOUND, f"{METHOD}: nothing was said yet that you may read")
        if self._writing >= MOST_AT_ONCE:
            raise Refused(TOO_MANY, f"{METHOD}: {MOST_AT_ONCE} notes are being written")
        self._writing += 1
        group.create_task(self._send(caller, lines, language), name="notes")
        return {"name": f"notes.{language}.txt", "mime_type": "text/plain", "language": language}

    async def _send(self, to: str, lines: list[Line], language: str) -> None:
        try:
            written = await self._write(lines, language)
            if written is not None:
                attributes = {"language": language, "model": self._policy.model}
                body = written.text.encode(errors="replace")
                name = f"notes.{language}.txt"
                await send_file(self._room, TOPIC, to, name, "text/plain", attributes, body)
        finally:
            self._writing -= 1

    async def _write(self, lines: list[Line], language: str) -> Written | None:
        try:
            written = await write_notes(self._policy, lines, language)
        except NotesError as e:
            logger.error("notes could not be written: %s", e)
            self._notices.say("notes.failed", speaker=None, language=language, detail=str(e))
            return None
        self._metrics.tokens(KIND, written.tokens, self._policy.model)
        self._charge(self._policy.model, language, written.tokens)
        return written


def _language(payload: str, wish: Preferences) -> str:
    """The language of the notes: what is asked for, else what the asker reads, hears or speaks."""
    try:
        parsed = json.loads(payload) if payload.strip() else {}
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict) or parsed.keys() - {"language"}:
        raise Refused(INVALID, f"{METHOD}: {shown(payload)!r} is not allowed; allowed: {_FORM}")
    own = tongue_of(wish) or "en"
    asked = parsed.get("language", own)
    if not isinstance(asked, str) or not is_tag(asked) or primary(asked) not in (own, *OUTPUT_LANGUAGES):
        allowed = ", ".join(OUTPUT_LANGUAGES)
        raise Refused(INVALID, f"{METHOD}: language: {shown(asked)!r} is not allowed; allowed: {allowed}")
    return primary(asked)
