"""RPC `parley.set`: participants, and hosts for others, say what they want; bad input is refused whole."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import asdict

from livekit import rtc
from parley.core.preferences import Rejection, shown
from parley.core.wishes import DECLINED, METHOD, Request, read_request, told

from .refusals import INVALID, NOT_ALLOWED, NOT_FOUND, Askers, Refused, answered
from .roster import People

JOINING_S = 2.5
"""How long a caller may take to be seen in the room. Of a caller's 10 s LiveKit keeps 7 for the way."""


class SetPreferences:
    """Registers the method of one room and checks what comes."""

    def __init__(
        self,
        room: rtc.Room,
        people: People,
        hosts: tuple[str, ...],
        changed: Callable[[str], None],
        standby: Callable[[], bool],
        pass_on: Callable[[str], Awaitable[bool]] | None = None,
    ) -> None:
        """`hosts` may set for others, `*` for everybody; `changed` is told whose preferences were set.

        `pass_on` tells a worker that takes over, if one does; returns False if it could not.
        """
        self._room = room
        self._people = people
        self._hosts = hosts
        self._changed = changed
        self._pass_on = pass_on
        self._askers = Askers(standby)

    def listen(self) -> None:
        """Registers the method."""
        self._room.local_participant.register_rpc_method(METHOD, self._on_set)

    def close(self) -> None:
        """Takes it back."""
        if self._room.isconnected():
            self._room.local_participant.unregister_rpc_method(METHOD)

    async def _on_set(self, call: rtc.RpcInvocationData) -> str:
        with answered():
            return await self._take(call.caller_identity, call.payload)

    async def _take(self, caller: str, payload: str) -> str:
        present = self._room.remote_participants
        self._askers.take_turn(METHOD, caller, {*present, caller})
        request = read_request(payload, self._people.allowed)
        if not isinstance(request, Request):
            raise _invalid(*request)
        who = caller if request.who is None else request.who
        if who != caller:
            self._admit(caller, request)
        if who == caller:
            await self._joined(caller)
        participant = present.get(who)
        if participant is None:
            raise Refused(NOT_FOUND, f"{METHOD}: for: {shown(who)!r} is not in the room")
        preferences = self._people.set(participant, request)
        if request.values:
            self._changed(who)
            if self._pass_on is not None and not await self._pass_on(who):
                raise Refused(NOT_FOUND, f"{METHOD}: it holds at this worker, not at the one that takes over")
        return json.dumps(told(preferences), ensure_ascii=False)

    async def _joined(self, caller: str) -> None:
        """Returns when a caller is in the room: a call may be faster than the news of who joined."""
        here = asyncio.Event()

        def joined(participant: rtc.RemoteParticipant) -> None:
            if participant.identity == caller:
                here.set()

        if caller in self._room.remote_participants:
            return
        self._room.on("participant_connected", joined)
        try:
            async with asyncio.timeout(JOINING_S):
                await here.wait()
        except TimeoutError:
            raise Refused(NOT_FOUND, f"{METHOD}: {shown(caller)!r} is not in the room") from None
        finally:
            self._room.off("participant_connected", joined)

    def _admit(self, caller: str, request: Request) -> None:
        """A host may set anything for others, but not consent in their name."""
        if caller not in self._hosts and "*" not in self._hosts:
            raise Refused(
                NOT_ALLOWED, f"{METHOD}: for: {shown(caller)!r} may not; PARLEY_LIMITS__HOSTS names who may"
            )
        if request.values.get("consent", DECLINED) != DECLINED:
            raise _invalid(Rejection("parley.consent", "granted", f"{DECLINED}, for others than oneself"))


def _invalid(*rejections: Rejection) -> Refused:
    """The first in words, all as data."""
    data = json.dumps([asdict(rejection) for rejection in rejections[:10]], ensure_ascii=False)
    return Refused(INVALID, f"{METHOD}: {rejections[0]}", data)
