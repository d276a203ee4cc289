"""The record of a room: fed while the room lives, told as its summary when it ends; memory is bounded.

Somebody who declined consent, at whatever moment, is part of a count and of the sums, and of nothing else.
"""

from collections import Counter, deque
from collections.abc import Mapping
from typing import Any

from .accounts import MOST_SESSIONS, Account, Accounts, Line, Metered, rounded
from .estimate import Demand, Models, Running, Talk
from .kept import Kept, Person, line_as_json
from .language import OUTPUT_LANGUAGES, primary
from .model import OFF, ORIGINAL, Preferences
from .spans import Spans

FORMAT = 1
"""Of the summary; it changes when a key changes its meaning or goes."""
MOST_PEOPLE = 500
"""People who are told apart; those beyond them are counted."""
MOST_EVENTS = 200
"""Newest events that are told one by one; all of them are counted."""
MOST_KEYS = 100
"""Kinds of events, and places of losses, that are told apart."""
_OTHERS = "others"


class Record:
    """What is remembered of one room. `now` is in seconds and never goes back."""

    def __init__(
        self,
        room: str,
        accounts: Accounts,
        now: float,
        *,
        talk: Talk | None = None,
        models: Models | None = None,
        own_words: bool = False,
    ) -> None:
        """`own_words`: everybody's are written down, also where nobody reads them."""
        self._room = room
        self._accounts = accounts
        self._own_words = own_words
        self._began = self._at = now
        self._people: dict[str, Person] = {}
        self._here: dict[str, Preferences] = {}
        self._others = 0
        self._most_at_once = 0
        self._spoken_s = 0.0
        self._spans: dict[str, Spans] = {}
        self._lost: Counter[str] = Counter()
        self._counts: Counter[str] = Counter()
        self._events: deque[tuple[float, str, str | None, str | None, str]] = deque(maxlen=MOST_EVENTS)
        self._estimate = Running(talk or Talk(), models or Models(prices=accounts.prices))
        self._sessions: list[dict[str, Any]] = []
        """Those of a job that died, as the summary tells them."""

    @property
    def served(self) -> bool:
        """Whether anybody has ever been there."""
        return bool(self._people)

    @property
    def events(self) -> int:
        """How much the room was told."""
        return self._counts.total()

    # What happens

    def present(self, identity: str, preferences: Preferences, now: float) -> None:
        """A person is in the room, and wants this: called when they come and when something changes."""
        self._pass(now)
        came = identity not in self._here
        self._here[identity] = preferences
        self._most_at_once = max(self._most_at_once, len(self._here))
        person = self._people.get(identity)
        if person is None:
            if len(self._people) >= MOST_PEOPLE:
                self._others += came
                return
            person = self._people[identity] = Person(preferences, now, set())
        elif person.since is None:
            person.since = now
            person.arrivals += not person.returning
            person.returning = False
        person.preferences = preferences
        person.declined = person.declined or not preferences.consent
        person.languages |= {preferences.hears, preferences.captions} - {ORIGINAL, OFF}

    def left(self, identity: str, now: float) -> None:
        """A person is not in the room any more."""
        self._pass(now)
        self._here.pop(identity, None)
        person = self._people.get(identity)
        if person is not None and person.since is not None:
            person.present_s += now - person.since
            person.since = None

    def declined(self, identity: str) -> None:
        """Somebody withdraws consent: they are named nowhere from now on."""
        person = self._people.get(identity)
        if person is not None:
            person.declined = True

    def spoke(self, speaker: str, duration_s: float) -> None:
        """Somebody's voice was heard, whether or not it was translated."""
        self._spoken_s += duration_s
        person = self._people.get(speaker)
        if person is not None:
            person.spoken_s += duration_s

    def span(self, language: str, span_s: float) -> None:
        """From speech to the first that was heard of its translation into `language`, of one phrase."""
        self._spans.setdefault(_known(language), Spans()).add(span_s)

    def lost(self, where: str, duration_s: float) -> None:
        """Speech was dropped in `where`: ingress, session, playout."""
        _bounded(self._lost, where, duration_s)

    def said(self, event: str, speaker: str | None, language: str | None, detail: str, now: float) -> None:
        """The room was told of this: failures, recoveries, budgets, refusals."""
        _bounded(self._counts, event, 1)
        self._events.append((now - self._began, event, speaker, language, detail[:200]))

    def _pass(self, now: float) -> None:
        passed, self._at = now - self._at, now
        if passed > 0:
            self._estimate.passed(_demand(self._here, self._own_words), passed)

    # From a job that dies to the one that replaces it

    def keep(self, now: float, lost_s: Mapping[str, float]) -> dict[str, Any]:
        """All of it, as JSON takes it, for `resume`; `lost_s`: what `lost` will be told at the end.

        Of who declined no more than that is in it.
        """
        self._pass(now)
        lost = self._lost + Counter(dict(lost_s))
        return {
            "duration_s": now - self._began,
            "people": {identity: p.as_json(now) for identity, p in self._people.items()},
            "others": self._others,
            "most_at_once": self._most_at_once,
            "spoken_s": self._spoken_s,
            "ear_voice_span_s": {language: spans.as_json() for language, spans in self._spans.items()},
            "lost_s": dict(lost),
            "events": {"counts": dict(self._counts), "newest": self._events_told()},
            "lines": [line_as_json(line, used) for line, used in self._rows().items()],
            "sessions": self._sessions_told(),
            "inherited_usd": self._accounts.inherited_usd,
            "estimate": {"usd": self._estimate.usd, "always_on_usd": self._estimate.always_on_usd},
        }

    def resume(self, kept: Kept, ago_s: float) -> None:
        """Goes on with the record of a job that died, as it was so many seconds ago; its money included."""
        before_s = kept.duration_s + ago_s
        self._began -= before_s
        for identity, person in kept.people.items():
            self._people.setdefault(identity, person)
        self._others += kept.others
        self._most_at_once = max(self._most_at_once, kept.most_at_once)
        self._spoken_s += kept.spoken_s
        for language, (longest_s, bins) in kept.spans.items():
            self._spans.setdefault(_known(language), Spans()).resume(longest_s, bins)
        for where, lost_s in kept.lost_s.items():
            _bounded(self._lost, where, lost_s)
        for event, number in kept.counts.items():
            _bounded(self._counts, event, number)
        since = [(at_s + before_s, event, who, into, why) for at_s, event, who, into, why in self._events]
        self._events = deque([*kept.events, *since], maxlen=MOST_EVENTS)
        self._sessions = kept.sessions
        self._accounts.resume(kept.lines, kept.inherited_usd)
        self._estimate.usd += kept.estimated_usd
        self._estimate.always_on_usd += kept.always_on_usd

    # What is told

    def summary(self, now: float) -> dict[str, Any]:
        """All of it, as JSON takes it; times are in seconds since the record began."""
        self._pass(now)
        duration_s = now - self._began
        return {
            "format": FORMAT,
            "room": self._room,
            "duration_s": round(duration_s, 3),
            "people": self._people_told(now),
            "languages": sorted({language for p in self._people.values() for language in p.languages}),
            "spoken_s": round(self._spoken_s, 1),
            "translated": self._translated(),
            "ear_voice_span_s": {
                language: {
                    "count": spans.count,
                    "p50": spans.percentile(0.5),
                    "p95": spans.percentile(0.95),
                    "max": round(spans.longest_s, 3),
                }
                for language, spans in sorted(self._spans.items())
            },
            "lost_s": {where: round(lost_s, 3) for where, lost_s in sorted(self._lost.items())},
            "events": {"counts": dict(sorted(self._counts.items())), "newest": self._events_told()},
            "cost": self._cost(),
            "estimate": self._estimate_told(),
        }

    def _people_told(self, now: float) -> dict[str, Any]:
        known = {identity: p for identity, p in self._people.items() if not p.declined}
        return {
            "count": len(self._people) + self._others,
            "most_at_once": self._most_at_once,
            "declined_consent": len(self._people) - len(known),
            "others": self._others,
            "known": [
                {
                    "identity": identity,
                    "speaks": p.preferences.speaks,
                    "languages": sorted(p.languages),
                    "present_s": round(p.present_s + (now - p.since if p.since is not None else 0.0), 1),
                    "arrivals": p.arrivals,
                    "spoken_s": round(p.spoken_s, 1),
                    "usd": rounded(self._accounts.usd_of(identity)),
                }
                for identity, p in sorted(known.items())
            ],
        }

    def _name(self, speaker: str | None) -> str | None:
        """A speaker as the summary names them; None: somebody who declined, or one of the others."""
        person = self._people.get(speaker) if speaker is not None else None
        return speaker if person is not None and not person.declined else None

    def _rows(self) -> dict[Line, Metered]:
        """What was metered of each who is named, and of all others together; not to be changed."""
        rows: dict[Line, Metered] = {}
        for line, used in self._accounts.lines.items():
            if self._name(line.speaker) is not None:
                rows[line] = used
            else:
                rows.setdefault(Line(line.kind, None, line.language), Metered()).add(used)
        return rows

    def _translated(self) -> list[dict[str, Any]]:
        """One row per kind, speaker and language; those who are not named share one."""
        rows = self._rows().items()
        order = sorted(rows, key=lambda row: (row[0].kind, row[0].speaker or "", row[0].language))
        return [
            {"kind": line.kind, "speaker": line.speaker, "language": line.language, **_told(used)}
            for line, used in order
        ]

    def _events_told(self) -> list[dict[str, Any]]:
        told = []
        for at_s, event, speaker, language, detail in self._events:
            named = self._name(speaker)
            hidden = speaker is not None and named is None
            told.append(
                {
                    "at_s": round(at_s, 3),
                    "event": event,
                    "speaker": named,
                    "language": language,
                    "detail": "" if hidden else detail,
                }
            )
        return told

    def _cost(self) -> dict[str, Any]:
        view = self._accounts.view(lambda line: False)
        del view["by_speaker"]
        return {**view, "sessions": self._sessions_told()}

    def _sessions_told(self) -> list[dict[str, Any]]:
        now = [self._session(account) for account in self._accounts.sessions]
        before = [told | {"speaker": self._name(told.get("speaker"))} for told in self._sessions]
        return [*before[max(0, len(before) + len(now) - MOST_SESSIONS) :], *now]

    def _session(self, account: Account) -> dict[str, Any]:
        line = account.line
        return {
            "kind": line.kind,
            "speaker": self._name(line.speaker),
            "language": line.language,
            "model": account.model,
            **_told(account.used),
        }

    def _estimate_told(self) -> dict[str, Any]:
        """What translations and captions were expected to cost with these people, and how wrong that was."""
        lines = self._accounts.lines.items()
        metered = sum(used.usd for line, used in lines if line.kind in ("translation", "captions"))
        estimate = self._estimate
        return {
            "usd": rounded(estimate.usd),
            "metered_usd": rounded(metered),
            "error": round(estimate.usd / metered - 1.0, 4) if metered > 0 else None,
            "always_on_usd": rounded(estimate.always_on_usd),
            "talk_share": {
                "estimated": estimate.talk.share,
                "metered": round(self._spoken_s / max(1e-9, self._at - self._began), 4),
            },
        }


