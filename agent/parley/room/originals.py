"""The original voices: taken from those who hear a translation of them, and given back when it ends.

LiveKit's server does it, for any client: it unsubscribes a listener from a microphone. A phone is beyond its
reach: the SIP service keeps what it has.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping

import aiohttp

from livekit import api, rtc

logger = logging.getLogger("parley.room")

CALL_S = 5.0
"""How long the server may take to change one listener's subscriptions."""
RETRY_S = 1.0
SETTLE_S = 0.02
"""What is wanted together is asked together."""

Muted = Mapping[str, frozenset[str]]
"""listener identity → SIDs of the microphones that they do not hear."""
Subscribe = Callable[[str, list[str], bool], Awaitable[None]]
"""Changes the subscriptions of (identity) to (SIDs) by LiveKit's server API."""


def originals_of(
    heard: Iterable[tuple[str, Iterable[str]]], participants: Mapping[str, rtc.RemoteParticipant]
) -> Muted:
    """Whose microphones are taken from whom, from (speaker, those who hear a translation) of each track."""
    muted: dict[str, frozenset[str]] = {}
    for speaker, listeners in heard:
        participant = participants.get(speaker)
        if participant is None:
            continue
        publications = participant.track_publications.values()
        sids = frozenset(p.sid for p in publications if p.kind == rtc.TrackKind.KIND_AUDIO)
        for listener in listeners:
            muted[listener] = muted.get(listener, frozenset()) | sids
    return muted


class Originals:
    """Makes the server's subscriptions what is wanted. `run` works until it is cancelled."""

    def __init__(self, subscribe: Subscribe, on_change: Callable[[Muted], None] = lambda muted: None) -> None:
        self._subscribe = subscribe
        self._on_change = on_change
        self._wanted: dict[tuple[str, str], frozenset[str]] = {}
        self._muted: dict[tuple[str, str], frozenset[str]] = {}
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()

    def fit(self, muted: Muted, participants: Mapping[str, rtc.RemoteParticipant]) -> None:
        """From now on these and no others. Somebody who has joined again hears everything at first."""
        present = {(identity, p.sid) for identity, p in participants.items()}
        tracks = frozenset(
            publication.sid for p in participants.values() for publication in p.track_publications.values()
        )
        self._muted = {who: sids & tracks for who, sids in self._muted.items() if who in present}
        self._wanted = {who: muted.get(who[0], frozenset()) for who in present}
        if self._differ():
            self._settled.clear()
            self._wake.set()

    @property
    def muted(self) -> Muted:
        """What is taken from whom now."""
        return {identity: sids for (identity, _), sids in self._muted.items() if sids}

    async def give_back(self, within_s: float) -> None:
        """The worker leaves: everybody hears every original again, in `within_s` seconds at most."""
        self._wanted = {}
        if not self._differ():
            return
        self._settled.clear()
        self._wake.set()
        try:
            async with asyncio.timeout(within_s):
                await self._settled.wait()
        except TimeoutError:
            logger.warning("not all original voices could be given back")

    async def run(self) -> None:
        """Asks the server; what it does not do is asked again."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await asyncio.sleep(SETTLE_S)
            while differ := self._differ():
                done = [await self._change(who, sids, subscribe) for who, sids, subscribe in differ]
                self._on_change(self.muted)
                if not all(done):
                    await asyncio.sleep(RETRY_S)
            self._settled.set()

    def _differ(self) -> list[tuple[tuple[str, str], frozenset[str], bool]]:
        """Who is to be (un)subscribed from what."""
        changes = []
        for who in self._wanted.keys() | self._muted.keys():
            wanted, muted = self._wanted.get(who, frozenset()), self._muted.get(who, frozenset())
            changes += [(who, sids, False) for sids in [wanted - muted] if sids]
            changes += [(who, sids, True) for sids in [muted - wanted] if sids]
        return changes

    async def _change(self, who: tuple[str, str], sids: frozenset[str], subscribe: bool) -> bool:
        try:
            async with asyncio.timeout(CALL_S):
                await self._subscribe(who[0], sorted(sids), subscribe)
        except (api.TwirpError, aiohttp.ClientError, TimeoutError) as e:
            if isinstance(e, api.TwirpError) and e.code == api.TwirpErrorCode.NOT_FOUND:
                self._muted.pop(who, None)  # has left, or the track has
                self._wanted.pop(who, None)
                return True
            logger.warning("a subscription could not be changed: %s", e or "no answer")
            return False
        muted = self._muted.get(who, frozenset())
        self._muted[who] = muted - sids if subscribe else muted | sids
        return True
