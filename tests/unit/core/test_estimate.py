"""The estimate: sessions, minutes and money from who is there, and that it fits what is really sent."""

import pytest

from parley.core.estimate import (
    AgentTalk,
    Demand,
    Models,
    People,
    Running,
    Talk,
    always_on,
    captions_only,
    translated,
    voice_agents,
)
from parley.core.feed import Feed, FeedPolicy
from parley.core.framing import BYTES_PER_S, FRAME_MS
from parley.core.tail import TailPolicy
from parley.core.usage import LIST_PRICES

SIX = People({"en": 2, "fr": 2, "de": 2})
TALK, MODELS = Talk(), Models()


def test_sessions_are_one_per_speaker_and_language_that_is_not_theirs() -> None:
    assert (SIX.count, SIX.speakers, SIX.languages) == (6, 6, ("de", "en", "fr"))
    assert SIX.demand == Demand(speakers=6, sessions=12)
    assert People({"en": 9}).demand.sessions == 0
    assert People({"en": 1}, {"fr": 200, "de": 100}).demand == Demand(1, 2)
    assert People({"en": 0}, {}).demand == Demand(0, 0)


def test_six_people_of_three_languages_for_an_hour_cost_a_fifth_of_always_on() -> None:
    parley, always = translated(SIX.demand, 60, TALK, MODELS), always_on(SIX.demand, 60, MODELS)
    assert always.usd == pytest.approx(12 * 60 * 0.034)
    assert (always.sessions, parley.sessions, always.minutes) == (12, 12, 720)
    assert parley.usd == pytest.approx(parley.minutes * 0.034)
    assert always.usd / parley.usd >= 5


def test_listeners_of_a_language_that_is_heard_already_cost_nothing() -> None:
    few, many = People({"en": 1}, {"fr": 1}), People({"en": 1}, {"fr": 10_000})
    assert translated(few.demand, 60, TALK, MODELS) == translated(many.demand, 60, TALK, MODELS)


@pytest.mark.parametrize(("share", "minutes"), [(0.0, 60.0), (0.8, 0.0)])
def test_where_nobody_speaks_nothing_is_paid(share: float, minutes: float) -> None:
    talk = Talk(share=share)
    assert translated(SIX.demand, minutes, talk, MODELS).usd == 0
    assert captions_only(SIX.demand, minutes, talk, MODELS).usd == 0


def test_never_more_is_sent_than_there_is_time() -> None:
    restless = Talk(share=1.0, turn_s=0.1)
    alone = Demand(speakers=1, sessions=2)
    assert translated(alone, 60, restless, MODELS).usd == always_on(alone, 60, MODELS).usd


def test_more_speech_and_shorter_turns_cost_more() -> None:
    def usd(**talk: float) -> float:
        return translated(SIX.demand, 60, Talk(**talk), MODELS).usd  # type: ignore[arg-type]

    assert usd(share=0.4) < usd(share=0.8)
    assert usd(turn_s=30) < usd(turn_s=10) < usd(turn_s=5)
    assert usd(span_s=1) < usd(span_s=5) < usd(span_s=7)
    assert usd(span_s=50) == usd(span_s=90)


def test_captions_alone_pay_for_speech_once_whatever_the_languages() -> None:
    mode = captions_only(SIX.demand, 60, TALK, MODELS)
    assert mode.sessions == 6
    assert mode.usd == pytest.approx(mode.minutes * 0.017)
    assert mode.minutes == pytest.approx(60 * 0.8 * (1 + 0.9 / 10))


def test_prices_and_models_are_those_given() -> None:
    dear = Models(prices=LIST_PRICES.changed({"gpt-realtime-translate": {"audio_minute": 0.34}}))
    assert translated(SIX.demand, 9, TALK, dear).usd == pytest.approx(
        10 * translated(SIX.demand, 9, TALK, MODELS).usd
    )


