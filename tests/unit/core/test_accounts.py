"""The accounts: what is metered adds up, and a budget stops the spending before it is gone beyond."""

import random
import weakref

import pytest

from parley.core import accounts as bounds
from parley.core.accounts import KINDS, Account, Accounts, Line, payers_of
from parley.core.usage import LIST_PRICES, Tokens

MODEL = "gpt-realtime-translate"
FRAME_S = 0.2
FRAME_USD = FRAME_S * 0.034 / 60
FRENCH = Line("translation", "ann", "fr")


class Told:
    """A room's accounts, and what they said of its budgets."""

    def __init__(self, usd: float | None = None, usd_per_participant: float | None = None) -> None:
        self.said: list[tuple[str, str | None, str]] = []
        self.accounts = Accounts(usd=usd, usd_per_participant=usd_per_participant, on_budget=self._on_budget)

    def _on_budget(self, event: str, identity: str | None, detail: str) -> None:
        self.said.append((event, identity, detail))

    @property
    def events(self) -> list[tuple[str, str | None]]:
        return [(event, identity) for event, identity, _ in self.said]

    def account(self, *payers: str, line: Line = FRENCH, model: str = MODEL) -> Account:
        return self.accounts.open(line, model, lambda: payers)


def sent(account: Account, most: int = 100_000) -> int:
    """Frames that may be sent before one is refused."""
    for number in range(most):
        if not account.spend(FRAME_S):
            return number
    return most


# The room's budget


def test_a_room_of_five_cents_stops_at_the_cent_warned_and_announced_once() -> None:
    told = Told(usd=0.05)
    account = told.account("bob")
    frames = sent(account)
    assert frames == int(0.05 / FRAME_USD)
    assert 0.05 - FRAME_USD < told.accounts.usd <= 0.05
    assert account.usd == pytest.approx(told.accounts.usd)
    assert told.said == [
        ("warning", None, "the room: 0.0400 of 0.05 USD"),
        ("exceeded", None, "the room: 0.0500 of 0.05 USD"),
    ]
    assert sent(account) == 0
    assert len(told.said) == 2


def test_twenty_sessions_that_take_turns_stop_at_the_same_cent() -> None:
    told = Told(usd=0.05)
    accounts = [told.account("bob", line=Line("translation", f"s{i}", "fr")) for i in range(20)]
    allowed = sum(accounts[i % 20].spend(FRAME_S) for i in range(2_000))
    assert allowed == int(0.05 / FRAME_USD)
    assert told.accounts.usd <= 0.05
    assert told.events == [("warning", None), ("exceeded", None)]


def test_what_another_worker_spent_before_is_gone_from_the_budget_and_part_of_no_line() -> None:
    told = Told(usd=0.05)
    told.accounts.inherit(0.03)
    assert sent(told.account("bob")) == int(0.02 / FRAME_USD)
    view = told.accounts.view()
    assert view["inherited_usd"] == 0.03
    assert view["usd"] == pytest.approx(0.03 + view["by_kind"]["translation"], abs=1e-6)
    assert told.events == [("warning", None), ("exceeded", None)]


def test_what_was_refused_is_not_counted() -> None:
    told = Told(usd=FRAME_USD * 1.5)
    account = told.account("bob")
    assert [account.spend(FRAME_S), account.spend(FRAME_S)] == [True, False]
    assert account.used.audio_s == FRAME_S
    assert told.accounts.lines[FRENCH].audio_s == FRAME_S
    assert told.accounts.usd_of("bob") == pytest.approx(FRAME_USD)


def test_without_budgets_nothing_is_refused_or_said_and_all_is_counted() -> None:
    told = Told()
    assert sent(told.account("bob"), most=5_000) == 5_000
    assert told.said == []
    assert told.accounts.usd == pytest.approx(5_000 * FRAME_USD)
    assert told.accounts.view()["limit_usd"] is None


def test_tokens_that_were_used_are_paid_even_beyond_the_limit() -> None:
    told = Told(usd=0.01)
    account = told.account("bob", line=Line("voice_agent", "bob", "fr"), model="gpt-realtime-2.1")
    assert account.charge_tokens(Tokens(audio_out=1_000)) == pytest.approx(0.064)
    assert told.accounts.usd == pytest.approx(0.064)
    assert told.events == [("exceeded", None)]
    assert not told.account("bob").spend(FRAME_S)


# Who pays


def test_a_translation_is_shared_by_those_who_hear_or_read_it() -> None:
    told = Told()
    account = told.account(*payers_of({"bob", "cara"}, {"cara", "dan"}, set()))
    account.spend(6.0)
    shares = [told.accounts.usd_of(identity) for identity in ("ann", "bob", "cara", "dan")]
    assert shares == pytest.approx([0.0, *[0.0034 / 3] * 3])


def test_those_who_come_later_pay_from_then_on() -> None:
    told = Told()
    payers = ["bob"]
    account = told.accounts.open(FRENCH, MODEL, lambda: payers)
    account.spend(6.0)
    payers.append("cara")
    account.spend(6.0)
    assert told.accounts.usd_of("bob") == pytest.approx(0.0034 * 1.5)
    assert told.accounts.usd_of("cara") == pytest.approx(0.0034 * 0.5)


def test_who_has_spent_their_own_budget_drops_out_and_the_others_go_on() -> None:
    told = Told(usd_per_participant=FRAME_USD * 10)
    both = told.account("bob", "cara")
    alone = told.account("bob", line=Line("translation", "dan", "fr"))
    assert sent(alone) == 10
    assert told.accounts.spent_out == {"bob"}
    assert told.events == [("warning", "bob"), ("exceeded", "bob")]
    assert sent(both) == 10  # all of them at cara's expense
    assert told.accounts.spent_out == {"bob", "cara"}
    assert told.accounts.usd == pytest.approx(20 * FRAME_USD)
    assert told.accounts.room.exceeded is False
    assert told.said[-1] == ("exceeded", "cara", f"a participant: 0.0011 of {FRAME_USD * 10:g} USD")


