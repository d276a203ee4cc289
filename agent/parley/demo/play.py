"""The play: three people of three languages speak in turn and then over each other, and what came of it is
counted."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from parley.export.formats import as_json, to_jsonl, to_srt, to_vtt

from .audio import Pcm
from .export import lines_of, mixed, to_wav
from .people import Person
from .recording import Place
from .speech import Utterance, Word, countable_words, render, script
from .stage import DemoFailed, Stage
from .tally import Spoken, Tally, find_all, tally

CAST: Mapping[str, str] = {"ann": "en", "bruno": "fr", "carla": "de"}
"""Who plays, and the language that each speaks, hears and reads."""

PHRASE = 6
_TURN_S = 6.0
_STAGGER_S = 0.37
_QUIET_S = 6.0
_LONGEST_WAIT_S = 45.0
_POLL_S = 0.25
_WORKER_TIMEOUT_S = 30.0
_LAG_S = 0.6


@dataclass(frozen=True)
class Script:
    """What is said and when; `words` and `sounds` by speaker, prepared before anybody's clock runs."""

    lines: tuple[Utterance, ...]
    words: Mapping[str, tuple[Word, ...]]
    sounds: Mapping[str, Pcm]


def prepare() -> Script:
    """The script of one round: every one a phrase in turn, then all a phrase at once. Takes a second of
    computing."""
    count = 2 * PHRASE
    words = {
        name: countable_words(language, voice=index, count=count)
        for index, (name, language) in enumerate(CAST.items())
    }
    together_s = len(CAST) * _TURN_S
    phrase = dict.fromkeys(CAST, PHRASE)
    turns = script(phrase, starts={name: index * _TURN_S for index, name in enumerate(CAST)})
    chorus = script(phrase, starts={name: together_s + index * _STAGGER_S for index, name in enumerate(CAST)})
    lines = turns + tuple(replace(line, word=line.word + PHRASE) for line in chorus)
    return Script(lines, words, {name: render(lines, name, words[name]) for name in CAST})


@contextlib.asynccontextmanager
async def cast(stage: Stage, *, record: bool) -> AsyncIterator[dict[str, Person]]:
    """The people, in the room until the block is left. `record`: keep what they hear."""
    async with contextlib.AsyncExitStack() as resources:
        people = {}
        for name, language in CAST.items():
            attributes = {f"parley.{key}": language for key in ("speaks", "hears", "captions")}
            joining = Person.join(
                *(stage.url, stage.api_key, stage.api_secret, stage.room, name),
                attributes=attributes,
                hears=lambda track, _: track.startswith("parley:"),
                record=record,
            )
            people[name] = await resources.enter_async_context(joining)
        yield people


async def call_worker(stage: Stage, people: Iterable[Person], directory: Path) -> str:
    """Call the worker into the room and wait until everybody sees it there; returns its identity.

    `directory`: where its log is. Raises DemoFailed where it does not come.
    """
    await stage.call_worker()
    people = list(people)
    try:
        async with asyncio.timeout(_WORKER_TIMEOUT_S):
            while not all(seen := [_worker_of(person) for person in people]):
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        log = directory / "worker.log"
        raise DemoFailed(f"the worker did not come within {_WORKER_TIMEOUT_S:g} s: see {log}") from None
    return seen[0]


def _worker_of(person: Person) -> str:
    others = person.room.remote_participants.values()
    return next((other.identity for other in others if "parley.worker" in other.attributes), "")


async def perform(people: Mapping[str, Person], play: Script) -> list[Spoken]:
    """Say the script once; returns what was said when. Ends when the last has finished speaking."""
    begin_s = time.monotonic() + _LAG_S
    begun = {name: person.say(play.sounds[name], begin_s) for name, person in people.items()}
    for person in people.values():
        await person.quiet()
    return [Spoken(line.speaker, line.word, begun[line.speaker] + line.start_s) for line in play.lines]


async def silence(people: Mapping[str, Person]) -> None:
    """Wait until nobody has heard anything for some seconds: all that was to come has come."""
    until_s = time.monotonic() + _LONGEST_WAIT_S
    spoken_s = time.monotonic()
    while time.monotonic() < until_s:
        last_s = max(
            (recording.last_loud_s for person in people.values() for recording in person.recordings),
            default=0.0,
        )
        if time.monotonic() - max(last_s, spoken_s) > _QUIET_S:
            return
        await asyncio.sleep(_POLL_S)


def count(people: Mapping[str, Person], play: Script, spoken: list[Spoken]) -> list[Tally]:
    """Listener × speaker. Takes seconds of computing: call it in a thread."""
    rows = []
    for listener, person in people.items():
        belongs = {name: Place(name, CAST[listener]) for name in people if name != listener}
        rows += tally(listener, spoken, find_all(person.recordings, play.words), belongs)
    return rows


def write(people: Mapping[str, Person], directory: Path, origin_s: float) -> list[Path]:
    """Each one's transcript (JSONL, SRT, VTT) and what they heard (WAV), into an existing directory."""
    written = []
    began_at = datetime.now(UTC) - timedelta(seconds=time.monotonic() - origin_s)
    for name, person in people.items():
        lines = lines_of(person.captions, origin_s=origin_s)
        rows = to_jsonl(as_json(line, began_at) for line in lines)
        texts = {"jsonl": rows, "srt": to_srt(lines), "vtt": to_vtt(lines)}
        for suffix, text in texts.items():
            path = directory / f"{name}-reads.{suffix}"
            path.write_text(text, encoding="utf-8")
            written.append(path)
        path = directory / f"{name}-hears.wav"
        path.write_bytes(to_wav(mixed(person.recordings)))
        written.append(path)
    return written
