"""What becomes of a conversation when its connection goes, moment by moment."""

import asyncio
import time
from dataclasses import replace

import pytest
from livekit.agents import llm

from component.plugin.fake_realtime import Line, Realtime, Server, on_line
from component.plugin.talk import QUICK
from livekit.plugins.openai_realtime import (
    ConversationOptions,
    QuotaError,
    ResponseEnded,
    ResumeOptions,
    TurnCommitted,
    TurnTranscribed,
)

Event = dict[str, object]


async def polite(server: Server) -> None:
    await server.greet()
    await server.listen()


def kinds(server: Server) -> list[str]:
    return [event["type"] for event in server.received]


async def test_a_turn_that_was_committed_is_said_again_and_answered_once(realtime: Realtime) -> None:
    async def first(server: Server) -> None:
        await server.greet()
        await server.until("input_audio_buffer.append")
        while len(server.pcm) < 48 * 600:
            await server.next()
        await server.turn("item_a", 100, 500)
        await server.drop()

    async def second(server: Server) -> None:
        await server.greet()
        await server.until("input_audio_buffer.commit")
        await server.commit("item_b")
        asked = await server.until("response.create")
        await server.transcribe("good morning", "item_b")
        await server.create("resp_b", asked)
        await server.finish("resp_b")
        await server.listen()

    async with on_line(realtime, first, second) as line:
        parts = [line.push(100, value) for value in range(1, 7)]
        await line.until(lambda: any(isinstance(e, TurnTranscribed) and e.final for e in line.turns), "words")
        last = realtime.servers[-1]
        await line.until(lambda: len(last.pcm) >= 48 * 500, "what was said after the turn")
        again, rest = last.pcm[: 48 * 400], last.pcm[48 * 400 :]
        assert again == b"".join(parts[1:5])
        assert rest == parts[5]
        assert kinds(last).count("response.create") == 1
        assert [e for e in line.turns if isinstance(e, TurnCommitted)] == [TurnCommitted("item_a")]
        [words] = [e for e in line.turns if isinstance(e, TurnTranscribed)]
        assert (words.item_id, words.text) == ("item_a", "good morning")
        assert [item.text_content for item in line.session.chat_ctx.items] == ["good morning"]
        updates = [event["session"] for event in last.of("session.update")]
        assert [u["audio"]["input"]["turn_detection"] is None for u in updates] == [True, False]


async def test_a_turn_without_transcription_is_put_there_as_audio(realtime: Realtime) -> None:
    async def first(server: Server) -> None:
        await server.greet()
        while len(server.pcm) < 48 * 300:
            await server.next()
        await server.turn("item_a", 0, 300)
        await server.create("resp_a")
        await server.finish("resp_a")
        await server.drop()

    options = ConversationOptions(transcription=None)
    async with on_line(realtime, first, polite, options=options) as line:
        said = line.push(300)
        await line.until(lambda: len(realtime.servers) == 2, "the next connection")
        last = realtime.servers[-1]
        await line.until(lambda: last.of("conversation.item.create"), "the turn")
        [item] = [event["item"] for event in last.of("conversation.item.create")]
        assert item["id"] == "item_a"
        assert item["role"] == "user"
        assert [part["type"] for part in item["content"]] == ["input_audio"]
        assert len(said) == 48 * 300
        assert last.of("response.create") == []


async def cut(server: Server, *words: str) -> Event:
    """A reply of which some words come, and then nothing more."""
    await server.greet()
    asked = await server.until("response.create")
    await server.create("resp_1", asked)
    await server.begin("resp_1", "item_1")
    for word in words:
        await server.speak("item_1", word)
    await server.drop()
    return asked


async def go_on(server: Server, *words: str) -> Event:
    await server.greet()
    asked = await server.until("response.create")
    await server.create("resp_2", asked)
    await server.begin("resp_2", "item_2")
    for word in words:
        await server.speak("item_2", word, value=2)
    return asked


async def finished(server: Server, *words: str) -> None:
    await go_on(server, *words)
    await server.finish("resp_2", "item_2")
    await server.listen()


