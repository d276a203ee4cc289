"""The voice agents of a room: who has one, what it hears, what is published, and what follows its end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from livekit.agents import Agent, llm

from fakes.room import FakeParticipant, FakeRoom
from livekit import rtc
from livekit.plugins.openai_realtime.options import ConnectOptions
from parley import agents as registry
from parley import config
from parley.access import Access, Gatekeeper
from parley.agents import Caller, Registry
from parley.core.model import Kind, Participant, Preferences, Roster
from parley.core.transcript import Segment
from parley.core.usage import Tokens
from parley.metrics import Metrics
from parley.room import agents as module
from parley.room.agents import RETRY_S, AgentPolicy, RoomAgents, wanted
from parley.room.changes import Changes
from parley.room.costs import CostPolicy, RoomCosts
from parley.room.text_output import Text
from parley.testing import RecordingNotices
from parley.voice.agent import Ending

FRAME = b"\1\0" * 480


def person(identity: str, agent: str = "off", *, kind: Kind = "standard", **more: Any) -> Participant:
    return Participant(identity, kind, Preferences(agent=agent, **more))


def roster(*people: Participant) -> Roster:
    return {p.identity: p for p in people}


def audience(name: str) -> Any:
    return "room" if name.startswith("chair") else "participant"


def plain(*people: Participant) -> dict[str, tuple[str, str, set[str]]]:
    """Who should run, for comparison."""
    found = wanted(roster(*people), audience)
    return {key: (want.name, want.beside, set(want.hears)) for key, want in found.items()}


# Who has an agent


def test_nobody_has_one_who_does_not_ask() -> None:
    assert plain(person("ana"), person("ben")) == {}
    assert wanted({}, audience) == {}


def test_each_has_their_own() -> None:
    assert plain(person("ana", "clerk"), person("ben", "clerk"), person("cat", "guide"), person("dan")) == {
        "of ana": ("clerk", "ana", {"ana"}),
        "of ben": ("clerk", "ben", {"ben"}),
        "of cat": ("guide", "cat", {"cat"}),
    }


def test_who_declined_has_none() -> None:
    assert plain(person("ana", "clerk", consent=False)) == {}


@pytest.mark.parametrize("kind", ["agent", "egress", "other"])
def test_only_people_have_one(kind: Kind) -> None:
    assert plain(person("bot", "clerk", kind=kind), person("room bot", "chair", kind=kind)) == {}


@pytest.mark.parametrize("kind", ["sip", "ingress"])
def test_callers_have_one_too(kind: Kind) -> None:
    assert plain(person("phone", "clerk", kind=kind)) == {"of phone": ("clerk", "phone", {"phone"})}


def test_an_agent_of_the_room_is_one_and_hears_all_who_agree() -> None:
    people = [
        person("cat", "chair"),
        person("ben", "chair"),
        person("ana"),
        person("dan", consent=False),
        person("bot", kind="agent"),
    ]
    assert plain(*people) == {"room chair": ("chair", "ben", {"ana", "ben", "cat"})}


def test_an_agent_of_the_room_is_wanted_by_those_who_agree() -> None:
    assert plain(person("ana", "chair", consent=False), person("ben")) == {}


def test_both_kinds_side_by_side() -> None:
    assert plain(person("ana", "clerk"), person("ben", "chair"), person("cat", "chair2")) == {
        "of ana": ("clerk", "ana", {"ana"}),
        "room chair": ("chair", "ben", {"ana", "ben", "cat"}),
        "room chair2": ("chair2", "cat", {"ana", "ben", "cat"}),
    }


def test_names_of_people_and_agents_do_not_collide() -> None:
    people = [person("chair", "clerk"), person("room chair", "clerk"), person("ana", "chair")]
    assert set(plain(*people)) == {"of chair", "of room chair", "room chair"}


def test_the_order_of_joining_does_not_matter() -> None:
    people = [person(name, "chair") for name in ("cat", "ana", "ben")]
    assert plain(*people) == plain(*reversed(people))


# What is done about it


class FakeAgent:
    """A VoiceAgent that does what the test says."""

    def __init__(self, spec: Any, agent: Agent, caller: Caller, *_: Any, **more: Any) -> None:
        self.name, self.caller, self.made = spec.name, caller, agent
        self.waiting_s, self.usd, self.tokens = 1.5, 0.25, Tokens(text_out=7)
        self.heard: list[bytes] = []
        self.listened_to = 0
        self.budgets: list[str] = []
        self.last_words: list[str] = []
        self.memory = llm.ChatContext.empty()
        self.goes_on = bool(more.get("goes_on"))
        self.lingers_s = 0.0
        """How long it takes to end."""
        self._result: asyncio.Future[Ending] = asyncio.get_running_loop().create_future()

    async def run(self) -> Ending:
        ending = await self._result
        await asyncio.sleep(self.lingers_s)
        return ending

    def finish(self, ending: Ending) -> None:
        if not self._result.done():
            self._result.set_result(ending)

    def fail(self, error: Exception) -> None:
        self._result.set_exception(error)

    @property
    def over(self) -> bool:
        return self._result.done()

    def hear(self, pcm: bytes, at: float, speaking: bool, pre_roll: Any, voiced_s: float = 0.0) -> None:
        self.heard.append(pcm)

    def heard_by_somebody(self) -> None:
        self.listened_to += 1

    def take_leave(self, *, back_soon: bool) -> None:
        self.last_words.append("back soon" if back_soon else "goodbye")
        self.finish(Ending("left"))

    def end_for_budget(self, detail: str) -> None:
        self.budgets.append(detail)


class FakeIngress:
    """Who is fed from whose microphone."""

    def __init__(self) -> None:
        self.hearers: dict[tuple[str, str], Any] = {}

    def attach(self, speaker: str, key: str, hearer: Any, frame_ms: int = 50) -> None:
        assert frame_ms < 50
        self.hearers[speaker, key] = hearer

    def detach(self, speaker: str, key: str) -> None:
        self.hearers.pop((speaker, key), None)


class Output:
    """An agent's track."""

    def __init__(self, stage: Stage, name: str) -> None:
        self.name = name
        self.sid = ""
        self._stage = stage

    async def publish(self, room: FakeRoom) -> None:
        publication = await room.local_participant.publish_track(SimpleNamespace(name=self.name), None)  # type: ignore[arg-type]
        self.sid = publication.sid

    async def unpublish(self, room: FakeRoom) -> None:
        self._stage.freed.append(self.name)
        if self.sid:
            await room.local_participant.unpublish_track(self.sid)


