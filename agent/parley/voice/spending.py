"""What a conversation costs: tokens and minutes, priced, and taken from its budgets."""

from collections.abc import Callable, Sequence

from livekit.plugins.openai_realtime import ConversationOptions, TokenUsage, TranscriptionUsage
from parley.core.usage import Budget, BudgetEvent, Tokens
from parley.metrics import Metrics

from .ports import Meter

KIND = "voice_agent"

OnBudget = Callable[[BudgetEvent, str], None]
"""Called when a budget runs low or is spent, with how much of what."""


class Spending:
    """One conversation's."""

    def __init__(
        self,
        metrics: Metrics,
        options: ConversationOptions,
        budgets: Sequence[Budget],
        on_budget: OnBudget,
        meter: Meter | None = None,
    ) -> None:
        self._metrics = metrics
        self._model = options.model
        self._transcriber = options.transcription.model if options.transcription is not None else ""
        self._budgets = budgets
        self._on_budget = on_budget
        self._meter = meter
        self.tokens = Tokens()
        self.usd = 0.0

    def response(self, usage: TokenUsage) -> None:
        """What one response used."""
        tokens = as_tokens(usage)
        self.tokens += tokens
        self._spend(self._metrics.tokens(KIND, tokens, self._model))
        if self._meter is not None:
            self._meter.tokens(tokens)

    def transcription(self, usage: TranscriptionUsage) -> None:
        """What the transcription of one turn used."""
        if self._transcriber:
            self._spend(self._metrics.transcribed(KIND, self._transcriber, usage.seconds))
            if self._meter is not None:
                self._meter.transcribed(usage.seconds)

    def _spend(self, usd: float) -> None:
        self.usd += usd
        for budget in self._budgets:
            event = budget.spend(usd)
            if event is not None:
                self._on_budget(event, str(budget))


def as_tokens(usage: TokenUsage) -> Tokens:
    """The plugin's counts under the price list's names."""
    return Tokens(
        text_in=usage.input_text,
        text_cached=usage.cached_text,
        text_out=usage.output_text,
        audio_in=usage.input_audio,
        audio_cached=usage.cached_audio,
        audio_out=usage.output_audio,
        image_in=usage.input_image,
        image_cached=usage.cached_image,
    )
