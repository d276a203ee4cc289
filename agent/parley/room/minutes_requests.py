"""RPC `parley.transcript` and `parley.notes`: who may ask gets what was said so far, over a byte stream."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from livekit import rtc
from parley.core.language import OUTPUT_LANGUAGES, primary
from parley.core.minutes import Line, may_read, reads
from parley.core.model import OFF, ORIGINAL, Preferences, Roster
from parley.core.preferences import shown
from parley.export.formats import FORMATS, MIME, Format, as_json, opening, to_jsonl, to_srt, to_txt, to_vtt
from parley.metrics import Metrics
from parley.ports import Notices

from .files import send_file
from .minutes import MinutesPolicy, RoomMinutes
from .minutes_notes import METHOD as NOTES
from .minutes_notes import Charge, RoomNotes
from .refusals import INVALID, NOT_ALLOWED, NOT_FOUND, TOO_MANY, Askers, Refused, answered
from .roster import People

logger = logging.getLogger("parley.room")

METHOD = "parley.transcript"
TOPIC = "parley.transcript"
TOO_LARGE = 1413
"""Code of a transcript that is larger than what is sent."""
MOST_BYTES = 2_000_000
"""Of one transcript that is sent."""
MOST_SENDING = 4
"""Transcripts that are on their way at a time."""
ASKED_PER_S = 0.1
ASKED_BURST = 3.0
"""Of one participant."""
_FORM = '{"format": "jsonl" | "srt" | "vtt" | "txt", "language": a language or "original"}'


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that makes sense; `language` None: all that may be read."""

    format: Format
    language: str | None


class Guard:
    """Who may ask for what was said, and how often."""

    def __init__(
        self,
        policy: MinutesPolicy,
        hosts: tuple[str, ...],
        roster: Callable[[], Roster],
        standby: Callable[[], bool],
    ) -> None:
        self._who = policy.who
        self._hosts = hosts
        self._roster = roster
        self._askers = Askers(standby, ASKED_PER_S, ASKED_BURST)

    def admit(self, method: str, caller: str) -> Preferences:
        """What the caller hears and reads. Raises Refused."""
        self._askers.take_turn(method, caller, self._roster())
        participant = self._roster().get(caller)
        if participant is None:
            raise Refused(NOT_FOUND, f"{method}: {shown(caller)!r} is not in the room")
        if self._who == "hosts" and caller not in self._hosts and "*" not in self._hosts:
            allowed = "PARLEY_LIMITS__TRANSCRIPT and PARLEY_LIMITS__HOSTS say who may"
            raise Refused(NOT_ALLOWED, f"{method}: {shown(caller)!r} may not; {allowed}")
        return participant.preferences


