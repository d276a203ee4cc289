"""Messages over lost connections: what was heard, what is said again, what a truncation means."""

import pytest

from livekit.plugins.openai_realtime.replies import (
    Delete,
    Message,
    Replies,
    Resume,
    Reword,
    Truncate,
    after_cut,
    joined,
    spoken_s,
    without,
)

MS = 24


def speak(message: Message, *words: str, ms: int = 500) -> str:
    written = ""
    for word in words:
        written += message.pass_on(word, audio=ms * MS)
        message.parts[-1].samples += ms * MS
    return written


def cut(*words: str, ms: int = 500) -> tuple[Replies, Message]:
    replies = Replies()
    message = replies.begin("one")
    speak(message, *words, ms=ms)
    message.cut()
    replies.lost()
    return replies, message


def test_a_message_in_two_parts() -> None:
    replies, message = cut("It", " will", " rain")
    assert replies.server_items("one") == ["one"]
    assert message.live is None
    replies.extend(message, "two")
    assert replies.of_item("two") is message
    assert speak(message, "tomorrow", " morning") == " tomorrow morning"
    assert message.text == "It will rain tomorrow morning"
    assert message.samples == 5 * 500 * MS
    assert replies.server_items("one") == ["one", "two"]
    replies.lost()
    assert replies.server_items("one") == ["one"]
    assert replies.of_item("two") is None
    assert message.text == "It will rain tomorrow morning"


def test_words_whose_audio_is_not_all_there_are_said_again_and_written_once() -> None:
    replies, message = cut("It", " will", " thunder", " in", " the", " evening", ms=100)
    assert message.text == "It"
    assert message.expected == " will thunder in the evening"
    replies.extend(message, "two")
    assert speak(message, "Will thunder", " in the evening,", " too") == ", too"
    assert message.text == "It Will thunder in the evening, too"


def test_a_model_that_says_something_else_is_written_down() -> None:
    replies, message = cut("It", " thunders", ms=250)
    replies.extend(message, "two")
    assert speak(message, "rains", " now") == " rains now"


def test_words_in_pieces_are_cut_where_a_word_begins() -> None:
    _, message = cut("It", " thun", "ders", ms=230)
    assert message.text == "It"
    assert message.expected == " thunders"


def test_signs_are_cut_anywhere() -> None:
    _, message = cut("今日", "は雨", "です", ms=250)
    assert message.text == "今日"
    assert message.expected == "は雨です"


def test_text_without_sound_is_all_there() -> None:
    replies = Replies()
    message = replies.begin("one")
    message.pass_on("It")
    message.pass_on(" rains")
    message.cut()
    assert message.text == "It rains"


@pytest.mark.parametrize(
    ("before", "text", "whole"),
    [
        ("It", "rains", " rains"),
        ("It", " rains", " rains"),
        ("It", ", too", ", too"),
        ("", "It", "It"),
        ("今", "日", "日"),
    ],
)
def test_joined(before: str, text: str, whole: str) -> None:
    assert joined(before, text) == whole


@pytest.mark.parametrize(
    ("text", "expected", "left"),
    [
        ("rain", "", ("rain", "")),
        (" Rain", " rain tomorrow", ("", "tomorrow")),
        ("rain tomorrow, or", " rain tomorrow", (", or", "")),
        ("snow", " rain", ("snow", "")),
        ("...", "rain", ("", "rain")),
    ],
)
def test_without(text: str, expected: str, left: tuple[str, str]) -> None:
    assert without(text, expected) == left


def test_how_long_words_take() -> None:
    assert spoken_s("a", first=True) == spoken_s(" a") == 0.28
    assert spoken_s("s") < 0.1
    assert 0.4 < spoken_s(" thunder") < 0.5
    assert spoken_s("今日は", first=True) == pytest.approx(0.6)


@pytest.mark.parametrize(
    ("end_ms", "heard", "steps"),
    [
        (1800, "It will rain to", [Truncate("two", 300)]),
        (99_000, "all", [Truncate("two", 1000)]),
        (1500, "It will rain", [Delete("two"), Reword("one", "It will rain")]),
        (700, "It will", [Delete("two"), Reword("one", "It will")]),
        (0, "", [Delete("two"), Delete("one")]),
    ],
)
def test_where_a_truncation_falls(end_ms: int, heard: str, steps: list[object]) -> None:
    replies, message = cut("It", " will", " rain")
    replies.extend(message, "two")
    speak(message, "tomorrow", " morning")
    assert replies.truncate("one", end_ms, heard) == steps
    assert message.text == heard


def test_a_truncation_of_what_has_one_part() -> None:
    replies = Replies()
    speak(replies.begin("one"), "It", " will")
    assert replies.truncate("one", 500, "It") == [Truncate("one", 500)]
    assert replies.truncate("one", 1900, None) == [Truncate("one", 1000)]
    speak(replies.begin("two"), "It", " will")
    assert replies.truncate("two", 0, "") == [Delete("two")]
    assert replies.truncate("unknown", 10, "x") == []


def test_a_truncation_after_the_session_was_replaced() -> None:
    replies = Replies()
    message = replies.begin("one")
    speak(message, "It", " will")
    message.done = True
    replies.lost()
    assert replies.truncate("one", 500, "It") == [Reword("one", "It")]


def test_a_first_part_of_which_nothing_was_heard_is_not_on_the_server() -> None:
    replies, message = cut()
    assert replies.server_items("one") == []
    replies.extend(message, "two")
    speak(message, "It")
    assert replies.server_items("one") == ["two"]
    assert replies.truncate("one", 100, "It") == [Truncate("two", 100)]


def messages(*made: tuple[str, bool]) -> list[Message]:
    found = []
    replies = Replies()
    for place, (text, done) in enumerate(made):
        message = replies.begin(str(place))
        if text:
            speak(message, text)
        message.done = done
        found.append(message)
    return found


@pytest.mark.parametrize(
    ("said", "calls", "resumed", "then"),
    [
        ([], 0, False, Resume.REPEAT),
        ([("", False)], 0, False, Resume.REPEAT),
        ([("It", False)], 0, False, Resume.CONTINUE),
        ([("It", True)], 0, False, Resume.END),
        ([("It", True), ("", False)], 0, False, Resume.GO_ON),
        ([("It", True), ("will", False)], 0, False, Resume.CONTINUE),
        ([("It", False)], 0, True, Resume.END),
        ([("It", True)], 1, False, Resume.END),
        ([], 1, False, Resume.END),
    ],
)
def test_what_becomes_of_a_cut_reply(
    said: list[tuple[str, bool]], calls: int, resumed: bool, then: Resume
) -> None:
    assert after_cut(messages(*said), calls=calls, resumed=resumed, working=False) is then


@pytest.mark.parametrize(
    ("phase", "working", "then"),
    [
        ("commentary", False, Resume.GO_ON),
        ("commentary", True, Resume.GO_ON),
        ("final_answer", True, Resume.END),
        (None, True, Resume.GO_ON),
        (None, False, Resume.END),
    ],
)
def test_whether_more_was_to_come_after_a_whole_message(
    phase: str | None, working: bool, then: Resume
) -> None:
    [message] = messages(("It", True))
    message.phase = phase
    assert after_cut([message], calls=0, resumed=False, working=working) is then


def test_the_oldest_messages_are_forgotten() -> None:
    replies = Replies()
    for number in range(300):
        replies.begin(f"item_{number}")
    assert replies.get("item_0") is None
    assert replies.of_item("item_0") is None
    assert replies.server_items("item_0") == ["item_0"]
    assert replies.get("item_299") is not None