async def test_a_cut_reply_goes_on_in_the_same_message(realtime: Realtime) -> None:
    async with on_line(
        realtime, lambda s: cut(s, "It", " will", " rain"), lambda s: finished(s, "tomorrow", " morning")
    ) as line:
        await line.session.update_instructions("Be brief.")
        event = await line.session.generate_reply(instructions="Tell the weather.")
        assert event.user_initiated
        await line.until(lambda: line.generations[0].ended, "the end of the reply")
        [heard] = line.generations
        assert heard.texts == {"item_1": "It will rain tomorrow morning"}
        assert len(heard.audio["item_1"]) == 48 * 500 * 5
        second = realtime.servers[1]
        [seed] = [event["item"] for event in second.of("conversation.item.create")]
        assert seed["id"] == "item_1"
        assert seed["content"] == [{"type": "output_text", "text": "It will rain"}]
        [asked] = second.of("response.create")
        assert asked["response"]["instructions"].startswith("Be brief.\nTell the weather.")
        assert "exactly where it stops" in asked["response"]["instructions"]
        assert [item.text_content for item in line.session.chat_ctx.items] == [
            "It will rain tomorrow morning"
        ]
        ends = [event for event in line.turns if isinstance(event, ResponseEnded)]
        assert [(end.response_id, end.reason) for end in ends] == [
            ("resp_1", "connection_lost"),
            ("resp_2", None),
        ]


async def test_a_word_cut_in_two_is_said_again_and_written_once(realtime: Realtime) -> None:
    async def first(server: Server) -> None:
        await server.greet()
        asked = await server.until("response.create")
        await server.create("resp_1", asked)
        await server.begin("resp_1", "item_1")
        await server.speak("item_1", "It")
        await server.speak("item_1", " thunders", 100)
        await server.drop()

    async with on_line(realtime, first, lambda s: finished(s, "Thunders", " tomorrow")) as line:
        await line.session.generate_reply()
        await line.until(lambda: line.generations[0].ended, "the end of the reply")
        assert line.generations[0].texts == {"item_1": "It thunders tomorrow"}
        [seed] = realtime.servers[1].of("conversation.item.create")
        assert seed["item"]["content"] == [{"type": "output_text", "text": "It"}]


async def test_a_reply_of_which_nothing_was_heard_is_asked_for_again(realtime: Realtime) -> None:
    async def first(server: Server) -> None:
        await server.greet()
        asked = await server.until("response.create")
        await server.create("resp_1", asked)
        await server.begin("resp_1", "item_1")
        await server.say("response.output_audio_transcript.delta", item_id="item_1", delta="It will")
        await server.drop()

    async with on_line(realtime, first, lambda s: finished(s, "It", " will", " rain")) as line:
        await line.session.generate_reply()
        await line.until(lambda: line.generations[0].ended, "the end of the reply")
        assert line.generations[0].texts == {"item_1": "It will rain"}
        assert realtime.servers[1].of("conversation.item.create") == []
        [asked] = realtime.servers[1].of("response.create")
        assert "instructions" not in asked["response"]
        assert [item.id for item in line.session.chat_ctx.items] == ["item_1"]


async def test_a_reply_cut_twice_ends(realtime: Realtime) -> None:
    async def second(server: Server) -> None:
        await go_on(server, "tomorrow")
        await server.drop()

    async with on_line(realtime, lambda s: cut(s, "It", " will", " rain"), second, polite) as line:
        await line.session.generate_reply()
        await line.until(lambda: line.generations[0].ended, "the end of the reply")
        await line.until(lambda: len(realtime.servers) == 3, "the next connection")
        assert line.generations[0].texts == {"item_1": "It will rain tomorrow"}
        assert realtime.servers[2].of("response.create") == []
        last = realtime.servers[2]
        await line.until(lambda: last.of("conversation.item.create"), "the history")
        [seed] = last.of("conversation.item.create")
        assert seed["item"]["content"] == [{"type": "output_text", "text": "It will rain tomorrow"}]