class MinutesRequests:
    """Answers the methods of one room."""

    def __init__(
        self,
        room: rtc.Room,
        minutes: RoomMinutes,
        policy: MinutesPolicy,
        hosts: tuple[str, ...],
        people: People,
        metrics: Metrics,
        notices: Notices,
        charge: Charge,
        standby: Callable[[], bool],
    ) -> None:
        """`hosts`: who may always ask, `*` for everybody; `charge` is told what notes took."""
        self._room = room
        self._minutes = minutes
        self._guard = Guard(policy, hosts, lambda: people.roster, standby)
        self._policy = policy
        self._notes: RoomNotes | None = None
        if policy.notes.model:
            self._notes = RoomNotes(room, minutes, policy.notes, metrics, notices, charge)
        self._sending = 0
        self._group = asyncio.TaskGroup()

    async def run(self) -> None:
        """Answers, and writes the transcript as it grows; cancelled with the room, and what it sends, too."""
        methods = {METHOD: self._answer} | ({NOTES: self._write} if self._notes is not None else {})
        for name, answer in methods.items():
            self._room.local_participant.register_rpc_method(name, partial(_obey, answer))
        try:
            async with asyncio.TaskGroup() as self._group:
                await self._minutes.run()
        finally:
            if self._room.isconnected():
                for name in methods:
                    self._room.local_participant.unregister_rpc_method(name)

    async def leave(self) -> None:
        """The room has ended: its transcript, then its notes, go where the settings say. Never raises."""
        await self._minutes.leave()
        if self._notes is not None:
            await self._notes.leave()

    def _write(self, caller: str, payload: str) -> dict[str, Any]:
        assert self._notes is not None
        wish = self._guard.admit(NOTES, caller)
        return self._notes.answer(caller, payload, wish, self._group)

    def _answer(self, caller: str, payload: str) -> dict[str, Any]:
        wish = self._guard.admit(METHOD, caller)
        asked = read_asked(payload, wish)
        lines = self._minutes.minutes.lines(
            lambda line: (
                may_read(caller, wish, line) and (asked.language is None or reads(asked.language, line))
            )
        )
        body = self._rendered(asked.format, lines).encode()
        if len(body) > MOST_BYTES:
            raise Refused(
                TOO_LARGE, f"{METHOD}: it has {len(body)} bytes, {MOST_BYTES} are sent; ask for one language"
            )
        if self._sending >= MOST_SENDING:
            raise Refused(TOO_MANY, f"{METHOD}: {MOST_SENDING} transcripts are on their way")
        self._sending += 1
        language = asked.language or ""
        name = ".".join(part for part in ("transcript", language, asked.format) if part)
        attributes = {
            "format": asked.format,
            "language": language,
            "lines": str(len(lines)),
            "dropped": str(self._minutes.minutes.dropped),
        }
        work = self._send(caller, name, MIME[asked.format], attributes, body)
        self._group.create_task(work, name="transcript")
        return {"name": name, "mime_type": MIME[asked.format], "bytes": len(body), **attributes}

    def _rendered(self, wanted: Format, lines: list[Line]) -> str:
        began_at = self._minutes.began_at
        match wanted:
            case "jsonl":
                first = opening(self._room.name, self._policy.version, began_at)
                return to_jsonl([first, *(as_json(line, began_at) for line in lines)])
            case "srt":
                return to_srt(lines, self._policy.layout)
            case "vtt":
                return to_vtt(lines, self._policy.layout)
            case "txt":
                return to_txt(lines)

    async def _send(
        self, to: str, name: str, mime_type: str, attributes: dict[str, str], body: bytes
    ) -> None:
        try:
            await send_file(self._room, TOPIC, to, name, mime_type, attributes, body)
        finally:
            self._sending -= 1


def _obey(answer: Callable[[str, str], dict[str, Any]], call: rtc.RpcInvocationData) -> str:
    with answered():
        return json.dumps(answer(call.caller_identity, call.payload))


def read_asked(payload: str, wish: Preferences) -> Asked:
    """A request from its JSON. Raises Refused.

    Subtitles are of one language: of the one that the asker reads, or hears, if none is named.
    """
    try:
        parsed = json.loads(payload) if payload.strip() else {}
    except (ValueError, RecursionError):
        parsed = None
    if not isinstance(parsed, dict) or parsed.keys() - {"format", "language"}:
        raise Refused(INVALID, f"{METHOD}: {shown(payload)!r} is not allowed; allowed: {_FORM}")
    wanted, language = parsed.get("format", "txt"), parsed.get("language")
    if wanted not in FORMATS:
        raise Refused(
            INVALID, f"{METHOD}: format: {shown(wanted)!r} is not allowed; allowed: {', '.join(FORMATS)}"
        )
    if language is not None and not isinstance(language, str):
        raise Refused(INVALID, f"{METHOD}: language: {shown(language)!r} is not allowed; allowed: {_FORM}")
    if language is None and wanted in ("srt", "vtt"):
        language = next((one for one in (wish.captions, wish.hears) if one not in (OFF, ORIGINAL)), ORIGINAL)
    return Asked(wanted, _checked(language, wish))


def _checked(language: str | None, wish: Preferences) -> str | None:
    if language is None or language == ORIGINAL:
        return language
    code = primary(language)
    # A language that nothing is translated into can only be one that somebody speaks.
    if code in OUTPUT_LANGUAGES and code not in (wish.hears, wish.captions, primary(wish.speaks)):
        own = sorted({wish.hears, wish.captions, primary(wish.speaks)} & set(OUTPUT_LANGUAGES))
        allowed = ", ".join((ORIGINAL, *own))
        raise Refused(
            NOT_ALLOWED, f"{METHOD}: language: {shown(language)!r} is not allowed; allowed: {allowed}"
        )
    return code
