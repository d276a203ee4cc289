"""How translations reach their listeners: a track for each speaker and language, or one for each listener."""

import asyncio
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from livekit.rtc.participant import PublishTrackError

from livekit import rtc
from parley.core.lag import LagPolicy
from parley.core.model import ORIGINAL, BridgeKey, Roster
from parley.media.playout import Playout, PlayoutPolicy
from parley.metrics import Metrics
from parley.ports import Notices

from .capture import Spawn
from .changes import Changes
from .microphone import PROMPT_MS
from .mix_output import Mixes, MixLine, MixOriginal, MixOutput, Voice
from .native import NativeLayer
from .track_input import Ingress
from .track_output import DuckedTrack, Player, TrackOutput, take_back

RETRY_S = 1.0
"""How long a track that could not be published is left before the next try."""

UNHURRIED = PlayoutPolicy(
    lag=LagPolicy(shorten_from_s=math.inf, shorten_at_once_s=math.inf, speed_from_s=math.inf, most_s=150.0)
)
"""What was held until its turn came does not lag: it is played as it is, at its own pace."""

Mode = Literal["keep", "mute", "duck"]
Output = TrackOutput | MixLine
"""Where a translation is heard."""
Heard = Sequence[tuple[Output, BridgeKey, list[str]]]
"""The translations: where, what, and by whom they are heard."""


@dataclass(frozen=True, slots=True)
class LayoutPolicy:
    """What is told by the settings."""

    layout: Literal["per_speaker", "per_listener"] = "per_speaker"
    original: Mode = "keep"
    duck_db: float = -18.0
    """Gain of the original while its translation plays, in dB, if it is ducked."""
    mode: Literal["simultaneous", "consecutive"] = "simultaneous"
    """Whether translations play while their speakers speak, or when they have finished."""

    @property
    def playout(self) -> PlayoutPolicy:
        """How translations are played."""
        return UNHURRIED if self.mode == "consecutive" else PlayoutPolicy()


@dataclass(frozen=True, slots=True)
class Track:
    """A published track: what is on it, and who may hear it."""

    sid: str
    speaker: str | None
    language: str | None
    kind: Literal["translation", "agent", "mix"]
    listeners: Sequence[str]


class Layout(Protocol):
    """Owns the tracks of translations. A translation's output is opened, begun, and closed in the end."""

    async def open(self, key: BridgeKey) -> Output:
        """A new output, heard by nobody. Raises livekit.rtc.participant.PublishTrackError."""

    def begin(self, key: BridgeKey, output: Output) -> None:
        """Those who may hear it do: from now on it may sound."""

    async def close(self, key: BridgeKey, output: Output) -> None:
        """Takes it back."""

    def carry(self, carries: Callable[[str], bool]) -> None:
        """Whose own voices are mixed in by this worker from now on: others are another worker's."""

    async def fit(self, heard: Heard, roster: Roster) -> None:
        """Makes what belongs to listeners fit what they hear."""

    def tracks(self, heard: Heard) -> list[Track]:
        """What is published."""

    def taken(self, heard: Heard, working: Heard) -> list[tuple[str, Iterable[str]]]:
        """Speakers whose own microphone is not for these listeners; `working` is what of `heard` does not
        fail."""

    @property
    def speakers(self) -> set[str]:
        """Identities whose microphones are wanted for their original voice."""


@dataclass(frozen=True, slots=True)
class Around:
    """What a layout works with."""

    room: rtc.Room
    player: Player
    layer: NativeLayer | None
    metrics: Metrics
    notices: Notices
    ingress: Ingress
    changes: Changes
    spawn: Spawn

    def announce_drops(self, key: BridgeKey) -> Callable[[float], None]:
        """Tells the room what of a translation was given up."""

        def dropped(dropped_s: float) -> None:
            self.notices.say(
                "audio.dropped",
                speaker=key.speaker,
                language=key.language,
                detail=f"{dropped_s:.1f} s of translation that would have been heard too late",
            )

        return dropped


