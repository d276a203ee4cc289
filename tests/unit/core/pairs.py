"""Routes listener by listener, as a test names them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal, NamedTuple

from parley.core.model import Routes


class Route(NamedTuple):
    """`listener` gets `speaker` in `language`."""

    speaker: str
    listener: str
    language: str
    media: Literal["audio", "text"]


def expanded(found: Iterable[Routes]) -> set[Route]:
    """One by one."""
    heard = {Route(r.speaker, who, r.language, "audio") for r in found for who in r.listeners}
    return heard | {Route(r.speaker, who, r.language, "text") for r in found for who in r.readers}


def together(pairs: Iterable[Route]) -> list[Routes]:
    """By speaker and language, in that order."""
    given = set(pairs)
    keys = sorted({(pair.speaker, pair.language) for pair in given})
    return [
        Routes(
            *key,
            frozenset(p.listener for p in given if (p.speaker, p.language) == key and p.media == "audio"),
            frozenset(p.listener for p in given if (p.speaker, p.language) == key and p.media == "text"),
        )
        for key in keys
    ]
