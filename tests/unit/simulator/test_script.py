"""Which turn answers what."""

import numpy as np
import pytest

from parley.simulator import Approval, Call, Context, Line, McpCall, Script, Turn
from parley.simulator.turns import turn_from_json


def context(*lines, session="a"):
    made = [
        Line(role, text, f"{session}{place}", is_audio=role == "user" and session == "a")
        for place, (role, text) in enumerate(lines)
    ]
    return Context(session, "gpt-realtime-2.1", "", tuple(made))


def said(script, *lines, session="a"):
    turn = script.take(context(*lines, session=session))
    return turn and turn.say


USER, AGENT, TOOL = "user", "assistant", "tool"


def test_turns_come_in_order_and_then_none():
    script = Script.of([Turn(say="one"), Turn(say="two", times=2)])
    assert said(script, (USER, "a")) == "one"
    assert said(script, (USER, "a"), (AGENT, "one"), (USER, "b")) == "two"
    assert script.waiting[0][1] == 1
    assert said(script, (USER, "a"), (AGENT, "one"), (USER, "b"), (AGENT, "two")) == "two"
    assert said(script, (USER, "x")) is None


def test_a_turn_for_a_text_comes_before_the_next_in_order():
    script = Script.of([Turn(say="next"), Turn(say="rain", when="Weather")])
    assert said(script, (USER, "the weather please")) == "rain"
    assert said(script, (USER, "the weather"), (AGENT, "rain"), (USER, "and the weather")) == "next"


def test_only_the_last_input_counts():
    script = Script.of([Turn(say="rain", when="weather")])
    assert said(script, (USER, "weather"), (AGENT, "look({})"), (TOOL, "12 degrees")) is None
    assert said(script, (USER, "weather"), ("system", "be kind")) == "rain"


def test_a_predicate_and_a_callable():
    script = Script.of([Turn(say="long", when=lambda given: len(given.lines) > 2)])
    assert said(script, (USER, "a")) is None
    assert said(script, (USER, "a"), (AGENT, "b"), (USER, "c")) == "long"
    script = Script.of(lambda given: Turn(say=f"you said {given.heard}"))
    assert said(script, (USER, "a")) == "you said a"
    script.add(Turn(say="first"))
    assert said(script, (USER, "b")) == "first"


def test_a_cut_turn_is_taken_again_and_a_whole_one_is_not():
    script = Script.of([Turn(preamble="Well.", say="one two three"), Turn(say="next")])
    assert said(script, (USER, "a")) == "one two three"
    assert said(script, (USER, "a"), (AGENT, "Well."), (AGENT, "one")) == "one two three"
    assert said(script, (USER, "a"), (AGENT, "Well. one two three")) == "next"


def test_the_same_input_again_takes_the_same_turn():
    script = Script.of([Turn(say="one"), Turn(say="two"), Turn(say="three")])
    assert said(script, (USER, "yes")) == "one"
    assert said(script, (USER, "yes")) == "one"
    assert said(script, (USER, "yes"), (AGENT, "one"), (USER, "yes")) == "two"
    assert said(script, (USER, "yes"), session="b") == "two"


def test_another_session_that_hears_the_same_is_another_conversation():
    script = Script.of([Turn(say="one"), Turn(say="two")])
    assert script.take(context((USER, "word-1"))).say == "one"
    heard = Context("b", "m", "", (Line(USER, "word-1", "b0", is_audio=True),))
    assert script.take(heard).say == "two"


def asked_aloud(session: str, sound: bytes, *before: Line) -> Context:
    """A question that is known by its sound: every session numbers what it hears anew."""
    question = Line(USER, f"word-{session}", f"{session}0", is_audio=True, peak=sound)
    return Context(session, "m", "", (*before, question))


def test_a_question_that_is_said_again_in_a_new_session_takes_the_same_turn():
    script = Script.of([Turn(say="one"), Turn(say="two"), Turn(say="three")])
    assert script.take(asked_aloud("a", b"sound")).say == "one"
    assert script.take(asked_aloud("b", b"sound")).say == "one"
    assert script.take(asked_aloud("c", b"another")).say == "two"


def test_a_question_that_was_answered_is_a_new_one_when_it_sounds_the_same():
    script = Script.of([Turn(say="one"), Turn(say="two")])
    assert script.take(asked_aloud("a", b"sound")).say == "one"
    assert script.take(asked_aloud("b", b"sound", Line(AGENT, "one"))).say == "two"


def test_a_turn_that_was_not_begun_comes_next(talk, sound):
    tone, quiet = sound
    driver = talk(script=[Turn(say="one"), Turn(say="two")])
    word, pause = tone(400), quiet(650)
    for _ in range(2):
        driver.speak(np.concatenate([word, pause]))
    driver.run(10)
    first, second = driver.record.responses
    assert (first.status, first.text, second.text) == ("cancelled", "", "one")
    driver.speak(np.concatenate([word, pause]))
    driver.run(10)
    assert driver.record.responses[2].text == "two"


def test_a_cut_turn_is_known_by_its_beginning_alone():
    script = Script.of([Turn(say="one two"), Turn(say="next")])
    assert said(script, (USER, "a")) == "one two"
    assert said(script, (AGENT, "one"), session="b") == "one two"


def test_an_empty_turn_is_used_up():
    script = Script.of([Turn(), Turn(say="one")])
    assert said(script, (USER, "a")) is None
    assert said(script, (USER, "a")) == "one"


def test_a_failure_is_used_up():
    script = Script.of([Turn(failure="server_error"), Turn(say="one")])
    assert script.take(context((USER, "a"))).failure == "server_error"
    assert said(script, (USER, "a")) == "one"


def test_scripts_are_bounded_and_cleared():
    script = Script()
    script.add(*[Turn()] * 1000)
    with pytest.raises(ValueError, match=r"^script: got"):
        script.add(Turn())
    script.clear()
    assert script.waiting == []


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ([], "turn"),
        ({"says": "x"}, "says"),
        ({"say": 3}, "say"),
        ({"say_audio": [1]}, "say_audio"),
        ({"failure": "bad"}, "failure"),
        ({"latency_s": -1}, "latency_s"),
        ({"wait_s": True}, "wait_s"),
        ({"times": 0}, "times"),
        ({"when": 5}, "when"),
        ({"calls": {}}, "calls"),
        ({"calls": [{"arguments": "{}"}]}, "calls"),
        ({"calls": [{"name": "x", "id": 1}]}, "calls"),
        ({"approval": {"name": "x"}}, "approval"),
    ],
)
def test_a_bad_turn_names_the_field(given, field):
    with pytest.raises(ValueError, match=rf"^{field}: got .*, allowed"):
        turn_from_json(given)


def test_a_turn_from_json():
    turn = turn_from_json(
        {
            "say": "x",
            "calls": [{"name": "look", "arguments": {"a": 1}}],
            "approval": {"server_label": "s", "name": "n"},
            "mcp_call": {"server_label": "s", "name": "n", "output": "o"},
        }
    )
    assert turn.calls == (Call("look", {"a": 1}),)
    assert (turn.approval, turn.mcp_call) == (Approval("s", "n"), McpCall("s", "n", "{}", "o"))
