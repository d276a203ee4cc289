"""The record of a room goes on in another job: nothing is lost, and nobody named who declined."""

import json
from typing import Any

import pytest

from parley.core import summary as summaries
from parley.core.accounts import Accounts, Line
from parley.core.kept import Kept, read
from parley.core.model import Preferences
from parley.core.spans import Spans
from parley.core.summary import Record
from parley.core.usage import Tokens

MODEL = "gpt-realtime-translate"
ENGLISH = Preferences(speaks="en", hears="en")
FRENCH = Preferences(speaks="fr", hears="fr")
DECLINED = Preferences(speaks="de", hears="de", consent=False)


class Room:
    """A record with its accounts."""

    def __init__(self, now: float = 100.0, usd: float | None = None) -> None:
        self.told: list[str] = []
        self.accounts = Accounts(usd=usd, on_budget=lambda event, who, detail: self.told.append(event))
        self.record = Record("standup", self.accounts, now)

    def translate(self, speaker: str, seconds: float) -> None:
        account = self.accounts.open(Line("translation", speaker, "fr"), MODEL, lambda: ())
        account.charge(seconds)
        account.close()

    def agent(self, beside: str, tokens: Tokens) -> None:
        account = self.accounts.open(Line("voice_agent", beside, "en"), "gpt-realtime-2.1", lambda: ())
        account.charge_tokens(tokens)
        account.close()

    def talk(self, begin: float) -> None:
        """Ann speaks to Bob for ten seconds from `begin` on, with her agent beside her."""
        self.record.present("ann", ENGLISH, begin)
        self.record.present("bob", FRENCH, begin)
        self.translate("ann", 10.0)
        self.agent("ann", Tokens(text_in=7, audio_out=40))
        self.record.spoke("ann", 9.0)
        self.record.span("fr", 2.5)
        self.record.lost("ingress", 0.4)
        self.record.said("session.failed", "ann", "fr", "gone", begin + 1)

    def kept(self, now: float, **lost_s: float) -> Kept:
        return read(json.loads(json.dumps(self.record.keep(now, lost_s))))

    def summary(self, now: float) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(json.dumps(self.record.summary(now)))
        return found


def test_a_record_that_goes_on_is_told_as_one_that_never_stopped() -> None:
    whole, first, second = Room(), Room(), Room(now=5_000.0)
    for room in (whole, first):
        room.talk(100.0)
    for identity in ("ann", "bob"):
        whole.record.left(identity, 110.0)
    second.record.resume(first.kept(110.0), ago_s=3.0)
    second.talk(5_000.0)
    whole.record._people["ann"].arrivals -= 1
    whole.record._people["bob"].arrivals -= 1
    whole.talk(113.0)
    told, expected = second.summary(5_010.0), whole.summary(123.0)
    for estimate in (told.pop("estimate"), expected.pop("estimate")):
        assert estimate["usd"] > 0
    assert told == expected
    assert told["duration_s"] == 23
    assert told["cost"]["inherited_usd"] == 0, "it is known on what it was spent"
    assert len(told["cost"]["sessions"]) == 4


def test_what_was_expected_to_be_spent_goes_on() -> None:
    first, second = Room(), Room(now=0.0)
    first.talk(100.0)
    before = first.summary(160.0)["estimate"]
    second.record.resume(first.kept(160.0), ago_s=0.0)
    told = second.summary(0.0)["estimate"]
    assert {key: told[key] for key in ("usd", "always_on_usd", "metered_usd", "error")} == {
        key: before[key] for key in ("usd", "always_on_usd", "metered_usd", "error")
    }


def test_what_was_spent_counts_against_the_budget() -> None:
    first, second = Room(), Room(usd=0.01)
    first.translate("ann", 15.0)
    second.record.resume(first.kept(110.0), ago_s=0.0)
    assert second.accounts.usd == pytest.approx(first.accounts.usd)
    assert second.told == ["warning"]
    assert not second.accounts.take(0.0025, ())


def test_what_was_inherited_before_is_still_told_apart() -> None:
    first, second = Room(), Room()
    first.accounts.inherit(0.5)
    first.translate("ann", 15.0)
    second.record.resume(first.kept(110.0), ago_s=0.0)
    cost = second.summary(101.0)["cost"]
    assert (cost["inherited_usd"], cost["usd"]) == (0.5, pytest.approx(0.5085))