class Stage:
    """The agents of a room without a server."""

    def __init__(self, group: asyncio.TaskGroup, *, usd: float | None = None, hang_up: bool = True) -> None:
        self.room = FakeRoom()
        self.texts: list[tuple[str, Text]] = []
        self.notices = RecordingNotices()
        self.ingress = FakeIngress()
        self.changes = Changes()
        self.costs = RoomCosts("room", CostPolicy(usd), Metrics(), self.notices, lambda identity, why: None)
        self.gatekeeper = Gatekeeper(1)
        self.access = Access(self.gatekeeper)
        self.made: list[FakeAgent] = []
        self.freed: list[str] = []
        self.hung_up: list[str] = []
        policy = AgentPolicy(config.VoiceAgent(), ConnectOptions(api_key="k"))
        text: Any = SimpleNamespace(put=lambda text, *, key=None: self.texts.append((key, text)))
        http: Any = None
        ports: Any = (self.room, policy, http, text, self.notices, Metrics(), self.ingress, self.changes)

        async def hang(identity: str) -> None:
            self.hung_up.append(identity)
            if identity == "gone":
                raise TimeoutError

        def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
            return group.create_task(work, name=name)

        self.running: Any = lambda key: self.agents._running[key]
        self.agents = RoomAgents(
            *ports,
            lambda name, queue: Output(self, name),
            spawn,
            self.costs,
            self.access,
            hang if hang_up else None,
        )
        self.people: dict[str, Participant] = {}

    async def fit(self, *people: Participant) -> None:
        for one in people:
            if one.identity not in self.room.remote_participants:
                self.room.join(FakeParticipant(one.identity)).name = one.identity.title()  # type: ignore[attr-defined]
        before = len(self.room.said("publish"))
        await self.agents.fit(roster(*people))
        for _ in range(4):
            await asyncio.sleep(0)  # its task publishes its track
        if len(self.room.said("publish")) > before:
            await self.changes.take(0.0)  # who may hear it

    async def changed(self) -> None:
        """Waits until the room is to be looked at again."""
        async with asyncio.timeout(100):
            await self.changes.take(0.0)

    @property
    def names(self) -> list[str]:
        """The names of the agents that work, in the order of their making."""
        return [agent.name for agent in self.made if not agent.over]

    @property
    def published(self) -> list[str]:
        gone = self.room.said("unpublish")
        return [sid for sid in self.room.said("publish") if sid not in gone]

    @property
    def attached(self) -> set[tuple[str, str]]:
        return set(self.ingress.hearers)