@pytest.mark.parametrize(
    ("played_ms", "heard", "expected"),
    [
        (1800, "It will rain tomorrow", [("truncate", "item_2", 300)]),
        (9000, "It will rain tomorrow morning", [("truncate", "item_2", 1000)]),
        (1300, "It will", [("delete", "item_2"), ("delete", "item_1"), ("create", "item_1", "It will")]),
        (0, "", [("delete", "item_2"), ("delete", "item_1")]),
    ],
)
async def test_a_truncation_meets_the_part_that_was_playing(
    realtime: Realtime, played_ms: int, heard: str, expected: list[tuple[object, ...]]
) -> None:
    async with on_line(
        realtime, lambda s: cut(s, "It", " will", " rain"), lambda s: finished(s, "tomorrow", " morning")
    ) as line:
        await line.session.generate_reply()
        await line.until(lambda: line.generations[0].ended, "the end of the reply")
        last = realtime.servers[1]
        before = len(last.received)
        line.session.truncate(
            message_id="item_1",
            modalities=["audio", "text"],
            audio_end_ms=played_ms,
            audio_transcript=heard,
        )
        await line.until(lambda: len(last.received) >= before + len(expected), "the truncation")
        told = []
        for event in last.received[before:]:
            if event["type"].endswith("truncate"):
                told.append(("truncate", event["item_id"], event["audio_end_ms"]))
            elif event["type"].endswith("delete"):
                told.append(("delete", event["item_id"]))
            else:
                told.append(("create", event["item"]["id"], event["item"]["content"][0]["text"]))
        assert told == expected
        texts = [heard] if heard else []
        await line.until(
            lambda: [item.text_content for item in line.session.chat_ctx.items] == texts, "the mirror"
        )


async def test_what_was_heard_is_what_the_next_session_is_told(realtime: Realtime) -> None:
    async def first(server: Server) -> None:
        await server.greet()
        asked = await server.until("response.create")
        await server.create("resp_1", asked)
        await server.begin("resp_1", "item_1")
        for word in ("It", " will", " rain"):
            await server.speak("item_1", word)
        await server.until("response.cancel")
        await server.finish("resp_1", "item_1", status="cancelled")
        await server.until("conversation.item.truncate")
        await server.drop()

    async with on_line(realtime, first, polite) as line:
        await line.session.generate_reply()
        await line.until(lambda: line.generations[0].audio.get("item_1"), "a sound")
        line.session.interrupt()
        line.session.truncate(
            message_id="item_1", modalities=["audio", "text"], audio_end_ms=500, audio_transcript="It"
        )
        await line.until(lambda: len(realtime.servers) == 2, "the next connection")
        last = realtime.servers[1]
        await line.until(lambda: last.of("conversation.item.create"), "the history")
        [seed] = last.of("conversation.item.create")
        assert seed["item"]["content"] == [{"type": "output_text", "text": "It"}]


async def test_an_interruption_without_a_connection_ends_the_reply(realtime: Realtime) -> None:
    async def second(server: Server) -> None:
        await asyncio.sleep(0.2)
        await polite(server)

    resume = ResumeOptions(backoff_s=0.4, backoff_max_s=0.4, stable_s=0.2)
    async with on_line(realtime, lambda s: cut(s, "It", " will"), second, resume=resume) as line:
        await line.session.generate_reply()
        await line.until(lambda: "Reconnecting" in line.kinds(), "the end of the connection")
        line.session.interrupt()
        await line.until(lambda: line.generations[0].ended, "the end of the reply")
        line.session.truncate(
            message_id="item_1", modalities=["audio", "text"], audio_end_ms=450, audio_transcript="It"
        )
        await line.until(lambda: "Reconnected" in line.kinds(), "the next connection")
        last = realtime.servers[1]
        await line.until(lambda: last.of("conversation.item.create"), "the history")
        assert last.of("response.create", "response.cancel") == []
        [seed] = last.of("conversation.item.create")
        assert seed["item"]["content"] == [{"type": "output_text", "text": "It"}]


