"""Who says what in a meeting, and what else people and the API do at random."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from dataclasses import dataclass, field
from math import inf

from bench.soak_room import FRAME_S, SILENCE, WORDS, Publication, Room, word
from fakes.room import FakeParticipant

WORD_S = 2 * FRAME_S
_SILENT_S = 90.0
"""In which nobody speaks at the end, so that all that was said comes out."""


@dataclass(frozen=True)
class Manners:
    """How people talk and what happens, in seconds and times per hour."""

    people: tuple[int, int] = (3, 7)
    """In the room, at least and at most."""
    pool: int = 40
    """People who come and go."""
    languages: tuple[str, ...] = ("en", "fr", "de", "es")
    turn_s: float = 7.0
    """Mean; a turn takes 2 to 20 s."""
    pause_s: float = 1.0
    """Mean of the pauses between turns."""
    overlap: float = 0.05
    """Share of turns that begin before the one before them has ended."""
    lecture_s: float = 0.0
    """One speaks for so long, with breaths; longer than a session lives."""
    lecture_every_s: float = 4 * 3600.0
    comings: float = 12.0
    changes: float = 12.0
    republished: float = 6.0
    mutes: float = 6.0
    declines: float = 1.0
    faults: float = 6.0


@dataclass(eq=False)
class Person:
    """Somebody with an open microphone."""

    identity: str
    microphone: Publication
    frames: deque[tuple[bytes, int | None]] = field(default_factory=deque)
    """What they are about to say: each frame, and the number of the word in it."""
    silent_until: float = 0.0
    """Muted until then."""
    half: set[int] = field(default_factory=set)
    """Places in `Room.heard` of translations that were fed the first half of the word that is being said."""


class Talk:
    """Runs a meeting in steps of one microphone frame."""

    def __init__(self, room: Room, manners: Manners, rng: random.Random) -> None:
        self.room = room
        self.manners = manners
        self.people: dict[str, Person] = {}
        self.did: Counter[str] = Counter()
        self.spoken_s = 0.0
        """In which somebody spoke."""
        self._rng = rng
        self._next_turn = 0.0
        self._next_lecture = manners.lecture_every_s / 4
        self._number = 0

    @property
    def now(self) -> float:
        return asyncio.get_running_loop().time()

    async def run(self, duration_s: float, most_wall_s: float) -> None:
        """The meeting; at its end everybody is silent. It ends before its time when it takes too long."""
        began, looked = self.now, time.perf_counter()
        self._next_turn = began + 2.0
        self._next_lecture += began
        ends, step = began + duration_s, 0
        while self.now < ends:
            if time.perf_counter() - looked > most_wall_s:
                ends = min(ends, self.now + _SILENT_S)
                most_wall_s = inf
            if self.now < ends - _SILENT_S:
                self._happen()
                self._take_turns()
            self._speak()
            step += 1
            await asyncio.sleep(began + step * FRAME_S - self.now)

    def end(self) -> None:
        """Everybody goes."""
        while self.people:
            self.leave()

    # What happens

    def _happen(self) -> None:
        manners, (least, most) = self.manners, self.manners.people
        while len(self.people) < least:
            self.join()
        if self._chance(manners.comings):
            leaves = len(self.people) >= most or (len(self.people) > least and self._rng.random() < 0.5)
            self.leave() if leaves else self.join()
        if self._chance(manners.changes):
            self._change()
        if self._chance(manners.republished):
            self._republish()
        if self._chance(manners.mutes):
            self._mute()
        if self._chance(manners.declines):
            self._decline()
        if self._chance(manners.faults):
            kind, duration_s = self._rng.choice(("drop", "stall", "503")), self._rng.choice((0.1, 2.0, 10.0))
            self.room.api.fail(kind, duration_s)
            self.did[kind] += 1

    def _chance(self, per_hour: float) -> bool:
        return self._rng.random() < per_hour * FRAME_S / 3600.0

    def join(self, identity: str | None = None, language: str | None = None) -> None:
        """Somebody comes."""
        away = [f"p{n}" for n in range(self.manners.pool) if f"p{n}" not in self.people]
        identity = identity or self._rng.choice(away)
        language = language or self._rng.choice(self.manners.languages)
        attributes = {"parley.speaks": language, "parley.hears": language}
        if self._rng.random() < 0.5:
            attributes["parley.captions"] = language
        self.room.join(FakeParticipant(identity, attributes))
        self.people[identity] = Person(identity, self.room.microphone(identity))
        self.did["join"] += 1

    def leave(self) -> None:
        """Somebody goes, perhaps in the middle of a word."""
        person = self._somebody()
        del self.people[person.identity]
        self._end_word(person)
        self.room.leave(person.identity)
        self.did["leave"] += 1

    def _change(self) -> None:
        language = self._rng.choice(self.manners.languages)
        wanted = {"hears": language, "captions": self._rng.choice((language, "off"))}
        if self._rng.random() < 0.3:
            wanted["speaks"] = language
        self.room.change(self._somebody().identity, **wanted)
        self.did["change"] += 1

    def _republish(self) -> None:
        person = self._somebody()
        old, person.microphone = person.microphone, self.room.microphone(person.identity)
        self.room.unpublish(person.identity, old)
        self.did["republish"] += 1

    def _mute(self) -> None:
        person = self._somebody()
        person.silent_until = self.now + self._rng.uniform(0.2, 20.0)
        self.did["mute"] += 1

    def _decline(self) -> None:
        person = self._somebody()
        for heard in self.room.heard:
            heard.declined = heard.declined or heard.speaker == person.identity
        self.room.change(person.identity, consent="declined")
        asyncio.get_running_loop().call_later(60.0, self._consent, person)
        self.did["decline"] += 1

    def _consent(self, person: Person) -> None:
        if self.people.get(person.identity) is person:
            self.room.change(person.identity, consent="granted")

    def _somebody(self) -> Person:
        return self.people[self._rng.choice(sorted(self.people))]

    # What is said

    def _take_turns(self) -> None:
        now, manners, rng = self.now, self.manners, self._rng
        if now < self._next_turn:
            return
        silent = [p for p in self.people.values() if not p.frames]
        if not silent:
            return
        person = rng.choice(silent)
        turn_s = min(20.0, max(2.0, rng.expovariate(1 / manners.turn_s)))
        if manners.lecture_s and now >= self._next_lecture:
            turn_s = manners.lecture_s
            self._next_lecture = now + manners.lecture_every_s
            self.did["lecture"] += 1
        self._say(person, turn_s)
        takes_s = len(person.frames) * FRAME_S
        overlaps = rng.random() < manners.overlap
        self._next_turn = (
            now + takes_s + (-min(2.0, takes_s / 2) if overlaps else rng.expovariate(1 / manners.pause_s))
        )
        self.did["turn"] += 1

    def _say(self, person: Person, turn_s: float) -> None:
        breath = self._rng.randint(6, 14)
        while len(person.frames) * FRAME_S < turn_s:
            self._number = (self._number + 1) % WORDS
            person.frames.extend((frame, self._number) for frame in word(self._number))
            self.did["word"] += 1
            breath -= 1
            if breath == 0:
                breath = self._rng.randint(6, 14)
                person.frames.extend([(SILENCE, None)] * self._rng.randint(2, 4))

    def _speak(self) -> None:
        """Every microphone delivers one frame."""
        now = self.now
        self.spoken_s += FRAME_S * any(person.frames for person in self.people.values())
        for person in self.people.values():
            frame, number = person.frames.popleft() if person.frames else (SILENCE, None)
            muted = now < person.silent_until
            if person.microphone.muted != muted:
                person.microphone.muted = muted
                event = "track_muted" if muted else "track_unmuted"
                self.room.emit(event, self.room.remote_participants[person.identity], person.microphone)
            deliver = None if muted else self.room.layer.streams.get(person.microphone.track)
            if deliver is not None:
                deliver(frame, now)
            self._follow(person, number, delivered=deliver is not None)

    def _follow(self, person: Person, number: int | None, *, delivered: bool) -> None:
        """Writes down which translations were fed the word, and whether all of it."""
        if number is None:
            return
        feeding = [h for h in self.room.heard if h.open and h.speaker == person.identity] if delivered else []
        if self.room.last.get(person.identity) != number:  # its first half
            self.room.last[person.identity] = number
            person.half = set(map(id, feeding))
            return
        for heard in self.room.heard:
            first, second = id(heard) in person.half, heard in feeding
            if first or second:
                heard.fed(number, whole=first and second)
        person.half = set()

    def _end_word(self, person: Person) -> None:
        number = self.room.last.get(person.identity)
        for heard in self.room.heard:
            if number is not None and id(heard) in person.half:
                heard.fed(number, whole=False)
        person.half = set()
