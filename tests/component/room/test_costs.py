"""The costs of a room: who is told what of a budget, who is served on, and what is handed over at the end."""

from typing import Any

import pytest

from parley.core.model import ORIGINAL, RECORD, BridgeKey, BridgeSpec, Participant, Preferences
from parley.core.usage import Tokens
from parley.metrics import Metrics
from parley.room.costs import CostPolicy, RoomCosts
from parley.testing import RecordingNotices

FRAME_USD = 0.2 * 0.034 / 60
ANN = Participant("ann", preferences=Preferences(speaks="en", hears="en"))
BOB = Participant("bob", preferences=Preferences(speaks="fr", hears="fr"))
RECORDER = Participant("rec", "egress")


def own(listener: str) -> str:
    return listener.removeprefix("\0of ")


def spec(*listeners: str, readers: tuple[str, ...] = ()) -> BridgeSpec:
    return BridgeSpec(BridgeKey("ann", "fr"), frozenset(listeners), frozenset(readers), frozenset())


class Stage:
    """A room's costs, and what they had to say."""

    def __init__(self, **limits: float) -> None:
        self.told = RecordingNotices()
        self.spent: list[str | None] = []
        self.left: list[dict[str, Any]] = []
        self.metrics = Metrics()
        self.costs = RoomCosts(
            "standup",
            CostPolicy(**limits),  # type: ignore[arg-type]
            self.metrics,
            self.told,
            lambda identity, why: self.spent.append(identity),
        )

    async def leave(self) -> dict[str, Any] | None:
        async def take(summary: dict[str, Any]) -> None:
            self.left.append(summary)

        await self.costs.leave(take)
        return self.left[-1] if self.left else None


def test_a_spent_room_is_told_ends_everything_and_routes_nothing() -> None:
    stage = Stage(usd=0.05)
    account = stage.costs.bridge(lambda: spec("bob"), own)
    frames = 0
    while account.spend(0.2):
        frames += 1
    assert frames == int(0.05 / FRAME_USD)
    assert [(n.event, n.speaker) for n in stage.told] == [("budget.warning", None), ("budget.exceeded", None)]
    assert stage.spent == [None]
    assert not stage.costs.affords("bob")


def test_a_participant_who_has_spent_theirs_is_told_and_the_others_are_served_on() -> None:
    stage = Stage(usd_per_participant=FRAME_USD * 2)
    account = stage.costs.bridge(lambda: spec("bob"), own)
    while account.spend(0.2):
        pass
    assert [(n.event, n.speaker) for n in stage.told] == [("budget.exceeded", "bob")]
    assert stage.spent == ["bob"]
    who = ("bob", "cara", "\0of bob", "\0of cara")
    assert [stage.costs.affords(own(one)) for one in who] == [False, True, False, True]


def test_what_an_agent_reads_is_paid_by_whom_it_serves() -> None:
    stage = Stage()
    account = stage.costs.bridge(lambda: spec("bob", readers=("bob", "\0of cara")), own)
    account.spend(6.0)
    assert stage.costs.accounts.usd_of("bob") == stage.costs.accounts.usd_of("cara") == pytest.approx(0.0017)


def test_an_agents_tokens_and_its_transcription_are_kept_apart() -> None:
    stage = Stage()
    agent = stage.costs.agent("bob", "fr", "gpt-realtime-2.1", "gpt-realtime-whisper")
    agent.tokens(Tokens(audio_out=1_000))
    agent.transcribed(60.0)
    agent.close()
    assert stage.costs.accounts.view()["by_kind"] == {"voice_agent": 0.064, "transcription": 0.017}
    assert stage.costs.accounts.usd_of("bob") == pytest.approx(0.081)
    silent = stage.costs.agent("cara", "", "gpt-realtime-2.1", None)
    silent.transcribed(60.0)
    silent.close()
    assert stage.costs.accounts.usd_of("cara") == 0


async def test_what_is_handed_over_at_the_end_knows_who_was_there_and_what_was_said() -> None:
    stage = Stage()
    stage.costs.follow({"ann": ANN, "rec": RECORDER})
    stage.costs.follow({"ann": ANN, "bob": BOB})
    stage.costs.follow({"bob": BOB})
    stage.costs.notices.say("session.failed", speaker="ann", language="fr", detail="gone")
    stage.metrics.dropped("session", 1.5)
    summary = await stage.leave()
    assert summary is not None
    assert summary["lost_s"] == {"ingress": 0, "original": 0, "playout": 0, "session": 1.5}
    assert [(p["identity"], p["arrivals"]) for p in summary["people"]["known"]] == [("ann", 1), ("bob", 1)]
    assert summary["people"]["most_at_once"] == 2
    assert summary["events"]["counts"] == {"session.failed": 1}
    assert stage.told.events == ["session.failed"]


async def test_a_worker_that_only_stood_by_leaves_nothing_behind() -> None:
    stage = Stage()
    stage.costs.follow({})
    stage.costs.follow({"rec": RECORDER})
    assert await stage.leave() is None


def test_what_is_written_down_for_the_record_is_paid_by_the_room_alone() -> None:
    stage = Stage(usd_per_participant=FRAME_USD)
    nobody: frozenset[str] = frozenset()
    kept = BridgeSpec(BridgeKey("ann", ORIGINAL), nobody, nobody, frozenset({RECORD, "bob"}))
    account = stage.costs.bridge(lambda: kept, own)
    assert all(account.spend(0.2) for _ in range(100))
    assert (account.line.kind, account.model) == ("captions", "gpt-realtime-whisper")
    assert stage.costs.accounts.spending == {}
    assert stage.costs.accounts.usd == pytest.approx(20 * 0.017 / 60)


def test_a_translation_that_is_written_down_for_the_record_too_is_paid_by_those_who_hear_it() -> None:
    stage = Stage()
    heard = spec("bob")._replace(source_readers=frozenset({RECORD}))
    stage.costs.bridge(lambda: heard, own).spend(6.0)
    assert stage.costs.accounts.spending == {"bob": pytest.approx(0.0034)}
