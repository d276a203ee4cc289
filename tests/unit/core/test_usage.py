"""What audio and tokens cost, by model and kind, and when a budget says so."""

import random

import pytest

from parley.core.usage import KINDS, LIST_PRICES, Budget, TokenPrice, Tokens

MILLION = 1_000_000

TABLE = {
    "gpt-realtime-2": TokenPrice(4, 0.40, 24, 32, 0.40, 64, 5, 0.50),
    "gpt-realtime-2.1": TokenPrice(4, 0.40, 24, 32, 0.40, 64, 5, 0.50),
    "gpt-realtime-2.1-mini": TokenPrice(0.60, 0.06, 2.40, 10, 0.30, 20, 0.80, 0.08),
}
"""OpenAI's price list: text in, cached, out; audio in, cached, out; image in, cached."""


@pytest.mark.parametrize("model", TABLE)
@pytest.mark.parametrize("kind", KINDS)
def test_a_million_tokens_cost_what_the_list_says(model: str, kind: str) -> None:
    tokens = Tokens(**{kind: MILLION})
    assert LIST_PRICES.usd(model, tokens) == pytest.approx(getattr(TABLE[model], kind))


@pytest.mark.parametrize(
    ("model", "as_model"),
    [
        ("gpt-realtime-2-2026-05-01", "gpt-realtime-2"),
        ("gpt-realtime-2.1-2026-07-15", "gpt-realtime-2.1"),
        ("gpt-realtime-2.1-mini-2026-07-15", "gpt-realtime-2.1-mini"),
    ],
)
def test_a_snapshot_costs_what_its_family_costs(model: str, as_model: str) -> None:
    assert LIST_PRICES.token_price(model) == TABLE[as_model]


@pytest.mark.parametrize(
    "model", ["gpt-live-1", "gpt-realtime-2.1-mini-pro", "gpt-realtime-22", "", "my-gateway"]
)
def test_the_unknown_costs_what_the_dearest_costs_of_each_kind(model: str) -> None:
    dearest = TokenPrice(*(max(getattr(price, kind) for price in TABLE.values()) for kind in KINDS))
    assert LIST_PRICES.token_price(model) == dearest


def test_kinds_add_up() -> None:
    tokens = Tokens(text_in=1000, text_cached=2000, text_out=300, audio_in=600, audio_out=1200, image_in=50)
    expected = (1000 * 4 + 2000 * 0.4 + 300 * 24 + 600 * 32 + 1200 * 64 + 50 * 5) / MILLION
    assert LIST_PRICES.usd("gpt-realtime-2.1", tokens) == pytest.approx(expected)
    assert (tokens.input, tokens.cached, tokens.output) == (1650, 2000, 1500)


@pytest.mark.parametrize("seed", range(5))
def test_the_sum_of_usages_costs_the_sum(seed: int) -> None:
    rng = random.Random(seed)
    usages = [Tokens(*(rng.randrange(5000) for _ in KINDS)) for _ in range(50)]
    whole = sum(usages, Tokens())
    assert LIST_PRICES.usd("gpt-realtime-2", whole) == pytest.approx(
        sum(LIST_PRICES.usd("gpt-realtime-2", usage) for usage in usages)
    )


# Other prices than the list's


def test_changed_prices_hold_for_what_they_name_and_the_list_for_the_rest() -> None:
    prices = LIST_PRICES.changed(
        {
            "as_of": "2027-01-01",
            "gpt-realtime-2.1": {"audio_in": 16, "text_out": 0},
            "gpt-realtime-translate": {"audio_minute": 0.06},
        }
    )
    changed = prices.token_price("gpt-realtime-2.1-2026-07-15")
    assert (changed.audio_in, changed.text_out, changed.audio_out) == (16, 0, 64)
    assert prices.token_price("gpt-realtime-2") == TABLE["gpt-realtime-2"]
    assert prices.usd_per_second("gpt-realtime-translate") == pytest.approx(0.001)
    assert prices.usd_per_second("gpt-realtime-whisper") == pytest.approx(0.017 / 60)
    assert (prices.as_of, LIST_PRICES.as_of) == ("2027-01-01", "2026-11-21")
    assert LIST_PRICES.token_price("gpt-realtime-2.1") == TABLE["gpt-realtime-2.1"]


