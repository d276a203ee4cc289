"""Six people, three languages, forty words each, in turn and all at once: everybody hears everything once."""

from __future__ import annotations

import asyncio
import contextlib

import numpy as np
import pytest

from parley.demo.audio import Pcm
from parley.demo.people import Person
from parley.demo.recording import Recording
from parley.demo.speech import Word

from .counting import audible, gets, languages_of, rests, search, speech, track_name
from .venue import Venue

LANGUAGES = {"ann": "en", "abe": "en", "fay": "fr", "fil": "fr", "dot": "de", "dan": "de"}
IN_TURN = 3
AT_ONCE = 37
ONE_EAR = 4
"""Of 960 words: what one of the two listeners of a track may miss. Their jitter buffers and decoders, 24 of
them in this one process, compete for two cores."""
STRAYS = 8
"""Words of each other speaker that are looked for where they do not belong: a leak brings many of them."""


@pytest.mark.timeout(200)
@pytest.mark.long
async def test_six_people_in_three_languages_hear_every_foreign_word_once_and_in_order(venue: Venue) -> None:
    turns = {
        name: speech(language, IN_TURN, voice=voice)
        for voice, (name, language) in enumerate(LANGUAGES.items())
    }
    chorus = {
        name: speech(language, AT_ONCE, voice=voice, phrase=12, pause_s=1.2, first=IN_TURN)
        for voice, (name, language) in enumerate(LANGUAGES.items())
    }
    room = await venue.room()
    async with contextlib.AsyncExitStack() as stack:
        people = {}
        for name, language in LANGUAGES.items():
            joining = venue.join(room, name, speaks=language, hears=language)
            people[name] = await stack.enter_async_context(joining)
        for name, person in people.items():
            for other in _foreign(name):
                await gets(person, track_name(other, LANGUAGES[name]))
        for name, person in people.items():
            person.say(turns[name].pcm)
            await person.quiet()
        # Not in step: each begins at another phase of the model's frames.
        for place, name in enumerate(people):
            people[name].say(_delayed(chorus[name].pcm, place * 0.11))
        for person in people.values():
            await person.quiet()
        for name, person in people.items():
            for other in _foreign(name):
                await rests(person, track_name(other, LANGUAGES[name]))
        words = {name: (*turns[name].words, *chorus[name].words) for name in people}
        await asyncio.to_thread(_judge, people, words)
    assert {s.language for s in venue.sessions} == {"en", "fr", "de"}
    assert len(venue.sessions) <= 2 * len(people) + 2, "sessions are shared by the listeners of a language"


def _foreign(name: str) -> list[str]:
    return [other for other, language in LANGUAGES.items() if language != LANGUAGES[name]]


def _delayed(pcm: Pcm, by_s: float) -> Pcm:

    return np.concatenate([np.zeros(round(by_s * 24_000), np.int16), pcm])


def _judge(people: dict[str, Person], words: dict[str, tuple[Word, ...]]) -> None:
    """Every recording of every listener: what is on it, in which language, and that nothing else is there."""
    jobs: list[tuple[Recording, list[Word]]] = []
    owners: list[tuple[str, str]] = []
    for name, person in people.items():
        expected = {track_name(other, LANGUAGES[name]): other for other in _foreign(name)}
        for recording in person.recordings:
            assert recording.track_name in expected, f"{name} got {recording.track_name}"
            speaker = expected.pop(recording.track_name)
            strays = [w for other in people if other != speaker for w in words[other][:STRAYS]]
            jobs.append((recording, [*words[speaker], *strays]))
            owners.append((name, speaker))
        assert not expected, f"{name} never got {expected}"
    wrong = []
    missed: dict[tuple[str, str], list[set[int]]] = {}
    for (listener, speaker), (recording, _), heard in zip(owners, jobs, search(jobs), strict=True):
        order = [h.word_index for h in heard]
        all_words = range(len(words[speaker]))
        if order != sorted(set(order)) or not set(order) <= set(all_words):
            wrong.append(f"{listener} ← {speaker}: {order}")
        missed.setdefault((speaker, LANGUAGES[listener]), []).append(set(all_words) - set(order))
        spoken = languages_of(recording, heard)
        if spoken - {None} != {LANGUAGES[listener]}:  # of a voiceless word the marker may be unsure
            wrong.append(f"{listener} ← {speaker}: in {spoken}")
        assert audible(recording)
    for (speaker, language), ears in missed.items():
        # A track's listeners get the same packets: what reached one of them was translated and sent.
        if lost := set.intersection(*ears):
            wrong.append(f"nobody heard {sorted(lost)} of {speaker} in {language}")
    one_ear = sum(len(ear) for ears in missed.values() for ear in ears)
    if one_ear > ONE_EAR:
        wrong.append(f"{one_ear} words were missed by one of two listeners")
    assert not wrong, "\n".join(wrong)
