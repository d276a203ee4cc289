"""`parley estimate`: what a room will cost before it is held, as a table or as JSON."""

import argparse
import json
import math
import re
import sys
from dataclasses import asdict
from typing import Any

from . import config
from .core.estimate import (
    AgentTalk,
    Mode,
    Models,
    People,
    Talk,
    always_on,
    captions_only,
    translated,
    voice_agents,
)
from .core.language import OUTPUT_LANGUAGES, is_tag, primary
from .core.tail import TailPolicy
from .errors import SettingsError

MOST_PEOPLE = 100_000
MOST_MINUTES = 100_000.0
_GROUPS = "language=number, comma-separated, such as en=2,fr=2,de=2; languages: " + " ".join(OUTPUT_LANGUAGES)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Who is in the room, for how long, and how much they speak."""
    parser.add_argument("--people", metavar="LANGUAGE=N,…", help="who speaks, and hears in their language")
    parser.add_argument("--listeners", metavar="LANGUAGE=N,…", help="who only listens")
    parser.add_argument("--minutes", metavar="M", default="60", help="how long (60)")
    default = Talk()
    parser.add_argument(
        "--talk-share",
        metavar="S",
        default=str(default.share),
        help=f"share of the time in which somebody speaks, 0 to 1 ({default.share:g})",
    )
    parser.add_argument(
        "--turn-s",
        metavar="S",
        default=str(default.turn_s),
        help=f"seconds that one speaks before another does ({default.turn_s:g})",
    )
    parser.add_argument("--agents", metavar="N", default="0", help="people who talk with a voice agent (0)")
    parser.add_argument("--agent-minutes", metavar="M", help="how long each of them does (--minutes)")
    parser.add_argument("--json", action="store_true", help="as JSON")


def run(args: argparse.Namespace) -> int:
    """Prints the estimate. Raises SettingsError for what makes no sense."""
    told = config.load_for_estimate()
    agents = int(_number("--agents", args.agents, 0, MOST_PEOPLE, whole=True))
    people = People(
        _groups("--people", args.people, needed=not agents),
        _groups("--listeners", args.listeners),
        told.export.own_words == "all",
    )
    minutes = _number("--minutes", args.minutes, 0, MOST_MINUTES)
    agent_minutes = _number("--agent-minutes", args.agent_minutes or args.minutes, 0, MOST_MINUTES)
    talk = Talk(
        share=_number("--talk-share", args.talk_share, 0, 1),
        turn_s=_number("--turn-s", args.turn_s, 0.1, 86_400),
        pre_roll_s=told.vad.pre_roll_s,
        silence_s=told.vad.silence_s,
        tail=TailPolicy(least_s=told.translation.tail_least_s, most_s=told.translation.tail_most_s),
    )
    models = Models(told.translation.model, told.captions.model, told.voice_agent.model, told.prices.read())
    modes = [
        translated(people.demand, minutes, talk, models),
        always_on(people.demand, minutes, models),
        captions_only(people.demand, minutes, talk, models),
    ]
    agents_mode = voice_agents(agents, agent_minutes, AgentTalk(), models) if agents else None
    show = _as_json if args.json else _as_table
    sys.stdout.write(show(people, minutes, talk, models, modes, agents_mode))
    return 0


def _groups(name: str, given: str | None, *, needed: bool = False) -> dict[str, int]:
    if given is None and not needed:
        return {}
    if given is None:
        raise SettingsError(name, None, _GROUPS)
    groups: dict[str, int] = {}
    for part in given.split(","):
        found = re.fullmatch(r"\s*([A-Za-z0-9-]+)\s*=\s*([0-9]{1,6})\s*", part)
        if found is None or not is_tag(found[1]) or primary(found[1]) not in OUTPUT_LANGUAGES:
            raise SettingsError(name, given, _GROUPS)
        language = primary(found[1])
        groups[language] = groups.get(language, 0) + int(found[2])
    if not 0 < sum(groups.values()) <= MOST_PEOPLE:
        raise SettingsError(name, given, f"1 to {MOST_PEOPLE} people")
    return groups


def _number(name: str, given: str, least: float, most: float, *, whole: bool = False) -> float:
    try:
        number = float(given)
    except ValueError:
        number = math.nan
    if not least <= number <= most or (whole and number != int(number)):
        kind = "a whole number" if whole else "a number"
        raise SettingsError(name, given, f"{kind} from {least:g} to {most:g}")
    return number


def _as_table(
    people: People, minutes: float, talk: Talk, models: Models, modes: list[Mode], agents: Mode | None
) -> str:
    languages = ", ".join(people.languages) or "none"
    lines = [
        f"{people.count} people, {people.speakers} of them speaking; languages: {languages}; "
        f"{minutes:g} minutes, somebody speaks {talk.share:.0%} of them",
        "",
        f"{'':16}{'sessions':>10}{'minutes':>12}{'USD':>12}{'':>10}",
    ]
    parley = modes[0]
    for mode in [*modes, *([agents] if agents is not None else [])]:
        times = f"{mode.usd / parley.usd:9.1f}×" if parley.usd and mode in modes else ""
        lines.append(f"{mode.name:16}{mode.sessions:10d}{mode.minutes:12.1f}{mode.usd:12.2f}{times:>10}")
    lines += [
        "",
        f"{models.translation}, {models.transcription}, {models.voice_agent} "
        f"at prices as of {models.prices.as_of}",
        f"turns of {talk.turn_s:g} s; sent with each: {talk.pre_roll_s + talk.silence_s:g} s around it, "
        f"{talk.tail_s:.3g} s after it",
    ]
    return "".join(f"{line.rstrip()}\n" for line in lines)


def _as_json(
    people: People, minutes: float, talk: Talk, models: Models, modes: list[Mode], agents: Mode | None
) -> str:
    found: dict[str, Any] = {
        "people": people.count,
        "speakers": people.speakers,
        "languages": people.languages,
        "minutes": minutes,
        "talk_share": talk.share,
        "turn_s": talk.turn_s,
        "tail_s": talk.tail_s,
        "modes": [asdict(mode) for mode in modes],
        "voice_agents": None if agents is None else asdict(agents),
        "prices_as_of": models.prices.as_of,
    }
    return json.dumps(found, ensure_ascii=False) + "\n"
