"""The minutes of one room: what was said is kept as the settings say, and late readers get the last lines.

Captions, agents ──said──▶ recent (a minute or two) ──follow──▶ those who begin to read
                      └──▶ redaction ──▶ Minutes ──▶ files, webhook, `parley.transcript`, notes
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Literal

from parley.core.caption_layout import CaptionLayout
from parley.core.minutes import (
    LatePolicy,
    Line,
    LineKind,
    Minutes,
    MinutesBounds,
    latest,
    shown_to,
    tongue_of,
)
from parley.core.model import OFF, ORIGINAL, RECORD, Roster
from parley.core.transcript import Segment
from parley.export.notes import NotesPolicy
from parley.export.redaction import Hook, Redaction
from parley.export.transcripts import Transcripts
from parley.ports import Notices

from .text_output import Text, TextOutput

logger = logging.getLogger("parley.room")

MOST_RECENT = 500
"""Lines that late readers choose from."""
MOST_DECLINED = 1_000
"""Identities that are remembered to have declined, when they have left."""

MOST_TONGUES = 20
"""Languages of a room that are told apart."""

NewTranscripts = Callable[[datetime, Notices], Transcripts]


@dataclass(frozen=True, slots=True)
class MinutesPolicy:
    """What is kept of a room."""

    kept: bool = False
    """Whether anything is, beyond the last lines: something is exported, or somebody may ask."""
    own_words: bool = False
    """Whether everybody's own words are kept, also where nobody reads them."""
    bounds: MinutesBounds = field(default_factory=MinutesBounds)
    late: LatePolicy = field(default_factory=LatePolicy)
    redact: Hook | None = None
    """The user's redaction; the captions in the room do not go through it."""
    who: Literal["hosts", "everybody"] = "hosts"
    """Who may ask for what was said."""
    layout: CaptionLayout = field(default_factory=CaptionLayout)
    """Of subtitles."""
    version: str = ""
    """Of Parley, as transcripts tell it."""
    notes: NotesPolicy = field(default_factory=NotesPolicy)


@dataclass(slots=True)
class _Recent:
    """A line of the last minutes, as it was sent."""

    line: Line
    text: Text
    given: set[str]
    """Who has it."""


class RoomMinutes:
    """Is told of every line, and keeps what it may."""

    def __init__(
        self, policy: MinutesPolicy, output: TextOutput, notices: Notices, new: NewTranscripts | None = None
    ) -> None:
        """`new` makes the transcripts that leave the room; None: none do."""
        self._policy = policy
        self._output = output
        self._notices = notices
        self._origin_s = monotonic()
        self.began_at = datetime.now(UTC)
        """From when the times of lines count."""
        self.minutes = Minutes(policy.bounds)
        """What is kept, redacted."""
        self.transcripts = new(self.began_at, notices) if new is not None else None
        self._redact = Redaction(policy.redact, lambda why: self._say("redaction.failed", why))
        self._recent: deque[_Recent] = deque(maxlen=MOST_RECENT)
        self._reading: dict[str, str] = {}
        """Reader → what they read."""
        self._declined: dict[str, None] = {}
        self._named: set[str] = set()
        """Whose lines were handed to the transcripts."""
        self.tongues: list[str] = []
        """Languages of those who are or were there, in which notes can be written."""
        self._full = False

    @property
    def readers(self) -> dict[str, str]:
        """The record itself, and what it reads, where it is to have what nobody else does."""
        return {RECORD: ORIGINAL} if self._policy.own_words else {}

    @property
    def now_s(self) -> float:
        """The time of lines that are said now."""
        return monotonic() - self._origin_s

    def said(self, segment: Segment, text: Text, speaker: str, kind: LineKind, beside: str = "") -> None:
        """A caption, as it is sent to those who read it now, if to anybody; only final ones are kept.

        `speaker`: an identity, or an agent's name; `beside`: whose conversation with an agent it is.
        """
        if not segment.final or not segment.text.strip():
            return
        line = Line(
            segment.id,
            speaker,
            text.attributes.get("language", ""),
            kind,
            max(0.0, segment.started_s - self._origin_s),
            max(0.0, segment.ended_s - self._origin_s),
            segment.text,
            beside,
            frozenset(text.to) if kind == "agent" else frozenset(),
        )
        if any(map(line.is_by_or_with, self._declined)):
            return
        self._recent.append(_Recent(line, text, set(text.to)))
        if self._policy.kept:
            self._keep(line)

    def follow(self, roster: Roster, pays: Callable[[str], bool] = lambda reader: True) -> None:
        """Who is there now, and what they want; called before anything follows from it.

        Who begins to read gets the last lines, before any newer one.
        """
        for identity, participant in roster.items():
            if not participant.preferences.consent:
                self.forget(identity)
            else:
                self._declined.pop(identity, None)
            tongue = tongue_of(participant.preferences) if participant.is_person else ""
            if tongue and tongue not in self.tongues and len(self.tongues) < MOST_TONGUES:
                self.tongues.append(tongue)
        reading = {
            identity: p.preferences.captions
            for identity, p in roster.items()
            if p.is_person and p.preferences.captions != OFF and pays(identity)
        }
        for identity in self._reading.keys() - roster.keys():
            for recent in self._recent:
                recent.given.discard(identity)
        for reader, language in reading.items():
            if self._reading.get(reader) != language:
                self._catch_up(reader, language)
        self._reading = reading

    def forget(self, identity: str) -> None:
        """Consent was withdrawn: what was kept of this participant goes, and nothing more is kept."""
        if identity in self._declined:
            return
        self._declined[identity] = None
        if len(self._declined) > MOST_DECLINED:
            del self._declined[next(iter(self._declined))]
        self._recent = deque(
            (recent for recent in self._recent if not recent.line.is_by_or_with(identity)), maxlen=MOST_RECENT
        )
        self.minutes.forget(identity)
        if self.transcripts is not None and identity in self._named:
            self._named.discard(identity)
            self.transcripts.forget(identity)

    async def run(self) -> None:
        """Writes the transcript as it grows, for ever; cancelled when the room ends."""
        await (self.transcripts.run() if self.transcripts is not None else asyncio.Event().wait())

    async def leave(self) -> None:
        """The room has ended: its transcript goes where the settings say. Never raises."""
        if self.transcripts is not None:
            await self.transcripts.leave(self.minutes.lines(), self.minutes.dropped)

    def _keep(self, line: Line) -> None:
        redacted = self._redact(line)
        if redacted is None:
            return
        self.minutes.add(redacted)
        if self.transcripts is not None:
            self.transcripts.add(redacted)
            self._named.add(redacted.beside or redacted.speaker)
        if self.minutes.dropped and not self._full:
            self._full = True
            bounds = self._policy.bounds
            self._say(
                "transcript.full",
                f"more than {bounds.most_lines} lines or {bounds.most_bytes} bytes: the oldest are forgotten",
            )

    def _catch_up(self, reader: str, language: str) -> None:
        wanted = {
            recent.line.id: recent for recent in self._recent if shown_to(reader, language, recent.line)
        }
        last = latest(self._policy.late, self.now_s, [recent.line for recent in wanted.values()])
        for recent in (wanted[line.id] for line in last):
            if reader not in recent.given:
                recent.given.add(reader)
                text = replace(recent.text, to=(reader,))
                self._output.put(text, key=f"{recent.line.id} {reader}")

    def _say(self, event: str, detail: str) -> None:
        logger.warning("%s: %s", event, detail)
        self._notices.say(event, speaker=None, language=None, detail=detail)
