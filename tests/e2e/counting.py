"""Speech that can be counted, and the counting of it at the far end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from livekit import rtc
from parley.demo.audio import Pcm
from parley.demo.listening import Heard, find_words
from parley.demo.people import Person
from parley.demo.recording import Recording
from parley.demo.speech import SAMPLE_RATE_HZ, Word, countable_words, render, script
from parley.simulator import language_of, word_sound

PERIOD_S = 0.83
WORD_S = 0.4
_TAIL_S = 20.0
_AUDIBLE_PEAK = 200
_MANGLED = 0.25
THRESHOLD = 0.55
"""Of the matched filter: a word with short gaps in it, as a busy machine makes them, still counts."""


@dataclass(frozen=True, eq=False)
class Speech:
    """What one speaker says: the words, when each starts, and the sound, `int16[n]` mono at 24 kHz."""

    words: tuple[Word, ...]
    starts_s: tuple[float, ...]
    pcm: Pcm

    @property
    def ends_s(self) -> float:
        """When the last word is over."""
        return self.starts_s[-1] + WORD_S


def speech(
    language: str, count: int, *, voice: int = 0, phrase: int = 6, pause_s: float = 1.5, first: int = 0
) -> Speech:
    """`count` words, each said once, in phrases; `first` takes other words than those from 0 on."""
    words = countable_words(language, voice=voice, count=24)
    words = (*words, *countable_words(language, voice=voice + 6, count=24))[first : first + count]
    lines = script({"me": count}, period_s=PERIOD_S, phrase=phrase, pause_s=pause_s)
    starts = tuple(line.start_s for line in lines)
    return Speech(words, starts, render(lines, "me", words, duration_s=starts[-1] + WORD_S + 0.05))


_WORDS = countable_words("en", voice=4, count=24)


def pronounce(word: str) -> Pcm:
    """How the simulator says a word: `w0` to `w23` are words that can be counted at the far end."""
    number = word.removeprefix("w")
    if word.startswith("w") and number.isdigit() and int(number) < len(_WORDS):
        return _WORDS[int(number)].pcm
    return word_sound(word)


def spoken(begin: int, count: int) -> tuple[str, Speech]:
    """What a scripted agent says so that its words can be counted: the text, and the words."""
    words = tuple(_WORDS[begin : begin + count])
    text = " ".join(f"w{begin + place}" for place in range(count))
    return text, Speech(words, tuple(0.4 * place for place in range(count)), np.zeros(0, np.int16))


def both(first: Speech, second: Speech) -> Speech:
    """The words of two speeches, one after the other; only for counting."""
    return Speech((*first.words, *second.words), (*first.starts_s, *second.starts_s), first.pcm[:0])


def first(said: Speech, count: int) -> Speech:
    """The first words of a speech; only for counting."""
    return Speech(said.words[:count], said.starts_s[:count], said.pcm[:0])


def translated(name: str, _publisher: str) -> bool:
    """Which tracks a listener asks for: everything that a worker translates, also what is not theirs."""
    return name.startswith("parley:")


def track_name(speaker: str, language: str) -> str:
    """As SURFACE.md names it."""
    return f"parley:{speaker}:{language}"


def recordings(listener: Person, name: str) -> list[Recording]:
    """What the listener got under a track name; a republished track is a second one."""
    return [recording for recording in listener.recordings if recording.track_name == name]


async def gets(listener: Person, name: str, within_s: float = 25.0) -> None:
    """Waits until the listener is subscribed to a track that is published now."""
    try:
        await listener.until(lambda person: bool(_subscribed(person, name)), within_s)
    except TimeoutError:
        raise AssertionError(f"{listener.identity} does not get {name}; {_tracks(listener)}") from None


async def attended(*speakers: Person) -> None:
    """The worker listens to them."""
    for speaker in speakers:
        for publication in speaker.room.local_participant.track_publications.values():
            await asyncio.wait_for(publication.wait_for_subscription(), 20)
    await asyncio.sleep(1)  # sound flows a little later than that, which nothing tells


async def gets_and_keeps(listener: Person, name: str, still_s: float = 1.0, within_s: float = 25.0) -> None:
    """Waits until the listener is subscribed to a track, and stays so for a while.

    For what comes after changes that the worker has seen to, and the server may have not.
    """
    deadline = time.monotonic() + within_s
    held, since = _subscribed(listener, name), time.monotonic()
    while not held or time.monotonic() - since < still_s:
        assert time.monotonic() < deadline, f"{listener.identity} does not keep {name}; {_tracks(listener)}"
        await asyncio.sleep(0.02)
        if (now := _subscribed(listener, name)) != held:
            held, since = now, time.monotonic()


def _subscribed(listener: Person, name: str) -> list[Recording]:
    """What a listener is getting under a track name: of a track that is published, and subscribed."""
    published = {track.sid for track in _publications(listener, name) if track.subscribed}
    return [r for r in recordings(listener, name) if not r.ended and r.track_sid in published]


def _tracks(listener: Person) -> str:
    """What a listener has got so far, for a failure."""
    return f"tracks: {[(r.track_name, 'ended' if r.ended else 'live') for r in listener.recordings]}"


def publication(listener: Person, name: str) -> rtc.RemoteTrackPublication | None:
    """A track that is published in the listener's room, subscribed or not."""
    return next(iter(_publications(listener, name)), None)


