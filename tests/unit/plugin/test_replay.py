"""What a new session is told."""

import base64

from livekit.agents import llm

from livekit.plugins.openai_realtime.replay import DIGEST_ID, bounded, digest, seeds, spoken


def user(text: str, name: str = "u") -> llm.ChatMessage:
    return llm.ChatMessage(id=name, role="user", content=[text] if text else [])


def agent(text: str, name: str = "a") -> llm.ChatMessage:
    return llm.ChatMessage(id=name, role="assistant", content=[text])


def system(text: str, name: str = "s") -> llm.ChatMessage:
    return llm.ChatMessage(id=name, role="system", content=[text])


def call(call_id: str) -> llm.FunctionCall:
    return llm.FunctionCall(id=f"c_{call_id}", call_id=call_id, name="clock", arguments="{}")


def output(call_id: str) -> llm.FunctionCallOutput:
    return llm.FunctionCallOutput(id=f"o_{call_id}", call_id=call_id, output="nine", is_error=False)


def ids(items: list[llm.ChatItem]) -> list[str]:
    return [item.id for item in items]


def test_each_kind_of_item() -> None:
    pcm = bytes(range(200))
    items = [
        system("Be brief."),
        user("Good morning", "u1"),
        agent("Hello", "a1"),
        call("1"),
        output("1"),
        user("", "u2"),
        user("", "u3"),
        llm.ChatMessage(id="u4", role="user", content=[llm.ImageContent(image="data:image/png;base64,AA==")]),
    ]
    told = seeds(items, {"u2": pcm, "u1": pcm}, lambda call_id: call_id[:32])
    assert [seed for _, seed in told] == [
        {
            "id": "s",
            "type": "message",
            "role": "system",
            "content": [{"type": "input_text", "text": "Be brief."}],
        },
        {
            "id": "u1",
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "Good morning"}],
        },
        {
            "id": "a1",
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Hello"}],
        },
        {"id": "c_1", "type": "function_call", "call_id": "1", "name": "clock", "arguments": "{}"},
        {"id": "o_1", "type": "function_call_output", "call_id": "1", "output": "nine"},
        {
            "id": "u2",
            "type": "message",
            "role": "user",
            "content": [{"type": "input_audio", "audio": base64.b64encode(pcm).decode()}],
        },
        {
            "id": "u4",
            "type": "message",
            "role": "user",
            "content": [{"type": "input_image", "image_url": "data:image/png;base64,AA=="}],
        },
    ]


def test_only_the_newest_pictures_are_told() -> None:
    large = "data:image/png;base64," + "A" * 2_500_000
    items = [
        llm.ChatMessage(id=name, role="user", content=[llm.ImageContent(image=large)])
        for name in ("u1", "u2")
    ]
    assert [seed["id"] for _, seed in seeds(items, {}, str)] == ["u2"]


def test_within_both_bounds() -> None:
    items = [user("x" * 10, f"u{number}") for number in range(10)]
    assert ids(bounded(items, most_items=3, most_chars=1000).kept) == ["u7", "u8", "u9"]
    assert ids(bounded(items, most_items=100, most_chars=25).kept) == ["u8", "u9"]
    assert ids(bounded(items, most_items=100, most_chars=25).old) == [f"u{number}" for number in range(8)]
    assert bounded(items, most_items=100, most_chars=1000).old == []
    assert ids(bounded([user("x" * 99)], most_items=5, most_chars=10).kept) == ["u"]


def test_a_call_and_its_output_stay_together() -> None:
    items = [call("1"), call("2"), output("1"), user("so", "u1"), user("what", "u2")]
    history = bounded(items, most_items=3, most_chars=1000)
    assert ids(history.old) == ["c_1", "o_1"]
    assert ids(history.kept) == ["c_2", "u1", "u2"]


def test_orders_are_kept() -> None:
    items = [system("Never swear.", "s1"), system("old", DIGEST_ID), user("a", "u1"), user("b", "u2")]
    history = bounded(items, most_items=1, most_chars=1000)
    assert ids(history.kept) == ["s1", "u2"]
    assert ids(history.old) == [DIGEST_ID, "u1"]


def test_a_digest_has_the_first_sentences() -> None:
    lines = spoken([user("Good morning. How are you?"), agent("Fine! And you?"), call("1"), output("1")])
    text = digest(lines)
    assert text.splitlines() == [
        "What was said before, in short:",
        "- user: Good morning.",
        "- assistant: Fine!",
        "- call: clock({})",
        "- output: nine",
    ]
    again = digest([("system", text), ("user", "More.")])
    assert again.splitlines() == [*text.splitlines(), "- user: More."]


def test_a_digest_is_bounded() -> None:
    lines = [("user", f"{number} " + "x" * 500) for number in range(2000)]
    text = digest(lines)
    assert len(text) < 8_200
    assert "- user: 1999 " in text
    for _ in range(5):
        text = digest([("system", text), *lines])
        assert len(text) < 8_200
