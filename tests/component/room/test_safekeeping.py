"""What a room knows outlives the job that serves it: what is written when, and what comes of it."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from component.room.test_estate import AGENT, FR, worker
from component.room.test_supervisor import Serve, ana, attached, ben, room, serve
from fakes.room import FakeParticipant, FakeRoom
from fakes.served import policy
from livekit import rtc
from parley.core.accounts import Line
from parley.room import safekeeping
from parley.room.costs import CostPolicy
from parley.room.refusals import STANDS_BY
from parley.room.supervisor import RoomSupervisor
from parley.state import StateFile

__all__ = ["room", "serve"]
MODEL = "gpt-realtime-translate"
DECLINE = '{"consent": "declined"}'


@pytest.fixture(autouse=True)
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(safekeeping, "PERIOD_S", 0.02)
    monkeypatch.setattr(safekeeping, "SHARE", 10.0)
    monkeypatch.setattr(safekeeping, "APART_S", 0.0)


@pytest.fixture
def first(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path, "RM_1", "parley-1")


@pytest.fixture
def second(tmp_path: Path) -> StateFile:
    return StateFile(tmp_path, "RM_1", "parley")


async def sets(room: FakeRoom, text: str, caller: str = "ana") -> Any:
    """What `parley.set` answers once the room is served."""
    await room.until(lambda: "parley.set" in room.local_participant.methods)
    call = rtc.RpcInvocationData("id", caller, text, 10.0)
    async with asyncio.timeout(5):
        while True:
            try:
                return json.loads(await room.local_participant.methods["parley.set"](call))
            except rtc.RpcError as e:
                if e.message != STANDS_BY:
                    raise
            await asyncio.sleep(0.01)


def spend(supervisor: RoomSupervisor, usd: float, *payers: str) -> None:
    accounts = supervisor._costs.accounts
    account = accounts.open(Line("translation", "ana", "fr"), MODEL, lambda: payers)
    account.charge(usd / accounts.prices.usd_per_second(MODEL))


async def eventually(ready: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not ready():
            await asyncio.sleep(0.01)


def dies(file: StateFile) -> None:
    """A job that is killed deletes nothing."""
    file.delete = lambda: None  # type: ignore[method-assign]


class Slow(StateFile):
    """A file whose file system answers when it is told to."""

    def __init__(self, *of: Any) -> None:
        super().__init__(*of)
        self.answer = threading.Event()
        self.writing = 0

    def write(self, *states: Any) -> int:
        self.writing += 1
        assert self.answer.wait(10)
        return super().write(*states)


async def test_a_refusal_is_kept_before_it_is_answered(
    room: FakeRoom, serve: Serve, first: StateFile, second: StateFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safekeeping, "PERIOD_S", 60.0)
    room.join(ana())
    async with serve(state=first):
        assert (await sets(room, DECLINE))["consent"] == "declined"
        left = second.read()
    assert left is not None
    assert left["wishes"]["ana"]["set"] == {"consent": "declined"}


async def test_of_who_declines_nothing_else_is_kept(
    room: FakeRoom, serve: Serve, first: StateFile, tmp_path: Path
) -> None:
    room.join(FakeParticipant("ana", {"parley.speaks": "en", "parley.hears": "it"}))
    room.join(ben())
    async with serve(state=first) as supervisor:
        await room.until(attached(room, FR))
        spend(supervisor, 0.25, "ana")
        await sets(room, '{"hears": "de"}', "ben")
        await eventually(lambda: '"ana":{"speaks"' in _text(tmp_path))
        await sets(room, '{"consent": "declined", "hears": "de"}')
        state = json.loads(_text(tmp_path))
    assert state["wishes"]["ana"] == {
        "attributes": {},
        "set": {"consent": "declined"},
        "later": ["consent"],
        "left_s": None,
    }
    assert state["wishes"]["ben"]["set"] == {"hears": "de"}
    assert state["record"]["people"]["ana"] == {"declined": True}
    assert "ana" not in state["usd"]
    assert _text(tmp_path) == "", "the room was left in good order"


def _files(directory: Path) -> list[Path]:
    return list(directory.iterdir())


def _kept(directory: Path) -> list[Path]:
    """Without what is just being written."""
    return list(directory.glob("*.json"))


def _text(directory: Path) -> str:
    return "".join(path.read_text() for path in _kept(directory))


async def test_what_counts_against_the_budget_of_who_declines_is_kept(
    room: FakeRoom, serve: Serve, first: StateFile, tmp_path: Path
) -> None:
    room.join(ana())
    async with serve(policy(costs=CostPolicy(usd_per_participant=1.0)), state=first) as supervisor:
        spend(supervisor, 0.25, "ana")
        await sets(room, DECLINE)
        assert json.loads(_text(tmp_path))["usd"] == {"ana": 0.25}


async def test_the_next_job_begins_nobody_who_declined_and_spends_on(
    room: FakeRoom, serve: Serve, first: StateFile, second: StateFile, tmp_path: Path
) -> None:
    room.join(ana())
    room.join(ben())
    room.join(FakeParticipant("dan", {"parley.speaks": "de"}))
    dies(first)
    costs = CostPolicy(usd=1.0, usd_per_participant=0.5)
    async with serve(policy(costs=costs), state=first) as supervisor:
        await sets(room, DECLINE)
        spend(supervisor, 0.25, "ben")
        supervisor._costs.record.spoke("dan", 3.0)
        supervisor._notices.say("session.failed", speaker="dan", language="fr", detail="gone")
        await eventually(lambda: '"ben":0.25' in _text(tmp_path))
    room.log.clear()
    left: list[dict[str, Any]] = []

    async def leave(summary: dict[str, Any]) -> None:
        left.append(summary)

    async with serve(policy(costs=costs), state=second, leaving=lambda _: leave) as supervisor:
        await room.until(attached(room, ("dan", "fr")))
        assert FR not in room.said("attach")
        accounts = supervisor._costs.accounts
        assert (accounts.usd, accounts.usd_of("ben")) == (pytest.approx(0.25), 0.25)
        assert not accounts.take(0.8, ())
        assert len(_kept(tmp_path)) == 1, "what the dead one left is gone"
    (told,) = left
    assert (told["people"]["count"], told["people"]["declined_consent"]) == (3, 1)
    assert (told["spoken_s"], told["events"]["counts"]["session.failed"]) == (3.0, 1)
    assert told["cost"]["usd"] == told["cost"]["by_kind"]["translation"] == 0.25
    assert [p["arrivals"] for p in told["people"]["known"]] == [1, 1]
    assert not _files(tmp_path)


async def test_one_that_stood_by_goes_on_where_the_dead_one_was(
    room: FakeRoom, serve: Serve, second: StateFile, tmp_path: Path
) -> None:
    other = StateFile(tmp_path, "RM_1", "old")
    room.join(ana())
    room.join(ben())
    room.join(worker("old", 10.0))
    wishes = {"ana": {"attributes": {}, "set": {"consent": "declined"}, "later": ["consent"]}}
    async with serve(state=second):
        await asyncio.sleep(0.1)
        other.write(lambda: {"wishes": wishes, "usd": {}, "room_usd": 0.0})
        room.join(FakeParticipant("dan", {"parley.speaks": "de"}))
        room.leave("old")
        await room.until(attached(room, ("dan", "fr")))
        assert FR not in room.said("attach")


async def test_who_takes_over_from_one_that_leaves_does_not_read_its_file(
    room: FakeRoom, serve: Serve, second: StateFile, tmp_path: Path
) -> None:
    StateFile(tmp_path, "RM_1", "old").write(lambda: {"wishes": {}, "usd": {"ben": 9.0}, "room_usd": 9.0})
    room.join(ana())
    room.join(ben())
    said = {"holding": [], "agents": False, "usd": 0.5}
    room.join(
        FakeParticipant(
            "old", {"parley.worker": "1", "parley.handover": json.dumps(said)}, kind=AGENT, joined_s=10.0
        )
    )
    async with serve(state=second) as supervisor:
        await room.until(attached(room, FR))
        await eventually(lambda: supervisor._costs.accounts.usd)
        assert supervisor._costs.accounts.usd == 0.5
        assert len(_files(tmp_path)) >= 1


async def test_where_the_record_is_missing_what_was_spent_is_spent(
    room: FakeRoom, serve: Serve, first: StateFile, second: StateFile, caplog: pytest.LogCaptureFixture
) -> None:
    first.write(lambda: {"wishes": {}, "usd": {"ben": 0.5}, "room_usd": 0.75, "record": {"people": 3}})
    async with serve(state=second) as supervisor:
        await eventually(lambda: supervisor._costs.accounts.usd)
        accounts = supervisor._costs.accounts
        assert (accounts.usd, accounts.inherited_usd, accounts.usd_of("ben")) == (0.75, 0.75, 0.5)
    assert "not the record of a room" in caplog.text


async def test_one_that_stands_by_writes_nothing(
    room: FakeRoom, serve: Serve, second: StateFile, tmp_path: Path
) -> None:
    room.join(ana())
    room.join(worker("old", 10.0))
    async with serve(state=second):
        await asyncio.sleep(0.2)
        assert not _files(tmp_path)


async def test_what_has_not_changed_is_not_written_again(
    room: FakeRoom, serve: Serve, first: StateFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[float] = []
    write = first.write

    def counted(*states: Any) -> int:
        written.append(monotonic())
        return write(*states)

    monkeypatch.setattr(first, "write", counted)
    room.join(ana())
    async with serve(state=first) as supervisor:
        await eventually(lambda: written)
        await asyncio.sleep(0.1)
        before = len(written)
        await asyncio.sleep(0.3)
        assert len(written) == before
        spend(supervisor, 0.01)
        await eventually(lambda: len(written) > before)
        monkeypatch.setattr(safekeeping, "REST_S", 0.05)
        before = len(written)
        await eventually(lambda: len(written) > before + 2)


async def test_what_cannot_be_written_is_told_once_and_holds_all_the_same(
    room: FakeRoom,
    serve: Serve,
    first: StateFile,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    failing = True
    replace = StateFile._replace

    def full(self: StateFile, body: bytes) -> None:
        if failing:
            raise OSError(28, "No space left on device")
        replace(self, body)

    monkeypatch.setattr(StateFile, "_replace", full)
    room.join(ana())
    with caplog.at_level(logging.ERROR):
        async with serve(state=first) as supervisor:
            for hears in ("fr", "de"):
                assert (await sets(room, json.dumps({"hears": hears})))["hears"] == hears
            failures = _failures(supervisor)
            assert failures >= 2
            failing = False
            await sets(room, '{"hears": "fr"}')
            failing = True
            await sets(room, '{"hears": "de"}')
            await eventually(lambda: _failures(supervisor) > failures)
    told = [text["text"] for text in room.texts if "state.failed" in text["text"]]
    assert len(told) == 2, "once until it works again"
    assert "No space left on device" in told[0]
    assert caplog.text.count("No space left") == 2


def _failures(supervisor: RoomSupervisor) -> float:
    value = supervisor._metrics.registry.get_sample_value("parley_state_failures_total")
    assert value is not None
    return value


async def test_a_file_system_that_hangs_holds_nobody_up_twice(
    room: FakeRoom, serve: Serve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safekeeping, "FILE_S", 0.1)
    monkeypatch.setattr(safekeeping, "PERIOD_S", 60.0)
    slow = Slow(tmp_path, "RM_1", "parley")
    room.join(ana())
    try:
        async with serve(state=slow) as supervisor:
            assert (await sets(room, DECLINE))["consent"] == "declined"
            await sets(room, '{"hears": "fr"}')
            assert slow.writing == 1, "no second one is begun"
            assert _failures(supervisor) == 2
    finally:
        slow.answer.set()


async def test_what_does_not_fit_leaves_refusals_and_says_so(
    room: FakeRoom, serve: Serve, first: StateFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("parley.state.MOST_BYTES", 400)
    room.join(ana())
    for number in range(5):
        room.join(FakeParticipant(f"listener {number}", {"parley.speaks": "de"}))
    async with serve(state=first):
        for number in range(5):
            await sets(room, '{"hears": "fr"}', f"listener {number}")
        await sets(room, DECLINE)
        state = json.loads(_text(tmp_path))
    assert list(state["wishes"]) == ["ana"]
    assert "record" not in state
    assert [text for text in room.texts if "state.failed" in text["text"]]


async def test_many_who_set_at_once_share_a_write(tmp_path: Path, room: FakeRoom, serve: Serve) -> None:
    slow = Slow(tmp_path, "RM_1", "parley")
    for number in range(20):
        room.join(FakeParticipant(f"p{number}", {}))
    async with serve(state=slow):
        await asyncio.sleep(0.1)
        async with asyncio.TaskGroup() as group:
            for number in range(20):
                group.create_task(sets(room, DECLINE, f"p{number}"))
            await eventually(lambda: slow.writing)
            await asyncio.sleep(0.2)
            slow.answer.set()
        assert len(json.loads(_text(tmp_path))["wishes"]) == 20
        assert slow.writing <= 4
