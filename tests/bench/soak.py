"""A day in one room on virtual time, and what an hour in it costs.

    python tests/bench/soak.py --hours 24
    python tests/bench/soak.py --cost

The room's own code is run (supervisor, gate, bridges, playout, the plugin's protocol) against the simulator's
sessions; in place of LiveKit stand a room in memory, microphones with numbered words, and tracks that count
them. People talk in turns and lecture, come and go, change their language, their microphone and their
consent; the API drops, stalls and refuses. The exit status is 1 if a word was doubled, or lost and not
announced, if anything grows, or if something is left over.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bench.soak_flat import Growth
from bench.soak_meeting import Meeting, Outcome, hold
from bench.soak_talk import WORD_S, Manners
from parley import cli
from parley.core.accounts import MOST_SESSIONS
from parley.core.spoken import STRETCHES
from parley.core.summary import MOST_EVENTS
from parley.room.minutes import MOST_RECENT

DAY = Manners(pool=12, languages=("en", "fr", "de"), pause_s=12.0, lecture_s=4500.0)
"""Somebody speaks 40 % of the time; four times a day one of them does for longer than a session lives."""
HOUR = Manners(comings=0, changes=0, republished=0, mutes=0, declines=0, faults=0, people=(6, 6))
SIX = tuple((f"p{n}", language) for n, language in enumerate(("en", "en", "fr", "fr", "de", "de")))
_SHOWN = 12
_EACH = DAY.pool * len(DAY.languages)
_ATTRIBUTES = 8
"""Of a line, at most."""
BOUNDS = {
    "items in Record._events": MOST_EVENTS,
    "items in Accounts._ended": MOST_SESSIONS,
    "items in Accounts._lines": _EACH,
    "items in _Person.languages": _EACH,
    "items in Voiced._stretches": _EACH * STRETCHES,
    "items in RoomMinutes._recent": MOST_RECENT,
    "objects _Recent": MOST_RECENT,
    "objects Line": 2 * MOST_RECENT,
    "objects Text": 2 * MOST_RECENT,
    "items in Text.attributes": 2 * MOST_RECENT * _ATTRIBUTES,
}
"""What fills up once in the life of a room, or of a translation; the last lines, as more or less is said."""


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--hours", type=float, default=24.0, help="of virtual time (%(default)s)")
    parser.add_argument("--cost", action="store_true", help="the cost of an hour instead")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lag", type=float, default=2.0, help="the model's, in seconds (%(default)s)")
    parser.add_argument(
        "--pause", type=float, default=1.0, help="with --cost: between turns, mean, in seconds"
    )
    parser.add_argument("--at-most", type=float, default=60.0, help="real minutes; then it ends early")
    return parser.parse_args()


def soak(args: argparse.Namespace) -> int:
    """Holds it, prints what became of it; returns the exit status."""
    meeting = Meeting(args.seed, args.hours * 3600.0, DAY, lag_s=args.lag, most_wall_s=args.at_most * 60.0)
    outcome = hold(meeting, print)
    growing = _tell_growth(outcome)
    _tell_words(outcome)
    left = {name: number for name, number in outcome.left.items() if number}
    print(f"left over when all had gone: {left or 'nothing'}")
    announced_s = sum(outcome.summary["lost_s"].values())
    untold = outcome.lost * WORD_S > announced_s
    return 1 if untold or outcome.doubled or growing or left else 0


def _tell_words(outcome: Outcome) -> None:
    did = "  ".join(f"{name} {number}" for name, number in sorted(outcome.did.items()))
    events = "  ".join(f"{name} {number}" for name, number in sorted(outcome.events.items()))
    print(
        f"\n{outcome.held_s / 3600:.1f} virtual hours, somebody spoke {outcome.spoken_s / 3600:.1f} of them"
    )
    print(f"what happened: {did}\nwhat the room was told: {events or 'nothing'}")
    print(f"{outcome.translations} translations, {outcome.sessions} sessions")
    print(f"words fed {outcome.words}, lost {outcome.lost}, doubled {outcome.doubled}")
    print(f"announced as lost: {outcome.summary.get('lost_s')} s")


def _tell_growth(outcome: Outcome) -> list[Growth]:
    found = outcome.samples.growth(BOUNDS)
    first = ["RSS, MB", "memory blocks", "tasks", "people", "open sessions", "tracks", "microphone streams"]
    first += ["waiting in session, s", "waiting in playout, s"]
    largest = sorted((g for g in found if g.name.startswith("items")), key=lambda g: -g.most)[:_SHOWN]
    growing = [g for g in found if g.grows]
    print(f"\n{'':56}{'least':>12}{'most':>12}{'grown':>12}   in the second half")
    for g in [*(g for g in found if g.name in first), *largest, *growing]:
        print(f"{g.name:56}{g.least:12.1f}{g.most:12.1f}{g.grown:12.1f}{'   GROWS' if g.grows else ''}")
    print(f"{len(found)} things sampled {len(outcome.samples.at_s)} times, {len(growing)} of them grow")
    return growing


def cost(args: argparse.Namespace) -> int:
    """Six people, three languages, one hour: metered, estimated, and always on."""
    manners = replace(HOUR, pause_s=args.pause)
    meeting = Meeting(args.seed, 3600.0 + 90.0, manners, SIX, lag_s=args.lag, sample_s=1e9)
    outcome = hold(meeting)
    summary = outcome.summary
    metered, share = summary["cost"]["usd"], outcome.spoken_s / 3600.0
    turn_s = outcome.spoken_s / outcome.did["turn"]
    print(
        f"6 people, 3 languages, one hour; {outcome.did['turn']} turns of {turn_s:.1f} s, somebody speaks"
        f" {share:.0%} of it; ear-voice span p50 {_span_s(summary):.1f} s\n"
    )
    asked = _estimate()
    told = _estimate("--talk-share", f"{min(1.0, share):.3f}", "--turn-s", f"{turn_s:.2f}")
    always = asked["always on"]
    for name, usd in (
        ("metered", metered),
        ("parley estimate, as it stands", asked["parley"]),
        ("parley estimate, told share and turns", told["parley"]),
        ("the room's own estimate", summary["estimate"]["usd"]),
        ("always on", always),
    ):
        print(f"{name:40}{usd:8.2f} USD{usd / metered:8.2f} × metered{usd / metered - 1:+9.1%}")
    sent_s = sum(row["audio_s"] for row in summary["translated"])
    print(f"\nwords fed {outcome.words}, lost {outcome.lost}, doubled {outcome.doubled}")
    print(f"{sent_s / 60:.0f} min of audio sent")
    if always < 5 * metered:
        turns = outcome.did["turn"]
        needed = 2 * outcome.spoken_s
        print(
            f"less than five-fold: {needed / 60:.0f} min of it are speech in two languages (always on is"
            f" {always / metered * sent_s / needed:.1f} × that), {(sent_s - needed) / turns / 2:.1f} s around"
            " each turn are pre-roll, hangover and the silence in which the model finishes"
        )
    return 1 if outcome.lost or outcome.doubled else 0


def _span_s(summary: dict[str, Any]) -> float:
    spans = [told["p50"] for told in summary["ear_voice_span_s"].values()]
    return sum(spans) / max(1, len(spans))


def _estimate(*more: str) -> dict[str, float]:
    """USD by mode, as `parley estimate` says."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        cli.main(["estimate", "--people", "en=2,fr=2,de=2", "--minutes", "60", "--json", *more])
    return {mode["name"]: mode["usd"] for mode in json.loads(out.getvalue())["modes"]}


def main() -> int:
    """Runs one of the two."""
    args = arguments()
    logging.getLogger("parley").setLevel(logging.ERROR)
    began = time.process_time()
    status = cost(args) if args.cost else soak(args)
    print(f"{time.process_time() - began:.0f} s of CPU")
    return status


if __name__ == "__main__":
    sys.exit(main())
