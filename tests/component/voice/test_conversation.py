"""A conversation from the greeting to the goodbye: what is said, in which order, and what it costs."""

import asyncio
from typing import Any

import pytest
from livekit.agents import Agent, RunContext, function_tool

from component.voice.conftest import Play, noise, said
from parley.agents import Conversation
from parley.core.usage import Budget
from parley.simulator import Call, Fault, Turn
from parley.simulator.speech import marked, sound_of, voiced
from parley.voice.ports import Ending

pytestmark = pytest.mark.looptime

LONG = "one two three four five six seven eight"


def sound(text: str) -> bytes:
    """What the API sends when it says a text."""
    return marked(sound_of(voiced(text)), "marin").tobytes()


# Beginning


async def test_the_greeting_is_said_before_anybody_speaks(play: Play) -> None:
    async with play(script=[Turn(say="Hello Ana.")], greeting="Greet them.") as stage:
        await stage.until(lambda: stage.finals() == ["Hello Ana."])
        assert "Greet them." in stage.record.responses[0].instructions
        assert bytes(stage.track.pcm) == sound("Hello Ana.")
        assert stage.record.refused == []


async def test_the_disclosure_comes_first_word_for_word(play: Play) -> None:
    script = [Turn(say="I am an AI assistant."), Turn(say="Hello Ana.")]
    async with play(script=script, greeting="Greet them.", disclosure="I am an AI assistant.") as stage:
        await stage.until(lambda: len(stage.finals()) == 2)
        assert stage.finals() == ["I am an AI assistant.", "Hello Ana."]
        first, second = stage.record.responses
        assert "I am an AI assistant." in first.instructions
        assert "Greet them." in second.instructions
        assert bytes(stage.track.pcm) == sound("I am an AI assistant.") + sound("Hello Ana.")


async def test_one_who_does_not_greet_waits(play: Play) -> None:
    async with play() as stage:
        await stage.until(lambda: bool(stage.simulator.sessions) and stage.record.updated_at is not None)
        await asyncio.sleep(0.3)
        assert stage.record.responses == []
        assert not stage.agent.busy


async def test_until_somebody_listens_nothing_is_played_and_nothing_lost(play: Play) -> None:
    async with play(script=[Turn(say="Hello Ana.")], greeting="Greet them.", alone=True) as stage:
        await stage.until(lambda: stage.queue.pushed_s == len(sound("Hello Ana.")) / 48_000)
        await asyncio.sleep(0.2)
        assert stage.track.pcm == b""
        assert stage.lines == []
        stage.agent.heard_by_somebody()
        await stage.until(lambda: stage.finals() == ["Hello Ana."])
        assert bytes(stage.track.pcm) == sound("Hello Ana.")


async def test_what_is_said_before_the_session_is_open_is_heard(play: Play) -> None:
    simulated = {"handshake_s": 0.8}
    async with play(understood=["good day"], script=[Turn(say="Yes?")], simulated=simulated) as stage:
        stage.speak(said("good day"))
        await stage.until(lambda: stage.finals() == ["Yes?"])
        assert stage.finals("person") == ["good day"]


# Turns


async def test_a_turn_is_answered_and_both_are_shown(play: Play) -> None:
    script = [Turn(say="It rains.", when="weather")]
    async with play(script=script, understood=["the weather please"]) as stage:
        stage.speak(said("the weather please"))
        await stage.until(lambda: stage.finals() == ["It rains."])
        assert stage.finals("person") == ["the weather please"]
        await stage.silent()
        assert bytes(stage.track.pcm) == sound("It rains.")
        assert len({line[1] for line in stage.lines}) == 2, "one id for each line"
        assert stage.record.refused == []
        assert stage.agent.usd > 0
        assert stage.agent.tokens.audio_out > 0


async def test_turns_follow_one_another(play: Play) -> None:
    understood = ["first question", "second question", "third question"]
    script = [Turn(say=f"Answer {n}.") for n in (1, 2, 3)]
    async with play(script=script, understood=understood) as stage:
        for n in (1, 2, 3):
            stage.speak(said(understood[n - 1]))
            await stage.until(lambda n=n: len(stage.finals()) == n)
            await stage.silent()
        assert stage.finals() == ["Answer 1.", "Answer 2.", "Answer 3."]
        assert stage.finals("person") == understood
        assert len(stage.record.responses) == 3


