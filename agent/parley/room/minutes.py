"""The minutes of one room: what was said is kept as the settings say, and late readers get the last lines.

Captions, agents ──said──▶ recent (a minute or two) ──follow──▶ those who begin to read
                      └──▶ redaction ──▶ Minutes ──▶ files, webhook, `parley.transcript`, notes
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Literal

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

MOST_HELD = 1_000
"""Lines that wait for another worker to take them."""
MOST_AHEAD_S = 60.0
MOST_PASSED_S = 7 * 86_400.0
"""How far from now minutes may have begun: the clocks of two workers differ, and rooms last."""

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
        self._held: deque[Line] | None = None
        """Lines that another worker is to write, as long as one goes on with these minutes."""
        self._awaited = 0
        """Lines of the worker before this one that had not come when its minutes were gone on with."""
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
        if self._held is not None:
            self._held = deque(
                (line for line in self._held if not line.is_by_or_with(identity)), maxlen=MOST_HELD
            )
        if self.transcripts is not None and identity in self._named:
            self._named.discard(identity)
            self.transcripts.forget(identity)

    async def run(self) -> None:
        """Writes the transcript as it grows, for ever; cancelled when the room ends."""
        await (self.transcripts.run() if self.transcripts is not None else asyncio.Event().wait())

    async def leave(self) -> None:
        """The room has ended: its transcript goes where the settings say. Never raises."""
        if self.transcripts is not None:
            await self.transcripts.flush()
            await self.transcripts.leave(self.minutes.lines(), self.minutes.dropped)

    # Another worker

    @property
    def heading(self) -> dict[str, Any]:
        """What another worker is told so that it can go on with these minutes; JSON."""
        return {
            "began_at": self.began_at.isoformat(),
            "stem": self.transcripts.stem if self.transcripts is not None else "",
            "lines": len(self.minutes),
            "dropped": self.minutes.dropped,
            "tongues": self.tongues,
        }

    def go_on(self, heading: Mapping[str, Any], lines: Iterable[Line]) -> None:
        """Another worker began the minutes of this room: they go on here. Raises ValueError.

        `lines`: what it handed over; what else its file has is read, if it can be.
        """
        began_at, stem = datetime.fromisoformat(str(heading.get("began_at"))), str(heading.get("stem", ""))
        passed_s = (datetime.now(UTC) - began_at).total_seconds() if began_at.tzinfo is not None else -1.0
        if not -MOST_AHEAD_S <= passed_s <= MOST_PASSED_S:
            raise ValueError(f"minutes that began at {began_at} are not those of this room")
        if self.minutes and began_at != self.began_at:
            raise ValueError("minutes of this room were begun here already")
        if self.transcripts is not None and stem:
            self.transcripts.go_on(stem, began_at, self._found)
        self.began_at, self._origin_s = began_at, monotonic() - max(0.0, passed_s)
        told = heading.get("tongues")
        tongues = [one for one in told if isinstance(one, str)] if isinstance(told, list) else []
        self.tongues = list(dict.fromkeys([*tongues, *self.tongues]))[:MOST_TONGUES]
        counts = [heading.get(key) for key in ("lines", "dropped")]
        count, dropped = (one if isinstance(one, int) and one >= 0 else 0 for one in counts)
        self.minutes.dropped += max(0, dropped - self.minutes.dropped)
        self._add_missing(lines)
        self._awaited = max(0, count - len(self.minutes))
        self.minutes.dropped += self._awaited

    def take(self, lines: Iterable[Line]) -> None:
        """Lines that were final at the worker before this one after its minutes had been gone on with."""
        for line in self._add_missing(lines):
            if self.transcripts is not None:
                self.transcripts.add(line)

    async def hold(self) -> None:
        """Another worker goes on: from now on lines are held for it. All before is in the file."""
        if self._held is None:
            self._held = deque(maxlen=MOST_HELD)
        await self.flush()

    async def flush(self) -> None:
        """Returns when what was kept so far is in the file."""
        if self.transcripts is not None:
            await self.transcripts.flush()

    @property
    def held(self) -> list[Line]:
        """Lines that the other worker has not got yet."""
        return list(self._held or ())

    def handed_over(self, lines: Collection[Line]) -> None:
        """The other worker has these of them."""
        if self._held is not None:
            self._held = deque((line for line in self._held if line not in lines), maxlen=MOST_HELD)

    def keep(self) -> None:
        """No other worker goes on after all: what was held is written here."""
        held, self._held = self._held or (), None
        for line in held:
            self._write(line)

    def _found(self, lines: list[Line]) -> list[Line]:
        """Lines were found in a file of the worker before this one; returns all."""
        came = len(self._add_missing(lines))
        less = min(self._awaited, came)
        self._awaited -= less
        self.minutes.dropped -= less
        return self.minutes.lines()

    def _add_missing(self, lines: Iterable[Line]) -> list[Line]:
        """Adds those that are not there, of those who did not decline; returns them."""
        there = {line.id for line in self.minutes.lines()}
        added: list[Line] = []
        declined: set[str] = set()
        for line in lines:
            gone = next((who for who in self._declined if line.is_by_or_with(who)), None)
            if gone is not None:
                declined.add(gone)
                continue
            self._named.add(_whose(line))
            if line.id not in there:
                there.add(line.id)
                self.minutes.add(line)
                added.append(line)
        if self.transcripts is not None:
            for identity in sorted(declined):
                self.transcripts.forget(identity)
        return added

    def _keep(self, line: Line) -> None:
        redacted = self._redact(line)
        if redacted is None:
            return
        self.minutes.add(redacted)
        if self._held is not None:
            self._held.append(redacted)
        else:
            self._write(redacted)
        if self.minutes.dropped and not self._full:
            self._full = True
            bounds = self._policy.bounds
            self._say(
                "transcript.full",
                f"more than {bounds.most_lines} lines or {bounds.most_bytes} bytes: the oldest are forgotten",
            )

    def _write(self, line: Line) -> None:
        if self.transcripts is not None:
            self.transcripts.add(line)
            self._named.add(_whose(line))

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


def _whose(line: Line) -> str:
    """Who can withdraw it."""
    return line.beside or line.speaker
