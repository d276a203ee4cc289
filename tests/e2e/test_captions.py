"""Captions: to those who read them, in the language that they read, with ids and attributes that hold."""

from __future__ import annotations

from itertools import groupby, pairwise

from parley.demo.people import Person
from parley.demo.recording import Caption

from .counting import gets, heard_once, publication, speech, track_name
from .venue import Venue

WORDS = 8


async def test_captions_reach_their_readers_only_interim_first_and_final_once(venue: Venue) -> None:
    room = await venue.room()
    said = speech("en", WORDS, phrase=4, pause_s=1.2)
    async with (
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr", captions="fr") as translation,
        venue.join(room, "eng", speaks="en", captions="en", microphone=False) as own_language,
        venue.join(room, "org", speaks="fr", captions="original", microphone=False) as original,
        venue.join(room, "non", speaks="fr", hears="fr", microphone=False) as nobody,
    ):
        await gets(translation, track_name("ann", "fr"))
        await gets(nobody, track_name("ann", "fr"))
        ann.say(said.pcm)
        await heard_once(nobody, "ann", "fr", said)
        for reader in (translation, own_language, original):
            await reader.until(lambda p: _written(p).count("word-") == WORDS, 15)
        track = publication(translation, track_name("ann", "fr"))
        (microphone,) = ann.room.local_participant.track_publications
        assert track is not None
        _check(translation, "translation", "fr", track.sid)
        for reader in (own_language, original):
            _check(reader, "source", "en", microphone)
        assert "[simulated fr]" in _written(translation)
        assert "[simulated source]" in _written(original)
        assert not nobody.captions
        assert not ann.captions
        (session,) = venue.sessions
        assert session.language == "fr", "one session gives the translation and both captions"


def _written(person: Person) -> str:
    """All that is final, in order."""
    return " ".join(caption.text for caption in person.captions if caption.final and caption.complete)


def _check(person: Person, kind: str, language: str, track_sid: str) -> None:
    captions = list(person.captions)
    for caption in captions:
        assert caption.sender == "ann"
        assert caption.kind == kind
        assert caption.language == language
        assert caption.attributes["lk.transcribed_track_id"] == track_sid
        assert caption.attributes["lk.transcription_final"] in ("true", "false")
    segments = [list(group) for _, group in groupby(captions, key=lambda c: c.segment_id)]
    assert len(segments) == len({caption.segment_id for caption in captions}), "segments do not mix"
    for versions in segments:
        _grows(versions)


def _grows(versions: list[Caption]) -> None:
    assert [v.final for v in versions] == [False] * (len(versions) - 1) + [True]
    assert len(versions) > 1, "interim first"
    for earlier, later in pairwise(versions):
        assert later.text.startswith(earlier.text), "append-only"
