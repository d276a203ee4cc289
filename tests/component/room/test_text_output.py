"""Text to the room: who gets it, what replaces what, and how much may wait."""

import asyncio
import json
from collections.abc import AsyncIterator
from time import monotonic, time

import pytest

from fakes.room import FakeRoom
from livekit import rtc
from parley.core.model import BridgeKey
from parley.core.transcript import Segment
from parley.room.text_output import EVENTS_BURST, MOST_WAITING, Captions, RoomNotices, Text, TextOutput


@pytest.fixture
def room() -> FakeRoom:
    return FakeRoom()


@pytest.fixture
def output(room: FakeRoom) -> TextOutput:
    return TextOutput(room, None)  # type: ignore[arg-type]


@pytest.fixture
async def sending(output: TextOutput) -> AsyncIterator[None]:
    task = asyncio.create_task(output.run())
    yield
    assert not task.done()
    task.cancel()
    await asyncio.wait({task})


def text(body: str, topic: str = "t") -> Text:
    return Text(topic, body, {"a": "b"}, ("ben", "cat"), "ana")


async def sent(output: TextOutput) -> None:
    async with asyncio.timeout(5):
        await output.sent()


async def test_a_text_goes_whole_to_those_it_is_for(
    room: FakeRoom, output: TextOutput, sending: None
) -> None:
    output.put(text("hello"))
    await sent(output)
    assert room.texts == [
        {
            "topic": "t",
            "attributes": {"a": "b"},
            "destination_identities": ["ben", "cat"],
            "sender_identity": "ana",
            "text": "hello",
        }
    ]


async def test_a_waiting_interim_is_replaced_and_keeps_its_place(room: FakeRoom, output: TextOutput) -> None:
    for body, key in (("one", "s-0"), ("other", "s-1"), ("one two", "s-0"), ("one two three.", "s-0")):
        output.put(text(body), key=key)
    task = asyncio.create_task(output.run())
    await sent(output)
    assert [t["text"] for t in room.texts] == ["one two three.", "other"]
    task.cancel()
    await asyncio.wait({task})


async def test_texts_without_a_key_all_go_out_in_order(room: FakeRoom, output: TextOutput) -> None:
    for i in range(100):
        output.put(text(str(i)))
    task = asyncio.create_task(output.run())
    await sent(output)
    assert [t["text"] for t in room.texts] == [str(i) for i in range(100)]
    task.cancel()
    await asyncio.wait({task})


async def test_the_oldest_is_dropped_when_too_many_wait(
    room: FakeRoom, output: TextOutput, caplog: pytest.LogCaptureFixture
) -> None:
    for i in range(MOST_WAITING + 250):
        output.put(text(str(i)))
    assert output.dropped == 250
    assert len([r for r in caplog.records if "dropped" in r.message]) == 3
    task = asyncio.create_task(output.run())
    await sent(output)
    assert [t["text"] for t in room.texts] == [str(i) for i in range(250, MOST_WAITING + 250)]
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.parametrize("error", [rtc.StreamError("no"), ConnectionError("gone"), TimeoutError()])
async def test_a_text_that_cannot_be_sent_does_not_stop_the_next(
    room: FakeRoom, output: TextOutput, sending: None, error: Exception
) -> None:
    room.text_error = error
    output.put(text("lost"))
    await sent(output)
    room.text_error = None
    output.put(text("found"))
    await sent(output)
    assert [t["text"] for t in room.texts] == ["found"]


async def test_half_a_surrogate_pair_is_replaced(room: FakeRoom, output: TextOutput, sending: None) -> None:
    output.put(text("a\ud83db"))
    await sent(output)
    assert [t["text"] for t in room.texts] == ["a?b"]


# Captions


def captions(output: TextOutput, readers: list[str]) -> Captions:
    return Captions(
        output,
        BridgeKey("ana", "fr"),
        lambda kind: readers,
        lambda kind: {"translation": "TR_fr", "source": "TR_mic"}[kind],
        lambda: "en",
    )


async def test_captions_have_the_names_that_front_ends_know(
    room: FakeRoom, output: TextOutput, sending: None
) -> None:
    out = captions(output, ["cat", "ben"])
    now = monotonic()
    out.send(Segment("t-0", "Bonjour", False, now - 2, now - 1), "translation")
    await sent(output)
    out.send(Segment("s-0", "Hello.", True, now - 2, now - 1), "source")
    await sent(output)
    for sent_text in room.texts:
        assert float(sent_text["attributes"].pop("parley.start")) == pytest.approx(time() - 2, abs=0.5)
        assert float(sent_text["attributes"].pop("parley.end")) == pytest.approx(time() - 1, abs=0.5)
    assert [t["topic"] for t in room.texts] == ["lk.transcription"] * 2
    assert [t["sender_identity"] for t in room.texts] == ["ana"] * 2
    assert [t["destination_identities"] for t in room.texts] == [["ben", "cat"]] * 2
    assert [t["attributes"] for t in room.texts] == [
        {
            "lk.segment_id": "t-0",
            "lk.transcription_final": "false",
            "lk.transcribed_track_id": "TR_fr",
            "language": "fr",
            "parley.kind": "translation",
        },
        {
            "lk.segment_id": "s-0",
            "lk.transcription_final": "true",
            "lk.transcribed_track_id": "TR_mic",
            "language": "en",
            "parley.kind": "source",
        },
    ]


async def test_what_nobody_reads_is_not_sent(room: FakeRoom, output: TextOutput, sending: None) -> None:
    """An empty list of destinations would mean everybody."""
    captions(output, []).send(Segment("t-0", "secret", True, 0, 0), "translation")
    await sent(output)
    assert room.texts == []


# Notices


async def test_notices_go_to_all_as_json(room: FakeRoom, output: TextOutput, sending: None) -> None:
    RoomNotices(output, lambda: "parley").say(
        "session.failed", speaker="ana", language="fr", detail="ä" * 900
    )
    await sent(output)
    assert room.texts[0]["topic"] == "parley.events"
    assert room.texts[0]["destination_identities"] is None
    assert room.texts[0]["sender_identity"] == "parley"
    assert json.loads(room.texts[0]["text"]) == {
        "event": "session.failed",
        "speaker": "ana",
        "language": "fr",
        "detail": "ä" * 500,
    }


async def test_notices_are_limited_and_the_rest_counted(
    room: FakeRoom, output: TextOutput, sending: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("parley.room.text_output.monotonic", lambda: now)
    notices = RoomNotices(output, lambda: "parley")
    for _ in range(1000):
        notices.say("e", speaker=None, language=None, detail="")
    await sent(output)
    assert len(room.texts) == EVENTS_BURST
    now += 0.2
    notices.say("after", speaker=None, language=None, detail="")
    await sent(output)
    assert len(room.texts) == EVENTS_BURST + 1
    assert json.loads(room.texts[-1]["text"])["withheld"] == 1000 - EVENTS_BURST
    now += 3600
    for _ in range(100):
        notices.say("e", speaker=None, language=None, detail="")
    await sent(output)
    assert len(room.texts) == 2 * EVENTS_BURST + 1
