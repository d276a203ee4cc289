"""Ear-voice spans of a room, counted in bins: percentiles of as many as come, in bounded memory."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

BIN_S = 0.1
MOST_S = 60.0
"""What is longer is counted in the last bin; the longest is known exactly."""


@dataclass(slots=True)
class Spans:
    """Percentiles are right to within one bin, and never too small."""

    count: int = 0
    longest_s: float = 0.0
    _bins: list[int] = field(default_factory=lambda: [0] * round(MOST_S / BIN_S), repr=False)

    def add(self, span_s: float) -> None:
        """One phrase: from speech to the first that was heard of its translation."""
        span_s = max(0.0, span_s)
        self.count += 1
        self.longest_s = max(self.longest_s, span_s)
        self._bins[min(int(span_s / BIN_S), len(self._bins) - 1)] += 1

    def percentile(self, share: float) -> float:
        """The span that `share` of all spans do not exceed, in seconds; 0.0 of none."""
        wanted, seen = math.ceil(share * self.count), 0
        for index, number in enumerate(self._bins):
            seen += number
            if number and seen >= wanted:
                last = index == len(self._bins) - 1
                return self.longest_s if last else min(self.longest_s, round((index + 1) * BIN_S, 3))
        return 0.0

    def as_json(self) -> dict[str, object]:
        """All of them, for whoever goes on counting."""
        bins = {str(index): number for index, number in enumerate(self._bins) if number}
        return {"longest_s": self.longest_s, "bins": bins}

    def resume(self, longest_s: float, bins: Mapping[str, int]) -> None:
        """Adds what `as_json` gave."""
        self.longest_s = max(self.longest_s, longest_s)
        for index, number in bins.items():
            self._bins[min(int(index), len(self._bins) - 1)] += number
            self.count += number
