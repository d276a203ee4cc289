"""The floor: what is done to replies and to the mouth when somebody speaks over the agent."""

from typing import Any

import pytest

from livekit.plugins.openai_realtime import (
    ResponseEnded,
    ResponseStarted,
    TurnCommitted,
    TurnStarted,
    TurnStopped,
    TurnTranscribed,
)
from parley.core.turns import TurnPolicy
from parley.voice.floor import UNANSWERED_S, Floor
from parley.voice.mouth import Mouth
from unit.voice.conftest import Clock, HandTrack, speech

POLICY = TurnPolicy()
FRAME_S = 0.02


class Reply:
    """A SpeechHandle as far as the floor knows it."""

    def __init__(self, stage: "Stage") -> None:
        self._stage = stage
        self.interrupted = False
        self.allow_interruptions = True
        self.over = False

    def done(self) -> bool:
        return self.over

    def interrupt(self) -> None:
        self.interrupted = True
        self._stage.interrupted.append(self)


class Stage:
    """A floor with a real mouth on a track that is ticked by hand. The AgentSession is this object: it is
    asked for replies, and clears the mouth of those that are interrupted, when `settle` says so."""

    def __init__(self, clock: Clock, track: HandTrack, mouth: Mouth, *, interruptions: bool = True) -> None:
        self.clock, self.track, self.mouth = clock, track, mouth
        self.tools = 0
        self.asked: list[dict[str, Any]] = []
        self.interrupted: list[Reply] = []
        self.speaking: Reply | None = None
        session: Any = self
        self.floor = Floor(POLICY, session, mouth, lambda: self.tools > 0, interruptions=interruptions)
        mouth.on_begin = self.floor.began
        mouth.on_silent = self.floor.silent

    def generate_reply(self, **given: Any) -> None:
        self.asked.append(given)

    def reply(self, *, by_api: bool = False) -> Reply:
        reply = Reply(self)
        self.floor.created(reply, by_api=by_api)  # type: ignore[arg-type]
        return reply

    async def speak(self, count: int = 500, *, by_api: bool = False) -> Reply:
        """A reply whose audio is there and that has begun to be played."""
        self.floor.on_event(ResponseStarted("r"))
        self.speaking = self.reply(by_api=by_api)
        await self.mouth.capture_frame(speech(*range(count)))
        self.mouth.flush()
        self.floor.on_event(ResponseEnded("r", "completed"))
        self.track.tick(5)
        return self.speaking

    def settle(self) -> None:
        """The AgentSession gets round to what was interrupted."""
        if self.speaking is not None and self.speaking.interrupted:
            self.mouth.clear_buffer()
            self.speaking.over = True

    def voice(self, duration_s: float) -> None:
        self._hear(duration_s, FRAME_S)

    def quiet(self, duration_s: float) -> None:
        self._hear(duration_s, 0.0)

    def _hear(self, duration_s: float, voiced_s: float) -> None:
        for _ in range(round(duration_s / FRAME_S)):
            self.track.tick()
            self.floor.heard(self.clock.now, voiced_s)
            self.floor.tick(self.clock.now)

    def turn(self, item: str) -> None:
        """The API hears a whole turn."""
        self.floor.on_event(TurnStarted(item, 0))
        self.floor.on_event(TurnStopped(item, 0))
        self.floor.on_event(TurnCommitted(item))

    def words(self, item: str, text: str, *, final: bool = True) -> None:
        self.floor.on_event(TurnTranscribed(item, text, final))

    @property
    def plays(self) -> bool:
        """Whether the agent is heard now."""
        before = len(self.track.words)
        self.track.tick(3)
        return len(self.track.words) > before


@pytest.fixture
def stage(clock: Clock, track: HandTrack, mouth: Mouth) -> Stage:
    return Stage(clock, track, mouth)


async def test_a_voice_over_the_agent_stops_it_with_the_next_frame(stage: Stage) -> None:
    reply = await stage.speak()
    before = len(stage.track.words)
    stage.floor.heard(stage.clock.now, FRAME_S)
    assert not stage.plays
    assert len(stage.track.words) == before
    assert not reply.interrupted
    assert stage.floor.open


async def test_a_click_costs_no_word(stage: Stage) -> None:
    reply = await stage.speak(100)
    stage.voice(0.06)
    stage.quiet(1.0)
    assert not stage.floor.open
    stage.track.tick(200)
    assert stage.track.words == list(range(100))
    assert not reply.interrupted
    assert len(stage.interrupted) == 0
    assert stage.asked == []


