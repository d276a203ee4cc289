"""Turn-taking: what a voice over the agent's own turns out to be, whoever hears it first."""

from dataclasses import dataclass, field

import pytest

from parley.core.turns import BACKCHANNELS, TurnPolicy, TurnTaker, Verdict

FRAME_S = 0.02
NEXT_FRAME_S = 1.01 * FRAME_S
POLICY = TurnPolicy(certain_s=0.7, short_s=0.3, blip_s=0.07, blip_quiet_s=0.3, unheard_s=0.9, unread_s=1.5)


@dataclass
class Talk:
    """A turn-taker and its clock; the verdicts are kept with the time at which they came."""

    policy: TurnPolicy = POLICY
    now: float = 100.0
    busy: bool = True
    verdicts: list[Verdict] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.turns = TurnTaker(self.policy)

    def took(self, verdict: Verdict | None) -> Verdict | None:
        if verdict is not None:
            self.verdicts.append(verdict)
        return verdict

    def voice(self, duration_s: float) -> None:
        """The person's voice, frame by frame."""
        for _ in range(round(duration_s / FRAME_S)):
            self.now += FRAME_S
            self.took(self.turns.voice(self.now, FRAME_S, busy=self.busy))

    def quiet(self, duration_s: float) -> float | None:
        """Silence; ends with a verdict, and returns how long after the voice that came."""
        for i in range(1, round(duration_s / FRAME_S) + 1):
            self.now += FRAME_S
            if self.took(self.turns.tick(self.now)) is not None:
                return i * FRAME_S
        return None

    def started(self, item: str) -> Verdict | None:
        return self.took(self.turns.started(self.now, item))

    def words(self, item: str, text: str, *, final: bool = True) -> Verdict | None:
        return self.took(self.turns.transcribed(self.now, item, text, final=final))

    def turn(self, item: str) -> None:
        """The API has heard a turn begin and end."""
        self.started(item)
        self.turns.stopped(item)


@pytest.fixture
def talk() -> Talk:
    return Talk()


# Voice alone


def test_a_voice_while_the_agent_is_quiet_is_nobodys_interruption(talk: Talk) -> None:
    talk.busy = False
    talk.voice(5.0)
    talk.turn("a")
    talk.words("a", "Hello there")
    assert talk.verdicts == []
    assert not talk.turns.in_doubt


def test_the_first_frame_over_the_agent_stops_it(talk: Talk) -> None:
    talk.voice(FRAME_S)
    assert talk.verdicts == ["pause"]
    assert talk.turns.in_doubt


def test_a_stop_is_said_once(talk: Talk) -> None:
    talk.voice(0.6)
    assert talk.verdicts == ["pause"]


def test_so_much_voice_is_an_interruption_whatever_it_says(talk: Talk) -> None:
    talk.voice(0.68)
    assert talk.verdicts == ["pause"]
    talk.voice(0.04)
    assert talk.verdicts[:2] == ["pause", "interrupt"]


def test_voice_with_gaps_counts_together(talk: Talk) -> None:
    for _ in range(4):
        talk.voice(0.16)
        assert talk.quiet(0.2) is None
    talk.voice(0.08)
    assert talk.verdicts[:2] == ["pause", "interrupt"]


def test_one_who_never_doubts_interrupts_at_once() -> None:
    talk = Talk(TurnPolicy(certain_s=0.0))
    talk.voice(FRAME_S)
    assert talk.verdicts == ["interrupt"]
    assert not talk.turns.in_doubt


def test_a_click_is_over_soon(talk: Talk) -> None:
    talk.voice(0.06)
    assert talk.quiet(2.0) == pytest.approx(POLICY.blip_quiet_s, abs=NEXT_FRAME_S)
    assert talk.verdicts == ["pause", "resume"]


def test_more_than_a_click_waits_for_what_the_api_has_heard(talk: Talk) -> None:
    talk.voice(0.08)
    assert talk.quiet(2.0) == pytest.approx(POLICY.unheard_s, abs=NEXT_FRAME_S)
    assert talk.verdicts == ["pause", "resume"]


def test_a_click_of_which_the_api_made_a_turn_is_judged_as_a_turn(talk: Talk) -> None:
    talk.voice(0.06)
    talk.turn("a")
    assert talk.quiet(5.0) == pytest.approx(POLICY.unread_s, abs=NEXT_FRAME_S)
    assert talk.verdicts == ["pause", "resume"]
    assert talk.turns.is_false("a")


def test_voice_that_goes_on_puts_the_verdict_off(talk: Talk) -> None:
    talk.voice(0.1)
    assert talk.quiet(0.8) is None
    talk.voice(0.04)
    assert talk.quiet(5.0) == pytest.approx(POLICY.unheard_s, abs=NEXT_FRAME_S)


