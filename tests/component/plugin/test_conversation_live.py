"""A conversation on one connection: what is sent when, and what is made of what the server says."""

import asyncio
import base64

import pytest
from livekit.agents import llm

from component.plugin.fake_realtime import Realtime, Server, on_line
from livekit.plugins.openai_realtime import (
    ConversationOptions,
    McpServer,
    RateLimit,
    RateLimits,
    ResponseEnded,
    SemanticVad,
    TurnTimeout,
)

PNG = b"\x89PNG\r\n\x1a\n" + bytes(16)


async def polite(server: Server) -> None:
    await server.greet()
    await server.listen()


async def test_everything_is_sent_before_the_server_says_a_word(realtime: Realtime) -> None:
    async def silent(server: Server) -> None:
        await server.until("response.create")
        while len(server.pcm) < 48 * 100:
            await server.next()
        await polite(server)

    async with on_line(realtime, silent) as line:
        await line.session.update_instructions("Be brief.")
        line.push(100)
        line.session.generate_reply().add_done_callback(lambda future: future.exception())
        await line.until(lambda: realtime.servers and realtime.servers[0].pcm, "audio")
        update = realtime.servers[0].received[0]
        assert update["type"] == "session.update"
        assert update["session"]["instructions"] == "Be brief."


async def test_audio_goes_out_at_once_in_small_pieces(realtime: Realtime) -> None:
    async with on_line(realtime, polite) as line:
        await line.until(lambda: line.session.connected, "a connection")
        server = realtime.servers[0]
        for ms, pieces in ((20, [20]), (100, [100]), (230, [100, 100, 30])):
            before = len(server.of("input_audio_buffer.append"))
            line.push(ms)
            await line.until(
                lambda before=before, pieces=pieces: (
                    len(server.of("input_audio_buffer.append")) == before + len(pieces)
                ),
                "the audio",
            )
            sent = server.of("input_audio_buffer.append")[before:]
            assert [len(base64.b64decode(event["audio"])) // 48 for event in sent] == pieces


async def test_a_second_reply_waits_for_the_first(realtime: Realtime) -> None:
    async def script(server: Server) -> None:
        await server.greet()
        first = await server.until("response.create")
        await server.create("resp_1", first)
        await server.meanwhile(0.2)
        assert len(server.of("response.create")) == 1
        await server.finish("resp_1")
        await server.create("resp_2", await server.until("response.create"))
        await server.finish("resp_2")
        await server.listen()

    async with on_line(realtime, script) as line:
        first = await asyncio.wait_for(line.session.generate_reply(), 10)
        second = await asyncio.wait_for(line.session.generate_reply(), 10)
        assert [first.response_id, second.response_id] == ["resp_1", "resp_2"]


async def test_a_reply_refused_because_another_is_active_comes_after_it(realtime: Realtime) -> None:
    async def script(server: Server) -> None:
        await server.greet()
        asked = await server.until("response.create")
        await server.create("resp_0")
        await server.error("conversation_already_has_active_response", asked["event_id"])
        await server.meanwhile(0.1)
        assert len(server.of("response.create")) == 1
        await server.finish("resp_0")
        again = await server.until("response.create")
        assert again == asked
        await server.create("resp_1", again)
        await server.finish("resp_1")
        await server.listen()

    async with on_line(realtime, script) as line:
        event = await asyncio.wait_for(line.session.generate_reply(), 10)
        assert event.response_id == "resp_1"
        assert line.errors == []
        assert line.session.counts["conversation_already_has_active_response"] == 1


async def test_nothing_is_cancelled_that_is_not_active(realtime: Realtime) -> None:
    async def script(server: Server) -> None:
        await server.greet()
        await server.create("resp_1", await server.until("response.create"))
        await server.until("response.cancel")
        await server.finish("resp_1", status="cancelled", status_details={"reason": "client_cancelled"})
        await server.listen()

    async with on_line(realtime, script) as line:
        line.session.interrupt()
        await line.session.generate_reply()
        line.session.interrupt()
        line.session.interrupt()
        await line.until(lambda: "ResponseEnded" in line.kinds(), "the end")
        line.session.interrupt()
        line.push(50)
        server = realtime.servers[0]
        await line.until(lambda: server.pcm, "audio")
        assert [event["response_id"] for event in server.of("response.cancel")] == ["resp_1"]
        [end] = [event for event in line.turns if isinstance(event, ResponseEnded)]
        assert (end.status, end.reason) == ("cancelled", "client_cancelled")


async def test_what_the_server_cancels_by_itself_is_not_cancelled_again(realtime: Realtime) -> None:
    async def script(server: Server) -> None:
        await server.greet()
        await server.create("resp_1", await server.until("response.create"))
        await server.say("input_audio_buffer.speech_started", item_id="item_a", audio_start_ms=0)
        await server.finish("resp_1", status="cancelled", status_details={"reason": "turn_detected"})
        await server.listen()

    async with on_line(realtime, script) as line:
        line.session.on("input_speech_started", lambda _: line.session.interrupt())
        await line.session.generate_reply()
        await line.until(lambda: "ResponseEnded" in line.kinds(), "the end")
        line.push(50)
        await line.until(lambda: realtime.servers[0].pcm, "audio")
        assert realtime.servers[0].of("response.cancel") == []


async def test_a_reply_cancelled_before_it_was_created_is_not_heard(realtime: Realtime) -> None:
    async def script(server: Server) -> None:
        await server.greet()
        asked = await server.until("response.create")
        await server.meanwhile(0.1)
        await server.create("resp_1", asked)
        await server.begin("resp_1", "item_1")
        await server.until("response.cancel")
        await server.finish("resp_1", "item_1", status="cancelled")
        await server.listen()

    async with on_line(realtime, script) as line:
        future = line.session.generate_reply()
        await line.until(
            lambda: realtime.servers and realtime.servers[0].of("response.create"), "the request"
        )
        future.cancel()
        await line.until(lambda: "ResponseEnded" in line.kinds(), "the end")
        assert line.generations == []
        assert not line.session.has_active_generation


@pytest.mark.parametrize(("failures", "replies"), [(1, 1), (2, 0)])
async def test_a_response_that_fails_before_a_sound_is_asked_for_once_more(
    realtime: Realtime, failures: int, replies: int
) -> None:
    loop = asyncio.get_running_loop()
    asked_at: list[float] = []

    async def script(server: Server) -> None:
        await server.greet()
        for number in range(failures):
            asked = await server.until("response.create")
            asked_at.append(loop.time())
            await server.create(f"resp_{number}", asked)
            await server.begin(f"resp_{number}", f"item_{number}")
            await server.fail(
                f"resp_{number}", "rate_limit_exceeded", "Rate limit reached. Please try again in 300ms."
            )
        if replies:
            asked = await server.until("response.create")
            asked_at.append(loop.time())
            await server.create("resp_9", asked)
            await server.begin("resp_9", "item_9")
            await server.speak("item_9", "Here")
            await server.finish("resp_9", "item_9")
        await server.listen()

    async with on_line(realtime, script) as line:
        await line.session.generate_reply()
        await line.until(lambda: line.generations[0].ended, "the end of the reply")
        assert asked_at[1] - asked_at[0] >= 0.3
        assert len(line.generations) == 1
        assert list(line.generations[0].texts.values()) == (["Here"] if replies else [""])
        assert len(line.errors) == (0 if replies else 1)
        ends = [event for event in line.turns if isinstance(event, ResponseEnded)]
        assert (ends[0].status, ends[0].reason) == ("failed", "rate_limit_exceeded")
        server = realtime.servers[0]
        if replies:
            assert [event["item_id"] for event in server.of("conversation.item.delete")] == ["item_0"]


async def test_a_response_that_fails_after_a_sound_is_told(realtime: Realtime) -> None:
    async def script(server: Server) -> None:
        await server.greet()
        await server.create("resp_1", await server.until("response.create"))
        await server.begin("resp_1", "item_1")
        await server.speak("item_1", "Here")
        await server.fail("resp_1", "server_error")
        await server.listen()

    async with on_line(realtime, script) as line:
        await line.session.generate_reply()
        await line.until(lambda: line.errors, "the error")
        assert line.errors[0].recoverable
        await line.until(lambda: line.generations[0].ended, "the end of the reply")
        assert line.generations[0].texts == {"item_1": "Here"}
        assert len(realtime.servers[0].of("response.create")) == 1


async def test_filtered_content_ends_the_reply(realtime: Realtime) -> None:
    async def script(server: Server) -> None:
        await server.greet()
        await server.create("resp_1", await server.until("response.create"))
        await server.begin("resp_1", "item_1")
        details = {"type": "incomplete", "reason": "content_filter"}
        await server.finish("resp_1", status="incomplete", status_details=details)
        await server.listen()

    async with on_line(realtime, script) as line:
        await line.session.generate_reply()
        await line.until(lambda: line.generations[0].ended, "the end of the reply")
        [end] = [event for event in line.turns if isinstance(event, ResponseEnded)]
        assert (end.status, end.reason) == ("incomplete", "content_filter")


async def test_benign_errors_are_counted(realtime: Realtime) -> None:
    async def script(server: Server) -> None:
        await server.greet()
        await server.error("response_cancel_not_active")
        commit = await server.until("input_audio_buffer.commit")
        await server.error("input_audio_buffer_commit_empty", commit["event_id"])
        await server.error("invalid_value", None, "Audio content of 300ms is already shorter than 400ms")
        limits = [{"name": "tokens", "limit": 9, "remaining": 3, "reset_seconds": 1.5}]
        await server.say("rate_limits.updated", rate_limits=limits)
        await server.say(
            "input_audio_buffer.timeout_triggered", item_id="item_t", audio_start_ms=0, audio_end_ms=9
        )
        await server.say("some.new.event", what="ever")
        await server.listen()

    async with on_line(realtime, script) as line:
        line.push(200)
        line.session.commit_audio()
        await line.until(lambda: TurnTimeout("item_t") in line.turns, "the last event")
        assert line.errors == []
        assert line.session.counts["response_cancel_not_active"] == 1
        assert line.session.counts["input_audio_buffer_commit_empty"] == 1
        assert RateLimits((RateLimit("tokens", 9, 3, 1.5),)) in line.turns


async def test_a_refused_request_fails_its_future_and_is_an_error(realtime: Realtime) -> None:
    async def script(server: Server) -> None:
        await server.greet()
        asked = await server.until("response.create")
        await server.error("invalid_value", asked["event_id"])
        await server.listen()

    async with on_line(realtime, script) as line:
        with pytest.raises(llm.RealtimeError, match="words of the server"):
            await line.session.generate_reply()
        assert [error.recoverable for error in line.errors] == [True]


async def test_a_picture(realtime: Realtime) -> None:
    async with on_line(realtime, polite) as line:
        item_id = line.session.push_image(PNG, "low")
        await line.until(lambda: line.session.chat_ctx.get_by_id(item_id), "the picture")
        [event] = realtime.servers[0].of("conversation.item.create")
        [part] = event["item"]["content"]
        assert part["detail"] == "low"
        assert base64.b64decode(part["image_url"].removeprefix("data:image/png;base64,")) == PNG
        with pytest.raises(ValueError, match="image"):
            line.session.push_image(b"GIF89a")


async def test_options_change_in_a_running_session(realtime: Realtime) -> None:
    options = ConversationOptions(noise_reduction="near_field")
    async with on_line(realtime, polite, options=options) as line:
        await line.until(lambda: line.session.connected, "a connection")
        server = realtime.servers[0]
        line.session.update_options(tool_choice="required")
        line.session.update_options(turn_detection=SemanticVad(eagerness="high"))
        line.session.update_options(speed=1.0)
        await line.until(lambda: len(server.of("session.update")) == 3, "the updates")
        first, second = (event["session"] for event in server.of("session.update")[1:])
        assert first == {"type": "realtime", "tool_choice": "required"}
        assert set(second) == {"type", "audio"}
        assert second["audio"]["input"]["turn_detection"]["eagerness"] == "high"
        line.session.update_options(tool_choice={"type": "function", "function": {"name": "clock"}})
        await line.until(lambda: len(server.of("session.update")) == 4, "the update")
        assert server.of("session.update")[3]["session"]["tool_choice"] == {
            "type": "function",
            "name": "clock",
        }
        line.session.update_options(noise_reduction=None)
        await line.until(lambda: len(realtime.servers) == 2, "another connection")
        await line.until(lambda: realtime.servers[1].received, "its settings")
        settings = realtime.servers[1].received[0]["session"]
        assert "noise_reduction" not in settings["audio"]["input"]
        assert settings["tool_choice"] == {"type": "function", "name": "clock"}
        with pytest.raises(ValueError, match=r"^speed: given"):
            line.session.update_options(speed=9)


MCP = McpServer(server_label="docs", server_url="https://example.com/mcp", require_approval="always")


async def test_remote_tools_are_waited_for_approved_and_answered(realtime: Realtime) -> None:
    asked_for: list[tuple[str, str, str]] = []

    async def approve(server_label: str, tool: str, arguments: str) -> bool:
        asked_for.append((server_label, tool, arguments))
        return True

    async def script(server: Server) -> None:
        await server.greet()
        await server.until("session.update")
        await server.say("mcp_list_tools.in_progress", item_id="list_1")
        await server.meanwhile(0.2)
        assert server.of("response.create") == []
        await server.add({"id": "list_1", "type": "mcp_list_tools", "server_label": "docs", "tools": []})
        await server.say("mcp_list_tools.completed", item_id="list_1")
        await server.create("resp_1", await server.until("response.create"))
        call = {"server_label": "docs", "name": "search", "arguments": "{}"}
        item = {"id": "ask_1", "type": "mcp_approval_request", **call}
        await server.add(item)
        await server.say("response.output_item.done", response_id="resp_1", item=item)
        await server.finish("resp_1")
        answer = await server.until("conversation.item.create")
        assert answer["item"]["approval_request_id"] == "ask_1"
        assert answer["item"]["approve"] is True
        await server.say("response.mcp_call.in_progress", item_id="call_1", output_index=0)
        await server.meanwhile(0.1)
        assert len(server.of("response.create")) == 1
        await server.say("response.mcp_call.completed", item_id="call_1", output_index=0)
        await server.create("resp_2", await server.until("response.create"))
        await server.begin("resp_2", "item_2")
        await server.speak("item_2", "Found")
        await server.finish("resp_2", "item_2")
        await server.listen()

    options = ConversationOptions(mcp=(MCP,))
    async with on_line(realtime, script, options=options, approve_mcp=approve) as line:
        await line.session.generate_reply()
        await line.until(lambda: len(line.generations) == 2 and line.generations[1].ended, "the answer")
        assert line.generations[1].texts == {"item_2": "Found"}
        assert asked_for == [("docs", "search", "{}")]
        assert [item.id for item in line.session.chat_ctx.items] == ["item_2"]
        line.push(50)
        await line.until(lambda: realtime.servers[0].pcm, "what was sent after it")
        assert len(realtime.servers[0].of("response.create")) == 2


async def test_a_remote_call_nobody_approves_is_refused(realtime: Realtime) -> None:
    async def script(server: Server) -> None:
        await server.greet()
        await server.say("mcp_list_tools.failed", item_id="list_1")
        await server.create("resp_1", await server.until("response.create"))
        item = {
            "id": "ask_1",
            "type": "mcp_approval_request",
            "server_label": "docs",
            "name": "wipe",
            "arguments": "{}",
        }
        await server.say("response.output_item.done", response_id="resp_1", item=item)
        await server.finish("resp_1")
        answer = await server.until("conversation.item.create")
        assert answer["item"]["approve"] is False
        await server.until("response.create")
        await server.listen()

    async with on_line(realtime, script, options=ConversationOptions(mcp=(MCP,))) as line:
        await line.session.generate_reply()
        await line.until(lambda: len(realtime.servers[0].of("response.create")) == 2, "the second response")


async def test_tools_of_both_kinds_go_together(realtime: Realtime) -> None:
    @llm.function_tool
    async def clock(city: str) -> str:
        """The time in a city."""
        return city

    async with on_line(realtime, polite, options=ConversationOptions(mcp=(MCP,))) as line:
        await line.until(lambda: line.session.connected, "a connection")
        await line.session.update_tools([clock])
        server = realtime.servers[0]
        await line.until(lambda: len(server.of("session.update")) == 2, "the tools")
        tools = server.of("session.update")[1]["session"]["tools"]
        assert [(tool["type"], tool.get("name") or tool["server_label"]) for tool in tools] == [
            ("function", "clock"),
            ("mcp", "docs"),
        ]
        assert tools[1]["server_url"] == "https://example.com/mcp"


async def test_address_and_headers(realtime: Realtime) -> None:
    options = ConversationOptions(safety_identifier="hash", extra_headers={"X-Team": "a"})
    async with on_line(realtime, polite, options=options) as line:
        await line.until(lambda: realtime.servers, "a connection")
        request = realtime.servers[0].peer.request
        assert request.query["model"] == "gpt-realtime-2.1"
        assert request.headers["Authorization"] == "Bearer sk-test"
        assert request.headers["OpenAI-Safety-Identifier"] == "hash"
        assert request.headers["X-Team"] == "a"
        assert "OpenAI-Beta" not in request.headers


async def test_closing_takes_no_time_and_ends_what_is_waited_for(realtime: Realtime) -> None:
    async def script(server: Server) -> None:
        await server.greet()
        await server.create("resp_1", await server.until("response.create"))
        await server.begin("resp_1", "item_1")
        await server.listen()

    loop = asyncio.get_running_loop()
    async with on_line(realtime, script) as line:
        await line.session.generate_reply()
        waiting = line.session.generate_reply()
        started = loop.time()
        await line.session.aclose()
        assert loop.time() - started < 1.0
        with pytest.raises(llm.RealtimeError):
            await waiting
        await line.until(lambda: line.generations[0].ended, "the end of the reply")


async def test_a_response_beside_the_conversation_disturbs_nothing(realtime: Realtime) -> None:
    async def script(server: Server) -> None:
        await server.greet()
        beside = await server.until("response.create")
        talked = await server.until("response.create")
        await server.create("resp_0", beside)
        await server.create("resp_1", talked)
        await server.begin("resp_1", "item_1")
        item = {"id": "item_0", "type": "message", "role": "assistant", "content": []}
        await server.say("response.output_item.added", response_id="resp_0", item=item)
        await server.say("response.output_text.delta", response_id="resp_0", item_id="item_0", delta="label")
        await server.finish("resp_0")
        await server.speak("item_1", "Here")
        await server.finish("resp_1", "item_1")
        await server.listen()

    async with on_line(realtime, script) as line:
        raw: list[dict[str, object]] = []
        line.session.on("openai_server_event_received", raw.append)
        params = {"conversation": "none", "output_modalities": ["text"], "metadata": {"topic": "label"}}
        line.session.send_event({"type": "response.create", "response": params})
        event = await line.session.generate_reply()
        assert event.response_id == "resp_1"
        await line.until(lambda: line.generations[0].ended, "the end of the reply")
        assert [generation.texts for generation in line.generations] == [{"item_1": "Here"}]
        assert [event["delta"] for event in raw if event["type"] == "response.output_text.delta"] == ["label"]
        assert [event.response_id for event in line.turns if isinstance(event, ResponseEnded)] == ["resp_1"]


async def test_replies_in_text(realtime: Realtime) -> None:
    async def script(server: Server) -> None:
        await server.greet()
        await server.create("resp_1", await server.until("response.create"))
        item = {"id": "item_1", "type": "message", "role": "assistant", "content": []}
        await server.say("response.output_item.added", response_id="resp_1", item=item)
        part = {"item_id": "item_1", "content_index": 0, "part": {"type": "text"}}
        await server.say("response.content_part.added", response_id="resp_1", **part)
        for delta in ("It", " rains"):
            await server.say(
                "response.output_text.delta", response_id="resp_1", item_id="item_1", delta=delta
            )
        await server.finish("resp_1", "item_1")
        await server.listen()

    options = ConversationOptions(output_modalities="text")
    async with on_line(realtime, script, options=options) as line:
        await line.session.generate_reply()
        await line.until(lambda: line.generations[0].ended, "the end of the reply")
        assert line.generations[0].texts == {"item_1": "It rains"}
        assert line.generations[0].audio == {"item_1": b""}
        assert "output" not in realtime.servers[0].received[0]["session"]["audio"]
        assert not line.session.capabilities.audio_output