@pytest.mark.parametrize("quiet_s", [0.5])
async def test_parleys_own_vad_finds_the_turns(play: Play, quiet_s: float) -> None:
    script = [Turn(say="It rains.")]
    async with play(script=script, understood=["the weather"], turn_detection=None) as stage:
        stage.speak(said("the weather"))
        await stage.until(lambda: stage.finals() == ["It rains."])
        await asyncio.sleep(quiet_s)
        assert stage.record.settings["audio"]["input"]["turn_detection"] is None
        assert len(stage.record.responses) == 1
        sent_s = stage.record.audio_received_s
        await asyncio.sleep(0.3)
        assert stage.record.audio_received_s == sent_s, "nothing is sent while nobody speaks"
        assert stage.record.refused == []


# Interruptions


async def test_who_speaks_over_the_agent_stops_it_where_it_was_heard(play: Play) -> None:
    script = [Turn(say=LONG), Turn(say="Of course.")]
    async with play(script=script, understood=["please stop that now"], greeting="Greet.") as stage:
        await stage.plays(1.5)
        stage.speak(said("please stop that now"))
        await stage.until(lambda: stage.finals()[-1:] == ["Of course."])
        cut, after = stage.record.items[0], stage.finals()[0]
        assert cut.truncated_at_ms is not None
        heard_s = stage.track.played_s - len(sound("Of course.")) / 48_000
        assert cut.truncated_at_ms == pytest.approx(heard_s * 1000, abs=1.0), "what was played, to the frame"
        assert 1.5 <= heard_s < 2.5
        assert LONG.startswith(after)
        assert after != LONG
        assert bytes(stage.track.pcm) == sound(LONG)[: round(heard_s * 48_000)] + sound("Of course.")
        assert stage.cut == [after]
        assert stage.record.refused == []


async def test_the_voice_stops_within_a_few_frames(play: Play) -> None:
    async with play(script=[Turn(say=LONG)], understood=["stop"], greeting="Greet.") as stage:
        await stage.plays(1.0)
        stage.speak(noise(1.5))
        before = stage.track.played_s
        await asyncio.sleep(1.0)
        assert stage.track.played_s - before <= 0.2


async def test_frames_wait_for_each_other_only_while_the_agent_is_silent(play: Play) -> None:
    async with play(script=[Turn(say=LONG)], greeting="Greet.") as stage:
        await stage.plays()
        assert stage.patience_s == 0
        await stage.silent()
        await stage.until(lambda: stage.patience_s > 0)
        stage.agent.say("Say more.", interrupt=False)
        await stage.plays()
        assert stage.patience_s == 0


async def test_a_cough_costs_no_sample(play: Play) -> None:
    script = [Turn(say=LONG)]
    async with play(script=script, understood=[""], greeting="Greet.", false_interruption_s=0.5) as stage:
        await stage.plays(1.0)
        stage.speak(noise(0.2))
        await stage.until(lambda: stage.finals() == [LONG])
        await stage.silent()
        assert bytes(stage.track.pcm) == sound(LONG)
        gaps = [b - a for a, b in zip(stage.track.times, stage.track.times[1:], strict=False)]
        assert max(gaps) > 0.2, "it did stop"
        await asyncio.sleep(0.5)
        assert stage.finals() == [LONG], "a cough is not answered"
        assert next(item.truncated_at_ms for item in stage.record.items if item.role == "assistant") is None


async def test_a_click_is_not_even_a_turn(play: Play) -> None:
    async with play(script=[Turn(say=LONG)], greeting="Greet.") as stage:
        await stage.plays(0.5)
        stage.speak(noise(0.04))
        await stage.until(lambda: stage.finals() == [LONG])
        assert bytes(stage.track.pcm) == sound(LONG)
        assert len(stage.record.responses) == 1


async def test_a_backchannel_costs_no_sample_and_gets_no_answer(play: Play) -> None:
    async with play(script=[Turn(say=LONG)], understood=["uh-huh"], greeting="Greet.") as stage:
        await stage.plays(1.0)
        stage.speak(noise(0.4))
        await stage.until(lambda: stage.finals() == [LONG])
        await asyncio.sleep(1.5)
        assert bytes(stage.track.pcm) == sound(LONG)
        assert stage.finals() == [LONG]
        assert stage.finals("person") == ["uh-huh"]


async def test_words_that_are_short_interrupt_too(play: Play) -> None:
    script = [Turn(say=LONG), Turn(say="Sorry.")]
    async with play(script=script, understood=["stop"], greeting="Greet.") as stage:
        await stage.plays(1.0)
        stage.speak(noise(0.2))
        await stage.until(lambda: stage.finals()[-1:] == ["Sorry."])
        assert stage.finals()[0] != LONG


