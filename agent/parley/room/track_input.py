"""Ingress: one capture per speaker, whatever runs on it: native stream → VAD → gate → bridges."""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Literal, Protocol

import numpy as np

from livekit import rtc
from parley.core.framing import RATE_HZ, seconds
from parley.media.gate import GatePolicy, PhraseGate
from parley.media.mix import Mixer, mixed
from parley.media.vad import SpeechProbability

from .native import NativeLayer, OnAudio

FRAME_MS = 50
"""Audio is taken from LiveKit in frames of this length, a quarter of a frame of the model: longer ones cost
less, but where a phrase begins, what is left of the frame is heard as delay."""
WINDOW_MS = 32
"""The same for a microphone whose voice must stop an agent at once: what the model decides on, no more, no
less. Shorter frames are not decided earlier, and cost more."""
PROMPT_MS = 20
"""The same for a microphone that is played or mixed as it comes."""


Source = Literal["microphone", "screen"]
SOURCES: tuple[Source, ...] = ("microphone", "screen")


class Stream(Protocol):
    """An audio stream that delivers until closed."""

    async def aclose(self) -> None: ...


class PublicStream:
    """The same over the public AudioStream, for a livekit package whose native layer is not as expected."""

    def __init__(self, track: rtc.Track, frame_ms: int, on_audio: OnAudio, spawn: "Spawn") -> None:
        self._stream = rtc.AudioStream.from_track(
            track=track,
            sample_rate=RATE_HZ,
            num_channels=1,
            frame_size_ms=frame_ms,
            capacity=1000 // frame_ms,
        )
        self._task = spawn(self._read(on_audio), "public audio stream")

    async def _read(self, on_audio: OnAudio) -> None:
        async for event in self._stream:
            on_audio(bytes(event.frame.data.cast("B")), monotonic())

    async def aclose(self) -> None:
        """Ends the reading and the stream."""
        await self._stream.aclose()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task


Spawn = Callable[..., "asyncio.Task[None]"]


class Hearer(Protocol):
    """Whoever is fed from a microphone: a translation bridge, a voice agent."""

    def hear(
        self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float = 0.0
    ) -> float | None:
        """A frame of PCM16 mono 24 kHz that arrived at `at`, of which `voiced_s` seconds are voice.

        `speaking`: a phrase lives; `pre_roll`: what was captured just before. Returns for how many seconds
        the next frame may wait for others; None: not at all.
        """


class MixedIn:
    """One microphone of several that an agent hears."""

    def __init__(self, identity: str, mixer: Mixer, agent: Hearer) -> None:
        self._identity = identity
        self._mixer = mixer
        self._agent = agent

    def hear(
        self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float = 0.0
    ) -> None:
        """See Hearer."""
        frame = self._mixer.push(self._identity, pcm)
        self._agent.hear(frame or b"", at, speaking, (), voiced_s)


MISSING_FRAMES = 2
"""Frames of a shared screen without one of the microphone: then they go on without it."""
MOST_WAITING = 8
"""Frames of a shared screen that wait for the microphone's; beyond it the oldest is dropped: two tracks of
one participant do not drift apart that far in a meeting."""


class Blend:
    """The sound of a shared screen under the microphone, which keeps the time and waits for nothing."""

    def __init__(self, deliver: OnAudio) -> None:
        self._deliver = deliver
        self._waiting: deque[bytes] = deque(maxlen=MOST_WAITING)
        self._alone = MISSING_FRAMES

    def microphone(self, pcm: bytes, at: float) -> float | None:
        """A frame of the microphone; see OnAudio."""
        self._alone = 0
        return self._deliver(mixed([pcm, self._waiting.popleft()]) if self._waiting else pcm, at)

    def screen(self, pcm: bytes, at: float) -> None:
        """A frame of the screen's sound."""
        self._alone += 1
        self._waiting.append(pcm)
        while self._alone > MISSING_FRAMES and self._waiting:
            self._deliver(self._waiting.popleft(), at)

    def clear(self) -> None:
        """One of the two has ended, or comes in other frames."""
        self._waiting.clear()
        self._alone = MISSING_FRAMES


class Microphone:
    """What one speaker says, to all that listen to it."""

    def __init__(self, policy: GatePolicy, spoke: Callable[[float], None] = lambda voiced_s: None) -> None:
        """`spoke`: told of each frame how many seconds of voice are in it."""
        self.hearers: dict[Hashable, Hearer] = {}
        self.lengths: dict[Hashable, int] = {}
        """How long frames may be for each of them, in ms."""
        self.silenced = False
        """Whether the speaker has withdrawn consent: nobody hears anything."""
        self.blend = Blend(self.on_audio)
        self.heard_at = 0.0
        """When the last frame came (monotonic, s)."""
        self._spoke = spoke
        self._gate = PhraseGate(policy)
        self._speech = SpeechProbability()
        self._closed = False

    @property
    def speaking(self) -> bool:
        """Whether a phrase lives."""
        return self._gate.open

    @property
    def frame_ms(self) -> int:
        """The length of frames that is needed now."""
        return min(self.lengths.values(), default=FRAME_MS)

    def on_audio(self, pcm: bytes, at: float) -> float | None:
        """One frame of PCM16 mono 24 kHz that arrived at `at`; see OnAudio."""
        if self._closed or self.silenced:
            return None
        self.heard_at = at
        speaking = self._gate.decide(self._speech.push(np.frombuffer(pcm, dtype=np.int16)))
        if self._gate.voiced_s:
            self._spoke(self._gate.voiced_s)
        pre_roll = self._gate.pre_roll
        patience_s = [
            hearer.hear(pcm, at, speaking, pre_roll, self._gate.voiced_s) or 0.0
            for hearer in self.hearers.values()
        ]
        self._gate.remember(pcm, seconds(len(pcm)))
        return min(patience_s, default=None)

    def interrupt(self) -> None:
        """Muted, or the track is gone: the phrase is over, nothing from before is kept."""
        self._gate.end()

    def close(self) -> None:
        """Releases the VAD."""
        self._closed = True
        self._speech.close()


