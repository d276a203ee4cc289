"""What applications ask of the worker in a room: RPC `parley.say` and `parley.state`, context for agents,
typed messages."""

import json
import logging
from collections.abc import Callable, Iterable
from time import monotonic
from typing import Any

from livekit import rtc
from parley.core.model import ORIGINAL, Roster
from parley.core.policy import Buckets
from parley.core.wishes import told
from parley.ports import Bridge
from parley.voice.agent import VoiceAgent
from parley.voice.hybrid import HybridAgent
from parley.voice.prompts import exactly

from .agents import RoomAgents
from .refusals import INVALID, NOT_ALLOWED, NOT_FOUND, Askers, Refused, answered

logger = logging.getLogger("parley.room")

SAY = "parley.say"
STATE = "parley.state"
CONTEXT_TOPIC = "parley.context"
CHAT_TOPIC = "lk.chat"
MOST_CHARS = 4_000
"""Characters of one request or message that are taken."""
MOST_ANSWER = 14_000
"""Bytes of an answer; LiveKit takes 15 KiB."""
MESSAGES_PER_S = 0.5
MESSAGES_BURST = 5.0
"""Of typed messages, for each participant."""

_FORM = '{"to": identity, "text" | "instructions": text, "interrupt": true | false}'


class Requests:
    """Registers the handlers of one room and checks what comes."""

    def __init__(
        self,
        room: rtc.Room,
        agents: RoomAgents,
        may_say: tuple[str, ...],
        state: Callable[[Callable[[str], bool]], dict[str, Any]],
        roster: Callable[[], Roster],
        standby: Callable[[], bool],
        spawn: Callable[..., Any],
    ) -> None:
        self._room = room
        self._agents = agents
        self._may_say = may_say
        self._state = state
        self._roster = roster
        self._standby = standby
        self._spawn = spawn
        self._askers = Askers(standby)
        self._typed = Buckets(MESSAGES_PER_S, MESSAGES_BURST)

    def listen(self) -> None:
        """Registers the handlers."""
        self._room.local_participant.register_rpc_method(SAY, self._on_say)
        self._room.local_participant.register_rpc_method(STATE, self._on_state)
        for topic in (CONTEXT_TOPIC, CHAT_TOPIC):
            self._room.register_text_stream_handler(topic, self._on_text)

    def close(self) -> None:
        """Takes them back."""
        if self._room.isconnected():
            for method in (SAY, STATE):
                self._room.local_participant.unregister_rpc_method(method)
        for topic in (CONTEXT_TOPIC, CHAT_TOPIC):
            self._room.unregister_text_stream_handler(topic)

    def _on_say(self, call: rtc.RpcInvocationData) -> str:
        with answered():
            agent = self.say(call.caller_identity, call.payload)
        return json.dumps({"to": agent.caller.identity, "agent": agent.name})

    def say(self, caller: str, payload: str) -> VoiceAgent | HybridAgent:
        """Makes an agent speak up; returns which. Raises Refused."""
        self._admit(caller)
        wish = _read(payload)
        to = wish.get("to")
        if not isinstance(to, str):
            raise Refused(INVALID, _refusal("to", to, _FORM))
        agent = self._agents.of(to)
        if agent is None:
            raise Refused(NOT_FOUND, f"{SAY}: to: {_shown(to)} has no agent")
        interrupt = wish.get("interrupt", False)
        if not isinstance(interrupt, bool):
            raise Refused(
                INVALID, f"{SAY}: interrupt: {_shown(interrupt)} is not allowed; allowed: true, false"
            )
        given = [key for key in ("text", "instructions") if key in wish]
        if len(given) != 1:
            raise Refused(INVALID, f"{SAY}: one of text and instructions is needed; allowed: {_FORM}")
        text = wish[given[0]]
        if not isinstance(text, str) or not text.strip() or len(text) > MOST_CHARS:
            raise Refused(
                INVALID,
                f"{SAY}: {given[0]}: {_shown(text)} is not allowed; allowed: 1 to {MOST_CHARS} characters",
            )
        agent.say(exactly(text) if given[0] == "text" else text, interrupt=interrupt)
        return agent

    def _on_state(self, call: rtc.RpcInvocationData) -> str:
        with answered():
            self._askers.take_turn(STATE, call.caller_identity, self._roster())
        caller = call.caller_identity
        trusted = self._trusted(caller)
        state = self._state(lambda identity: trusted or identity == caller)
        text = json.dumps(state, ensure_ascii=False)
        if len(text.encode()) > MOST_ANSWER:
            # An answer has room for some hundred participants; what every room needs fits into any.
            text = json.dumps({"truncated": True, "people": len(self._roster()), "usd": state["usd"]})
        return text

    def _trusted(self, caller: str) -> bool:
        participant = self._roster().get(caller)
        by_kind = participant is not None and participant.kind == "agent"
        return by_kind or caller in self._may_say or "*" in self._may_say

    def _admit(self, caller: str) -> None:
        self._askers.take_turn(SAY, caller, self._roster())
        if not self._trusted(caller):
            raise Refused(NOT_ALLOWED, f"{SAY}: {_shown(caller)} may not; PARLEY_LIMITS__SAY names who may")

    def _may_type(self, sender: str) -> bool:
        """Every message is an answer that somebody pays for: so many, and no more."""
        if self._typed.take(sender, monotonic(), self._roster()):
            return True
        logger.info("a typed message was dropped: more than %g a second", MESSAGES_PER_S)
        return False

    def _on_text(self, reader: rtc.TextStreamReader, sender: str) -> None:
        self._spawn(self._take_text(reader, sender), "text of an application")

    async def _take_text(self, reader: rtc.TextStreamReader, sender: str) -> None:
        try:
            text = ""
            async for chunk in reader:
                text = (text + chunk)[:MOST_CHARS]
        except rtc.StreamError as e:
            logger.info("a text of an application broke off: %s", e)
            return
        text = text.strip()
        if not text or self._standby():
            return
        if reader.info.topic == CHAT_TOPIC:
            agent = self._agents.of(sender)
            if agent is not None and self._may_type(sender):
                agent.hear_text(text)
            return
        try:
            self._admit(sender)
        except Refused as e:
            logger.info("context for an agent was refused: %s", e)
            return
        agent = self._agents.of((reader.info.attributes or {}).get("to", sender))
        if agent is not None:
            await agent.tell(text)