async def test_an_agent_that_is_not_to_be_interrupted_is_not(play: Play) -> None:
    async with play(script=[Turn(say=LONG)], greeting="Greet.", interruptions=False) as stage:
        await stage.plays(0.5)
        stage.speak(noise(1.5))
        await stage.until(lambda: stage.finals()[:1] == [LONG])
        assert bytes(stage.track.pcm).startswith(sound(LONG))


async def test_under_parleys_own_vad_a_voice_interrupts_as_well(play: Play) -> None:
    script = [Turn(say=LONG), Turn(say="Of course.")]
    async with play(
        script=script, understood=["please stop that now"], greeting="Greet.", turn_detection=None
    ) as stage:
        await stage.plays(1.0)
        stage.speak(said("please stop that now"))
        await stage.until(lambda: stage.finals()[-1:] == ["Of course."])
        assert stage.finals()[0] != LONG
        assert stage.record.refused == []


# The application


async def test_two_things_to_say_are_said_one_after_the_other(play: Play) -> None:
    script = [Turn(say="First this.", when=None), Turn(say="Then that.")]
    async with play(script=script) as stage:
        stage.agent.say("Say this.", interrupt=False)
        stage.agent.say("Say that.", interrupt=False)
        await stage.until(lambda: len(stage.finals()) == 2)
        await stage.silent()
        assert stage.finals() == ["First this.", "Then that."]
        assert bytes(stage.track.pcm) == sound("First this.") + sound("Then that.")
        assert ["Say this." in r.instructions for r in stage.record.responses] == [True, False]


async def test_instead_of_what_it_is_saying(play: Play) -> None:
    async with play(script=[Turn(say=LONG)], greeting="Greet.") as stage:
        await stage.plays(0.8)
        stage.agent.say("Say that it ends.", interrupt=True)
        await stage.until(lambda: len(stage.record.responses) == 2)
        assert "Say that it ends." in stage.record.responses[1].instructions
        await stage.until(lambda: len(stage.finals()) == 2)
        assert LONG.startswith(stage.finals()[0])
        assert stage.finals()[0] != LONG
        cut = stage.record.items[0].truncated_at_ms
        assert cut is not None
        assert 800 <= cut <= 1_500
        assert stage.record.refused == []


async def test_what_it_is_told_it_knows_without_a_word(play: Play) -> None:
    async with play(script=[Turn(say="Hello.")], greeting="Greet.") as stage:
        await stage.until(lambda: stage.finals() == ["Hello."])
        await stage.agent.tell("The caller is a doctor.")
        await stage.until(lambda: "The caller is a doctor." in [item.text for item in stage.record.items])
        item = next(item for item in stage.record.items if item.text == "The caller is a doctor.")
        assert item.role == "system"
        await asyncio.sleep(0.3)
        assert len(stage.record.responses) == 1
        stage.simulator.script.add(Turn(say="Yes."))
        stage.agent.say("Say yes.", interrupt=False)
        await stage.until(lambda: stage.finals()[-1:] == ["Yes."])
        assert "The caller is a doctor." in stage.record.responses[-1].context


async def test_what_is_typed_is_answered(play: Play) -> None:
    async with play(
        script=[Turn(say="Hello."), Turn(say="It rains.", when="weather")], greeting="Hi."
    ) as stage:
        await stage.until(lambda: stage.finals() == ["Hello."])
        stage.agent.hear_text("The weather?")
        await stage.until(lambda: stage.finals()[-1:] == ["It rains."])
        assert "The weather?" in stage.record.responses[-1].context


# Tools


class Tools(Agent):
    """Tools of every temper."""

    def __init__(self) -> None:
        super().__init__(instructions="Talk.")
        self.running = 0
        self.together = 0

    @function_tool
    async def weather(self, city: str) -> str:
        """The weather.

        Args:
            city: where
        """
        self.running += 1
        self.together = max(self.together, self.running)
        await asyncio.sleep(0.2)
        self.running -= 1
        return f"rain in {city}"

    @function_tool
    async def broken(self) -> str:
        """Fails."""
        raise LookupError("a secret")

    @function_tool
    async def odd(self) -> Any:
        """Returns what cannot be told."""
        return object()

    @function_tool
    async def slow(self) -> str:
        """Takes its time."""
        await asyncio.sleep(2.5)
        return "found"

    @function_tool
    async def stuck(self) -> str:
        """Never answers."""
        await asyncio.Event().wait()
        return "never"

    @function_tool
    async def leave(self, context: RunContext[Conversation]) -> str:
        """Hangs up after the goodbye."""
        context.speech_handle.add_done_callback(lambda _: context.userdata.hang_up("they said goodbye"))
        return "Say goodbye."