def test_a_new_model_costs_the_dearest_where_nothing_else_is_said() -> None:
    prices = LIST_PRICES.changed({"gpt-live-1": {"audio_in": 1, "audio_out": 2}})
    price = prices.token_price("gpt-live-1")
    assert (price.audio_in, price.audio_out, price.text_out) == (1, 2, 24)
    minutes = LIST_PRICES.changed({"gpt-live-transcribe": {"audio_minute": 0.017}})
    assert minutes.usd_per_second("gpt-live-transcribe") == pytest.approx(0.017 / 60)
    assert "gpt-live-transcribe" not in minutes.tokens


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"m": {"audioin": 1}}, "m: there is no price 'audioin'; there are audio_minute, text_in,"),
        ({"m": {"audio_in": "1"}}, "m: audio_in: '1' is no price in USD"),
        ({"m": {"audio_in": -1}}, "m: audio_in: -1 is no price"),
        ({"m": {"audio_in": True}}, "m: audio_in: True is no price"),
        ({"m": {"audio_in": float("nan")}}, "m: audio_in: nan is no price"),
        ({"m": {"audio_in": float("inf")}}, "m: audio_in: inf is no price"),
        ({"m": 4}, "m: prices are an object"),
        ({"m": {}}, "m: prices are an object"),
        ({"m": None}, "m: prices are an object"),
    ],
)
def test_wrong_prices_are_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LIST_PRICES.changed(changes)


# Budgets


def test_a_budget_warns_once_and_is_spent_once() -> None:
    budget = Budget(1.0)
    said = [budget.spend(0.125) for _ in range(12)]
    assert said == [*[None] * 6, "warning", "exceeded", *[None] * 4]
    assert budget.exceeded
    assert budget.spent_usd == 1.5


def test_what_jumps_over_the_warning_is_exceeded_only() -> None:
    budget = Budget(1.0)
    assert [budget.spend(5.0), budget.spend(5.0)] == ["exceeded", None]


def test_without_a_limit_nothing_is_said() -> None:
    budget = Budget(None)
    assert {budget.spend(1000.0) for _ in range(100)} == {None}
    assert (budget.exceeded, budget.spent_usd) == (False, 100_000.0)


@pytest.mark.parametrize("seed", range(10))
def test_each_event_comes_at_most_once_and_in_its_place(seed: int) -> None:
    rng = random.Random(seed)
    budget, said, spent = Budget(3.0, warn_at=0.5), [], 0.0
    for _ in range(200):
        usd = rng.choice([0.0, rng.random() * 0.1])
        spent += usd
        event = budget.spend(usd)
        if event is not None:
            said.append(event)
            assert spent >= (3.0 if event == "exceeded" else 1.5)
        assert budget.exceeded == (spent >= 3.0)
    assert said == ["warning", "exceeded"]


def test_a_budget_that_is_asked_before_is_never_gone_beyond() -> None:
    budget, said = Budget(0.05), []
    usd = 0.2 * LIST_PRICES.usd_per_second("gpt-realtime-translate")
    while budget.fits(usd):
        said.append(budget.spend(usd))
    assert [event for event in said if event] == ["warning"]
    assert 0.05 - usd < budget.spent_usd <= 0.05
    assert [budget.stop(), budget.stop()] == ["exceeded", None]
    assert budget.exceeded
    assert not budget.fits(0.0)


def test_the_last_that_fits_exactly_is_spent_in_spite_of_rounding() -> None:
    budget = Budget(1.0)
    spent = 0
    while budget.fits(0.1):
        budget.spend(0.1)
        spent += 1
    assert spent == 10


def test_a_budget_without_a_limit_never_stops() -> None:
    budget = Budget(None)
    assert budget.fits(1e9)
    assert budget.stop() is None
    assert not budget.exceeded
