"""Routing: from the roster and its preferences to who gets whom in which language.

Participants are taken together by the language that they want: a room of a hundred people has ten thousand
pairs of speaker and listener, but few languages.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from .language import primary
from .model import AUTO, OFF, ORIGINAL, Roster, Routes

_NOBODY: frozenset[str] = frozenset()


def routes(
    roster: Roster,
    readers: Mapping[str, str] | None = None,
    pays: Callable[[str], bool] = lambda listener: True,
) -> list[Routes]:
    """All routes of a room, by speaker and language: nobody to themselves, nobody into their own language,
    nothing of who has no microphone.

    A reader of a language that the speaker speaks anyway reads the speaker's own words. `readers`: who reads
    along without being a participant, and in which language. Who does not pay hears and reads nothing.
    """
    people = [p for p in roster.values() if p.is_person]
    paying = [p for p in people if pays(p.identity)]
    hear = _together((p.identity, p.preferences.hears) for p in paying if p.preferences.hears != ORIGINAL)
    reading = [(p.identity, p.preferences.captions) for p in paying if p.preferences.captions != OFF]
    reading += [(reader, language) for reader, language in (readers or {}).items() if pays(reader)]
    read = _together(reading)
    languages = sorted((hear.keys() | read.keys()) - {ORIGINAL})
    found: list[Routes] = []
    for speaker in sorted(p.identity for p in people if p.sounds and p.preferences.consent):
        spoken = roster[speaker].preferences.speaks
        own = "" if spoken == AUTO else primary(spoken)
        own_words = read.get(ORIGINAL, _NOBODY)
        for language in languages:
            if primary(language) == own:
                own_words |= read.get(language, _NOBODY)
                continue
            listeners = _but(hear.get(language, _NOBODY), speaker)
            readers_of = _but(read.get(language, _NOBODY), speaker)
            if listeners or readers_of:
                found.append(Routes(speaker, language, listeners, readers_of))
        if own_words := _but(own_words, speaker):
            found.append(Routes(speaker, ORIGINAL, _NOBODY, own_words))
    return found


def _together(wishes: Iterable[tuple[str, str]]) -> dict[str, frozenset[str]]:
    """Language → who wants it, from (identity, language)."""
    wanting: dict[str, set[str]] = defaultdict(set)
    for identity, language in wishes:
        wanting[language].add(identity)
    return {language: frozenset(identities) for language, identities in wanting.items()}


def _but(identities: frozenset[str], speaker: str) -> frozenset[str]:
    return identities - {speaker} if speaker in identities else identities