def _told(used: Metered) -> dict[str, Any]:
    tokens = used.tokens
    return {
        "sessions": used.sessions,
        "audio_s": round(used.audio_s, 1),
        "tokens": {"input": tokens.input, "input_cached": tokens.cached, "output": tokens.output},
        "usd": rounded(used.usd),
    }


def _demand(here: Mapping[str, Preferences], own_words: bool = False) -> Demand:
    """What those who are there ask for, as an estimate takes it; `own_words`: of all, read or not."""
    wanted: Counter[str] = Counter()
    own: dict[str, set[str]] = {}
    for identity, p in here.items():
        own[identity] = {p.hears, p.captions} - {ORIGINAL, OFF}
        wanted.update(own[identity])
    speaking = {identity: primary(p.speaks) for identity, p in here.items() if p.consent}
    read = Counter(p.captions for p in here.values() if p.captions != OFF)
    sessions = captions = 0
    for identity, language in speaking.items():
        mine = own[identity]
        into = sum(number > (other in mine) for other, number in wanted.items() if other != language)
        reads = here[identity].captions
        readers = sum(read[own_words] - (reads == own_words) for own_words in {ORIGINAL, language})
        sessions += into
        captions += (own_words or bool(readers)) and not into
    return Demand(len(speaking), sessions, captions)


def _known(language: str) -> str:
    """A language that can be translated into; whatever else is one of the others."""
    return language if primary(language) in OUTPUT_LANGUAGES else _OTHERS


def _bounded(counts: Counter[str], key: str, amount: Any) -> None:
    counts[key if key in counts or len(counts) < MOST_KEYS else _OTHERS] += amount