def test_each_doubt_counts_its_own_voice(talk: Talk) -> None:
    for _ in range(5):
        talk.voice(0.3)
        talk.quiet(2.0)
    assert talk.verdicts == ["pause", "resume"] * 5


def test_what_was_said_before_the_agent_spoke_up_counts_if_it_goes_on(talk: Talk) -> None:
    """The API answered too early: the person is still speaking when the answer comes."""
    talk.busy = False
    talk.voice(2.0)
    talk.busy = True
    talk.voice(FRAME_S)
    assert talk.verdicts == ["interrupt"]


def test_a_reply_that_begins_under_a_voice_is_stopped_without_more_of_it(talk: Talk) -> None:
    talk.busy = False
    talk.voice(0.2)
    assert talk.turns.speaking(talk.now)
    assert talk.turns.voice(talk.now, 0.0, busy=True) == "pause"


def test_speaking_lasts_a_quarter_of_a_second(talk: Talk) -> None:
    assert not talk.turns.speaking(talk.now)
    talk.voice(FRAME_S)
    assert talk.turns.speaking(talk.now + 0.24)
    assert not talk.turns.speaking(talk.now + 0.26)


def test_when_the_agent_is_done_there_is_nothing_to_interrupt(talk: Talk) -> None:
    talk.voice(0.1)
    talk.turns.over()
    assert not talk.turns.in_doubt
    assert talk.quiet(5.0) is None
    assert talk.verdicts == ["pause"]


def test_nothing_is_decided_where_nothing_is_in_doubt(talk: Talk) -> None:
    assert talk.quiet(5.0) is None


# Turns and words


@pytest.mark.parametrize("final", [False, True])
def test_words_interrupt_as_soon_as_there_is_one(talk: Talk, final: bool) -> None:
    talk.voice(0.2)
    talk.started("a")
    assert talk.words("a", "Wait", final=final) == "interrupt"
    assert not talk.turns.is_false("a")


@pytest.mark.parametrize("text", ["Uh-huh.", "yeah, okay", "Mhm… right!", "(Yes)", "¿", "", "...", " [OK] "])
def test_what_listeners_say_does_not(talk: Talk, text: str) -> None:
    talk.voice(0.4)
    talk.started("a")
    talk.turns.stopped("a")
    assert talk.words("a", text.replace("¿", "")) == "resume"
    assert talk.turns.is_false("a")


@pytest.mark.parametrize("text", ["yes but no", "okay stop", "Ja, warte", "no"])
def test_one_word_of_ones_own_among_them_does(talk: Talk, text: str) -> None:
    talk.voice(0.4)
    talk.started("a")
    assert talk.words("a", text) == "interrupt"


def test_whose_backchannels_are_none_is_interrupted_by_them() -> None:
    talk = Talk(TurnPolicy(backchannels=()))
    talk.voice(0.2)
    talk.started("a")
    assert talk.words("a", "uh-huh") == "interrupt"


def test_the_beginning_of_a_backchannel_is_no_verdict_yet(talk: Talk) -> None:
    talk.voice(0.2)
    talk.started("a")
    assert talk.words("a", "Yes", final=False) is None
    assert talk.turns.in_doubt
    assert talk.words("a", "Yes, but", final=False) == "interrupt"


def test_a_cough_is_no_turn(talk: Talk) -> None:
    talk.voice(0.26)
    talk.turn("a")
    assert talk.quiet(5.0) == pytest.approx(POLICY.unread_s, abs=NEXT_FRAME_S)
    assert talk.verdicts == ["pause", "resume"]
    assert talk.turns.is_false("a")


def test_more_than_a_cough_without_a_transcript_is_one(talk: Talk) -> None:
    talk.voice(0.36)
    talk.turn("a")
    assert talk.quiet(5.0) == pytest.approx(POLICY.unread_s, abs=NEXT_FRAME_S)
    assert talk.verdicts == ["pause", "interrupt"]
    assert not talk.turns.is_false("a")


def test_a_turn_that_the_api_hears_first_is_judged_too(talk: Talk) -> None:
    talk.started("a")
    talk.now += 0.1
    talk.voice(0.2)
    talk.turns.stopped("a")
    assert talk.words("a", "uh-huh") == "resume"
    assert talk.turns.is_false("a")


def test_words_of_a_turn_that_the_api_hears_first_interrupt(talk: Talk) -> None:
    talk.started("a")
    talk.voice(0.1)
    assert talk.words("a", "Hold on", final=False) == "interrupt"


def test_a_turn_that_the_api_hears_later_is_judged_too(talk: Talk) -> None:
    talk.voice(0.2)
    assert talk.quiet(0.5) is None
    talk.turn("a")
    assert talk.quiet(0.3) is None
    assert talk.words("a", "mm-hmm") == "resume"
    assert talk.turns.is_false("a")


