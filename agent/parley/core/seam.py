"""The seam: where the input of one session ends and that of the next begins, between two words."""

from dataclasses import dataclass

WINDOW_S = 5.0
"""How long a good place is looked for; then any will do."""
_LONG_S, _SHORT_S = 0.2, 0.02
"""Quiet that is asked for in the beginning, and in the end."""
_QUIET = 0.1
"""Quiet is what stays below this part of the loudest lately (−20 dB)."""
_DECAY = 0.99
"""What becomes of the loudest with each 10 ms."""


@dataclass(slots=True)
class Seam:
    """Looks for a dip in the voice; the longer it looks, the shorter the dip may be."""

    began: float
    window_s: float = WINDOW_S
    _loudest: float = 0.0
    _quiet_s: float = 0.0

    def over(self, now: float) -> bool:
        """Whether it is time, dip or no dip."""
        return now >= self.began + self.window_s

    def hear(self, levels: list[float], now: float) -> bool:
        """Takes the levels of the newest stretches of 10 ms; returns whether the seam can be behind them."""
        for level in levels:
            self._loudest = max(level, self._loudest * _DECAY)
            quiet = level <= _QUIET * self._loudest
            self._quiet_s = self._quiet_s + 0.01 if quiet else 0.0
        if self.over(now):
            return True
        left = min(1.0, 1.0 - (now - self.began) / self.window_s)
        return self._quiet_s >= _SHORT_S + left * (_LONG_S - _SHORT_S)
