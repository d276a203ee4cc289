"""What the demo shows and reads."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from parley.demo.captions_view import CaptionRow
from parley.demo.play import CAST, PHRASE, prepare
from parley.demo.recording import Place
from parley.demo.stage import DemoFailed, stage, usage_of
from parley.demo.tally import Found, Spoken, tally
from parley.demo.view import PersonRow, Snapshot, open_view, print_tallies, screen

METRICS = """
# TYPE parley_sessions gauge
parley_sessions{kind="translation"} 6.0
# TYPE parley_cost_usd counter
parley_cost_usd_total{kind="translation"} 0.25
"""


def console(*, terminal: bool) -> tuple[Console, io.StringIO]:
    file = io.StringIO()
    return Console(file=file, force_terminal=terminal, width=120, color_system=None), file


def test_usage_is_read_from_the_metrics() -> None:
    usage = usage_of(METRICS)
    assert usage.sessions == {"translation": 6}
    assert usage.cost_usd == {"translation": 0.25}


async def test_half_of_a_server_in_the_environment_is_one_line(tmp_path: Path) -> None:
    environ = {"LIVEKIT_URL": "ws://example.invalid", "LIVEKIT_API_KEY": "key"}
    with pytest.raises(DemoFailed, match="LIVEKIT_API_SECRET"):
        async with stage(tmp_path, report=lambda _line: None, environ=environ):
            pass


def test_without_a_terminal_every_line_is_written_once() -> None:
    target, file = console(terminal=False)
    with open_view(target) as view:
        for seconds in range(3):
            view.show(Snapshot("simulated", status=f"building … {seconds} s", notes=("note",)))
    assert file.getvalue().split("\n") == ["simulated", "note", "building", ""]


def test_the_screen_shows_who_speaks_what_is_read_and_what_it_costs() -> None:
    target, file = console(terminal=True)
    person = PersonRow("ann", "en", speaking=True)
    captions = {"en": (CaptionRow("bruno", "[bold]hello", True),)}
    usage = usage_of(
        'parley_sessions{kind="translation"} 6\n'
        'parley_cost_usd_total{kind="translation"} 0.25\n'
        "# TYPE parley_ear_voice_span_seconds histogram\n"
        "parley_ear_voice_span_seconds_sum 5\n"
        "parley_ear_voice_span_seconds_count 4\n"
    )
    target.print(
        screen(
            Snapshot(
                *("simulated", "playing", (), (person,), captions),
                *(usage.sessions, usage.cost_usd, usage.span_s),
            ),
            120,
            25,
        )
    )
    text = file.getvalue()
    for part in ("simulated", "●", "ann", "bruno: [bold]hello", "1.2 s", "translation 6", "0.2500 USD"):
        assert part in text


def test_the_table_says_which_pair_is_not_right() -> None:
    target, file = console(terminal=False)
    place = Place("ann", "fr")
    spoken = [Spoken("ann", 0, 1.0)]
    rows = tally("bob", spoken, [Found("ann", 0, place, 2.0)], {"ann": place})
    print_tallies(target, [*rows, *tally("eve", spoken, [], {"ann": place})])
    assert "ok" in file.getvalue()
    assert "NOT OK" in file.getvalue()


def test_the_play_has_three_languages_in_turn_and_then_at_once() -> None:
    play = prepare()
    assert len(set(CAST.values())) >= 3
    assert len(play.lines) == len(CAST) * 2 * PHRASE
    in_turn = [line.speaker for line in play.lines[: len(CAST) * PHRASE]]
    assert in_turn == [name for name in CAST for _ in range(PHRASE)]
    first = {
        name: min(line.start_s for line in play.lines if line.speaker == name and line.word >= PHRASE)
        for name in CAST
    }
    assert max(first.values()) - min(first.values()) < 1.0