def layout_of(policy: LayoutPolicy, around: Around) -> Layout:
    """The layout that the settings ask for."""
    return (PerListener if policy.layout == "per_listener" else PerSpeaker)(policy, around)


class PerSpeaker:
    """One track for each speaker and language, `parley:<speaker>:<language>`. See Layout."""

    def __init__(self, policy: LayoutPolicy, around: Around) -> None:
        self._policy = policy
        self._around = around
        self._under: set[BridgeKey] = set()

    @property
    def speakers(self) -> set[str]:
        """See Layout: a ducked original comes from a microphone that its translation wants anyway."""
        return set()

    async def open(self, key: BridgeKey) -> Output:
        """See Layout."""
        around, name = self._around, f"parley:{key.speaker}:{key.language}"
        playout = self._policy.playout
        output = (
            DuckedTrack(around.player, name, around.layer, around.metrics, self._policy.duck_db, playout)
            if self._policy.original == "duck"
            else TrackOutput(around.player, name, around.layer, around.metrics, Playout(playout))
        )
        try:
            await output.publish(around.room)
        except PublishTrackError:
            await output.unpublish(around.room)
            raise
        output.on_dropped = around.announce_drops(key)
        return output

    def begin(self, key: BridgeKey, output: Output) -> None:
        """See Layout."""
        if isinstance(output, DuckedTrack):
            self._under.add(key)
            self._around.ingress.attach(key.speaker, ("under", key), output, PROMPT_MS)

    async def close(self, key: BridgeKey, output: Output) -> None:
        """See Layout."""
        assert isinstance(output, TrackOutput)
        self._let_go(key)
        await take_back(output, self._around.room)

    def carry(self, carries: Callable[[str], bool]) -> None:
        """See Layout: of a phrase that still comes out, the translation alone."""
        for key in [key for key in self._under if not carries(key.speaker)]:
            self._let_go(key)

    def _let_go(self, key: BridgeKey) -> None:
        if key in self._under:
            self._under.discard(key)
            self._around.ingress.detach(key.speaker, ("under", key))

    async def fit(self, heard: Heard, roster: Roster) -> None:
        """See Layout: nothing belongs to a listener."""

    def tracks(self, heard: Heard) -> list[Track]:
        """See Layout."""
        return [
            Track(output.sid, key.speaker, key.language, "translation", listeners)
            for output, key, listeners in heard
            if isinstance(output, TrackOutput)
        ]

    def taken(self, heard: Heard, working: Heard) -> list[tuple[str, Iterable[str]]]:
        """See Layout. Under a translation that fails the ducked original is heard undimmed."""
        of = {"keep": (), "mute": working, "duck": heard}[self._policy.original]
        return [(key.speaker, listeners) for _, key, listeners in of]


