"""The tail: long enough for what the model owes, not longer than it must be."""

import random
from dataclasses import dataclass, field

import pytest

from parley.core.feed import Feed
from parley.core.framing import FRAME_MS, RATE_HZ
from parley.core.ledger import Frame
from parley.core.tail import Tail, TailPolicy

STEP_S = 0.1
SILENCE = bytes(RATE_HZ * 2 // 10)
WORD = b"\1\0" * (RATE_HZ // 10)
HANGOVER_S = 0.5
"""What a gate adds to a phrase before it calls it ended."""


@dataclass
class Model:
    """A session that says each word again a lag later: in frames consumed (`model`) or seconds (`wall`)."""

    lag_s: float
    clock: str
    consumed: int = 0
    owed: list[tuple[float, int]] = field(default_factory=list)
    """(frame or time at which it comes out, frame that it answers)."""

    def consume(self, frame: Frame, now: float) -> None:
        if any(frame.pcm):
            due = self.consumed + self.lag_s * 1000 / FRAME_MS if self.clock == "model" else now + self.lag_s
            self.owed.append((due, self.consumed))
        self.consumed += 1

    def say(self, now: float) -> list[int]:
        """The frames whose output has come out since it was last asked."""
        limit = self.consumed - 1 if self.clock == "model" else now
        said = [frame for due, frame in self.owed if due <= limit + 1e-9]
        self.owed = [(due, frame) for due, frame in self.owed if due > limit + 1e-9]
        return said


@dataclass
class Talk:
    """A microphone, its gate, a feed and a model, in steps of 100 ms."""

    model: Model
    policy: TailPolicy = field(default_factory=TailPolicy)
    now: float = 0.0
    silent_frames: int = 0
    quiet_s: float = 99.0
    ends: list[tuple[float, int]] = field(default_factory=list)
    """(seconds after the last word at which a tail ended, words owed then)."""
    said: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.feed = Feed()
        self.feed._tail = Tail(self.policy)

    def step(self, *, word: bool) -> None:
        self.now += STEP_S
        self.quiet_s = 0.0 if word else self.quiet_s + STEP_S
        speaking = self.quiet_s < HANGOVER_S
        self.feed.hear(WORD if word else SILENCE, self.now, speaking, [SILENCE] * 4)
        while (frame := self.feed.take(self.now)) is not None:
            self.silent_frames += not frame.speech
            self.model.consume(frame, self.now)
        for answered in self.model.say(self.now):
            self.said.append(answered)
            self.feed.answered(self.feed.ledger, self.now, answered * FRAME_MS, self.now)
        if self.feed.tick(self.now):
            self.ends.append((self.quiet_s, len(self.model.owed)))

    def say(self, rng: random.Random, words: int, longest_pause_s: float) -> None:
        for _ in range(words):
            for _ in range(rng.randrange(2, 8)):
                self.step(word=True)
            for _ in range(round(rng.uniform(0.0, longest_pause_s) / STEP_S)):
                self.step(word=False)

    def rest(self, duration_s: float) -> None:
        for _ in range(round(duration_s / STEP_S)):
            self.step(word=False)


LAGS = (0.2, 0.8, 1.4, 2.2, 3.0, 4.6, 6.2, 7.4, 8.0)


@pytest.mark.parametrize("clock", ["model", "wall"])
@pytest.mark.parametrize("lag_s", LAGS)
def test_a_tail_never_ends_before_what_the_model_owes(lag_s: float, clock: str) -> None:
    for seed in range(6):
        rng = random.Random(seed)
        talk = Talk(Model(lag_s, clock))
        for _ in range(4):
            talk.say(rng, rng.randrange(1, 9), longest_pause_s=rng.choice([0.3, 2.5]))
            talk.rest(rng.uniform(14, 20))
        assert [owed for _, owed in talk.ends] == [0] * len(talk.ends), f"seed {seed}"
        assert len(talk.ends) >= 4
        assert talk.said == sorted(talk.said)
        assert not talk.model.owed


@pytest.mark.parametrize("clock", ["model", "wall"])
@pytest.mark.parametrize("lag_s", LAGS)
def test_a_tail_costs_little_more_than_the_lag(lag_s: float, clock: str) -> None:
    """Once the span is known, a tail is a quarter longer than it, and never longer than allowed."""
    rng = random.Random(1)
    talk = Talk(Model(lag_s, clock))
    talk.say(rng, 3, 0.3)
    talk.rest(20)
    before = talk.silent_frames
    phrases = 10
    for _ in range(phrases):
        talk.say(rng, 3, 0.3)
        talk.rest(20)
    cost_s = (talk.silent_frames - before) * FRAME_MS / 1000 / phrases
    # The span is measured from the pre-roll on, and output is quiet only a while after it came.
    onset_s = 0.4 + 2 * FRAME_MS / 1000
    assert cost_s <= min(10.0, max(1.0, 1.25 * (lag_s + onset_s) + 0.3) + 0.8) + 0.4
    assert max(after for after, _ in talk.ends) <= 10.0 + HANGOVER_S + 0.4


def test_a_model_that_says_nothing_costs_a_bounded_tail() -> None:
    talk = Talk(Model(1e9, "wall"))
    talk.say(random.Random(0), 1, 0.0)
    talk.rest(30)
    assert len(talk.ends) == 1
    assert talk.silent_frames * FRAME_MS / 1000 <= 10.4


def test_a_model_that_never_stops_talking_is_cut_at_the_most() -> None:
    tail = Tail(TailPolicy(most_s=5.0))
    tail.phrase_began(0.0)
    tail.phrase_ended(1.0)
    for i in range(60):
        tail.output_heard(1.0 + i / 10)
        assert tail.over(1.0 + i / 10) == (i >= 50)


def test_the_span_is_from_first_speech_to_first_output() -> None:
    tail = Tail()
    assert tail.span_s is None
    tail.phrase_began(10.0)
    tail.output_heard(12.5)
    tail.output_heard(19.0)
    assert tail.span_s == 2.5


def test_one_long_span_is_forgotten_by_and_by() -> None:
    tail = Tail()
    spans = []
    for i, span in enumerate([8.0] + [1.0] * 12):
        at = i * 100.0
        tail.phrase_began(at)
        tail.output_heard(at + span)
        tail.phrase_ended(at + span)
        assert tail.over(at + 50)
        spans.append(tail.span_s)
    assert spans[0] == 8.0
    assert spans == sorted(spans, reverse=True)
    assert 1.0 <= spans[-1] < 1.6


def test_a_longer_span_counts_at_once() -> None:
    tail = Tail()
    for at, span in ((0.0, 1.0), (100.0, 5.0)):
        tail.phrase_began(at)
        tail.output_heard(at + span)
        tail.phrase_ended(at + span)
    assert tail.span_s == 5.0


def test_speech_that_goes_on_in_the_tail_is_the_same_phrase() -> None:
    tail = Tail()
    tail.phrase_began(0.0)
    tail.phrase_ended(1.0)
    tail.phrase_began(2.0)
    assert not tail.over(99.0)
    tail.output_heard(3.0)
    assert tail.span_s == 3.0


def test_nothing_is_over_before_speech_has_ended() -> None:
    tail = Tail()
    assert not tail.over(0.0)
    tail.phrase_began(0.0)
    assert not tail.over(1e6)


def test_the_output_must_have_been_quiet() -> None:
    tail = Tail(TailPolicy(least_s=1.0, quiet_s=0.8))
    tail.phrase_began(0.0)
    tail.output_heard(0.1)
    tail.phrase_ended(5.0)
    tail.output_heard(5.9)
    assert not tail.over(6.5)
    assert tail.over(6.8)