def _publications(listener: Person, name: str) -> list[rtc.RemoteTrackPublication]:
    return [
        track
        for participant in listener.room.remote_participants.values()
        for track in participant.track_publications.values()
        if track.name == name
    ]


async def heard_out(listener: Person, name: str, said: Speech, within_s: float = 25.0) -> None:
    """Waits until the last word was heard on a track, and the track rests: nothing more is to come."""
    last = said.words[-1]
    deadline = time.monotonic() + within_s
    while True:
        for recording in recordings(listener, name):
            tail = recording.pcm[-round(_TAIL_S * SAMPLE_RATE_HZ) :]
            if await asyncio.to_thread(find_words, tail, SAMPLE_RATE_HZ, (last,), threshold=THRESHOLD):
                break
        else:
            if time.monotonic() > deadline:
                got = [f"{r.duration_s:.1f} s" for r in recordings(listener, name)]
                found = await asyncio.to_thread(words_on, listener, name, said)
                got += [f"words {found}", f"events {list(listener.events)}"]
                got += [f"at its most alike {await asyncio.to_thread(_likeness, listener, name, last)}"]
                raise AssertionError(f"{listener.identity} never heard {last.text!r} on {name}; got {got}")
            await asyncio.sleep(0.2)
            continue
        break
    await rests(listener, name)


async def rests(listener: Person, name: str, within_s: float = 40.0) -> None:
    """Waits until a track says nothing more: it is muted after the tail of what was said."""
    deadline = time.monotonic() + within_s
    while (track := publication(listener, name)) is not None and not track.muted:
        assert time.monotonic() < deadline, f"{name} goes on after its last word"
        await asyncio.sleep(0.05)


def _likeness(listener: Person, name: str, word: Word) -> list[str]:
    """Where a track comes nearest to a missing word: a mangled word is another fault than a lost one."""
    heard = [
        h
        for r in recordings(listener, name)
        for h in find_words(r.pcm, SAMPLE_RATE_HZ, (word,), threshold=_MANGLED)
    ]
    best = sorted(heard, key=lambda h: -h.score)[:3]
    return [f"{h.score:.2f} at {h.start_s:.2f} s" for h in best]


def words_on(listener: Person, name: str, said: Speech, *others: Speech) -> list[int]:
    """Which words of `said` are on a track, in their order; a word of `others` counts as −1."""
    templates = [*said.words, *(word for other in others for word in other.words)]
    found: list[int] = []
    for recording in recordings(listener, name):
        heard = find_words(recording.pcm, SAMPLE_RATE_HZ, templates, threshold=THRESHOLD)
        found += [h.word_index if h.word_index < len(said.words) else -1 for h in heard]
    return found


async def hears_all(listener: Person, name: str, said: Speech, within_s: float = 20.0) -> list[int]:
    """Waits until every word was heard on a track, which need not rest; returns all that were found."""
    everything = set(range(len(said.words)))
    deadline = time.monotonic() + within_s
    while not set(found := await asyncio.to_thread(words_on, listener, name, said)) >= everything:
        assert time.monotonic() < deadline, f"{listener.identity} on {name}: {found}"
        await asyncio.sleep(0.5)
    return found


async def heard_once(listener: Person, speaker: str, language: str, said: Speech, *never: Speech) -> None:
    """Asserts that the listener heard every word of `said` once, in order, on the track where it belongs.

    And none of `never`.
    """
    name = track_name(speaker, language)
    await heard_out(listener, name, said)
    found = await asyncio.to_thread(words_on, listener, name, said, *never)
    assert found == list(range(len(said.words))), f"{listener.identity} on {name}: {found}"


def languages_of(recording: Recording, heard: Sequence[Heard]) -> set[str | None]:
    """The languages in which the words of a recording are spoken, by the simulator's marker."""
    pcm = recording.pcm
    spans = [(round(h.start_s * SAMPLE_RATE_HZ), round((h.start_s + WORD_S) * SAMPLE_RATE_HZ)) for h in heard]
    return {language_of(pcm[max(0, begin) : end]) for begin, end in spans}


def search(jobs: Sequence[tuple[Recording, Sequence[Word]]]) -> list[list[Heard]]:
    """`find_words` for many recordings, two at a time. Takes seconds: call it in a thread."""
    with ThreadPoolExecutor(2) as pool:
        return list(
            pool.map(lambda job: find_words(job[0].pcm, SAMPLE_RATE_HZ, job[1], threshold=THRESHOLD), jobs)
        )


def audible(recording: Recording) -> bool:
    """Whether anything in a recording is louder than −44 dBFS."""
    pcm = recording.pcm
    return bool(len(pcm)) and int(np.abs(pcm.astype(np.int32)).max()) > _AUDIBLE_PEAK


def events(person: Person, kind: str) -> list[dict[str, object]]:
    """What a person was told on `parley.events` of one kind."""
    return [event for event in person.events if event.get("event") == kind]


async def told(person: Person, kind: str, within_s: float = 20.0, count: int = 1) -> dict[str, object]:
    """Waits for an event of this kind; returns the newest."""
    try:
        await person.until(lambda p: len(events(p, kind)) >= count, within_s)
    except TimeoutError:
        raise AssertionError(f"{person.identity} was not told {kind}: {list(person.events)}") from None
    return events(person, kind)[-1]