async def test_a_long_voice_gives_the_reply_up(stage: Stage) -> None:
    reply = await stage.speak()
    stage.voice(0.7)
    assert reply.interrupted
    assert len(stage.interrupted) == 1
    assert not stage.plays, "it does not go on while the AgentSession has not cleared it"
    stage.settle()
    assert not stage.mouth.speaking
    stage.floor.silent()
    assert not stage.floor.busy


async def test_after_an_interruption_the_answer_is_heard(stage: Stage) -> None:
    await stage.speak()
    stage.floor.on_event(TurnStarted("a", 0))
    stage.voice(0.72)
    stage.settle()
    stage.quiet(0.4)
    stage.floor.on_event(TurnStopped("a", 0))
    stage.floor.on_event(TurnCommitted("a"))
    stage.words("a", "What about Rome?")
    before = len(stage.track.words)
    reply = await stage.speak(20, by_api=True)
    assert not reply.interrupted
    stage.track.tick(50)
    assert stage.track.words[before:] == list(range(20))


async def test_words_give_the_reply_up_before_the_voice_is_long(stage: Stage) -> None:
    reply = await stage.speak()
    stage.voice(0.1)
    stage.floor.on_event(TurnStarted("a", 0))
    stage.words("a", "Stop", final=False)
    assert reply.interrupted


async def test_replies_that_wait_are_given_up_too(stage: Stage) -> None:
    speaking = await stage.speak()
    waiting = stage.reply()
    stage.voice(0.72)
    assert (speaking.interrupted, waiting.interrupted) == (True, True)


async def test_a_reply_that_is_done_is_not_interrupted(stage: Stage) -> None:
    done = stage.reply()
    done.over = True
    speaking = await stage.speak()
    stage.voice(0.72)
    assert stage.interrupted == [speaking]


async def test_an_answer_to_a_backchannel_is_taken_back(stage: Stage) -> None:
    speaking = await stage.speak(400)
    stage.voice(0.4)
    stage.turn("a")
    stage.words("a", "uh-huh")
    late = stage.reply(by_api=True)
    assert late.interrupted
    assert not speaking.interrupted
    stage.track.tick(500)
    assert stage.track.words == list(range(400))


async def test_an_answer_that_comes_before_the_verdict_is_taken_back_with_it(stage: Stage) -> None:
    speaking = await stage.speak(400)
    stage.voice(0.2)
    stage.turn("a")
    early = stage.reply(by_api=True)
    assert not early.interrupted
    stage.words("a", "mhm")
    assert early.interrupted
    assert not speaking.interrupted
    stage.track.tick(500)
    assert stage.track.words == list(range(400))


async def test_an_answer_that_comes_before_the_verdict_stays_if_it_was_a_turn(stage: Stage) -> None:
    speaking = await stage.speak()
    stage.voice(0.2)
    stage.turn("a")
    early = stage.reply(by_api=True)
    stage.words("a", "What about Rome?")
    assert speaking.interrupted
    assert not early.interrupted
    assert len(stage.interrupted) == 1


async def test_an_answer_that_stayed_can_be_interrupted_itself(stage: Stage) -> None:
    await stage.speak()
    stage.voice(0.2)
    stage.turn("a")
    early = stage.reply(by_api=True)
    stage.words("a", "What about Rome?")
    stage.settle()
    stage.quiet(1.0)
    stage.floor.on_event(ResponseStarted("r2"))
    stage.voice(0.72)
    assert early.interrupted


async def test_what_the_application_asked_for_is_not_taken_for_an_answer(stage: Stage) -> None:
    await stage.speak()
    stage.voice(0.2)
    stage.turn("a")
    own = stage.reply()
    stage.words("a", "mhm")
    assert not own.interrupted


async def test_words_that_come_after_the_agent_went_on_stop_it_after_all(stage: Stage) -> None:
    speaking = await stage.speak(1400)
    stage.voice(0.2)
    stage.turn("a")
    stage.quiet(2.0)
    assert stage.plays
    stage.words("a", "I said stop!")
    assert speaking.interrupted
    assert not stage.plays
    stage.settle()
    stage.quiet(0.1)
    assert len(stage.asked) == 1, "its answer had been taken back: it is asked for again"