async def test_a_reply_that_was_asked_for_is_asked_for_again(realtime: Realtime) -> None:
    async def first(server: Server) -> None:
        await server.greet()
        await server.until("response.create")
        await server.drop()

    async with on_line(realtime, first, lambda s: finished(s, "Here")) as line:
        event = await asyncio.wait_for(line.session.generate_reply(), 10)
        assert event.response_id == "resp_2"
        await line.until(lambda: line.generations[0].ended, "the end of the reply")
        assert line.generations[0].texts == {"item_2": "Here"}
        assert line.session.counts["replies_resumed"] == 0


async def test_items_that_were_not_confirmed_are_told_again(realtime: Realtime) -> None:
    async def first(server: Server) -> None:
        await server.greet()
        await server.peer.until("conversation.item.create")
        await server.drop()

    async with on_line(realtime, first, polite) as line:
        context = llm.ChatContext.empty()
        context.add_message(role="user", content="Good morning")
        await asyncio.wait_for(line.session.update_chat_ctx(context), 4)
        last = realtime.servers[1]
        texts = [event["item"]["content"][0]["text"] for event in last.of("conversation.item.create")]
        assert texts == ["Good morning"]
        assert [item.text_content for item in line.session.chat_ctx.items] == ["Good morning"]


async def accept_and_close(server: Server) -> None:
    await server.greet()
    await server.peer.socket.close(code=1011)


async def refuse_silently(server: Server) -> None:
    await server.peer.socket.close(code=1013)


@pytest.mark.parametrize("script", [accept_and_close, refuse_silently])
async def test_a_server_that_accepts_and_closes_is_given_up(realtime: Realtime, script: object) -> None:
    resume = ResumeOptions(retries=4, backoff_s=0.02, backoff_max_s=0.05, stable_s=5.0)
    async with on_line(realtime, script, resume=resume) as line:
        future = line.session.generate_reply()
        await line.until(lambda: line.errors and not line.errors[-1].recoverable, "the end")
        assert realtime.attempts == 5
        assert [error.recoverable for error in line.errors] == [True] * 4 + [False]
        with pytest.raises(llm.RealtimeError):
            await future
        line.push(100)
        with pytest.raises(llm.RealtimeError, match="ended"):
            await line.session.generate_reply()


async def test_a_quota_ends_the_session_at_once(realtime: Realtime) -> None:
    async def broke(server: Server) -> None:
        await server.greet()
        asked = await server.until("response.create")
        await server.create("resp_1", asked)
        await server.begin("resp_1", "item_1")
        await server.speak("item_1", "It")
        await server.error("insufficient_quota")
        await server.listen()

    async with on_line(realtime, broke) as line:
        await line.session.generate_reply()
        await line.until(lambda: line.errors, "the error")
        assert not line.errors[0].recoverable
        assert isinstance(line.errors[0].error, QuotaError)
        await line.until(lambda: line.generations[0].ended, "the end of the reply")
        assert line.generations[0].texts == {"item_1": "It"}
        assert realtime.attempts == 1


async def test_an_expired_session_is_replaced(realtime: Realtime) -> None:
    async def expired(server: Server) -> None:
        await server.greet()
        await server.until("session.update")
        await server.error("session_expired")
        await server.peer.socket.close(code=1001)

    async with on_line(realtime, expired, polite) as line:
        await line.until(lambda: "Reconnected" in line.kinds(), "the next session")
        assert [event.reason for event in line.turns if type(event).__name__ == "Reconnecting"] == [
            "session_expired"
        ]


async def test_a_server_that_asks_to_wait_is_waited_for(realtime: Realtime) -> None:
    from aiohttp import web

    loop = asyncio.get_running_loop()
    tried: list[float] = []

    def busy(_: web.Request) -> web.Response:
        tried.append(loop.time())
        realtime.refusal = None
        body = {"error": {"code": "rate_limit_exceeded", "message": "slow down"}}
        return web.json_response(body, status=429, headers={"Retry-After": "0.4"})

    realtime.refusal = busy
    async with on_line(realtime, polite) as line:
        await line.until(lambda: line.session.connected, "a connection")
        assert loop.time() - tried[0] >= 0.4
        assert realtime.attempts == 2