class PerListener:
    """One track for each listener, `parley-mix:<listener>`: the sum of what they hear. See Layout.

    Where originals are ducked, it is everything that they hear: their own subscriptions to microphones end.
    """

    def __init__(self, policy: LayoutPolicy, around: Around) -> None:
        self._policy = policy
        self._around = around
        self._mixes = Mixes(around.player, around.metrics)
        self._outputs: dict[str, MixOutput] = {}
        self._originals: dict[str, MixOriginal] = {}
        self._languages: dict[str, str] = {}
        self._carries: Callable[[str], bool] = lambda speaker: True

    @property
    def speakers(self) -> set[str]:
        """See Layout."""
        return set(self._originals)

    async def open(self, key: BridgeKey) -> Output:
        """See Layout."""
        line = self._mixes.line(None, self._policy.duck_db, self._policy.playout)
        self._put_under(line, key.speaker)
        line.on_dropped = self._around.announce_drops(key)
        return line

    def begin(self, key: BridgeKey, output: Output) -> None:
        """See Layout: a line sounds in the mixes that name it."""

    async def close(self, key: BridgeKey, output: Output) -> None:
        """See Layout."""
        assert isinstance(output, MixLine)
        output.close()

    def carry(self, carries: Callable[[str], bool]) -> None:
        """See Layout."""
        self._carries = carries
        for speaker in [speaker for speaker in self._originals if not carries(speaker)]:
            self._drop_original(speaker)

    async def fit(self, heard: Heard, roster: Roster) -> None:
        """See Layout."""
        self._fit_originals(heard, roster)
        gains: dict[str, dict[Voice, float]] = {}
        for output, key, listeners in heard:
            assert isinstance(output, MixLine)
            self._put_under(output, key.speaker)
            for listener in listeners:
                gains.setdefault(listener, {})[output] = 1.0
        if self._policy.original == "duck":
            for listener, p in roster.items():
                if p.is_person and p.preferences.hears != ORIGINAL:
                    gains.setdefault(listener, {})
            self._add_originals(gains, heard)
        self._languages = {who: roster[who].preferences.hears for who in gains if who in roster}
        for gone in self._outputs.keys() - gains.keys():
            self._around.spawn(take_back(self._outputs.pop(gone), self._around.room), "unpublish")
        async with asyncio.TaskGroup() as group:
            for missing in sorted(gains.keys() - self._outputs.keys()):
                group.create_task(self._publish(missing))
        for listener, mix in self._outputs.items():  # those that could not be published have none
            if mix.gains != gains[listener]:
                mix.hears(gains[listener])

    def tracks(self, heard: Heard) -> list[Track]:
        """See Layout."""
        return [
            Track(output.sid, None, self._languages.get(who), "mix", [who])
            for who, output in sorted(self._outputs.items())
        ]

    def taken(self, heard: Heard, working: Heard) -> list[tuple[str, Iterable[str]]]:
        """See Layout."""
        if self._policy.original == "duck":
            return [(speaker, [w for w in self._outputs if w != speaker]) for speaker in self._originals]
        return [] if self._policy.original == "keep" else [(key.speaker, who) for _, key, who in working]

    def _fit_originals(self, heard: Heard, roster: Roster) -> None:
        """Everybody's own voice, where it is ducked; not of those who declined that it is processed."""
        if self._policy.original != "duck":
            return
        speakers = {p.identity for p in roster.values() if p.is_person and p.preferences.consent}
        if not any(p.is_person and p.preferences.hears != ORIGINAL for p in roster.values()):
            speakers = set()
        for gone in self._originals.keys() - speakers - {key.speaker for _, key, _ in heard}:
            self._drop_original(gone)
        for speaker in filter(self._carries, speakers):
            self._original(speaker)

    def _put_under(self, line: MixLine, speaker: str) -> None:
        if self._policy.original == "duck" and self._carries(speaker):
            line.under = self._original(speaker)

    def _drop_original(self, speaker: str) -> None:
        self._around.ingress.detach(speaker, "original")
        self._originals.pop(speaker).close()

    def _original(self, speaker: str) -> MixOriginal:
        if speaker not in self._originals:
            self._originals[speaker] = self._mixes.original()
        original = self._originals[speaker]
        # Each time: a microphone that was dropped meanwhile has forgotten who hears it.
        self._around.ingress.attach(speaker, "original", original, PROMPT_MS)
        return original

    def _add_originals(self, gains: dict[str, dict[Voice, float]], heard: Heard) -> None:
        """Those who are not translated for a listener are heard as they are."""
        translated = {(who, key.speaker) for _, key, listeners in heard for who in listeners}
        for listener in list(gains):
            for speaker, original in self._originals.items():
                if speaker != listener and (listener, speaker) not in translated:
                    gains[listener][original] = 1.0

    async def _publish(self, listener: str) -> None:
        around = self._around
        output = self._mixes.mix(listener, around.layer)
        try:
            await output.publish(around.room)
        except PublishTrackError as e:
            await output.unpublish(around.room)
            around.notices.say("session.failed", speaker=None, language=None, detail=f"mix: {e}")
            asyncio.get_running_loop().call_later(RETRY_S, around.changes.add)
            return
        self._outputs[listener] = output
