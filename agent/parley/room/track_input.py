"""Ingress: one capture per speaker, whatever runs on it: native stream → VAD → gate → bridges."""

from collections.abc import Callable, Hashable, Iterable, Mapping
from functools import partial
from time import monotonic
from typing import Literal

from livekit import rtc
from parley.media.gate import GatePolicy
from parley.media.splice import Splice

from .capture import Capture, Spawn
from .microphone import FRAME_MS, Hearer, Microphone
from .native import NativeLayer

Source = Literal["microphone", "screen"]
SOURCES: tuple[Source, ...] = ("microphone", "screen")


class Ingress:
    """The microphones of a room: subscribes to those that are wanted, and to nothing else.

    A participant is one speaker: the sound of a screen that is shared is part of what they say.
    """

    def __init__(
        self,
        layer: NativeLayer | None,
        policy: GatePolicy,
        spawn: Spawn,
        spoke: Callable[[str, float], None] = lambda identity, voiced_s: None,
        missed: Callable[[str, float], None] = lambda identity, duration_s: None,
    ) -> None:
        """`spoke`: told who spoke, and for how many seconds.

        `missed`: told whom nobody heard for how many seconds, because the worker's connection was away.
        """
        self._layer = layer
        self._spoke = spoke
        self._missed = missed
        self._away: dict[str, float] = {}
        """Who may not be heard, and since when."""
        self._cut = False
        """Whether it is known that none of them is: what comes of them is made up."""
        self._policy = policy
        self._spawn = spawn
        self._microphones: dict[str, Microphone] = {}
        self._captures: dict[tuple[str, Source], Capture] = {}
        self._silenced: set[str] = set()

    def listen(self, room: rtc.Room) -> None:
        """Follows a new track of a speaker at once: what is said before anybody subscribes is lost."""
        room.on("track_published", self._published)
        room.on("track_subscribed", self._subscribed)
        room.on("reconnecting", lambda: self._lose(room.remote_participants, monotonic()))
        room.on("reconnected", lambda: self._find(room.remote_participants))

    def _microphone(self, identity: str) -> Microphone:
        """The microphone of a speaker; made when first asked for."""
        if identity not in self._microphones:
            microphone = self._microphones[identity] = Microphone(
                self._policy, partial(self._spoke, identity)
            )
            microphone.silenced = identity in self._silenced
        return self._microphones[identity]

    def attach(self, speaker: str, key: Hashable, hearer: Hearer, frame_ms: int = FRAME_MS) -> None:
        """From now on the hearer is fed from the speaker's microphone, in frames of this length at most."""
        microphone = self._microphone(speaker)
        microphone.hearers[key] = hearer
        microphone.lengths[key] = frame_ms

    def detach(self, speaker: str, key: Hashable) -> None:
        """The hearer is fed nothing more."""
        if speaker in self._microphones:
            self._microphones[speaker].hearers.pop(key, None)
            self._microphones[speaker].lengths.pop(key, None)

    def speaking(self, identity: str) -> bool:
        """Whether a phrase of this speaker lives."""
        microphone = self._microphones.get(identity)
        return microphone is not None and microphone.speaking

    def captures(self, participant: rtc.RemoteParticipant) -> bool:
        """Whether all that a participant says is heard: each sound is captured, or there is none."""
        return all((participant.identity, source) in self._captures for source in sounds_of(participant))

    def silence(self, speaker: str, silent: bool) -> None:
        """From this moment on nobody hears the speaker, or whoever is attached does again."""
        (self._silenced.add if silent else self._silenced.discard)(speaker)
        if speaker in self._microphones:
            self._microphones[speaker].silenced = silent
            if silent:
                self._microphones[speaker].interrupt()
                for source in SOURCES:
                    if (capture := self._captures.get((speaker, source))) is not None:
                        capture.discard()

    async def follow(self, wanted: Iterable[str], participants: dict[str, rtc.RemoteParticipant]) -> None:
        """Makes the subscriptions and streams fit: exactly the `wanted` identities are captured."""
        wanted = set(wanted)
        for identity, participant in participants.items():
            await self._fit(identity, participant, identity in wanted)
        for identity in [i for i in self._microphones if i not in wanted or i not in participants]:
            for source in SOURCES:
                await self._drop(identity, source)
            self._microphones.pop(identity).close()
            self._away.pop(identity, None)
        self._silenced &= participants.keys()

    async def expect(
        self, speakers: Iterable[str], participants: Mapping[str, rtc.RemoteParticipant]
    ) -> None:
        """Subscribes to those who will be heard in a moment: what they say until then is in their pre-roll.

        `follow` comes after it, and takes back what nobody wants.
        """
        for identity in speakers:
            if identity in participants:
                self._microphone(identity)
                await self._fit(identity, participants[identity], True)

    async def aclose(self) -> None:
        """Closes every stream and microphone."""
        for identity, source in list(self._captures):
            await self._drop(identity, source)
        for microphone in self._microphones.values():
            microphone.close()
        self._microphones.clear()

    def _published(self, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant) -> None:
        if participant.identity in self._microphones and publication in sounds_of(participant).values():
            publication.set_subscribed(True)

    def _subscribed(
        self, _: rtc.Track, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if participant.identity in self._microphones:
            for source, chosen in sounds_of(participant).items():
                if chosen is publication:
                    self._open(source, publication, participant)

    @property
    def capturing(self) -> bool:
        """Whether anybody is captured."""
        return bool(self._captures)

    def lost(self, participants: Mapping[str, rtc.RemoteParticipant], since: float) -> None:
        """No media have come since then: nobody who is captured is heard."""
        self._cut = True
        self._lose(participants, since)

    def found(self) -> None:
        """Media come again: what was missed of whom is told."""
        self._cut = False
        now = monotonic()
        away, self._away = self._away, {}
        for identity, since in away.items():
            self._missed(identity, now - since)

    def _lose(self, participants: Mapping[str, rtc.RemoteParticipant], since: float) -> None:
        """From then on those who are captured may not be heard."""
        for identity, source in self._captures:
            participant = participants.get(identity)
            sound = sounds_of(participant).get(source) if participant is not None else None
            if sound is not None and not sound.muted and identity not in self._silenced:
                self._away.setdefault(identity, since)

    def _find(self, participants: Mapping[str, rtc.RemoteParticipant]) -> None:
        """The connection is back. One that was resumed has the tracks that it had."""
        if self._cut:
            return
        for (identity, source), capture in self._captures.items():
            participant = participants.get(identity)
            sound = sounds_of(participant).get(source) if participant is not None else None
            if sound is not None and capture.captures(sound):
                self._away.pop(identity, None)

    async def _fit(self, identity: str, participant: rtc.RemoteParticipant, wanted: bool) -> None:
        sounds = sounds_of(participant) if wanted else {}
        for source in SOURCES:
            await self._fit_source(identity, source, sounds.get(source), participant)
        heard = {publication.sid for publication in sounds.values()}
        for source in SOURCES:
            if (capture := self._captures.get((identity, source))) is not None:
                heard |= capture.sids
        for other in participant.track_publications.values():
            if other.kind == rtc.TrackKind.KIND_AUDIO and other.sid not in heard and other.subscribed:
                other.set_subscribed(False)
        if sounds and all(publication.muted for publication in sounds.values()):
            self._microphone(identity).interrupt()

    async def _fit_source(
        self,
        identity: str,
        source: Source,
        publication: rtc.RemoteTrackPublication | None,
        participant: rtc.RemoteParticipant,
    ) -> None:
        capture = self._captures.get((identity, source))
        if publication is None:
            await self._drop(identity, source)
            return
        if not publication.subscribed:
            publication.set_subscribed(True)
        if publication.track is None:
            # Until the new track is there, the one that it replaces is heard, if it still is.
            tracks = participant.track_publications
            if capture is None or all(sid not in tracks or tracks[sid].track is None for sid in capture.sids):
                await self._drop(identity, source)
            return
        self._open(source, publication, participant)

    def _open(
        self, source: Source, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        """Captures what is published now, in frames as they are needed now."""
        identity = participant.identity
        microphone = self._microphone(identity)
        capture = self._captures.get((identity, source))
        if publication.track is None or (
            capture is not None and capture.captures(publication, microphone.frame_ms)
        ):
            return
        microphone.blend.clear()
        splice = None
        if capture is not None and identity in self._away:
            # What the old one has of a connection that was away is made up.
            self._spawn(capture.aclose(), "end of a capture")
            capture = None
        if capture is None:
            deliver = microphone.blend.screen if source == "screen" else microphone.blend.microphone
            capture = Capture(self._layer, self._spawn, deliver, partial(self._replaced, participant))
            self._captures[identity, source] = capture
        elif source == "microphone":
            splice = Splice(microphone.recent, microphone.heard_at, look=microphone.speaking)
        capture.open(publication, publication.track, microphone.frame_ms, splice)
        if (away_at := self._away.pop(identity, None)) is not None:
            heard_at = away_at if self._cut else max(away_at, microphone.heard_at)
            self._missed(identity, monotonic() - heard_at)

    def _replaced(self, participant: rtc.RemoteParticipant, sid: str) -> None:
        """Nothing more is wanted of a track, which may be published yet."""
        old = participant.track_publications.get(sid)
        if old is not None and old.subscribed:
            old.set_subscribed(False)

    async def _drop(self, identity: str, source: Source) -> None:
        capture = self._captures.pop((identity, source), None)
        if capture is None:
            return
        await capture.aclose()
        if identity in self._microphones:
            self._microphones[identity].blend.clear()
            if not any((identity, other) in self._captures for other in SOURCES):
                self._microphones[identity].interrupt()


def sounds_of(participant: rtc.RemoteParticipant) -> dict[Source, rtc.RemoteTrackPublication]:
    """The tracks that carry what a participant says: one microphone and one screen.

    Of several the one that says it is a microphone, unmuted before muted, newest before oldest.
    """
    found: dict[Source, rtc.RemoteTrackPublication] = {}
    for publication in participant.track_publications.values():
        if publication.kind != rtc.TrackKind.KIND_AUDIO:
            continue
        shared = publication.source == rtc.TrackSource.SOURCE_SCREENSHARE_AUDIO
        source: Source = "screen" if shared else "microphone"
        if source not in found or _rank(publication) >= _rank(found[source]):
            found[source] = publication
    return found


def _rank(publication: rtc.RemoteTrackPublication) -> tuple[bool, bool]:
    return publication.source == rtc.TrackSource.SOURCE_MICROPHONE, not publication.muted
