"""What is billed: tokens by kind, the whole conversation each time, and what of it was cached."""

import base64

import numpy as np

from parley.simulator import Turn

PNG = "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n0000").decode()


def test_tokens_by_kind(talk, sound):
    tone, _ = sound
    driver = talk(script=[Turn(say="abcdefgh", say_audio=np.full(24_000, 900, np.int16))])
    driver.update(instructions="x" * 40)
    driver.manual()
    driver.append(tone(1050))
    driver.send("input_audio_buffer.commit")
    usage = driver.respond()["usage"]
    details = usage["input_token_details"]
    assert (details["audio_tokens"], details["text_tokens"], details["image_tokens"]) == (11, 10, 0)
    assert usage["output_token_details"] == {"text_tokens": 2, "audio_tokens": 20}
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"] == 21 + 22
    assert details["cached_tokens"] == 0


def test_the_whole_conversation_is_billed_again_and_cached(talk, sound):
    tone, _ = sound
    driver = talk()
    driver.manual()
    driver.append(tone(1000))
    driver.send("input_audio_buffer.commit")
    first = driver.respond()["usage"]
    driver.append(tone(1000))
    driver.send("input_audio_buffer.commit")
    second = driver.respond()["usage"]
    cached = second["input_token_details"]["cached_tokens_details"]
    assert second["input_token_details"]["cached_tokens"] == first["input_tokens"]
    assert cached["audio_tokens"] == 10
    reply_tokens = driver.record.items[1].audio_ms // 50 + 1
    assert abs(second["input_tokens"] - first["input_tokens"] - 10 - reply_tokens) <= 1
    totals = driver.record.usage
    assert (
        totals.audio_in
        == first["input_token_details"]["audio_tokens"] + second["input_token_details"]["audio_tokens"]
    )
    assert totals.cached_audio_in == 10


def test_what_changes_the_beginning_is_not_cached(talk):
    driver = talk()
    driver.type("one")
    driver.respond()
    driver.update(instructions="new")
    assert driver.respond()["usage"]["input_token_details"]["cached_tokens"] == 0
    last = driver.respond()["usage"]["input_token_details"]["cached_tokens"]
    assert last > 0
    driver.send("conversation.item.delete", item_id=driver.record.items[0].id)
    assert driver.respond()["usage"]["input_token_details"]["cached_tokens"] == 1


def test_a_truncated_reply_weighs_what_was_heard(talk):
    driver = talk(script=[Turn(say="x", say_audio=np.full(24_000, 900, np.int16)), Turn(), Turn()])
    driver.type("hi")
    driver.respond()
    whole = driver.respond()["usage"]["input_token_details"]["audio_tokens"]
    item_id = driver.record.items[-1].id
    driver.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=500)
    cut = driver.respond()["usage"]["input_token_details"]
    assert (whole, cut["audio_tokens"]) == (20, 10)


def test_images_have_their_own_tokens(talk):
    driver = talk()
    parts = [
        {"type": "input_image", "image_url": PNG, "detail": "low"},
        {"type": "input_image", "image_url": PNG},
    ]
    driver.send("conversation.item.create", item={"type": "message", "role": "user", "content": parts})
    assert driver.respond()["usage"]["input_token_details"]["image_tokens"] == 850
    assert driver.record.images == 2


def test_rate_limits_are_said_at_the_beginning(talk):
    driver = talk(tokens_per_minute=1000)
    driver.type("hi")
    driver.respond()
    (limits,) = driver.last("rate_limits.updated")["rate_limits"]
    assert limits["name"] == "tokens"
    assert limits["limit"] - limits["remaining"] == driver.record.responses[0].input_tokens
