"""A conversation made of captions, how it is shown, and what it cost."""

from __future__ import annotations

import io
import json

from rich.console import Console

from parley.demo.dialogue import Dialogue, Line
from parley.demo.dialogue_view import open_dialogue_view
from parley.demo.recording import Caption
from parley.demo.talk import Bill, bill_of, summary


def caption(
    text: str, at_s: float, *, segment: str = "a-1", sender: str = "worker", final: bool = False
) -> Caption:
    attributes = {
        "lk.segment_id": segment,
        "lk.transcription_final": "true" if final else "false",
        "parley.kind": "agent",
    }
    return Caption(sender, at_s, attributes, text, at_s, complete=True)


def test_a_line_grows_and_ends_once() -> None:
    dialogue = Dialogue("me")
    captions = [caption("Good", 1.0)]
    assert dialogue.read(captions) == ([], [Line(False, "Good", False)])
    captions += [caption("Good morning", 1.3), caption("what", 1.4, segment="p-1", sender="me")]
    assert dialogue.read(captions)[1] == [Line(False, "Good morning", False), Line(True, "what", False)]
    captions.append(caption("Good morning to you", 1.6, final=True))
    ended, growing = dialogue.read(captions)
    assert ended == [Line(False, "Good morning to you", True)]
    assert growing == [Line(True, "what", False)]
    assert dialogue.read(captions)[0] == []
    assert dialogue.answers == ended


def test_captions_of_translations_are_no_part_of_it() -> None:
    other = caption("bonjour", 1.0, final=True)
    other.attributes["parley.kind"] = "translation"
    assert Dialogue("me").read([other]) == ([], [])


def long_answer(after: str) -> list[Caption]:
    """An answer that is spoken over at 2 s, and what its last version is."""
    grown = [caption("one two three four"[: 5 * n], 1.0 + 0.25 * n) for n in range(1, 4)]
    return [*grown, caption(after, 3.5, final=True)]


def test_an_answer_that_stops_when_the_person_speaks_was_cut() -> None:
    dialogue = Dialogue("me")
    dialogue.spoke(1.9)
    assert dialogue.read(long_answer("one two three four"))[0][0].cut


def test_an_answer_that_goes_on_was_not_cut() -> None:
    dialogue = Dialogue("me")
    dialogue.spoke(1.9)
    assert not dialogue.read(long_answer("one two three four five six seven eight"))[0][0].cut


def test_who_speaks_before_or_after_an_answer_does_not_cut_it() -> None:
    dialogue = Dialogue("me")
    dialogue.spoke(0.5)
    dialogue.spoke(3.6)
    assert not dialogue.read(long_answer("one two three four"))[0][0].cut
    assert dialogue.turns == 2


def test_where_there_is_no_terminal_only_what_was_said_is_written() -> None:
    file = io.StringIO()
    target = Console(file=file, width=20, color_system=None)
    with open_dialogue_view("assistant", target) as view:
        view.status("building … 1 s")
        view.status("building … 2 s")
        view.draw([Line(False, "not yet", False)], "draft")
        view.said(Line(False, "[bold]it is five o'clock, and all is well", True, cut=True))
        view.event({"event": "tool.failed", "detail": "assistant: clock"})
    assert file.getvalue().splitlines() == [
        "building",
        "assistant  [bold]it is five o'clock, and all is well — interrupted",
        "! tool.failed: assistant: clock",
    ]


def test_in_a_terminal_what_grows_and_what_is_typed_are_shown_below() -> None:
    file = io.StringIO()
    with open_dialogue_view("assistant", Console(file=file, force_terminal=True, width=60)) as view:
        view.draw([Line(False, "half a", False)], "my dra")
        shown = file.getvalue()
        view.draw([Line(False, "half a", False)], "my dra")
        assert file.getvalue() == shown, "nothing new is not drawn again"
    assert "half a" in shown
    assert "> my dra" in shown


def test_the_bill_is_that_of_the_persons_own_agent() -> None:
    state = json.dumps(
        {
            "agents": [
                {"of": "ann", "tokens": {"text_in": 1}, "usd": 0.1},
                {"of": "me", "tokens": {"text_in": 2, "text_out": 0}, "usd": 0.25},
            ]
        }
    )
    bill = bill_of(state, "me")
    assert bill == Bill({"text_in": 2, "text_out": 0}, 0.25)
    assert bill_of(state, "eve") is None
    assert bill_of('{"truncated": true}', "me") is None
    assert summary(1, 59.6, bill) == "1 turn · 60 s · tokens text_in 2 · 0.2500 USD at list prices"
    assert summary(0, 3, None) == "0 turns · 3 s"