@pytest.mark.parametrize("span_s", [1.0, 3.0, 5.0])
@pytest.mark.parametrize("turn_s", [4.0, 10.0, 30.0])
def test_of_a_turn_so_much_is_estimated_as_a_feed_really_sends(turn_s: float, span_s: float) -> None:
    """Six turns on a clock of frames, each answered by the session `span_s` later."""
    talk = Talk(turn_s=turn_s, span_s=span_s)
    feed, now, frames = Feed(FeedPolicy(tail=TailPolicy())), 0.0, 0
    ledger = feed.begin_session()
    step_s = FRAME_MS / 1000
    pcm, pre_roll = bytes(int(step_s * BYTES_PER_S)), [bytes(int(talk.pre_roll_s * BYTES_PER_S))]
    gate_s = turn_s + talk.silence_s
    turns = 6
    for _ in range(turns):
        for step in range(round((gate_s + 20.0) / step_s)):
            at = step * step_s
            now += step_s
            feed.hear(pcm, now, at < gate_s, pre_roll)
            while feed.take(now) is not None:
                frames += 1
            if span_s <= at < turn_s + span_s:
                feed.answered(ledger, now, None, now)
            feed.tick(now)
    sent_s = frames * step_s
    assert sent_s == pytest.approx(talk.sent_s(turns * turn_s, tail_s=talk.tail_s), rel=0.12)


def test_a_room_that_changes_is_estimated_stretch_by_stretch() -> None:
    running = Running()
    running.passed(SIX.demand, 600)
    running.passed(Demand(0, 0), 6_000)
    running.passed(Demand(2, 2), 600)
    expected = translated(SIX.demand, 10, TALK, MODELS).usd + translated(Demand(2, 2), 10, TALK, MODELS).usd
    assert running.usd == pytest.approx(expected)
    assert running.always_on_usd == pytest.approx((12 + 2) * 10 * 0.034)


def test_captions_of_those_who_are_not_translated_are_part_of_the_estimate() -> None:
    running = Running()
    running.passed(Demand(speakers=4, sessions=0, captions=2), 600)
    half = captions_only(Demand(4, 0), 10, TALK, MODELS).usd / 2
    assert running.usd == pytest.approx(half)
    assert running.always_on_usd == pytest.approx(2 * 10 * 0.017)


# Voice agents


def test_a_voice_agents_first_turn_is_paid_for_what_is_said_and_answered() -> None:
    mode = voice_agents(1, 0.1, AgentTalk(instructions=0), MODELS)
    audio = (60 * 32 + 120 * 64) / 1e6
    assert mode.usd == pytest.approx(audio + 6 * 0.017 / 60)


def test_a_longer_conversation_costs_more_per_minute_until_the_context_is_full() -> None:
    def per_minute(minutes: float) -> float:
        return voice_agents(1, minutes, AgentTalk(), MODELS).usd / minutes

    assert per_minute(2) < per_minute(10) < per_minute(40)
    assert per_minute(2_000) < 4 * per_minute(40)
    assert per_minute(2_000) == pytest.approx(per_minute(1_000), rel=0.05)


def test_each_agent_is_paid_and_none_costs_nothing() -> None:
    one = voice_agents(1, 10, AgentTalk(), MODELS)
    assert voice_agents(3, 10, AgentTalk(), MODELS).usd == pytest.approx(3 * one.usd)
    assert voice_agents(0, 10, AgentTalk(), MODELS).usd == 0
    assert voice_agents(3, 0, AgentTalk(), MODELS).usd == 0


def test_own_words_of_all_cost_where_nobody_is_translated() -> None:
    english = People({"en": 3}, own_words=True)
    assert english.demand == Demand(speakers=3, sessions=0, captions=3)
    parley, alone = (of(english.demand, 60, TALK, MODELS) for of in (translated, captions_only))
    assert (parley.sessions, parley.minutes, parley.usd) == (3, alone.minutes, alone.usd)
    both = People({"en": 3, "fr": 1}, own_words=True)
    assert both.demand == People({"en": 3, "fr": 1}).demand