def state_of(
    roster: Roster,
    bridges: Iterable[Bridge],
    agents: list[dict[str, object]],
    tracks: str,
    cost: dict[str, Any],
) -> dict[str, Any]:
    """A room as `parley.state` tells it; `tracks` is the worker's attribute `parley.tracks`."""
    people = {p.identity: told(p.preferences) for p in roster.values() if p.is_person}
    translations = []
    captions = []
    for bridge in bridges:
        key, spec = bridge.spec.key, bridge.spec
        told_of = {
            "speaker": key.speaker,
            "readers": sorted((spec.readers | spec.source_readers) & roster.keys()),
            "usd": round(bridge.usd, 6),
        }
        if key.language == ORIGINAL:
            captions.append(told_of)
        else:
            more = {"language": key.language, "listeners": sorted(spec.listeners)}
            translations.append({**told_of, **more, "lag_s": round(bridge.lag_s, 1)})
    return {
        "people": people,
        "translations": translations,
        "captions": captions,
        "agents": agents,
        "tracks": json.loads(tracks),
        "usd": cost["usd"],
        "cost": cost,
    }


def _read(payload: str) -> dict[str, Any]:
    try:
        wish = json.loads(payload)
    except (ValueError, RecursionError):
        wish = None
    if not isinstance(wish, dict):
        raise Refused(INVALID, f"{SAY}: {_shown(payload)} is not allowed; allowed: {_FORM}")
    return wish


def _refusal(key: str, given: object, allowed: str) -> str:
    return f"{SAY}: {key}: {_shown(given)} is not allowed; allowed: {allowed}"


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:59] + "…"