def outputs(stage: Any) -> list[str]:
    return [item.text for item in stage.record.items if item.type == "function_call_output"]


async def test_a_tool_is_called_and_its_result_told(play: Play) -> None:
    script = [Turn(calls=(Call("weather", {"city": "Rome"}),)), Turn(say="It rains.", when="rain in Rome")]
    async with play(Tools, script, understood=["the weather"]) as stage:
        stage.speak(said("the weather"))
        await stage.until(lambda: stage.finals() == ["It rains."])
        assert outputs(stage) == ["rain in Rome"]
        assert stage.notices.events == []
        assert stage.record.refused == []


async def test_tools_of_one_answer_run_at_the_same_time(play: Play) -> None:
    calls = tuple(Call("weather", {"city": city}) for city in ("Rome", "Oslo", "Cairo"))
    made: list[Tools] = []

    def make() -> Tools:
        made.append(Tools())
        return made[-1]

    script = [Turn(calls=calls), Turn(say="Rain in all of them.", when="rain in Cairo")]
    async with play(make, script, understood=["the weather"]) as stage:
        stage.speak(said("the weather"))
        await stage.until(lambda: stage.finals() == ["Rain in all of them."])
        assert sorted(outputs(stage)) == ["rain in Cairo", "rain in Oslo", "rain in Rome"]
        assert max(agent.together for agent in made) == 3
        assert len(stage.record.responses) == 2, "one answer to all of them"


@pytest.mark.parametrize(
    ("tool", "told", "detail"),
    [
        ("broken", "The tool broken failed.", "test: broken: LookupError"),
        ("odd", "The tool odd failed.", "test: odd: returned object, which is neither text nor JSON"),
        ("stuck", "The tool stuck gave no answer in 0.5 s.", "test: stuck: no answer in 0.5 s"),
    ],
)
async def test_a_tool_that_fails_is_told_to_the_model_and_announced(
    play: Play, tool: str, told: str, detail: str
) -> None:
    script = [Turn(calls=(Call(tool),)), Turn(say="That did not work.", when=told)]
    async with play(Tools, script, understood=["do it"], tool_timeout_s=0.5) as stage:
        stage.speak(said("do it"))
        await stage.until(lambda: stage.finals() == ["That did not work."])
        assert outputs(stage) == [told]
        assert [(n.event, n.speaker, n.detail) for n in stage.notices.said] == [
            ("tool.failed", "ana", detail)
        ]


async def test_a_slow_tool_is_spoken_about_while_it_works(play: Play) -> None:
    script = [
        Turn(calls=(Call("slow"),), when="find it"),
        Turn(say="Found it.", when="found"),
        Turn(say="One moment."),
    ]
    async with play(Tools, script, understood=["find it"], slow_tool_s=0.3) as stage:
        stage.speak(said("find it"))
        await stage.until(lambda: stage.finals()[:1] == ["One moment."])
        assert outputs(stage) == [], "it still works"
        await stage.until(lambda: stage.finals() == ["One moment.", "Found it."])
        assert outputs(stage) == ["found"]
        assert stage.record.refused == []


# Ending


async def test_it_hangs_up_after_the_goodbye(play: Play) -> None:
    script = [Turn(calls=(Call("leave"),)), Turn(say="Goodbye, take care.", when="goodbye")]
    async with play(Tools, script, understood=["bye now"]) as stage:
        stage.speak(said("bye now"))
        assert await stage.end() == Ending("hang_up", "they said goodbye")
        assert stage.finals() == ["Goodbye, take care."]
        assert bytes(stage.track.pcm) == sound("Goodbye, take care."), "all of it was heard"


async def test_one_who_says_nothing_is_asked_and_then_let_go(play: Play) -> None:
    script = [Turn(say="Hello."), Turn(say="Still there?"), Turn(say="Goodbye.")]
    async with play(script=script, greeting="Greet.", idle_s=0.5, idle_goodbye_s=0.5) as stage:
        ending = await stage.end()
        assert ending.reason == "idle"
        assert not ending.retryable
        assert stage.finals() == ["Hello.", "Still there?", "Goodbye."]
        assert bytes(stage.track.pcm) == b"".join(map(sound, stage.finals()))


