"""Whole conversations: a stock `AgentSession`, the plugin's model, the simulator as the API."""

import pytest
from livekit.agents import function_tool

from component.plugin import talk
from component.plugin.talk import heard, quiet, recogniser, said, talking
from livekit.plugins.openai_realtime import (
    ConversationOptions,
    Reconnected,
    Reconnecting,
    ResponseEnded,
    ResponseStarted,
    SemanticVad,
    ServerVad,
    TurnCommitted,
    TurnStarted,
    TurnStopped,
    TurnTranscribed,
)
from parley.simulator import Call, Fault, SimulatorOptions, Turn

QUESTION = "what time is it in rome now"
ANSWER = "half past nine says every clock around here but nobody would trust them"
VOCABULARY = f"{QUESTION} {ANSWER} stop please thank you very much".split()


def simulated(*turns: Turn, **more: object) -> SimulatorOptions:
    return SimulatorOptions(
        **{
            "response_latency_s": 0.05,
            "transcription_delay_s": 0.1,
            "reply_speed": 6.0,
            "recognise": recogniser(VOCABULARY),
            "script": turns,
            **more,
        }
    )


async def test_a_turn() -> None:
    async with talking(sim=simulated(Turn(say=ANSWER))) as it:
        it.mic.say(said(QUESTION))
        await it.until(lambda: it.mouth.finished, "the answer")
        await it.until(lambda: it.turns_of(ResponseEnded), "its end")
        assert heard(it.mouth.sound, VOCABULARY) == ANSWER.split()
        assert it.spoken() == ANSWER
        await it.until(lambda: it.history() == [("user", QUESTION), ("assistant", ANSWER)], "the history")
        for kind in (TurnStarted, TurnStopped, TurnCommitted, ResponseStarted, ResponseEnded):
            assert len(it.turns_of(kind)) == 1
        [end] = it.turns_of(ResponseEnded)
        assert end.status == "completed"
        assert end.usage.input_audio > 0
        assert end.usage.output_audio > 0
        final = [event for event in it.turns_of(TurnTranscribed) if event.final]
        assert [(event.text, event.usage.seconds > 1) for event in final] == [(QUESTION, True)]
        assert it.record.refused == []
        assert it.errors == []


async def test_a_barge_in_truncates_at_what_was_played() -> None:
    async with talking(sim=simulated(Turn(say=ANSWER), Turn(say="thank you")), plays=1.5) as it:
        it.mic.say(said(QUESTION))
        await it.until(lambda: it.mouth.pushed_s > 2.5, "half of the answer")
        it.mic.say(said("stop please"))
        await it.until(lambda: len(it.mouth.finished) > 1, "the second answer")
        first = it.mouth.finished[0]
        assert first.interrupted
        [cut] = [item for item in it.record.items if item.truncated_at_ms is not None]
        assert abs(cut.truncated_at_ms - first.playback_position * 1000) <= 1
        [user, reply, *_] = it.history()
        assert user == ("user", QUESTION)
        assert ANSWER.startswith(reply[1])
        assert len(reply[1]) < len(ANSWER)
        assert it.turns_of(ResponseEnded)[0].status == "cancelled"
        assert it.record.refused == []


async def test_speech_that_does_not_interrupt_is_told_as_a_turn_only() -> None:
    options = ConversationOptions(turn_detection=SemanticVad(interrupt_response=False))
    async with talking(options, sim=simulated(Turn(say=ANSWER), Turn(say="thank you"))) as it:
        told: list[object] = []
        it.live.on("input_speech_started", told.append)
        it.mic.say(said(QUESTION))
        await it.until(lambda: it.mouth.pushed_s > 1.0, "the answer")
        it.mic.say(said("stop please"))
        await it.until(lambda: it.mouth.finished, "its end")
        assert heard(it.mouth.sound, VOCABULARY) == ANSWER.split()
        assert not it.mouth.finished[0].interrupted
        assert len(it.turns_of(TurnStarted)) == 2
        assert told == []


