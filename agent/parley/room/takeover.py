"""A room from one worker to another, as `succession` has it: what each of the two does about it."""

import asyncio
from collections.abc import Mapping
from time import monotonic

from livekit import rtc
from parley.core.accounts import Accounts
from parley.core.model import BridgeKey, BridgeSpec

from .agents import RoomAgents
from .capture import Spawn
from .estate import Estate
from .succession import Succession
from .track_input import Ingress
from .translations import RoomTranslations

TAKE_S = 10.0
"""How long a worker that stands by may take to listen to the microphones."""
PHRASE_S = 8.0
"""How long a phrase that lives when the room is left may go on."""
TICK_S = 0.05
AGAIN_S = 1.0
"""How long a worker that could not hand over what it knows serves on before it tries again."""


class Takeover:
    """Hands a room over, or takes it over from the worker that leaves."""

    def __init__(
        self,
        succession: Succession,
        translations: RoomTranslations,
        agents: RoomAgents | None,
        accounts: Accounts,
        estate: Estate,
        ingress: Ingress,
        spawn: Spawn,
    ) -> None:
        self._succession = succession
        self._translations = translations
        self._agents = agents
        self._accounts = accounts
        self._estate = estate
        self._ingress = ingress
        self._spawn = spawn
        self._handing_over = False
        self._holding: frozenset[str] | None = None
        self._inherited_usd = 0.0

    @property
    def released(self) -> bool:
        """Whether the other one works: nothing new is begun here."""
        return self._holding is not None

    def held(self, wanted: Mapping[BridgeKey, BridgeSpec]) -> dict[BridgeKey, BridgeSpec]:
        """What of this is still this worker's."""
        holding = self._holding
        return {k: spec for k, spec in wanted.items() if holding is None or k.speaker in holding}

    def carries(self, speaker: str) -> bool:
        """Whether this worker is the one that mixes the speaker's own voice into what is heard."""
        holding = self._holding
        return speaker in holding if holding is not None else not self._succession.held(speaker)

    async def succeed(self, participants: Mapping[str, rtc.RemoteParticipant]) -> None:
        """Takes over from a worker that leaves, if one does."""
        if not self._succession.predecessor:
            if not self.released and not self._handing_over:
                await self._succession.serve()
            return
        inherited = max(0.0, self._succession.spent_usd - self._inherited_usd)
        self._inherited_usd += inherited
        self._accounts.inherit(inherited)
        speakers = (participants.get(identity) for identity in self._translations.speakers)
        if all(p is None or self._ingress.captures(p) for p in speakers):
            await self._succession.take()

    async def hand_over(self) -> bool:
        """Gives the room to the worker that stands by, each speaker at a pause.

        Returns whether it has taken over: if not, the room is served on.
        """
        self._handing_over = True
        if not await self._estate.give():
            self._handing_over = False
            await asyncio.sleep(AGAIN_S)
            return False
        number = self._estate.number
        await self._succession.hold(None, agents=True, usd=self._accounts.usd, estate=number)
        deadline = monotonic() + TAKE_S
        while not self._succession.taken:
            if monotonic() > deadline or not self._succession.successor:
                self._handing_over = False
                self._estate.keep()
                await self._succession.serve()
                return False
            await asyncio.sleep(TICK_S)
        await self._release()
        return True

    async def bequeath(self) -> None:
        """The room is left: whoever takes over knows what was set here."""
        if not self._succession.standby and not self._estate.given and self._succession.successor:
            await self._estate.give()

    async def _release(self) -> None:
        """Lets go of the speakers, those who speak at the end of their phrase, and of the agents."""
        ending = self._spawn(self._agents.finish(), "agents") if self._agents is not None else None
        holding, told = set(self._translations.speakers), None
        deadline = monotonic() + PHRASE_S
        while True:
            for speaker in list(holding):
                if not self._ingress.speaking(speaker) or monotonic() > deadline:
                    self._translations.release(speaker)
                    holding.discard(speaker)
            self._holding = frozenset(holding)
            self._translations.carry(self.carries)  # before the other one is told that it may
            agents = ending is not None and not ending.done()
            if told != (told := (self._holding, agents)):
                number = self._estate.number
                await self._succession.hold(holding, agents=agents, usd=self._accounts.usd, estate=number)
            if not holding and not agents:
                await self._estate.settle()
                return
            await asyncio.sleep(TICK_S)
