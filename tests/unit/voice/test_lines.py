"""The text of a reply: no more of it than was heard, under one id, with a final line at its end."""

import itertools

import pytest

from parley.core.transcript import Segment
from parley.voice.lines import CHARS_PER_S, STEP_S, Lines
from unit.voice.conftest import Clock

TEXT = "one two three four five six seven eight nine ten"


async def write(lines: Lines, text: str = TEXT, *, whole: bool = True) -> None:
    for word in text.split(" "):
        await lines.capture_text(word if text.startswith(word) else f" {word}")
    if whole:
        lines.flush()


def texts(shown: list[Segment]) -> list[tuple[str, bool]]:
    return [(segment.text, segment.final) for segment in shown]


async def test_nothing_is_shown_before_it_is_heard(lines: Lines, shown: list[Segment]) -> None:
    await write(lines)
    assert shown == []
    lines.heard(0.0, 10.0)
    assert shown == []


async def test_text_is_shown_in_proportion_to_what_was_played(
    lines: Lines, shown: list[Segment], clock: Clock
) -> None:
    await write(lines)
    for i in range(1, 11):
        clock.now += 1.0
        lines.heard(i * 1.0, 10.0)
    lines.end()
    assert {segment.id for segment in shown} == {"a-1"}
    interim = [text for text, final in texts(shown) if not final]
    assert all(TEXT.startswith(text) for text in interim)
    assert interim == sorted(interim, key=len)
    for text in interim[:-1]:
        assert TEXT[len(text)] == " ", "whole words only"
    assert len(interim[4]) <= len(TEXT) / 2 + 1
    assert texts(shown)[-1] == (TEXT, True)
    assert [final for _, final in texts(shown)].count(True) == 1


async def test_while_the_length_is_not_known_text_is_shown_at_the_pace_of_speech(
    lines: Lines, shown: list[Segment], clock: Clock
) -> None:
    await write(lines, whole=False)
    lines.heard(1.0, None)
    assert len(shown[-1].text) <= CHARS_PER_S
    assert shown[-1].text == "one two three"


async def test_text_is_shown_in_steps(lines: Lines, shown: list[Segment], clock: Clock) -> None:
    await write(lines)
    for i in range(100):
        clock.now += 0.02
        lines.heard(i * 0.02, 2.0)
    times = [segment.ended_s for segment in shown]
    assert len(times) >= 6
    assert min(b - a for a, b in itertools.pairwise(times)) >= STEP_S - 1e-9


async def test_a_reply_that_was_cut_ends_where_it_was_cut(lines: Lines, shown: list[Segment]) -> None:
    await write(lines)
    heard = lines.cut(5.0, 10.0)
    assert heard == "one two three four five"
    assert texts(shown) == [(heard, True)]


async def test_only_a_line_that_was_cut_is_called_so(clock: Clock) -> None:
    told: list[tuple[str, bool, bool]] = []
    lines = Lines("a", lambda segment, cut: told.append((segment.text, segment.final, cut)))
    await write(lines)
    lines.heard(2.0, 10.0)
    lines.cut(5.0, 10.0)
    await write(lines, "Hello.")
    lines.end()
    assert told == [
        ("one two", False, False),
        ("one two three four five", True, True),
        ("Hello.", True, False),
    ]


async def test_a_cut_never_shows_half_a_word(lines: Lines) -> None:
    await write(lines)
    for i in range(100):
        await write(lines)
        heard = lines.cut(i / 10, 10.0)
        assert TEXT.startswith(heard)
        assert heard in ("", TEXT) or TEXT[len(heard)] == " "


async def test_cut_before_anything_was_heard_nothing_is_shown(lines: Lines, shown: list[Segment]) -> None:
    await write(lines)
    assert lines.cut(0.0, 10.0) == ""
    assert shown == []


async def test_cut_before_all_of_the_text_is_there(lines: Lines, shown: list[Segment]) -> None:
    await write(lines, whole=False)
    assert lines.cut(1.0, None) == "one two three"
    lines.flush()
    assert texts(shown) == [("one two three", True)]


async def test_text_that_comes_after_the_audio_is_shown_at_once(lines: Lines, shown: list[Segment]) -> None:
    await write(lines, whole=False)
    lines.end()
    assert shown == []
    await lines.capture_text(" eleven")
    lines.flush()
    assert texts(shown) == [(f"{TEXT} eleven", True)]


async def test_each_reply_has_its_own_line(lines: Lines, shown: list[Segment]) -> None:
    await write(lines, "Hello there.")
    lines.end()
    await write(lines, "How are you?")
    lines.end()
    assert [(segment.id, segment.text) for segment in shown] == [
        ("a-1", "Hello there."),
        ("a-2", "How are you?"),
    ]


@pytest.mark.parametrize("text", ["", "   ", "\n"])
async def test_a_reply_without_text_has_no_line(lines: Lines, shown: list[Segment], text: str) -> None:
    await lines.capture_text(text)
    lines.flush()
    lines.end()
    assert shown == []


async def test_a_reply_that_ends_twice_is_shown_once(lines: Lines, shown: list[Segment]) -> None:
    await write(lines, "Hello.")
    lines.end()
    lines.end()
    lines.flush()
    assert lines.cut(1.0, 1.0) == ""
    assert texts(shown) == [("Hello.", True)]


async def test_a_text_without_spaces_is_shown_whole_or_not_at_all(
    lines: Lines, shown: list[Segment], clock: Clock
) -> None:
    text = "こんにちは、元気ですか。"
    await lines.capture_text(text)
    lines.flush()
    lines.heard(5.0, 10.0)
    lines.heard(10.0, 10.0)
    lines.end()
    assert texts(shown)[-1] == (text, True)