Serve = Callable[..., Any]


@pytest.fixture
def known() -> Iterator[Registry]:
    with registry.fresh() as known:
        known.register("clerk", lambda: Agent(instructions=""))
        known.register("guide", lambda: Agent(instructions=""))
        known.register("chair", lambda: Agent(instructions=""), audience="room")
        yield known


@asynccontextmanager
async def staged(monkeypatch: pytest.MonkeyPatch, **options: Any) -> AsyncIterator[Stage]:
    """A room's agents with fakes for voices, to their end."""
    async with asyncio.TaskGroup() as group:
        stage = Stage(group, **options)

        def make(*args: Any, **more: Any) -> FakeAgent:
            stage.made.append(FakeAgent(*args, **more))
            return stage.made[-1]

        monkeypatch.setattr(module, "VoiceAgent", make)
        yield stage
        await stage.agents.finish()


@pytest.fixture
def serve(known: Registry, monkeypatch: pytest.MonkeyPatch) -> Serve:
    return partial(staged, monkeypatch)


async def test_an_agent_gets_a_track_and_a_microphone(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"), person("ben"))
        assert stage.names == ["clerk"]
        assert stage.published == ["TR_parley-agent:ana"]
        assert stage.attached == {("ana", "of ana")}
        assert stage.agents.speakers == stage.agents.transcribed == {"ana"}
        assert [(o.sid, w.beside, set(w.hears)) for o, w in stage.agents.tracks] == [
            ("TR_parley-agent:ana", "ana", {"ana"})
        ]
        assert stage.agents.of("ana") is stage.made[0]
        assert stage.agents.of("ben") is None
        assert stage.agents.waiting_s == 1.5


async def test_it_knows_whom_it_is_for(serve: Serve) -> None:
    async with serve() as stage:
        stage.room.join(FakeParticipant("ana", {"company": "x"})).name = "Ana"
        await stage.fit(person("ana", "clerk", hears="fr", speaks="de"))
        caller = stage.made[0].caller
        assert (caller.identity, caller.name, caller.room) == ("ana", "Ana", "the room")
        assert (dict(caller.attributes), caller.language) == ({"company": "x"}, "fr")


@pytest.mark.parametrize(
    ("wishes", "language"),
    [
        ({}, ""),
        ({"speaks": "de"}, "de"),
        ({"hears": "fr"}, "fr"),
        ({"hears": "original", "speaks": "it"}, "it"),
    ],
)
async def test_it_speaks_what_they_hear_else_what_they_speak(
    serve: Serve, wishes: dict[str, str], language: str
) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk", **wishes))
        assert stage.made[0].caller.language == language


async def test_looking_again_changes_nothing(serve: Serve) -> None:
    async with serve() as stage:
        for _ in range(3):
            await stage.fit(person("ana", "clerk"))
        assert len(stage.made) == 1
        assert stage.room.said("publish") == ["TR_parley-agent:ana"]


async def test_switched_off_it_ends_and_takes_its_track_along(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"))
        await stage.fit(person("ana"))
        await stage.changed()
        assert stage.names == []
        assert stage.published == []
        assert stage.attached == set()
        assert stage.agents.of("ana") is None
        assert stage.notices.events == [], "what was asked for is not announced"


async def test_consent_withdrawn_ends_it(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"))
        await stage.fit(person("ana", "clerk", consent=False))
        assert stage.names == []
        assert stage.attached == set()


async def test_one_who_leaves_takes_theirs_along(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"), person("ben", "clerk"))
        await stage.fit(person("ben", "clerk"))
        await stage.changed()
        assert [agent.caller.identity for agent in stage.made if not agent.over] == ["ben"]
        assert stage.published == ["TR_parley-agent:ben"]


async def test_another_agent_takes_over(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"))
        stage.made[0].lingers_s = 0.02
        await stage.fit(person("ana", "guide"))
        assert stage.names == ["guide"]
        assert stage.attached == {("ana", "of ana")}
        assert stage.agents.of("ana") is stage.made[1]
        hearer = stage.ingress.hearers["ana", "of ana"]
        hearer.hear(FRAME, 0.0, True, ())
        assert (stage.made[0].heard, stage.made[1].heard) == ([], [FRAME])
        await stage.room.until(lambda: bool(stage.room.said("unpublish")))
        assert stage.agents.of("ana") is stage.made[1], "the end of the old one does not end the new one"
        assert stage.attached == {("ana", "of ana")}


async def test_switched_off_and_on_again_it_is_a_new_one(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"))
        await stage.fit(person("ana"))
        await stage.fit(person("ana", "clerk"))
        assert [agent.over for agent in stage.made] == [True, False]


async def test_all_of_them_end_with_the_room(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"), person("ben", "guide"), person("cat", "chair"))
        await stage.agents.finish()
        assert stage.names == []
        assert stage.published == []
        assert stage.attached == set()


# The room's own


async def test_an_agent_of_the_room_hears_everybody_mixed(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "chair"), person("ben"))
        assert stage.attached == {("ana", "room chair"), ("ben", "room chair")}
        one, other = (stage.ingress.hearers[who, "room chair"] for who in ("ana", "ben"))
        for _ in range(3):
            one.hear(FRAME, 0.0, True, ())
            other.hear(FRAME, 0.0, True, ())
        heard = b"".join(stage.made[0].heard)
        assert heard == b"\2\0" * 480 * 2, "two of three frames are whole, both voices in each"


async def test_who_comes_later_is_heard_too_and_who_goes_is_not(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ben", "chair"))
        await stage.fit(person("ben", "chair"), person("ana"))
        assert stage.attached == {("ana", "room chair"), ("ben", "room chair")}
        assert stage.agents.of("ana") is stage.made[0]
        await stage.fit(person("ana", "chair"))
        assert stage.attached == {("ana", "room chair")}
        assert len(stage.made) == 1, "it goes on as long as somebody wants it"


async def test_an_agent_of_the_room_ends_when_nobody_wants_it(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "chair"), person("ben"))
        await stage.fit(person("ana"), person("ben"))
        assert stage.names == []
        assert stage.attached == set()


# Its end


async def test_after_a_hang_up_it_stays_away_until_it_is_asked_for_again(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"))
        stage.made[0].finish(Ending("hang_up", "done"))
        await stage.changed()
        await stage.fit(person("ana", "clerk"))
        assert len(stage.made) == 1
        assert stage.notices.events == ["agent.ended"]
        assert stage.notices.said[0].speaker == "ana"
        assert "clerk: done" in stage.notices.said[0].detail
        assert stage.published == []
        await stage.fit(person("ana"))
        await stage.fit(person("ana", "clerk"))
        assert stage.names == ["clerk"]


async def test_after_a_hang_up_another_may_come(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"))
        stage.made[0].finish(Ending("hang_up"))
        await stage.changed()
        await stage.fit(person("ana", "guide"))
        assert stage.names == ["guide"]


@pytest.mark.parametrize(("kind", "hung_up"), [("sip", ["ana"]), ("standard", []), ("ingress", [])])
async def test_a_call_ends_with_the_conversation(serve: Serve, kind: Kind, hung_up: list[str]) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk", kind=kind))
        stage.made[0].finish(Ending("hang_up"))
        await stage.changed()
        assert stage.hung_up == hung_up


@pytest.mark.parametrize("reason", ["idle", "budget", "failed", "left"])
async def test_other_ends_do_not_hang_up_on_a_caller(serve: Serve, reason: Any) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk", kind="sip"))
        stage.made[0].finish(Ending(reason))
        await stage.changed()
        assert stage.hung_up == []


async def test_a_call_that_cannot_be_ended_harms_nobody(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("gone", "clerk", kind="sip"), person("zoe", "clerk"))
        stage.made[0].finish(Ending("hang_up"))
        await stage.changed()
        assert stage.hung_up == ["gone"]
        assert stage.names == ["clerk"]


async def test_where_nobody_can_hang_up(serve: Serve) -> None:
    async with serve(hang_up=False) as stage:
        await stage.fit(person("ana", "clerk", kind="sip"))
        stage.made[0].finish(Ending("hang_up"))
        await stage.changed()
        assert stage.notices.events == ["agent.ended"]


@pytest.mark.looptime
async def test_one_that_failed_comes_back_later_and_later(serve: Serve) -> None:
    async with serve() as stage:
        loop = asyncio.get_running_loop()
        waits = []
        for n in range(len(RETRY_S) + 2):
            await stage.fit(person("ana", "clerk"))
            assert len(stage.made) == n + 1
            stage.made[-1].finish(Ending("failed", "the network", retryable=True))
            await stage.changed()
            await stage.fit(person("ana", "clerk"))
            assert len(stage.made) == n + 1, "not at once"
            before = loop.time()
            await stage.changed()
            waits.append(loop.time() - before)
        assert waits == [pytest.approx(wait_s) for wait_s in (*RETRY_S, RETRY_S[-1], RETRY_S[-1])]
        assert stage.notices.events == ["agent.failed"] * len(waits)


@pytest.mark.looptime
async def test_one_that_cannot_be_helped_does_not_come_back(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"))
        stage.made[0].finish(Ending("failed", "no quota"))
        await stage.changed()
        await asyncio.sleep(100)
        await stage.fit(person("ana", "clerk"))
        assert len(stage.made) == 1
        assert stage.notices.events == ["agent.failed"]
        assert "no quota" in stage.notices.said[0].detail


@pytest.mark.looptime
async def test_one_that_is_switched_off_while_it_waits_does_not_come_back(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"))
        stage.made[0].finish(Ending("failed", retryable=True))
        await stage.changed()
        await stage.fit(person("ana"))
        await asyncio.sleep(100)
        await stage.fit(person("ana"))
        assert stage.names == []
        await stage.fit(person("ana", "clerk"))
        stage.made[-1].finish(Ending("failed", retryable=True))
        await stage.changed()
        before = asyncio.get_running_loop().time()
        await stage.changed()
        assert asyncio.get_running_loop().time() - before == pytest.approx(RETRY_S[0]), "it begins anew"


async def test_what_its_code_raises_stays_with_it(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"), person("ben", "clerk"))
        stage.made[0].fail(LookupError("no such customer"))
        await stage.changed()
        await stage.fit(person("ana", "clerk"), person("ben", "clerk"))
        assert [agent.caller.identity for agent in stage.made] == ["ana", "ben"]
        assert stage.names == ["clerk"]
        assert stage.notices.events == ["agent.failed"]
        assert "LookupError: no such customer" in stage.notices.said[0].detail
        assert stage.published == ["TR_parley-agent:ben"]


async def test_a_factory_that_raises_harms_nobody_else(serve: Serve, known: Registry) -> None:
    def fails(caller: Caller) -> Agent:
        raise LookupError(f"no agent for {caller.identity}")

    known.register("broken", fails)
    async with serve() as stage:
        for _ in range(3):
            await stage.fit(person("ana", "broken"), person("ben", "clerk"))
        assert stage.names == ["clerk"]
        assert [(n.event, n.speaker) for n in stage.notices.said] == [("agent.failed", "ana")], "once"
        assert "LookupError: no agent for ana" in stage.notices.said[0].detail
        assert stage.published == ["TR_parley-agent:ben"]


@pytest.mark.looptime
async def test_a_track_that_cannot_be_published_is_tried_again(serve: Serve) -> None:
    async with serve() as stage:
        stage.room.local_participant.fail_publish = 1
        await stage.fit(person("ana", "clerk"))
        await stage.changed()
        assert stage.names == []
        assert stage.notices.events == ["agent.failed"]
        assert stage.freed == ["parley-agent:ana"], "its source is freed"
        await stage.changed()
        await stage.fit(person("ana", "clerk"))
        assert stage.names == ["clerk"]


# Money


async def test_a_room_whose_budget_is_spent_starts_none(serve: Serve) -> None:
    async with serve(usd=1.0) as stage:
        await stage.fit(person("ana", "clerk"))
        stage.costs.accounts.inherit(2.0)
        await stage.fit(person("ana", "clerk"), person("ben", "clerk"))
        assert len(stage.made) == 1
        stage.agents.end_for_budget(None, "the room's budget is spent")
        assert stage.made[0].budgets == ["the room's budget is spent"]


async def test_what_they_have_used_is_told_to_those_it_concerns(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"), person("ben", "guide"))
        (own,) = stage.agents.state(lambda identity: identity == "ana")
        assert (own["of"], own["agent"], own["usd"]) == ("ana", "clerk", 0.25)
        tokens = own["tokens"]
        assert isinstance(tokens, dict)
        assert tokens["text_out"] == 7
        assert len(stage.agents.state(lambda _: True)) == 2
        assert stage.agents.state(lambda _: False) == []


# Track and text


async def test_it_begins_to_speak_when_its_track_is_heard(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"), person("ben", "clerk"))
        stage.room.emit("local_track_subscribed", SimpleNamespace(sid="TR_parley-agent:ben"))
        stage.room.emit("local_track_subscribed", SimpleNamespace(sid="TR_other"))
        assert [agent.listened_to for agent in stage.made] == [0, 1]


def line(text: str = "Hello", *, final: bool = True) -> Segment:
    return Segment("a-1", text, final, 0.0, 1.0)


async def test_its_words_go_to_its_participant_alone(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk", hears="fr"), person("ben"))
        stage.room.publish("ana", "TR_camera", kind=rtc.TrackKind.KIND_VIDEO)
        stage.room.publish("ana", "TR_mic")
        stage.agents.send(stage.running("of ana"), line("Bonj", final=False), "agent", cut=False)
        stage.agents.send(stage.running("of ana"), line("Salut"), "person", cut=True)
        (key, one), (_, other) = stage.texts
        assert key == "a-1"
        assert (one.to, one.sender, other.sender) == (("ana",), "parley", "ana")
        assert one.attributes["lk.transcribed_track_id"] == "TR_parley-agent:ana"
        assert other.attributes["lk.transcribed_track_id"] == "TR_mic"
        finals = [text.attributes["lk.transcription_final"] for text in (one, other)]
        assert finals == ["false", "true"]
        assert ["parley.interrupted" in text.attributes for text in (one, other)] == [False, True]
        assert one.attributes["parley.kind"] == "agent"
        assert one.attributes["language"] == "fr"


async def test_words_of_the_rooms_agent_go_to_everybody_it_hears(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "chair"), person("ben"), person("cat", consent=False))
        stage.agents.send(stage.running("room chair"), line(), "agent", cut=False)
        assert [text.to for _, text in stage.texts] == [("ana", "ben")]


async def test_words_for_one_who_is_gone_go_nowhere(serve: Serve) -> None:
    async with serve() as stage:
        await stage.fit(person("ana", "clerk"))
        ana = stage.running("of ana")
        await stage.fit()
        stage.agents.send(ana, line(), "agent", cut=False)
        assert stage.texts == []