async def test_parallel_tools_are_answered_together() -> None:
    asked: list[str] = []

    @function_tool
    async def clock(city: str) -> str:
        """The time in a city."""
        asked.append(city)
        return f"nine in {city}"

    calls = (Call("clock", {"city": "Rome"}), Call("clock", {"city": "Oslo"}))
    turns = (Turn(calls=calls), Turn(say=ANSWER, when="nine in Oslo"))
    async with talking(sim=simulated(*turns), tools=[clock]) as it:
        it.mic.say(said(QUESTION))
        await it.until(lambda: it.mouth.finished, "the answer")
        assert sorted(asked) == ["Oslo", "Rome"]
        assert heard(it.mouth.sound, VOCABULARY) == ANSWER.split()
        outputs = [item.text for item in it.record.items if item.type == "function_call_output"]
        assert sorted(outputs) == ["nine in Oslo", "nine in Rome"]
        assert len(it.record.responses) == 2
        assert talk.SENT[0]["session"]["parallel_tool_calls"] is True
        assert it.record.refused == []


@pytest.mark.parametrize("at_s", [0.5, 1.3, 2.4])
async def test_a_connection_lost_in_the_middle_of_what_the_user_says(at_s: float) -> None:
    async with talking(sim=simulated(Turn(say=ANSWER))) as it:
        it.sim.faults.add(Fault("drop", after_audio_s=at_s))
        it.mic.say(said(QUESTION))
        await it.until(lambda: it.mouth.finished, "the answer")
        assert it.live.counts["connections_lost"] == 1
        assert len(it.turns_of(Reconnecting)) == len(it.turns_of(Reconnected)) == 1
        await it.until(lambda: it.history() == [("user", QUESTION), ("assistant", ANSWER)], "the history")
        assert heard(it.mouth.sound, VOCABULARY) == ANSWER.split()
        assert [event.text for event in it.turns_of(TurnTranscribed) if event.final] == [QUESTION]
        assert it.record.refused == []


@pytest.mark.parametrize(
    "sent_s", [0.2, 1.6, 4.6, *(pytest.param(sent_s, marks=pytest.mark.long) for sent_s in (0.8, 2.2, 3.0))]
)
async def test_a_connection_lost_in_the_middle_of_a_reply(sent_s: float) -> None:
    async with talking(sim=simulated(Turn(say=ANSWER, times=2))) as it:
        it.sim.faults.add(Fault("drop", after_sent_s=sent_s))
        it.mic.say(said(QUESTION))
        await it.until(lambda: it.mouth.finished, "the answer")
        assert it.live.counts["connections_lost"] == 1
        assert it.spoken() == ANSWER
        kept = [item for item in it.agent.history.items if item.type == "message"]
        assert [item.role for item in kept if not item.text_content] == []
        await it.until(lambda: it.history() == [("user", QUESTION), ("assistant", ANSWER)], "the history")
        words = heard(it.mouth.sound, VOCABULARY)
        assert [word for place, word in enumerate(words) if word != words[place - 1]] == ANSWER.split()
        assert len(words) <= len(ANSWER.split()) + 1
        assert len(it.mouth.finished) == 1
        assert it.record.refused == []
        assert it.turns_of(ResponseEnded)[-1].status == "completed"


@pytest.mark.parametrize(
    "late_s", [0.06, 0.6, *(pytest.param(late_s, marks=pytest.mark.long) for late_s in (0.02, 0.2))]
)
@pytest.mark.parametrize("by_hand", [False, True])
async def test_words_that_come_after_a_lost_connection_stand_before_their_answer(
    late_s: float, by_hand: bool
) -> None:
    options = ConversationOptions(turn_detection=None) if by_hand else None
    sim = simulated(Turn(say=ANSWER, times=2), transcription_delay_s=late_s)
    async with talking(options, sim=sim) as it:
        it.sim.faults.add(Fault("drop", after_sent_s=0.4))
        it.mic.say(said(QUESTION))
        if by_hand:
            await it.until(lambda: it.mic.done, "the question")
            it.agent.commit_user_turn(transcript_timeout=0.0)
        await it.until(lambda: it.mouth.finished, "the answer")
        await it.until(lambda: it.history() == [("user", QUESTION), ("assistant", ANSWER)], "the history")
        assert [event.text for event in it.turns_of(TurnTranscribed) if event.final] == [QUESTION]
        assert all(QUESTION.startswith(event.text) for event in it.turns_of(TurnTranscribed))
        assert it.live.counts["connections_lost"] == 1