@dataclass(frozen=True)
class Running:
    """A track that is captured. One SID is another track after the connection was made anew."""

    sid: str
    track: rtc.Track
    frame_ms: int
    stream: Stream

    def captures(self, publication: rtc.RemoteTrackPublication) -> bool:
        """Whether it is what is published now."""
        return self.sid == publication.sid and self.track is publication.track


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
        self._streams: dict[tuple[str, Source], Running] = {}
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
        return all((participant.identity, source) in self._streams for source in sounds_of(participant))

    def silence(self, speaker: str, silent: bool) -> None:
        """From this moment on nobody hears the speaker, or whoever is attached does again."""
        (self._silenced.add if silent else self._silenced.discard)(speaker)
        if speaker in self._microphones:
            self._microphones[speaker].silenced = silent
            if silent:
                self._microphones[speaker].interrupt()

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
        for identity, source in list(self._streams):
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
        identity = participant.identity
        for source, chosen in sounds_of(participant).items():
            free = identity in self._microphones and (identity, source) not in self._streams
            if chosen is publication and free:
                self._open(identity, source, publication)

    @property
    def capturing(self) -> bool:
        """Whether anybody is captured."""
        return bool(self._streams)

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
        for identity, source in self._streams:
            participant = participants.get(identity)
            sound = sounds_of(participant).get(source) if participant is not None else None
            if sound is not None and not sound.muted and identity not in self._silenced:
                self._away.setdefault(identity, since)

    def _find(self, participants: Mapping[str, rtc.RemoteParticipant]) -> None:
        """The connection is back. One that was resumed has the tracks that it had."""
        if self._cut:
            return
        for (identity, source), running in self._streams.items():
            participant = participants.get(identity)
            sound = sounds_of(participant).get(source) if participant is not None else None
            if sound is not None and running.captures(sound):
                self._away.pop(identity, None)

    async def _fit(self, identity: str, participant: rtc.RemoteParticipant, wanted: bool) -> None:
        sounds = sounds_of(participant) if wanted else {}
        for source in SOURCES:
            await self._fit_source(identity, source, sounds.get(source), participant)
        heard = {publication.sid for publication in sounds.values()}
        heard |= {running.sid for key, running in self._streams.items() if key[0] == identity}
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
        running = self._streams.get((identity, source))
        if publication is None:
            await self._drop(identity, source)
            return
        if not publication.subscribed:
            publication.set_subscribed(True)
        if publication.track is None:
            # Until the new track is there, the one that it replaces is heard, if it still is.
            old = participant.track_publications.get(running.sid) if running is not None else None
            if old is None or old.track is None:
                await self._drop(identity, source)
            return
        frame_ms = self._microphone(identity).frame_ms
        if running is not None and (running.frame_ms != frame_ms or not running.captures(publication)):
            # The old stream ends where the new one begins: the phrase goes on.
            del self._streams[identity, source]
            await running.stream.aclose()
        if (identity, source) not in self._streams:
            self._open(identity, source, publication)

    def _open(self, identity: str, source: Source, publication: rtc.RemoteTrackPublication) -> None:
        if publication.track is None:
            return
        microphone = self._microphone(identity)
        microphone.blend.clear()
        on_audio = microphone.blend.screen if source == "screen" else microphone.blend.microphone
        frame_ms = microphone.frame_ms
        stream: Stream
        if self._layer is None:
            stream = PublicStream(publication.track, frame_ms, on_audio, self._spawn)
        else:
            stream = self._layer.open_stream(publication.track, RATE_HZ, frame_ms, on_audio)
        self._streams[identity, source] = Running(publication.sid, publication.track, frame_ms, stream)
        if (away_at := self._away.pop(identity, None)) is not None:
            heard_at = away_at if self._cut else max(away_at, microphone.heard_at)
            self._missed(identity, monotonic() - heard_at)

    async def _drop(self, identity: str, source: Source) -> None:
        running = self._streams.pop((identity, source), None)
        if running is None:
            return
        await running.stream.aclose()
        if identity in self._microphones:
            self._microphones[identity].blend.clear()
            if not any((identity, other) in self._streams for other in SOURCES):
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