async def test_a_key_that_is_refused_is_not_tried_again(realtime: Realtime) -> None:
    from aiohttp import web

    realtime.refusal = lambda _: web.json_response({"error": {"code": "invalid_api_key"}}, status=401)
    async with on_line(realtime, polite) as line:
        await line.until(lambda: line.errors, "the error")
        assert [error.recoverable for error in line.errors] == [False]
        assert realtime.attempts == 1


async def test_a_dead_path_is_found_by_the_heartbeat(realtime: Realtime) -> None:
    realtime.autoping = False

    async def deaf(server: Server) -> None:
        await server.greet()
        await server.until("session.update")
        await asyncio.Event().wait()

    async def second(server: Server) -> None:
        realtime.autoping = True
        await polite(server)

    async with on_line(realtime, deaf, second, connect={"heartbeat_s": 0.2}) as line:
        await line.until(lambda: "Reconnecting" in line.kinds(), "the end of the connection")
        await line.until(lambda: len(realtime.servers) > 1, "the next connection")


async def test_no_sample_is_lost_or_sent_twice(realtime: Realtime) -> None:
    """What is in no turn is appended again, in order, and nothing else is."""

    async def first(server: Server) -> None:
        await server.greet()
        while len(server.pcm) < 48 * 500:
            await server.next()
        await server.commit("item_a")
        while len(server.pcm) < 48 * 900:
            await server.next()
        await server.drop()

    options = ConversationOptions(turn_detection=None, transcription=None)
    async with on_line(realtime, first, polite, options=options) as line:
        await line.until(lambda: line.session.connected, "a connection")
        said = [line.push(20, value) for value in range(1, 26)]
        line.session.commit_audio()
        said += [line.push(20, value) for value in range(26, 46)]
        await line.until(lambda: "Reconnecting" in line.kinds(), "the end of the connection")
        said += [line.push(20, value) for value in range(46, 66)]
        last = await second_of(line)
        await line.until(lambda: len(last.pcm) >= 48 * 800, "the rest")
        assert realtime.servers[0].pcm == b"".join(said[:45])
        assert last.pcm == b"".join(said[25:])
        assert line.session.dropped_s == 0


async def second_of(line: Line) -> Server:
    await line.until(lambda: len(line.api.servers) > 1, "the next connection")
    return line.api.servers[1]


async def test_a_commit_that_was_not_confirmed_is_made_again_at_its_place(realtime: Realtime) -> None:
    async def first(server: Server) -> None:
        await server.greet()
        await server.until("input_audio_buffer.commit")
        await server.drop()

    async def second(server: Server) -> None:
        await server.greet()
        await server.until("input_audio_buffer.commit")
        await server.commit("item_b")
        asked = await server.until("response.create")
        await server.create("resp_b", asked)
        await server.finish("resp_b")
        await server.listen()

    async with on_line(realtime, first, second, options=ConversationOptions(turn_detection=None)) as line:
        said = line.push(300, 1)
        line.session.commit_audio()
        future = line.session.generate_reply()
        after = line.push(200, 2)
        await asyncio.wait_for(future, 10)
        last = await second_of(line)
        await line.until(lambda: len(last.pcm) == len(said + after), "the audio")
        assert last.pcm == said + after
        order = [kind for kind in kinds(last) if kind != "session.update"]
        commit, create = order.index("input_audio_buffer.commit"), order.index("response.create")
        assert order[:commit] == ["input_audio_buffer.append"] * 3
        assert commit < create


async def test_audio_that_waits_is_bounded(realtime: Realtime, caplog: pytest.LogCaptureFixture) -> None:
    from aiohttp import web

    realtime.refusal = lambda _: web.Response(status=503)
    resume = ResumeOptions(queue_max_s=1.0, backoff_s=0.05, backoff_max_s=0.1, retries=1000)
    async with on_line(realtime, polite, resume=resume) as line:
        parts = [line.push(100, value) for value in range(1, 31)]
        assert line.session.dropped_s == pytest.approx(2.0)
        realtime.refusal = None
        await line.until(lambda: realtime.servers, "a connection")
        server = realtime.servers[0]
        await line.until(lambda: len(server.pcm) >= 48_000, "the rest")
        assert server.pcm == b"".join(parts[20:])
        assert sum("dropping the oldest" in record.message for record in caplog.records) == 1


