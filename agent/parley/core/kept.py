"""What the record of a room is kept as, so that it goes on in another process: JSON, and back."""

from dataclasses import dataclass, fields
from typing import Any

from .accounts import KINDS, Line, Metered
from .model import Preferences
from .usage import Tokens

_TOKENS = tuple(one.name for one in fields(Tokens))


@dataclass(slots=True)
class Person:
    """What is remembered of somebody."""

    preferences: Preferences
    since: float | None
    """When they came, if they are here."""
    languages: set[str]
    """What they have heard or read, in turn."""
    present_s: float = 0.0
    spoken_s: float = 0.0
    arrivals: int = 1
    declined: bool = False
    returning: bool = False
    """They were here when a job died: that they are seen again is no arrival."""

    def as_json(self, now: float) -> dict[str, Any]:
        """For `person_of`; of who declined nothing is told."""
        if self.declined:
            return {"declined": True}
        here = self.since is not None or self.returning
        return {
            "speaks": self.preferences.speaks,
            "languages": sorted(self.languages),
            "present_s": self.present_s + (now - self.since if self.since is not None else 0.0),
            "spoken_s": self.spoken_s,
            "arrivals": self.arrivals,
            "here": here,
        }


@dataclass(frozen=True, slots=True)
class Kept:
    """A record as it was. What it says of events and sessions is in the form of the summary."""

    duration_s: float
    people: dict[str, Person]
    others: int
    most_at_once: int
    spoken_s: float
    spans: dict[str, tuple[float, dict[str, int]]]
    lost_s: dict[str, float]
    counts: dict[str, int]
    events: list[tuple[float, str, str | None, str | None, str]]
    lines: list[tuple[Line, Metered]]
    sessions: list[dict[str, Any]]
    inherited_usd: float
    estimated_usd: float
    always_on_usd: float


def line_as_json(line: Line, used: Metered) -> list[Any]:
    """What was metered on one line."""
    tokens = [getattr(used.tokens, name) for name in _TOKENS]
    return [line.kind, line.speaker, line.language, used.sessions, used.audio_s, tokens, used.usd]


def read(given: Any) -> Kept:
    """A record from what `Record.keep` gave. Raises ValueError for anything else."""
    try:
        return Kept(
            duration_s=float(given["duration_s"]),
            people={str(identity): _person(one) for identity, one in given["people"].items()},
            others=int(given["others"]),
            most_at_once=int(given["most_at_once"]),
            spoken_s=float(given["spoken_s"]),
            spans={
                str(language): (
                    float(one["longest_s"]),
                    {str(int(k)): int(n) for k, n in one["bins"].items()},
                )
                for language, one in given["ear_voice_span_s"].items()
            },
            lost_s={str(where): float(lost_s) for where, lost_s in given["lost_s"].items()},
            counts={str(event): int(number) for event, number in given["events"]["counts"].items()},
            events=[
                (float(e["at_s"]), str(e["event"]), e["speaker"], e["language"], str(e["detail"]))
                for e in given["events"]["newest"]
            ],
            lines=[_line(one) for one in given["lines"]],
            sessions=[dict(one) for one in given["sessions"]],
            inherited_usd=float(given["inherited_usd"]),
            estimated_usd=float(given["estimate"]["usd"]),
            always_on_usd=float(given["estimate"]["always_on_usd"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError) as e:
        raise ValueError(f"not the record of a room: {type(e).__name__}: {e}") from e


def _person(given: Any) -> Person:
    if given.get("declined"):
        return Person(Preferences(consent=False), None, set(), declined=True, arrivals=0)
    return Person(
        Preferences(speaks=str(given["speaks"])),
        None,
        {str(language) for language in given["languages"]},
        present_s=float(given["present_s"]),
        spoken_s=float(given["spoken_s"]),
        arrivals=int(given["arrivals"]),
        returning=bool(given["here"]),
    )


def _line(given: Any) -> tuple[Line, Metered]:
    kind, speaker, language, sessions, audio_s, tokens, usd = given
    if kind not in KINDS:
        raise ValueError(f"{kind!r} is not metered")
    used = Metered(int(sessions), float(audio_s), Tokens(*map(int, tokens)), float(usd))
    return Line(kind, None if speaker is None else str(speaker), str(language)), used
