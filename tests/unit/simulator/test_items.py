"""Items: created, listed, cut, taken out."""

import base64

import numpy as np
import pytest

PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()


def truncate(driver, item_id, end_ms, content_index=0):
    return driver.send(
        "conversation.item.truncate", item_id=item_id, content_index=content_index, audio_end_ms=end_ms
    )[0]


def order(driver):
    return [item.id for item in driver.session._state.items]


def test_created_items_are_added_and_done(talk):
    driver = talk()
    added, done = driver.type("hi")
    assert (added["type"], done["type"]) == ("conversation.item.added", "conversation.item.done")
    assert added["previous_item_id"] is None
    assert done["item"]["status"] == "completed"
    assert done["item"]["content"] == [{"type": "input_text", "text": "hi"}]


def test_items_go_where_they_belong(talk):
    driver = talk()

    def put(name, **fields):
        content = [{"type": "input_text", "text": name}]
        item = {"id": name, "type": "message", "role": "user", "content": content}
        return driver.send("conversation.item.create", item=item, **fields)[0]

    assert put("a")["previous_item_id"] is None
    assert put("b")["previous_item_id"] == "a"
    assert put("c", previous_item_id="a")["previous_item_id"] == "a"
    assert put("d", previous_item_id="root")["previous_item_id"] is None
    assert order(driver) == ["d", "a", "c", "b"]
    assert put("a")["error"]["code"] == "item_create_duplicate_item_id"
    assert driver.send("conversation.item.delete", item_id="a")[0]["item_id"] == "a"
    assert order(driver) == ["d", "c", "b"]
    assert put("a")["previous_item_id"] == "b"
    assert [item.id for item in driver.record.items if item.deleted_at] == ["a"]


def test_every_kind_of_item(talk, sound):
    tone, _ = sound
    driver = talk()
    audio = base64.b64encode(tone(400).astype("<i2").tobytes()).decode()
    parts = [
        {"type": "input_audio", "audio": audio},
        {"type": "input_image", "image_url": PNG, "detail": "low"},
    ]
    driver.type("be kind", role="system")
    driver.type("hello", role="assistant")
    for item in (
        {"type": "message", "role": "user", "content": parts},
        {"type": "function_call", "call_id": "call_1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "call_1", "output": "rain"},
    ):
        driver.send("conversation.item.create", item=item)
    assert driver.record.refused == []
    assert driver.record.images == 1
    assert [item.text for item in driver.record.items] == [
        *("be kind", "hello", "[simulated] word-1 [image]"),
        *("look({})", "rain"),
    ]
    done = driver.all("conversation.item.done")
    assert done[2]["item"]["content"][0] == {"type": "input_audio"}


def test_retrieved_items_have_their_sound(talk, sound):
    tone, _ = sound
    driver = talk()
    driver.manual()
    driver.append(tone(400))
    item_id = driver.send("input_audio_buffer.commit")[0]["item_id"]
    item = driver.send("conversation.item.retrieve", item_id=item_id)[0]["item"]
    heard = np.frombuffer(base64.b64decode(item["content"][0]["audio"]), "<i2")
    assert np.array_equal(heard, tone(400))


@pytest.fixture
def replied(talk):
    """A conversation in which `say` was said: the driver, and the reply's item."""

    def made(text="one two three"):
        driver = talk(pronounce=lambda _: np.full(7200, 3000, np.int16))
        driver.type(text)
        driver.respond()
        return driver, driver.record.items[-1]

    return made


def test_a_reply_is_cut_where_it_was_heard(replied):
    driver, item = replied()
    assert (item.text, item.audio_ms) == ("[simulated] one two three", 1200)
    assert truncate(driver, item.id, 650) == {
        **driver.last("conversation.item.truncated"),
        **{"item_id": item.id, "content_index": 0, "audio_end_ms": 650},
    }
    assert (item.text, item.audio_ms, item.truncated_at_ms) == ("[simulated] one two", 650, 650)
    kept = driver.send("conversation.item.retrieve", item_id=item.id)[0]["item"]["content"][0]
    assert "transcript" not in kept
    assert len(base64.b64decode(kept["audio"])) == 650 * 48


@pytest.mark.parametrize(
    ("end_ms", "index", "param", "words"),
    [
        (1201, 0, "audio_end_ms", "Audio content of 1200ms is already shorter than 1201ms"),
        (0, 0, "audio_end_ms", "Only model output audio messages can be truncated"),
        (100, 1, "content_index", "Content index 1 is out of range"),
    ],
)
def test_a_reply_is_not_cut_where_it_is_not(replied, end_ms, index, param, words):
    driver, item = replied()
    error = truncate(driver, item.id, end_ms, index)["error"]
    assert (error["code"], error["param"]) == ("invalid_value", param)
    assert error["message"].startswith(words)
    assert item.truncated_at_ms is None


def test_a_reply_is_cut_while_it_is_said(talk):
    driver = talk(pronounce=lambda _: np.full(7200, 3000, np.int16), reply_speed=1.0)
    driver.type("one two three four")
    driver.send("response.create")
    driver.run(1.2)
    item = driver.record.items[-1]
    assert truncate(driver, item.id, 450)["type"] == "conversation.item.truncated"
    driver.run(0.3)
    driver.send("response.cancel")
    assert (item.text, item.audio_ms) == ("[simulated] one", 450)
    assert driver.last("conversation.item.done")["item"]["content"] == [{"type": "output_audio"}]
    assert driver.record.transcript.startswith("[simulated] one two")


def test_only_what_the_model_said_aloud_can_be_cut(replied):
    driver, _ = replied()
    user = driver.record.items[0]
    driver.type("typed", role="assistant")
    for item in (user, driver.record.items[-1]):
        error = truncate(driver, item.id, 1)["error"]
        assert error["message"].startswith("Only model output audio messages can be truncated")


def test_an_end_exactly_at_the_end_is_allowed(replied):
    driver, item = replied()
    assert truncate(driver, item.id, 1200)["type"] == "conversation.item.truncated"
    assert truncate(driver, item.id, 1200)["type"] == "conversation.item.truncated"
    assert item.text == "[simulated] one two three"


def test_items_and_sound_are_bounded(talk, monkeypatch):
    monkeypatch.setattr("parley.simulator.items._MOST_ITEMS", 3)
    monkeypatch.setattr("parley.simulator.items._MOST_SAMPLES", 24_000)
    driver = talk()
    driver.manual()
    for _ in range(5):
        driver.append(np.zeros(12_000, np.int16))
        driver.send("input_audio_buffer.commit")
    kept = list(driver.session._state.items)
    assert [item.pcm is None for item in kept] == [True, False, False]
    assert [item.audio_ms for item in kept] == [500, 500, 500]
