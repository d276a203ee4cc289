"""What a conversation costs: added up, taken from each of its budgets, said once."""

import pytest

from livekit.plugins.openai_realtime import ConversationOptions, TokenUsage, TranscriptionUsage
from livekit.plugins.openai_realtime.conversation_options import Transcription
from parley.core.usage import Budget, Tokens
from parley.metrics import Metrics
from parley.voice.spending import Spending

OPTIONS = ConversationOptions(
    model="gpt-realtime-2.1", transcription=Transcription(model="gpt-realtime-whisper")
)
USAGE = TokenUsage(
    input_text=1_000,
    input_audio=2_000,
    input_image=100,
    cached_text=300,
    cached_audio=400,
    cached_image=50,
    output_text=600,
    output_audio=700,
)
USD = (1_000 * 4 + 2_000 * 32 + 100 * 5 + 300 * 0.4 + 400 * 0.4 + 50 * 0.5 + 600 * 24 + 700 * 64) / 1e6


class Told:
    """One conversation's spending, and what was said of its budgets."""

    def __init__(self, *budgets: Budget, options: ConversationOptions = OPTIONS) -> None:
        self.said: list[tuple[str, str]] = []
        self.metrics = Metrics()
        self.spending = Spending(
            self.metrics, options, budgets, lambda event, text: self.said.append((event, text))
        )


def test_every_kind_of_token_has_its_price() -> None:
    told = Told()
    told.spending.response(USAGE)
    assert told.spending.usd == pytest.approx(USD)
    tokens = told.spending.tokens
    assert (tokens.text_in, tokens.audio_in, tokens.image_in) == (1_000, 2_000, 100)
    assert (tokens.text_cached, tokens.audio_cached, tokens.image_cached) == (300, 400, 50)
    assert (tokens.text_out, tokens.audio_out) == (600, 700)


def test_responses_add_up() -> None:
    told = Told()
    for _ in range(3):
        told.spending.response(USAGE)
    assert told.spending.usd == pytest.approx(3 * USD)
    assert told.spending.tokens.audio_out == 2_100


def test_the_transcription_of_turns_is_charged_by_the_minute() -> None:
    told = Told()
    told.spending.transcription(TranscriptionUsage(seconds=90.0))
    assert told.spending.usd == pytest.approx(1.5 * 0.017)


def test_what_is_used_is_told_to_the_rooms_meter() -> None:
    class Meter:
        def __init__(self) -> None:
            self.used: list[Tokens | float] = []

        def tokens(self, used: Tokens) -> None:
            self.used.append(used)

        def transcribed(self, audio_s: float) -> None:
            self.used.append(audio_s)

    meter = Meter()
    spending = Spending(Metrics(), OPTIONS, (), lambda event, text: None, meter)
    spending.response(USAGE)
    spending.transcription(TranscriptionUsage(seconds=90.0))
    assert meter.used == [spending.tokens, 90.0]


def test_who_transcribes_nothing_pays_nothing_for_it() -> None:
    told = Told(options=ConversationOptions(transcription=None))
    told.spending.transcription(TranscriptionUsage(seconds=90.0))
    assert told.spending.usd == 0


def test_every_budget_pays_the_whole() -> None:
    own, room = Budget(None), Budget(100.0)
    told = Told(own, room)
    told.spending.response(USAGE)
    told.spending.transcription(TranscriptionUsage(seconds=60.0))
    assert own.spent_usd == pytest.approx(USD + 0.017)
    assert room.spent_usd == pytest.approx(USD + 0.017)
    assert told.said == []


def test_a_budget_that_runs_low_and_one_that_is_spent_are_each_said_once() -> None:
    told = Told(Budget(USD * 2.2))
    for _ in range(5):
        told.spending.response(USAGE)
    assert [event for event, _ in told.said] == ["warning", "exceeded"]
    assert told.said[1][1] == f"{3 * USD:.4f} of {USD * 2.2:g} USD"


def test_one_that_is_spent_at_once_is_not_called_low() -> None:
    told = Told(Budget(USD / 2))
    told.spending.response(USAGE)
    assert [event for event, _ in told.said] == ["exceeded"]


def test_a_room_that_others_have_spent_from_runs_out_sooner() -> None:
    room = Budget(USD * 3)
    others, told = Told(room), Told(room)
    others.spending.response(USAGE)
    others.spending.response(USAGE)
    told.spending.response(USAGE)
    assert [event for event, _ in told.said] == ["exceeded"]
    assert [event for event, _ in others.said] == []


def test_it_is_counted_in_the_metrics() -> None:
    told = Told()
    told.spending.response(USAGE)
    value = told.metrics.registry.get_sample_value
    totals = [
        sample.value
        for metric in told.metrics.registry.collect()
        for sample in metric.samples
        if "usd" in sample.name and sample.name.endswith("_total") and "voice_agent" in sample.labels.values()
    ]
    assert value is not None
    assert sum(totals) == pytest.approx(USD)