async def test_a_long_history_is_told_in_short(realtime: Realtime) -> None:
    told: list[object] = []

    async def summarise(lines: object) -> str:
        told.append(lines)
        return "They greeted each other."

    async def first(server: Server) -> None:
        await server.greet()
        for _ in range(6):
            await server.until("conversation.item.create")
        await server.drop()

    resume = replace(QUICK, history_items=2, summarise=summarise)
    async with on_line(realtime, first, polite, resume=resume) as line:
        context = llm.ChatContext.empty()
        for number in range(6):
            context.add_message(role="user" if number % 2 == 0 else "assistant", content=f"line {number}")
        await line.session.update_chat_ctx(context)
        last = await second_of(line)
        await line.until(lambda: len(last.of("conversation.item.create")) == 3, "the history")
        items = [event["item"] for event in last.of("conversation.item.create")]
        assert [(item["role"], item["content"][0]["text"]) for item in items] == [
            ("system", "They greeted each other."),
            ("user", "line 4"),
            ("assistant", "line 5"),
        ]
        assert len(told) == 1
        await line.session.update_chat_ctx(context)
        assert last.of("conversation.item.delete") == []
        assert len(last.of("conversation.item.create")) == 3


async def test_a_server_that_says_nothing_is_left(realtime: Realtime) -> None:
    async def dumb(server: Server) -> None:
        await server.greet()
        while await server.peer.next() is not None:
            pass

    resume = replace(QUICK, reply_timeout_s=0.3)
    async with on_line(realtime, dumb, lambda s: finished(s, "Here"), resume=resume) as line:
        await line.until(lambda: line.session.connected, "a connection")
        await line.until(lambda: realtime.servers[0].of("session.update"), "the settings")
        event = await asyncio.wait_for(line.session.generate_reply(), 5)
        assert event.response_id == "resp_2"


async def test_a_request_the_server_forgets_is_made_of_the_next_session_and_then_fails(
    realtime: Realtime,
) -> None:
    async def forgetful(server: Server) -> None:
        await server.greet()
        await server.until("response.create")
        await server.say("rate_limits.updated", rate_limits=[])
        await server.listen()

    async with on_line(realtime, forgetful, resume=replace(QUICK, reply_timeout_s=0.2)) as line:
        with pytest.raises(llm.RealtimeError, match="timed out"):
            await line.session.generate_reply()
        assert realtime.attempts == 2
        assert line.session.counts["stalled"] == 1
        assert not line.session.has_active_generation


async def test_a_turn_that_was_not_finished_goes_on_after_its_preamble(realtime: Realtime) -> None:
    async def first(server: Server) -> None:
        await server.greet()
        await server.create("resp_1", await server.until("response.create"))
        await server.begin("resp_1", "item_1")
        await server.speak("item_1", "Wait")
        item = {"id": "item_1", "type": "message", "role": "assistant", "content": []}
        await server.say("response.output_item.done", response_id="resp_1", item=item)
        call = {"id": "call_1", "type": "function_call", "name": "clock", "call_id": "c", "arguments": ""}
        await server.say("response.output_item.added", response_id="resp_1", item=call)
        await server.say("conversation.item.added", previous_item_id="item_1", item=call)
        await server.drop()

    async def second(server: Server) -> None:
        await server.greet()
        await server.create("resp_2", await server.until("response.create"))
        call = {"id": "call_2", "type": "function_call", "name": "clock", "call_id": "d", "arguments": "{}"}
        await server.say("response.output_item.added", response_id="resp_2", item={**call, "arguments": ""})
        await server.say("response.output_item.done", response_id="resp_2", item=call)
        await server.finish("resp_2")
        await server.listen()

    async with on_line(realtime, first, second) as line:
        await line.session.generate_reply()
        await line.until(lambda: line.generations[0].ended, "the end of the reply")
        assert len(line.generations) == 1
        assert line.generations[0].texts == {"item_1": "Wait"}
        assert [call.call_id for call in line.generations[0].calls] == ["d"]
        last = realtime.servers[1]
        assert [event["item"]["id"] for event in last.of("conversation.item.create")] == ["item_1"]
        assert "Go on with your turn" in last.of("response.create")[0]["response"]["instructions"]


