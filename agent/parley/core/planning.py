"""Planning: from routes and preferences to the bridges and agents that should run."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Literal

from .model import OFF, ORIGINAL, RECORD, BridgeKey, BridgeSpec, Roster, Routes
from .preferences import shown


@dataclass(frozen=True, slots=True, order=True)
class Refusal:
    """One session too many for one participant, who speaks in it or would be served by it."""

    key: BridgeKey
    who: str
    limit: int

    def __str__(self) -> str:
        what = "be translated in" if self.who == self.key.speaker else "be served by"
        return f"{shown(self.who)!r} may {what} {self.limit} sessions at a time"


@dataclass(frozen=True, slots=True)
class Plan:
    """What changes: stop first, then change, then start."""

    stop: tuple[BridgeKey, ...]
    change: tuple[BridgeSpec, ...]
    start: tuple[BridgeSpec, ...]
    refused: tuple[BridgeKey, ...]
    """Wanted, but above the room's session cap."""


Writer = Callable[[str, Sequence[str]], str]
"""Given a speaker and the languages of their translations, the language of the bridge that writes down their
own words; ORIGINAL: one that does nothing else."""


def first_translation(speaker: str, languages: Sequence[str]) -> str:
    """The plain choice of a `Writer`, without memory."""
    return languages[0] if languages else ORIGINAL


def desired(routes: Sequence[Routes], writer: Writer = first_translation) -> dict[BridgeKey, BridgeSpec]:
    """One bridge per (speaker, language), shared by all who hear or read it; `routes` in their order.

    The speaker's own words come from one of the speaker's translations: their sessions can transcribe what
    they hear, and one per speaker is enough. A bridge under `ORIGINAL` does it where there is none.
    """
    nobody: frozenset[str] = frozenset()
    specs: dict[BridgeKey, BridgeSpec] = {}
    languages: dict[str, list[str]] = {}
    for route in routes:
        if route.language != ORIGINAL:
            key = BridgeKey(route.speaker, route.language)
            specs[key] = BridgeSpec(key, route.listeners, route.readers, nobody)
            languages.setdefault(route.speaker, []).append(route.language)
    for route in routes:
        if route.language == ORIGINAL:
            key = BridgeKey(route.speaker, writer(route.speaker, languages.get(route.speaker, ())))
            spec = specs.get(key) or BridgeSpec(key, nobody, nobody, nobody)
            specs[key] = spec._replace(source_readers=route.readers)
    return specs


def limited(
    wanted: Mapping[BridgeKey, BridgeSpec], running: Mapping[BridgeKey, BridgeSpec], most: int
) -> tuple[dict[BridgeKey, BridgeSpec], tuple[Refusal, ...]]:
    """What of `wanted` is within the limit of each participant: `most` sessions of which one is the speaker,
    and `most` by which one is served as a listener or reader.

    What runs, and for whom, keeps its place before anything new gets one. The record is nobody who could
    have too many.
    """
    running_for = {key: _served(spec) for key, spec in running.items()}
    pairs = [(key, who) for key, spec in wanted.items() for who in _served(spec)]
    pairs.sort(key=lambda pair: (pair[1] not in running_for.get(pair[0], ()), pair[0] not in running, pair))
    spoken: Counter[str] = Counter()
    served: Counter[str] = Counter()
    granted: dict[BridgeKey, set[str]] = {}
    refused: set[Refusal] = set()
    for key, who in pairs:
        if key not in granted and spoken[key.speaker] >= most:
            refused.add(Refusal(key, key.speaker, most))
        elif who != RECORD and served[who] >= most:
            refused.add(Refusal(key, who, most))
        else:
            spoken[key.speaker] += key not in granted
            served[who] += 1
            granted.setdefault(key, set()).add(who)
    found = {key: _only(wanted[key], granted[key]) for key in sorted(granted)}
    return found, tuple(sorted(refused))


def _served(spec: BridgeSpec) -> frozenset[str]:
    return spec.listeners | spec.readers | spec.source_readers


def _only(spec: BridgeSpec, who: Set[str]) -> BridgeSpec:
    return BridgeSpec(spec.key, spec.listeners & who, spec.readers & who, spec.source_readers & who)


def plan(wanted: Mapping[BridgeKey, BridgeSpec], running: Mapping[BridgeKey, BridgeSpec], cap: int) -> Plan:
    """What to stop, change and start so that `running` becomes `wanted`, at most `cap` bridges.

    What runs keeps its place under the cap before anything new gets one, and what somebody asked for gets it
    before what is only for the record.
    """
    stop = tuple(sorted(key for key in running if key not in wanted))
    kept = [key for key in running if key in wanted]
    change = tuple(wanted[key] for key in sorted(kept) if wanted[key] != running[key])
    new = [key for key in wanted if key not in running]
    new.sort(key=lambda key: (_served(wanted[key]) == {RECORD}, key))
    room = max(0, cap - len(kept))
    return Plan(stop, change, tuple(wanted[key] for key in new[:room]), tuple(new[room:]))


@dataclass(frozen=True, slots=True)
class Wanted:
    """One agent that should run: beside whom, and who hears it."""

    name: str
    beside: str
    hears: frozenset[str]
    """Identities whose microphones it hears, and that hear it."""


def wanted(roster: Roster, audience: Callable[[str], Literal["participant", "room"]]) -> dict[str, Wanted]:
    """Key → agent. A participant's own agent has the participant's identity for key, a room's its name."""
    people = {p.identity: p for p in roster.values() if p.is_person and p.preferences.consent}
    found: dict[str, Wanted] = {}
    for identity, person in sorted(people.items()):
        name = person.preferences.agent
        if name == OFF:
            continue
        if audience(name) == "participant":
            found[f"of {identity}"] = Wanted(name, identity, frozenset([identity]))
        else:
            first = found.get(f"room {name}")
            beside = first.beside if first is not None else identity
            found[f"room {name}"] = Wanted(name, beside, frozenset(people))
    return found
