"""A session that says nothing any more while its connection lives."""

import asyncio
from dataclasses import replace

from livekit.agents import function_tool

from component.plugin.fake_realtime import Realtime, Server, on_line
from component.plugin.talk import QUICK, recogniser, said, talking
from livekit.plugins.openai_realtime import (
    ConversationOptions,
    Reconnected,
    Reconnecting,
    ResponseStarted,
    SemanticVad,
    ServerVad,
    TurnCommitted,
    TurnTranscribed,
)
from parley.simulator import Call, Fault, SimulatorOptions, Turn

WORDS = ["what", "is", "the", "time"]
ANSWER = [f"word{place}" for place in range(16)]
SHORT = replace(QUICK, reply_timeout_s=0.6, stall_s=0.6)
BRIEF = ServerVad(silence_duration_ms=300, prefix_padding_ms=100)


def options(**given: object) -> SimulatorOptions:
    made: dict[str, object] = {
        "response_latency_s": 0.05,
        "transcription_delay_s": 0.05,
        "recognise": recogniser(WORDS),
        "script": [Turn(say=" ".join(ANSWER))],
    }
    return SimulatorOptions(**{**made, **given})  # type: ignore[arg-type]


def reasons(turns: list[object]) -> list[str]:
    return [e.reason for e in turns if isinstance(e, Reconnecting)]


async def test_an_answer_that_stops_in_the_middle_is_gone_on_with_in_a_new_session() -> None:
    asked = ConversationOptions(turn_detection=BRIEF)
    async with talking(asked, sim=options(reply_speed=4.0), resume=SHORT) as talk:
        talk.sim.faults.add(Fault("silent", session="conversation", after_sent_s=1.0))
        talk.mic.say(said("what is the time"))
        await talk.until(lambda: ANSWER[-2:] == talk.spoken().split()[-2:], "the rest of the answer")
        assert talk.spoken().split() == ANSWER
        first, second = talk.sim.sessions
        assert "what is the time" in " ".join(second.responses[0].context)
        assert len(second.responses) == 1, "it is asked for again once"
        [reason] = reasons(talk.turns)
        assert "does not go on" in reason
        assert talk.turns_of(Reconnected)
        assert talk.live.counts["stalled"] == 1
        assert first.refused == second.refused == []


async def test_a_path_that_takes_what_is_said_and_gives_nothing_back_is_left() -> None:
    """Neither the words nor their end are reported: the session is asked whether it lives."""
    asked = ConversationOptions(turn_detection=BRIEF)
    async with talking(asked, sim=options(), resume=SHORT) as talk:
        await talk.until(lambda: talk.live.connected and talk.sim.sessions, "a session")
        before = talk.record.audio_received_s
        talk.sim.faults.add(Fault("stall", session="conversation", after_audio_s=before))
        talk.mic.say(said("what is the time"))
        await talk.until(lambda: talk.spoken().split() == ANSWER, "an answer all the same")
        heard = [e.text for e in talk.turns_of(TurnTranscribed) if e.final]
        assert heard == ["what is the time"]
        assert len(talk.turns_of(ResponseStarted)) == 1


async def test_thinking_and_long_tools_are_no_stall() -> None:
    """The model says nothing for nearly as long as it may; its tool works for longer, outside a response."""

    @function_tool
    async def slow() -> str:
        """Takes longer than a response may be silent."""
        await asyncio.sleep(1.2)
        return "done"

    script = [Turn(calls=(Call("slow"),), latency_s=0.4), Turn(say="done at last", latency_s=0.4)]
    asked = ConversationOptions(turn_detection=BRIEF)
    async with talking(asked, sim=options(script=script), tools=[slow], resume=SHORT) as talk:
        talk.mic.say(said("what is the time"))
        await talk.until(lambda: talk.spoken() == "done at last", "the answer")
        assert reasons(talk.turns) == []
        assert len(talk.sim.sessions) == 1


async def test_a_session_is_asked_if_it_lives_only_where_audio_is_answered_by_nothing(
    realtime: Realtime,
) -> None:
    async def quiet(server: Server) -> None:
        await server.greet()
        await server.listen()

    async with on_line(realtime, quiet, resume=replace(QUICK, reply_timeout_s=0.3)) as line:
        await line.until(lambda: line.session.connected, "a connection")
        await line.until(lambda: realtime.servers[0].of("session.update"), "the settings")
        server = realtime.servers[0]
        await asyncio.sleep(0.5)
        assert not probes(server)
        line.push(200)
        await line.until(lambda: probes(server), "a probe")
        assert probes(server)[0]["session"] == {"type": "realtime"}
        await asyncio.sleep(0.5)
        assert realtime.attempts == 1, "it lives"


async def test_a_probe_that_is_refused_is_a_sign_of_life(realtime: Realtime) -> None:
    async def strict(server: Server) -> None:
        await server.greet()
        while (event := await server.peer.next()) is not None:
            if str(event.get("event_id")).startswith("alive_"):
                await server.error("missing_required_parameter", event["event_id"])

    async with on_line(realtime, strict, resume=replace(QUICK, reply_timeout_s=0.3)) as line:
        await line.until(lambda: line.session.connected, "a connection")
        for _ in range(2):
            line.push(200)
            await asyncio.sleep(0.4)
        assert probes(realtime.servers[0])
        assert (realtime.attempts, line.errors) == (1, [])


def probes(server: Server) -> list[dict[str, object]]:
    return [e for e in server.of("session.update") if str(e.get("event_id")).startswith("alive_")]


async def forgets(server: Server) -> None:
    await server.greet()
    await server.until("input_audio_buffer.append")
    await server.turn()
    await server.transcribe("good morning")


async def test_a_turn_that_the_server_forgets_to_answer_is_answered_on_request(realtime: Realtime) -> None:
    async def script(server: Server) -> None:
        await forgets(server)
        asked = await server.until("response.create")
        await server.create("resp_a", asked)
        await server.finish("resp_a")
        await server.listen()

    async with on_line(realtime, script, resume=SHORT) as line:
        await line.until(lambda: line.session.connected, "a connection")
        line.push(500)
        await line.until(lambda: any(isinstance(e, ResponseStarted) for e in line.turns), "an answer")


async def test_a_turn_that_is_judged_elsewhere_is_not_answered_on_request(realtime: Realtime) -> None:
    async def script(server: Server) -> None:
        await forgets(server)
        await server.listen()

    judged = ConversationOptions(turn_detection=SemanticVad(interrupt_response=False))
    async with on_line(realtime, script, options=judged, resume=SHORT) as line:
        await line.until(lambda: line.session.connected, "a connection")
        line.push(500)
        await line.until(lambda: any(isinstance(e, TurnCommitted) for e in line.turns), "the turn")
        await asyncio.sleep(0.9)
        assert not realtime.servers[-1].of("response.create")
