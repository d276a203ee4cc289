"""Usage and cost: seconds of audio per model, priced."""

from collections.abc import Mapping
from dataclasses import dataclass, field

PRICES_AS_OF = "2026-11-21"

USD_PER_AUDIO_MINUTE: Mapping[str, float] = {
    "gpt-realtime-translate": 0.034,
    "gpt-realtime-whisper": 0.017,
}
"""List prices by model family, USD per minute of audio."""


def usd_per_second(model: str) -> float:
    """The price of one second of audio of `model`; a dated snapshot is priced as its family.

    A model that is not in the table is priced as the dearest one that is: a bill that turns
    out smaller surprises nobody.
    """
    for family, price in USD_PER_AUDIO_MINUTE.items():
        if model == family or model.startswith(family + "-"):
            return price / 60.0
    return max(USD_PER_AUDIO_MINUTE.values()) / 60.0


@dataclass(slots=True)
class Meter:
    """Seconds sent to and received from sessions of one model, and their cost."""

    model: str
    sent_s: float = 0.0
    received_s: float = 0.0
    _rate: float = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._rate = usd_per_second(self.model)

    def sent(self, duration_s: float) -> float:
        """Counts audio sent; returns what it costs in USD."""
        self.sent_s += duration_s
        return duration_s * self._rate

    def received(self, duration_s: float) -> None:
        """Counts audio received, which translation does not charge for."""
        self.received_s += duration_s

    @property
    def usd(self) -> float:
        """Cost so far."""
        return self.sent_s * self._rate