def test_who_declined_is_named_neither_in_what_is_kept_nor_after_it() -> None:
    first, second = Room(), Room()
    first.talk(100.0)
    first.record.present("dora", DECLINED, 100.0)
    first.translate("dora", 1.0)
    first.record.spoke("dora", 3.0)
    first.record.said("session.failed", "dora", "fr", "what dora said", 101.0)
    first.record.present("dora", Preferences(speaks="de", hears="de"), 105.0)
    text = json.dumps(first.record.keep(110.0, {}))
    assert text.count("dora") == 1
    assert '"dora": {"declined": true}' in text
    second.record.resume(read(json.loads(text)), ago_s=1.0)
    second.record.present("dora", Preferences(speaks="de", hears="de"), 101.0)
    told = second.summary(102.0)
    assert "dora" not in json.dumps(told)
    assert (told["people"]["count"], told["people"]["declined_consent"]) == (3, 1)
    assert {row["speaker"] for row in told["translated"]} == {None, "ann"}


def test_who_declines_only_afterwards_is_not_named_for_what_was_before() -> None:
    first, second = Room(), Room()
    first.talk(100.0)
    second.record.resume(first.kept(110.0), ago_s=1.0)
    second.record.present("ann", DECLINED, 101.0)
    assert "ann" not in json.dumps(second.summary(102.0))


def test_somebody_who_came_back_later_has_arrived_again() -> None:
    first, second = Room(), Room()
    first.talk(100.0)
    first.record.left("bob", 105.0)
    second.record.resume(first.kept(110.0), ago_s=1.0)
    for identity in ("ann", "bob"):
        second.record.present(identity, FRENCH, 101.0)
    ann, bob = second.summary(104.0)["people"]["known"]
    assert (ann["arrivals"], ann["present_s"]) == (1, 13)
    assert (bob["arrivals"], bob["present_s"]) == (2, 8)


def test_one_who_never_came_back_is_still_there_after_a_second_death() -> None:
    first, second, third = Room(), Room(), Room()
    first.talk(100.0)
    second.record.resume(first.kept(110.0), ago_s=1.0)
    third.record.resume(second.kept(100.0), ago_s=1.0)
    third.record.present("ann", ENGLISH, 101.0)
    assert [p["arrivals"] for p in third.summary(102.0)["people"]["known"]] == [1, 1]


def test_what_is_lost_is_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Room(), Room()
    first.record.lost("session", 1.0)
    second.record.resume(first.kept(110.0, session=0.5, playout=2.0), ago_s=0.0)
    second.record.lost("session", 0.25)
    assert second.summary(101.0)["lost_s"] == {"playout": 2.0, "session": 1.75}


def test_bounds_hold_for_what_is_gone_on_with(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(summaries, "MOST_SESSIONS", 3)
    monkeypatch.setattr("parley.core.accounts.MOST_LINES", 1)
    first, second = Room(), Room()
    for number in range(4):
        first.translate("ann", 1.0)
        first.record.said("session.failed", "ann", "fr", str(number), 101.0)
    second.translate("bob", 1.0)
    second.record.resume(first.kept(110.0), ago_s=0.0)
    second.translate("bob", 1.0)
    assert len(second.summary(101.0)["cost"]["sessions"]) == 3
    assert {line.speaker for line in second.accounts.lines} == {"bob", None}
    for number in range(summaries.MOST_EVENTS):
        second.record.said("session.failed", "ann", "fr", str(number), 102.0)
    assert len(second.summary(103.0)["events"]["newest"]) == summaries.MOST_EVENTS


def test_spans_are_counted_on() -> None:
    one, other = Spans(), Spans()
    for span_s in (0.5, 1.0, 99.0):
        one.add(span_s)
    other.add(2.0)
    told: Any = json.loads(json.dumps(one.as_json()))
    other.resume(told["longest_s"], told["bins"])
    assert (other.count, other.longest_s) == (4, 99.0)
    assert other.percentile(0.5) == pytest.approx(1.1)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("people", []),
        ("people", {"ann": 3}),
        ("lines", [["bribes", "ann", "fr", 1, 1.0, [0] * 8, 1.0]]),
        ("lines", [["translation", "ann"]]),
        ("lines", [["translation", "ann", "fr", 1, 1.0, [0] * 9, 1.0]]),
        ("events", {"counts": {}, "newest": [{}]}),
        ("ear_voice_span_s", {"fr": {"longest_s": 1.0, "bins": {"x": 1}}}),
        ("spoken_s", "long"),
        ("sessions", None),
    ],
)
def test_what_makes_no_sense_is_refused_whole(key: str, value: Any) -> None:
    room = Room()
    room.talk(100.0)
    kept = json.loads(json.dumps(room.record.keep(110.0, {})))
    assert read(kept)
    with pytest.raises(ValueError, match="not the record of a room"):
        read({**kept, key: value})
    with pytest.raises(ValueError, match="not the record of a room"):
        read({k: v for k, v in kept.items() if k != key})
    with pytest.raises(ValueError, match="not the record of a room"):
        read([])