async def test_a_turn_that_the_api_does_not_answer_is_answered_on_request(stage: Stage) -> None:
    stage.voice(1.0)
    stage.turn("a")
    stage.quiet(UNANSWERED_S - 0.1)
    assert stage.asked == []
    assert stage.floor.open
    stage.quiet(0.2)
    assert stage.asked == [{"input_modality": "audio"}]
    stage.quiet(5.0)
    assert len(stage.asked) == 1
    assert not stage.floor.open


async def test_a_turn_that_is_being_answered_is_not_asked_for_again(stage: Stage) -> None:
    stage.voice(1.0)
    stage.turn("a")
    stage.quiet(0.3)
    stage.floor.on_event(ResponseStarted("r"))
    stage.quiet(5.0)
    stage.floor.on_event(ResponseEnded("r", "completed"))
    stage.quiet(5.0)
    assert stage.asked == []


async def test_a_turn_during_another_response_waits_for_its_end(stage: Stage) -> None:
    stage.floor.on_event(ResponseStarted("r"))
    stage.floor.on_event(TurnCommitted("a"))
    stage.quiet(3.0)
    assert stage.asked == []
    stage.floor.on_event(ResponseEnded("r", "cancelled"))
    stage.quiet(0.1)
    assert len(stage.asked) == 1


async def test_nothing_is_asked_for_on_behalf_of_a_cough(stage: Stage) -> None:
    await stage.speak(1400)
    stage.voice(0.2)
    stage.turn("a")
    stage.quiet(10.0)
    assert stage.asked == []


async def test_a_reply_that_begins_while_somebody_speaks_is_held(stage: Stage) -> None:
    stage.voice(0.3)
    await stage.mouth.capture_frame(speech(*range(50)))
    assert not stage.plays
    stage.quiet(2.0)
    assert stage.track.words == list(range(50))


async def test_a_voice_while_a_tool_works_is_about_the_reply_to_come(stage: Stage) -> None:
    reply = stage.reply()
    stage.tools = 1
    assert stage.floor.busy
    stage.voice(0.72)
    assert reply.interrupted


async def test_a_voice_while_the_model_thinks_holds_what_comes(stage: Stage) -> None:
    stage.floor.on_event(ResponseStarted("r"))
    assert stage.floor.busy
    stage.voice(0.2)
    await stage.mouth.capture_frame(speech(*range(50)))
    assert not stage.plays
    stage.quiet(2.0)
    stage.track.tick(60)
    assert stage.track.words == list(range(50))


async def test_an_agent_that_cannot_be_interrupted_speaks_on(
    clock: Clock, track: HandTrack, mouth: Mouth
) -> None:
    stage = Stage(clock, track, mouth, interruptions=False)
    reply = await stage.speak(200)
    stage.floor.on_event(TurnStarted("a", 0))
    stage.voice(3.0)
    stage.words("a", "Stop at once")
    stage.track.tick(100)
    assert track.words == list(range(200))
    assert not reply.interrupted


async def test_what_the_application_interrupts_is_given_up_at_once(stage: Stage) -> None:
    speaking, waiting = await stage.speak(), stage.reply()
    stage.floor.interrupt()
    assert stage.interrupted == [speaking, waiting]
    stage.floor.interrupt()
    assert len(stage.interrupted) == 2


async def test_the_floor_is_free_when_nothing_is_going_on(stage: Stage) -> None:
    assert not stage.floor.busy
    assert not stage.floor.open
    stage.voice(5.0)
    assert not stage.floor.open
    stage.quiet(1.0)
    await stage.speak(10)
    stage.track.tick(20)
    assert not stage.floor.busy


async def test_a_reply_that_may_not_be_interrupted_is_neither_stopped_nor_given_up(stage: Stage) -> None:
    reply = await stage.speak()
    reply.allow_interruptions = False
    stage.voice(2.0)
    stage.floor.interrupt()
    assert not reply.interrupted
    assert stage.plays


def test_a_doubt_that_outlives_its_reply_holds_back_nothing_afterwards(stage: Stage) -> None:
    stage.floor.on_event(ResponseStarted("r"))
    stage.voice(0.1)
    assert stage.track.queue.paused
    stage.floor.on_event(ResponseEnded("r", "completed"))
    assert not stage.track.queue.paused