async def test_one_who_answers_the_question_is_not_let_go(play: Play) -> None:
    script = [Turn(say="Still there?"), Turn(say="Good.", when="yes here")]
    async with play(script=script, understood=["yes here"], idle_s=0.5, idle_goodbye_s=30.0) as stage:
        await stage.until(lambda: stage.finals() == ["Still there?"])
        stage.speak(said("yes here"))
        await stage.until(lambda: stage.finals()[-1:] == ["Good."])
        assert stage.ending is None


async def test_a_budget_that_is_spent_is_said_and_ends_it(play: Play) -> None:
    script = [Turn(say="Hello."), Turn(say="The budget is spent, goodbye.")]
    async with play(script=script, greeting="Greet.", budget=Budget(1e-6)) as stage:
        ending = await stage.end()
        assert ending.reason == "budget"
        assert not ending.retryable
        assert stage.finals() == ["Hello.", "The budget is spent, goodbye."]
        assert stage.notices.events == ["budget.exceeded"]
        assert bytes(stage.track.pcm) == b"".join(map(sound, stage.finals())), "the last word was heard too"


async def test_a_budget_that_runs_low_is_announced_and_goes_on(play: Play) -> None:
    async with play(
        script=[Turn(say="Hello.")], greeting="Greet.", budget=Budget(1000.0, warn_at=1e-9)
    ) as stage:
        await stage.until(lambda: stage.notices.events == ["budget.warning"])
        await stage.until(lambda: stage.finals() == ["Hello."])
        assert stage.ending is None


async def test_when_the_room_can_afford_it_no_longer_it_says_so(play: Play) -> None:
    script = [Turn(say="Hello."), Turn(say="Goodbye.")]
    async with play(script=script, greeting="Greet.") as stage:
        await stage.until(lambda: stage.finals() == ["Hello."])
        stage.agent.end_for_budget("the room's budget is spent")
        assert await stage.end() == Ending("budget", "the room's budget is spent")
        assert stage.finals() == ["Hello.", "Goodbye."]


async def test_no_quota_ends_it_and_it_is_not_tried_again(play: Play) -> None:
    script = [Turn(failure="insufficient_quota")]
    async with play(script=script, understood=["hello"]) as stage:
        stage.speak(said("hello"))
        ending = await stage.end()
        assert (ending.reason, ending.retryable) == ("failed", False)
        assert "quota" in ending.detail


async def test_a_wrong_key_ends_it(play: Play) -> None:
    async with play(simulated={"api_keys": frozenset({"another"})}) as stage:
        ending = await stage.end()
        assert (ending.reason, ending.retryable) == ("failed", False)
        assert stage.simulator.sessions == []


async def test_a_connection_that_is_lost_is_not_the_end(play: Play) -> None:
    script = [Turn(say="Hello."), Turn(say="I am back.")]
    async with play(script=script, greeting="Greet.", understood=["hello again"]) as stage:
        await stage.until(lambda: stage.finals() == ["Hello."])
        stage.simulator.faults.add(Fault("drop"))
        await stage.until(lambda: len(stage.simulator.sessions) == 2)
        stage.speak(said("hello again"))
        await stage.until(lambda: stage.finals()[-1:] == ["I am back."])
        assert stage.ending is None


async def test_an_answer_that_was_filtered_is_announced_and_spoken_about(play: Play) -> None:
    script = [Turn(say="Something bad", failure="content_filter"), Turn(say="I cannot help with that.")]
    async with play(script=script, understood=["something bad"]) as stage:
        stage.speak(said("something bad"))
        await stage.until(lambda: stage.finals()[-1:] == ["I cannot help with that."])
        assert stage.notices.events == ["agent.filtered"]


async def test_finished_it_ends_at_once_in_the_middle_of_a_word(play: Play) -> None:
    async with play(script=[Turn(say=LONG)], greeting="Greet.") as stage:
        await stage.plays(0.5)
        stage.agent.finish(Ending("left"))
        loop = asyncio.get_running_loop()
        before = loop.time()
        assert await stage.end() == Ending("left")
        assert loop.time() - before < 5.0
        assert stage.simulator.connections_open == 0
        assert stage.finals()[0] != LONG
        assert LONG.startswith(stage.finals()[0])


async def test_the_first_reason_is_the_reason(play: Play) -> None:
    async with play() as stage:
        stage.agent.finish(Ending("hang_up", "first"))
        stage.agent.finish(Ending("left"))
        assert await stage.end() == Ending("hang_up", "first")
