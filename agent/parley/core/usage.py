"""Usage and cost: seconds of audio and tokens per model, priced; and the budget that they are spent from."""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Literal

PRICES_AS_OF = "2026-11-21"


@dataclass(frozen=True, slots=True)
class TokenPrice:
    """What a model that is charged by tokens costs: USD per million tokens, by kind."""

    text_in: float
    text_cached: float
    text_out: float
    audio_in: float
    audio_cached: float
    audio_out: float
    image_in: float
    image_cached: float


KINDS = tuple(f.name for f in fields(TokenPrice))
"""The kinds of tokens: what goes in for the first time, what goes in again (`cached`), what comes out."""


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens by kind. `…_in` are those that are not cached: no token is counted twice."""

    text_in: int = 0
    text_cached: int = 0
    text_out: int = 0
    audio_in: int = 0
    audio_cached: int = 0
    audio_out: int = 0
    image_in: int = 0
    image_cached: int = 0

    @property
    def input(self) -> int:
        """All that went in for the first time."""
        return self.text_in + self.audio_in + self.image_in

    @property
    def cached(self) -> int:
        """All that went in again."""
        return self.text_cached + self.audio_cached + self.image_cached

    @property
    def output(self) -> int:
        """All that came out; what the model thinks is text."""
        return self.text_out + self.audio_out

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(*(getattr(self, kind) + getattr(other, kind) for kind in KINDS))


_SNAPSHOT = re.compile(r"-\d[\d-]*")


def _family(model: str, families: Iterable[str]) -> str | None:
    """The family that a model or its dated snapshot (`…-2026-05-01`) belongs to, if it is one of these."""
    for family in families:
        if model == family or (model.startswith(family) and _SNAPSHOT.fullmatch(model[len(family) :])):
            return family
    return None


@dataclass(frozen=True, slots=True)
class Prices:
    """A price list by model family. A dated snapshot is priced as its family.

    A model that is not in the list is priced as the dearest one that is: a bill that turns out smaller
    surprises nobody.
    """

    as_of: str
    audio_minute: Mapping[str, float]
    """USD per minute of audio, for models that are charged by the minute."""
    tokens: Mapping[str, TokenPrice]
    """For models that are charged by tokens."""

    def usd_per_second(self, model: str) -> float:
        """The price of one second of audio of a model that is charged by the minute."""
        family = _family(model, self.audio_minute)
        price = self.audio_minute[family] if family is not None else max(self.audio_minute.values())
        return price / 60.0

    def token_price(self, model: str) -> TokenPrice:
        """The prices of a model that is charged by tokens."""
        family = _family(model, self.tokens)
        if family is not None:
            return self.tokens[family]
        return TokenPrice(*(max(getattr(p, kind) for p in self.tokens.values()) for kind in KINDS))

    def usd(self, model: str, tokens: Tokens) -> float:
        """What these tokens of `model` cost."""
        price = self.token_price(model)
        return math.fsum(getattr(price, kind) * getattr(tokens, kind) for kind in KINDS) / 1e6

    def changed(self, changes: Mapping[str, object]) -> "Prices":
        """This list with some prices changed or added: model → `audio_minute`, or kind of token → USD.

        A kind that a new model does not name costs what the dearest model asks for it. `as_of` may stand
        beside the models. Raises ValueError, naming the model and the kind.
        """
        as_of, minutes, tokens = self.as_of, dict(self.audio_minute), dict(self.tokens)
        for model, given in changes.items():
            if model == "as_of":
                as_of = str(given)[:40]
                continue
            prices = _checked(model, given)
            minute = prices.pop("audio_minute", None)
            if minute is not None:
                minutes[model] = minute
            if prices:
                tokens[model] = replace(self.token_price(model), **prices)
        return Prices(as_of, minutes, tokens)


def _checked(model: str, given: object) -> dict[str, float]:
    allowed = ("audio_minute", *KINDS)
    if not isinstance(given, Mapping) or not given:
        raise ValueError(f"{model}: prices are an object, such as {{{allowed[1]!r}: 4.0}}")
    for kind, price in given.items():
        if kind not in allowed:
            raise ValueError(f"{model}: there is no price {kind!r}; there are {', '.join(allowed)}")
        number = isinstance(price, int | float) and not isinstance(price, bool)
        if not number or not 0 <= price < 1e9:
            raise ValueError(f"{model}: {kind}: {price!r} is no price in USD")
    return {kind: float(price) for kind, price in given.items()}


_FULL = TokenPrice(
    text_in=4.0,
    text_cached=0.40,
    text_out=24.0,
    audio_in=32.0,
    audio_cached=0.40,
    audio_out=64.0,
    image_in=5.0,
    image_cached=0.50,
)
_MINI = TokenPrice(
    text_in=0.60,
    text_cached=0.06,
    text_out=2.40,
    audio_in=10.0,
    audio_cached=0.30,
    audio_out=20.0,
    image_in=0.80,
    image_cached=0.08,
)

LIST_PRICES = Prices(
    as_of=PRICES_AS_OF,
    audio_minute={"gpt-realtime-translate": 0.034, "gpt-realtime-whisper": 0.017},
    tokens={"gpt-realtime-2": _FULL, "gpt-realtime-2.1": _FULL, "gpt-realtime-2.1-mini": _MINI},
)
"""OpenAI's list prices on `PRICES_AS_OF`."""


BudgetEvent = Literal["warning", "exceeded"]

_ROUNDING_USD = 1e-9
"""What a sum of many small amounts may be off by."""


@dataclass(slots=True)
class Budget:
    """What may be spent. Says once that it runs low, and once that it is spent."""

    limit_usd: float | None
    """None: there is no limit, and nothing is ever said."""
    warn_at: float = 0.8
    """The share of the limit from which it runs low."""
    spent_usd: float = 0.0
    _warned: bool = field(default=False, repr=False)
    _exceeded: bool = field(default=False, repr=False)

    def __str__(self) -> str:
        """What was spent, and of how much."""
        limit = "" if self.limit_usd is None else f" of {self.limit_usd:g}"
        return f"{self.spent_usd:.4f}{limit} USD"

    def spend(self, usd: float) -> BudgetEvent | None:
        """Counts money spent. What goes from below the warning to beyond the limit is `exceeded` only."""
        self.spent_usd += usd
        if self.limit_usd is None or self._exceeded:
            return None
        if self.spent_usd >= self.limit_usd:
            self._exceeded = True
            return "exceeded"
        if not self._warned and self.spent_usd >= self.warn_at * self.limit_usd:
            self._warned = True
            return "warning"
        return None

    def fits(self, usd: float) -> bool:
        """Whether this much can still be spent without going beyond the limit."""
        if self.limit_usd is None:
            return True
        return not self._exceeded and self.spent_usd + usd <= self.limit_usd + _ROUNDING_USD

    def stop(self) -> BudgetEvent | None:
        """What is left buys nothing more: the budget is spent, which is said once."""
        if self.limit_usd is None or self._exceeded:
            return None
        self._exceeded = True
        return "exceeded"

    @property
    def exceeded(self) -> bool:
        """Whether nothing is left."""
        return self._exceeded