async def test_a_call_that_was_handed_over_is_not_asked_for_again(realtime: Realtime) -> None:
    async def first(server: Server) -> None:
        await server.greet()
        await server.create("resp_1", await server.until("response.create"))
        call = {"id": "call_1", "type": "function_call", "name": "clock", "call_id": "c", "arguments": "{}"}
        await server.say("response.output_item.added", response_id="resp_1", item={**call, "arguments": ""})
        await server.say("conversation.item.added", previous_item_id=None, item={**call, "arguments": ""})
        await server.say("response.output_item.done", response_id="resp_1", item=call)
        await server.drop()

    async with on_line(realtime, first, polite) as line:
        await line.session.generate_reply()
        await line.until(lambda: line.generations[0].ended, "the end of the reply")
        last = await second_of(line)
        context = line.session.chat_ctx.copy()
        context.items.append(llm.FunctionCallOutput(call_id="c", name="clock", output="nine", is_error=False))
        await asyncio.wait_for(line.session.update_chat_ctx(context), 4)
        told = [event["item"] for event in last.of("conversation.item.create")]
        assert [(item["type"], item["call_id"]) for item in told] == [
            ("function_call", "c"),
            ("function_call_output", "c"),
        ]
        assert last.of("response.create") == []


async def test_a_session_that_must_be_replaced_in_the_middle_of_a_reply(realtime: Realtime) -> None:
    async def first(server: Server) -> None:
        await server.greet(expires_at=int(time.time()) + 3)
        await server.create("resp_1", await server.until("response.create"))
        await server.begin("resp_1", "item_1")
        for word in ("It", " will", " rain"):
            await server.speak("item_1", word)
        await server.listen()

    async with on_line(realtime, first, lambda s: finished(s, "tomorrow")) as line:
        await line.session.generate_reply()
        await line.until(lambda: line.generations[0].ended, "the end of the reply")
        assert line.generations[0].texts == {"item_1": "It will rain tomorrow"}
        assert line.session.counts["rotations"] == 1
        assert line.errors == []
        assert await asyncio.wait_for(realtime.servers[0].peer.left.wait(), 5)


async def test_what_a_remote_tool_said_is_told_in_words(realtime: Realtime) -> None:
    async def first(server: Server) -> None:
        await server.greet()
        await server.until("session.update")
        await server.commit("item_a")
        await server.transcribe("search it", "item_a")
        call = {
            "id": "mcp_1",
            "type": "mcp_call",
            "server_label": "docs",
            "name": "search",
            "arguments": "{}",
        }
        await server.add({**call, "output": "forty-two"})
        said = {"id": "item_b", "type": "message", "role": "assistant", "status": "completed"}
        await server.add({**said, "content": [{"type": "output_text", "text": "Found"}]})
        await server.drop()

    async with on_line(realtime, first, polite) as line:
        last = await second_of(line)
        await line.until(lambda: len(last.of("conversation.item.create")) == 3, "the history")
        told = [event["item"] for event in last.of("conversation.item.create")]
        assert [(item["role"], item["content"][0]["text"]) for item in told] == [
            ("user", "search it"),
            ("system", "[docs] search({}) returned: forty-two"),
            ("assistant", "Found"),
        ]
        context = llm.ChatContext([item for item in line.session.chat_ctx.items if item.id != "mcp_1"])
        await line.session.update_chat_ctx(context)
        assert last.of("conversation.item.delete") == []


async def test_an_end_without_another_connection_is_not_announced_as_one(realtime: Realtime) -> None:
    async def broke(server: Server) -> None:
        await server.greet()
        await server.until("session.update")
        await server.error("insufficient_quota")
        await server.listen()

    async with on_line(realtime, broke) as line:
        await line.until(lambda: line.errors, "the error")
        assert line.turns == []
        assert line.session.ended
