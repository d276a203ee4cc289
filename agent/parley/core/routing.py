"""Routing: from the roster and its preferences to who gets whom in which language."""

from .language import same_language
from .model import AUTO, OFF, ORIGINAL, Participant, Roster, Route


def _speaks(speaker: Participant, language: str) -> bool:
    """Whether the speaker is known to speak `language` already: nobody is translated into it."""
    spoken = speaker.preferences.speaks
    return spoken != AUTO and same_language(spoken, language)


def routes(roster: Roster) -> frozenset[Route]:
    """All routes of a room: nobody to themselves, nobody into their own language.

    A reader of a language that the speaker speaks anyway reads the speaker's own words.
    """
    people = [p for p in roster.values() if p.is_person]
    found: set[Route] = set()
    for speaker in people:
        if not speaker.preferences.consent:
            continue
        for listener in people:
            if listener.identity == speaker.identity:
                continue
            wanted = listener.preferences
            if wanted.hears != ORIGINAL and not _speaks(speaker, wanted.hears):
                found.add(Route(speaker.identity, listener.identity, wanted.hears, "audio"))
            if wanted.captions == OFF:
                continue
            own_words = wanted.captions == ORIGINAL or _speaks(speaker, wanted.captions)
            language = ORIGINAL if own_words else wanted.captions
            found.add(Route(speaker.identity, listener.identity, language, "text"))
    return frozenset(found)