def test_a_turn_that_was_over_before_the_voice_says_nothing_about_it(talk: Talk) -> None:
    """The transcript of what is being answered comes while somebody coughs into the answer."""
    talk.busy = False
    talk.voice(1.0)
    talk.turn("question")
    talk.busy = True
    talk.now += 0.6
    talk.voice(0.1)
    assert talk.words("question", "What time is it?") is None
    assert talk.quiet(2.0) is not None
    assert talk.verdicts == ["pause", "resume"]
    assert not talk.turns.is_false("question")


@pytest.mark.parametrize("order", [("a", "b"), ("b", "a")])
def test_of_several_turns_all_must_be_none(talk: Talk, order: tuple[str, str]) -> None:
    talk.voice(0.1)
    talk.turn("a")
    talk.voice(0.1)
    talk.turn("b")
    assert talk.words(order[0], "yeah") is None
    assert talk.words(order[1], "okay") == "resume"
    assert talk.turns.is_false("a")
    assert talk.turns.is_false("b")


def test_of_several_turns_one_is_enough(talk: Talk) -> None:
    talk.voice(0.1)
    talk.turn("a")
    talk.voice(0.1)
    talk.turn("b")
    assert talk.words("a", "yeah") is None
    assert talk.words("b", "but why", final=False) == "interrupt"
    assert not talk.turns.is_false("a")


def test_a_verdict_on_one_turn_is_none_on_the_next(talk: Talk) -> None:
    talk.voice(0.16)
    talk.turn("a")
    assert talk.words("a", "") == "resume"
    talk.now += 0.3
    talk.voice(0.16)
    assert talk.turns.in_doubt
    talk.turn("b")
    assert talk.quiet(1.2) is None
    assert talk.words("b", "Stop that") == "interrupt"
    assert talk.turns.is_false("a")


# After the verdict


def test_words_that_come_after_the_agent_went_on_interrupt_after_all(talk: Talk) -> None:
    talk.voice(0.2)
    talk.turn("a")
    talk.quiet(5.0)
    assert talk.turns.is_false("a")
    assert talk.words("a", "No!", final=False) == "interrupt"
    assert not talk.turns.is_false("a")
    assert talk.words("a", "No! Stop.") is None, "once is enough"


def test_a_backchannel_that_comes_after_it_changes_nothing(talk: Talk) -> None:
    talk.voice(0.2)
    talk.turn("a")
    talk.quiet(5.0)
    assert talk.words("a", "Mhm") is None
    assert talk.turns.is_false("a")


def test_words_of_an_old_turn_that_was_none_end_a_newer_doubt_once(talk: Talk) -> None:
    talk.voice(0.2)
    talk.turn("a")
    talk.quiet(5.0)
    talk.voice(0.1)
    assert talk.words("a", "Stop") == "interrupt"


def test_a_turn_that_begins_after_the_agent_went_on_is_no_false_one(talk: Talk) -> None:
    talk.voice(0.1)
    talk.quiet(5.0)
    talk.turn("late")
    assert talk.verdicts == ["pause", "resume"]
    assert not talk.turns.is_false("late")


def test_a_turn_that_interrupted_is_answered(talk: Talk) -> None:
    talk.voice(0.1)
    talk.turn("a")
    talk.voice(0.8)
    assert "interrupt" in talk.verdicts
    assert not talk.turns.is_false("a")


def test_words_of_turns_that_nobody_knows_mean_nothing(talk: Talk) -> None:
    assert talk.words("unknown", "Hello") is None
    talk.voice(0.1)
    assert talk.words("unknown", "Hello") is None
    assert talk.turns.in_doubt


def test_no_turn_is_not_a_false_one(talk: Talk) -> None:
    assert not talk.turns.is_false(None)
    assert not talk.turns.is_false("")


def test_what_is_remembered_is_bounded_and_the_newest(talk: Talk) -> None:
    talk.voice(0.1)
    for i in range(40):
        talk.turn(f"turn {i}")
    talk.quiet(5.0)
    false = [i for i in range(40) if talk.turns.is_false(f"turn {i}")]
    assert false == list(range(24, 40))


def test_false_turns_of_many_doubts_are_bounded(talk: Talk) -> None:
    for i in range(60):
        talk.voice(0.1)
        talk.turn(f"turn {i}")
        talk.words(f"turn {i}", "uh-huh")
        talk.now += 1.0
    false = [i for i in range(60) if talk.turns.is_false(f"turn {i}")]
    assert false == list(range(44, 60))


@pytest.mark.parametrize("word", sorted(BACKCHANNELS))
def test_every_backchannel_is_one_however_it_is_written(talk: Talk, word: str) -> None:
    talk.voice(0.2)
    talk.started("a")
    assert talk.words("a", f"{word.capitalize()}, {word.upper()}!") == "resume"