def test_a_share_that_one_cannot_pay_falls_to_those_who_can() -> None:
    told = Told(usd_per_participant=FRAME_USD)
    told.account("bob").spend(FRAME_S * 0.75)
    assert told.account("bob", "cara").spend(FRAME_S)
    assert told.accounts.usd_of("bob") == pytest.approx(0.75 * FRAME_USD)
    assert told.accounts.usd_of("cara") == pytest.approx(FRAME_USD)


def test_what_nobody_asks_for_any_more_is_paid_by_the_room_alone() -> None:
    told = Told(usd_per_participant=FRAME_USD / 2)
    assert told.account().spend(FRAME_S)
    assert told.accounts.usd == pytest.approx(FRAME_USD)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_is_spent_no_budget_is_gone_beyond_and_the_shares_are_the_whole(seed: int) -> None:
    rng = random.Random(seed)
    people = [f"p{i}" for i in range(6)]
    told = Told(usd=0.03, usd_per_participant=0.007)
    accounts = [
        told.account(*rng.sample(people, rng.randint(1, 4)), line=Line("translation", p, language))
        for p in people
        for language in ("fr", "de")
    ]
    allowed_s = 0.0
    for _ in range(3_000):
        seconds = rng.choice([0.02, 0.2, 1.0])
        allowed_s += seconds if rng.choice(accounts).spend(seconds) else 0.0
    assert told.accounts.usd <= 0.03 + 1e-9
    assert all(told.accounts.usd_of(p) <= 0.007 + 1e-9 for p in people)
    assert sum(told.accounts.usd_of(p) for p in people) == pytest.approx(told.accounts.usd)
    assert allowed_s * 0.034 / 60 == pytest.approx(told.accounts.usd)
    assert len(set(told.events)) == len(told.events)


# What is metered


@pytest.mark.parametrize("seed", range(5))
def test_the_parts_add_up_to_the_whole_whichever_way_they_are_cut(seed: int) -> None:
    rng = random.Random(seed)
    told = Told()
    for _ in range(60):
        line = Line(rng.choice(KINDS), rng.choice(["ann", "bob", "cara"]), rng.choice(["fr", "de", ""]))
        account = told.account("dan", line=line)
        account.spend(rng.random() * 10)
        account.charge(rng.random() * 10)
        account.charge_tokens(Tokens(audio_in=rng.randint(0, 500), text_out=rng.randint(0, 500)))
        if rng.random() < 0.5:
            account.close()
    view = told.accounts.view()
    for cut in ("by_kind", "by_language", "by_speaker"):
        assert sum(view[cut].values()) == pytest.approx(view["usd"], abs=1e-5)
    assert sum(used.usd for used in told.accounts.lines.values()) == pytest.approx(told.accounts.usd)
    assert sum(a.usd for a in told.accounts.sessions) == pytest.approx(told.accounts.usd)
    assert sum(used.sessions for used in told.accounts.lines.values()) == 60
    assert view["prices_as_of"] == LIST_PRICES.as_of


def test_sessions_of_one_line_are_counted_and_metered_one_by_one() -> None:
    told = Told()
    first, second = told.account("bob"), told.account("bob")
    first.spend(6.0)
    first.close()
    first.close()
    second.spend(12.0)
    assert [account.used.audio_s for account in told.accounts.sessions] == [6.0, 12.0]
    line = told.accounts.lines[FRENCH]
    assert (line.sessions, line.audio_s, line.usd) == (2, 18.0, pytest.approx(18 * 0.034 / 60))


def test_a_viewer_sees_only_the_speakers_that_are_theirs_to_see() -> None:
    told = Told()
    told.account("bob").spend(6.0)
    told.account("bob", line=Line("transcription", "bob", "")).charge(6.0)
    view = told.accounts.view(lambda line: line.kind == "translation")
    assert view["by_speaker"] == {"ann": 0.0034}
    assert view["by_kind"] == {"translation": 0.0034, "transcription": 0.0034}


def test_lines_payers_and_ended_sessions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounds, "MOST_LINES", 10)
    monkeypatch.setattr(bounds, "MOST_PAYERS", 10)
    told = Told()
    for i in range(300):
        account = told.account(f"listener {i}", line=Line("translation", f"speaker {i}", "fr"))
        account.spend(FRAME_S)
        account.close()
    assert len(told.accounts.lines) == 11
    assert told.accounts.lines[Line("translation", None, "fr")].sessions == 290
    assert len(told.accounts.sessions) == bounds.MOST_SESSIONS
    assert sum(used.usd for used in told.accounts.lines.values()) == pytest.approx(told.accounts.usd)
    view = told.accounts.view()
    assert len(view["by_speaker"]) == 10
    assert told.accounts.usd_of("listener 299") > 0
    assert told.accounts.usd_of("listener 0") == 0


def test_a_session_that_has_ended_holds_nothing_of_who_opened_it() -> None:
    class Opener:
        def payers(self) -> set[str]:
            return {"bob"}

    opener, accounts = Opener(), Accounts(usd_per_participant=1.0)
    account = accounts.open(Line("translation", "ann", "fr"), MODEL, opener.payers)
    gone = weakref.ref(opener)
    del opener
    account.close()
    assert gone() is None
    account.charge(60.0)
    assert accounts.usd_of("bob") > 0, "what is charged late is paid by those who asked for it last"
