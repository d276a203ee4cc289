"""The written conversation: its words, its judgement, and the stand-in of the one that is not written."""

from __future__ import annotations

import numpy as np
import pytest

from parley.demo.recording import Recording
from parley.demo.scene import SCENE, Heard, Verdict, judge, options, silent_after, sound_of, text_of
from parley.demo.speech import SAMPLE_RATE_HZ, say
from parley.demo.standin import Standin, answered
from parley.simulator import Call, Context, Line, Turn

HEARD_OF_LONG = 4


def good() -> tuple[list[str], list[str], list[Heard], dict[str, float]]:
    """What comes of a scene in which all is well."""
    asked = [text_of(exchange.asked) for exchange in SCENE if exchange.asked]
    said = [text_of(exchange.answer) for exchange in SCENE]
    said[2] = text_of(SCENE[2].answer[: HEARD_OF_LONG - 1])
    words = [
        word
        for exchange in SCENE
        for word in (exchange.answer[:HEARD_OF_LONG] if exchange is SCENE[2] else exchange.answer)
    ]
    return (
        asked,
        said,
        [Heard(False, word, float(place)) for place, word in enumerate(words)],
        {"interruption": 0.2},
    )


def test_a_scene_in_which_all_is_well() -> None:
    verdict = judge(*good())
    assert verdict.ok, verdict
    assert [row.heard for row in verdict.rows] == [3, 4, HEARD_OF_LONG, 4, 4]
    assert [row.stopped_s for row in verdict.rows] == [None, None, 0.2, None, None]


def _spoilt(what: str) -> Verdict:
    asked, said, heard, stopped = good()
    troubles: list[str] = []
    match what:
        case "a word was lost":
            del heard[4]
        case "a word came twice":
            heard.insert(4, heard[3])
        case "an answer came twice":
            said.append(said[1])
        case "the person was repeated":
            heard.append(Heard(True, 0, 99.0))
        case "the voice went on":
            stopped["interruption"] = 5.0
        case "the whole answer was heard":
            heard = [h for h in heard if h.word not in SCENE[2].answer]
            heard += [Heard(False, word, 0.0) for word in SCENE[2].answer]
            heard.sort(key=lambda h: h.word)
        case "the whole answer was read":
            said[2] = text_of(SCENE[2].answer)
        case "a word was misunderstood":
            asked[0] = asked[0].replace(asked[0].split()[1], "nonsense")
        case "the interruption was not answered":
            said.pop(3)
            heard = [h for h in heard if h.word not in SCENE[3].answer]
        case "nobody interrupted":
            stopped.clear()
        case "a tool failed":
            troubles.append("tool.failed: take_note")
    return judge(asked, said, heard, stopped, troubles)


@pytest.mark.parametrize(
    "what",
    [
        "a word was lost",
        "a word came twice",
        "an answer came twice",
        "the person was repeated",
        "the voice went on",
        "the whole answer was heard",
        "the whole answer was read",
        "a word was misunderstood",
        "the interruption was not answered",
        "nobody interrupted",
        "a tool failed",
    ],
)
def test_a_scene_that_is_spoilt_is_not_ok(what: str) -> None:
    assert not _spoilt(what).ok


def test_the_simulator_recognises_the_persons_words_by_their_sound() -> None:
    recognise = options().recognise
    assert recognise is not None
    for exchange in SCENE:
        quiet = np.zeros(SAMPLE_RATE_HZ // 2, np.int16)
        heard = recognise(np.concatenate([quiet, sound_of(exchange.asked), quiet]))
        assert " ".join(heard) == text_of(exchange.asked)


def test_how_long_a_voice_went_on() -> None:
    recording = Recording("parley-agent:me", "TR_1", "worker", from_agent=True)
    loud = np.full(SAMPLE_RATE_HZ // 10, 8000, np.int16)
    for frame in range(30):
        speaking = frame < 12 or frame >= 20
        recording.add(loud if speaking else np.zeros_like(loud), 100.1 + frame / 10)
    assert silent_after([recording], 100.5) == pytest.approx(0.7, abs=0.03)
    assert silent_after([recording], 101.5) == 0.0


def asked_of(text: str, *tools: str, instructions: str = "") -> Turn | None:
    return answered(Context("sess_1", "model", instructions, (Line("user", text),), tools))


@pytest.mark.parametrize(
    ("text", "tools", "call"),
    [
        ("what time is it", ("current_time",), Call("current_time")),
        ("a note of this", ("take_note", "read_notes"), Call("take_note", {"text": "a note of this"})),
        ("read my notes", ("take_note", "read_notes"), Call("read_notes")),
        ('order status {"number": "7"}', ("order_status",), Call("order_status", '{"number": "7"}')),
    ],
)
def test_the_stand_in_calls_a_tool_that_is_named(text: str, tools: tuple[str, ...], call: Call) -> None:
    turn = asked_of(text, *tools)
    assert turn is not None
    assert turn.calls == (call,)


def test_the_stand_in_greets_says_what_it_is_told_to_and_leaves_the_rest() -> None:
    assert asked_of("what time is it") is None
    greeting = answered(Context("sess_1", "model", "", (), ("current_time",)))
    assert greeting is not None
    assert "[simulated]" in str(greeting.say)
    assert "current_time" in str(greeting.say)
    told = asked_of(
        "x",
        instructions="Be kind.\nSay exactly this, in the language of the conversation, and "
        "nothing else: I am no human",
    )
    assert told is not None
    assert told.say == "I am no human"
    said = Context("sess_1", "model", "Be kind.\nAsk if they are there.", (Line("assistant", "Hello"),), ())
    prompted = answered(said)
    assert prompted is not None
    assert prompted.say == "[simulated] Ask if they are there."


def test_the_stand_in_understands_what_was_typed_line_by_line() -> None:
    standin = Standin()
    recognise = standin.options.recognise
    assert recognise is not None
    lines = ["hello there", "what time is it"]
    sounds = [say(line, "en") for line in lines]
    for line, sound in zip(lines, sounds, strict=True):
        standin.hears(line, sound)
    quiet = np.zeros(SAMPLE_RATE_HZ, np.int16)
    assert recognise(np.concatenate([sounds[0], quiet])) == ["hello", "there"]
    assert recognise(np.concatenate([sounds[1], quiet])) == ["what", "time", "is", "it"]
    assert recognise(quiet) == []


def test_exchanges_share_no_word() -> None:
    asked = [word for exchange in SCENE for word in exchange.asked]
    answers = [word for exchange in SCENE for word in exchange.answer]
    assert asked == sorted(set(asked))
    assert answers == sorted(set(answers))
