"""Captions side by side: a column for each language, within the screen, whatever its size."""

from __future__ import annotations

import io
from unicodedata import east_asian_width

import pytest
from rich.console import Console

from parley.demo.captions_view import MOST_ROWS, CaptionRow, newest, rows_of, side_by_side
from parley.demo.recording import Caption
from parley.demo.view import PersonRow, Snapshot, open_view, screen

ENGLISH = "and so we should all meet again on Tuesday, at ten, in the large room upstairs"
FRENCH = "et nous devrions donc tous nous revoir mardi, à dix heures, dans la grande salle à l'étage"
JAPANESE = "ですから火曜日の十時に二階の大きな部屋でもう一度みんなで会うべきでしょう"
THREE = {
    "en": (CaptionRow("bruno", ENGLISH, True), CaptionRow("carla", "yes", False)),
    "fr": (CaptionRow("ann", FRENCH, True),),
    "ja": (CaptionRow("ann", JAPANESE, False),),
}


def drawn(
    columns: int, rows: int = 6, languages: dict[str, tuple[CaptionRow, ...]] | None = None
) -> list[str]:
    console = Console(file=io.StringIO(), width=columns, force_terminal=True, color_system=None)
    console.print(side_by_side(THREE if languages is None else languages, columns, rows))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().rstrip("\n").split("\n")


def columns_of(line: str) -> int:
    return sum(2 if east_asian_width(char) in "WF" else 1 for char in line)


def test_each_language_has_a_column_and_all_are_seen_at_once() -> None:
    head, _, *lines = drawn(120)
    places = [head.index(language) for language in THREE]
    assert places == sorted(places)
    assert places[0] == 0
    for start, text in zip(places, ("bruno: and so we", "ann: et nous", "ann: です"), strict=True):
        assert lines[0][start:].startswith(text)
    shown = " ".join(line[: places[1]].strip() for line in lines)
    assert ENGLISH in shown
    assert "carla: yes" in shown


@pytest.mark.parametrize("columns", [20, 40, 60, 76, 80, 100, 200])
def test_no_line_is_longer_than_the_screen_is_wide_and_no_word_is_cut(columns: int) -> None:
    lines = drawn(columns)
    assert max(map(columns_of, lines)) <= columns
    assert "…" not in "".join(lines)
    assert all(word in "".join(lines) for word in ("upstairs", "yes", "étage"))


def test_on_a_narrow_screen_languages_stand_below_each_other() -> None:
    lines = drawn(60)
    assert [line[:2] for line in lines if line[:2].strip()] == ["en", "fr", "ja"]
    assert all(line.startswith(("en", "fr", "ja", "  ")) for line in lines)


def test_the_newest_lines_are_shown_where_there_are_too_many() -> None:
    many = {"en": tuple(CaptionRow("ann", f"line {n}", True) for n in range(50))}
    lines = drawn(80, 4, many)
    assert [line.strip() for line in lines[2:]] == [f"ann: line {n}" for n in range(46, 50)]


def test_nobody_has_said_anything_yet() -> None:
    assert drawn(80, 3, {"en": (), "fr": ()})[0].split() == ["en", "fr"]
    assert drawn(80, 3, {}) == [""]


def caption(text: str, segment: str = "s-0", *, sender: str = "ann", final: bool = False) -> Caption:
    told = {"lk.segment_id": segment, "lk.transcription_final": "true" if final else "false"}
    return Caption(sender, 0.0, told, text, complete=True)


def test_a_line_is_shown_as_it_is_now_where_it_began() -> None:
    read = [caption("Hel"), caption("So", sender="bob"), caption("Hello", final=True), caption("", "s-1")]
    assert newest(read) == (CaptionRow("ann", "Hello", True), CaptionRow("bob", "So", False))
    assert newest([caption("a\x1b[2Jb\n\tc")])[0].text == "a[2Jbc", "no terminal takes it for an order"


def test_rows_are_what_the_screen_leaves() -> None:
    assert (rows_of(25, 12), rows_of(200, 12), rows_of(5, 12)) == (MOST_ROWS, MOST_ROWS, 2)


@pytest.mark.parametrize(("columns", "rows"), [(120, 30), (80, 24), (40, 24)])
def test_the_screen_fits_into_the_terminal(columns: int, rows: int) -> None:
    console = Console(file=io.StringIO(), width=columns, height=rows, force_terminal=True, color_system=None)
    people = tuple(PersonRow(name, "en", speaking=True) for name in ("ann", "bruno", "carla"))
    console.print(screen(Snapshot("parley demo · simulated", "playing", (), people, THREE), columns, rows))
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().rstrip("\n").split("\n")
    assert len(lines) <= rows
    assert max(map(columns_of, lines)) <= columns


def test_without_a_terminal_captions_are_lines() -> None:
    console = Console(file=io.StringIO(), width=120)
    with open_view(console) as view:
        view.show(Snapshot("simulated", captions=THREE))
        view.caption("bruno", "ann", "fr", FRENCH)
    assert isinstance(console.file, io.StringIO)
    assert console.file.getvalue().startswith(f"simulated\nbruno reads ann [fr]: {FRENCH[:40]}")