async def test_a_connection_lost_while_nobody_speaks() -> None:
    async with talking(sim=simulated(Turn(say=ANSWER), Turn(say="thank you", when="stop"))) as it:
        it.mic.say(said(QUESTION))
        await it.until(lambda: it.mouth.finished, "the answer")
        await it.until(lambda: it.live.chat_ctx.items[-1].text_content == ANSWER, "the mirror")
        it.sim.faults.add(Fault("close", close_code=1011))
        await it.until(lambda: it.turns_of(Reconnected), "the next connection")
        it.mic.say(said("stop please"))
        await it.until(lambda: len(it.mouth.finished) > 1, "the second answer")
        assert [(item.role, item.text) for item in it.record.items if item.deleted_at is None] == [
            ("user", QUESTION),
            ("assistant", ANSWER),
            ("user", "stop please"),
            ("assistant", "thank you"),
        ]
        last = [("user", "stop please"), ("assistant", "thank you")]
        await it.until(lambda: it.history()[-2:] == last, "the history")
        assert it.record.refused == []


async def test_a_connection_lost_under_a_tool() -> None:
    @function_tool
    async def clock(city: str) -> str:
        """The time in a city."""
        it.sim.faults.add(Fault("drop"))
        await it.until(lambda: it.turns_of(Reconnecting), "the end of the connection")
        return f"nine in {city}"

    turns = (Turn(calls=(Call("clock", {"city": "Rome"}),)), Turn(say=ANSWER, when="nine in Rome"))
    async with talking(sim=simulated(*turns), tools=[clock]) as it:
        it.mic.say(said(QUESTION))
        await it.until(lambda: it.mouth.finished, "the answer")
        assert heard(it.mouth.sound, VOCABULARY) == ANSWER.split()
        kinds = [item.type for item in it.record.items]
        assert kinds == ["message", "function_call", "function_call_output", "message"]
        assert it.record.items[0].text == QUESTION
        assert it.record.refused == []


async def test_a_turn_taken_by_hand_over_a_lost_connection() -> None:
    async with talking(ConversationOptions(turn_detection=None), sim=simulated(Turn(say=ANSWER))) as it:
        it.sim.faults.add(Fault("drop", after_audio_s=1.5))
        it.mic.say(said(QUESTION))
        await it.until(lambda: it.mic.done, "the question")
        it.agent.commit_user_turn(transcript_timeout=0.0)
        await it.until(lambda: it.mouth.finished, "the answer")
        await it.until(lambda: it.history() == [("user", QUESTION), ("assistant", ANSWER)], "the history")
        assert heard(it.mouth.sound, VOCABULARY) == ANSWER.split()
        assert it.record.refused == []


async def test_a_session_is_replaced_before_its_time_is_over() -> None:
    turns = (Turn(say=ANSWER), Turn(say="thank you", when="stop"))
    async with talking(sim=simulated(*turns, session_lifetime_s=6)) as it:
        it.mic.say(said(QUESTION))
        await it.until(lambda: it.mouth.finished, "the answer")
        await it.until(lambda: it.live.counts["rotations"] > 0, "the next session")
        it.mic.say(said("stop please"))
        await it.until(lambda: len(it.mouth.finished) > 1, "the second answer")
        assert it.live.counts["connections_lost"] == 0
        assert it.sim.sessions[0].close_reason != "expired"
        last = [("user", "stop please"), ("assistant", "thank you")]
        await it.until(lambda: it.history()[-2:] == last, "the history")
        assert it.errors == []


async def test_server_vad_and_silence() -> None:
    options = ConversationOptions(turn_detection=ServerVad(silence_duration_ms=300, idle_timeout_ms=5000))
    async with talking(options, sim=simulated(Turn(say=ANSWER))) as it:
        it.mic.say(said(QUESTION))
        it.mic.say(quiet(0.5))
        await it.until(lambda: it.mouth.finished, "the answer")
        assert it.record.settings["audio"]["input"]["turn_detection"]["idle_timeout_ms"] == 5000
