"""Ingress: one capture per speaker, whatever runs on it: native stream → VAD → gate → bridges."""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Protocol

import numpy as np

from livekit import rtc
from parley.core.framing import RATE_HZ, seconds
from parley.media.gate import GatePolicy, PhraseGate
from parley.media.mix import Mixer
from parley.media.vad import SpeechProbability

from .native import NativeLayer, OnAudio

FRAME_MS = 50
"""Audio is taken from LiveKit in frames of this length, a quarter of a frame of the model: longer ones cost
less, but where a phrase begins, what is left of the frame is heard as delay."""
PROMPT_MS = 20
"""The same for a microphone whose voice must stop an agent at once."""


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
    ) -> None:
        """A frame of PCM16 mono 24 kHz that arrived at `at`, of which `voiced_s` seconds are voice.

        `speaking`: a phrase lives; `pre_roll`: what was captured just before.
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


class Microphone:
    """What one speaker says, to all that listen to it."""

    def __init__(self, policy: GatePolicy) -> None:
        self.hearers: dict[Hashable, Hearer] = {}
        self.prompt: set[Hashable] = set()
        """Those of them that must hear at once."""
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
        return PROMPT_MS if self.prompt else FRAME_MS

    def on_audio(self, pcm: bytes, at: float) -> None:
        """One frame of PCM16 mono 24 kHz that arrived at `at`."""
        if self._closed:
            return
        speaking = self._gate.decide(self._speech.push(np.frombuffer(pcm, dtype=np.int16)))
        pre_roll = self._gate.pre_roll
        for hearer in self.hearers.values():
            hearer.hear(pcm, at, speaking, pre_roll, self._gate.voiced_s)
        self._gate.remember(pcm, seconds(len(pcm)))

    def interrupt(self) -> None:
        """Muted, or the track is gone: the phrase is over, nothing from before is kept."""
        self._gate.end()

    def close(self) -> None:
        """Releases the VAD."""
        self._closed = True
        self._speech.close()


class Ingress:
    """The microphones of a room: subscribes to those that are wanted, and to nothing else."""

    def __init__(self, layer: NativeLayer | None, policy: GatePolicy, spawn: Spawn) -> None:
        self._layer = layer
        self._policy = policy
        self._spawn = spawn
        self._microphones: dict[str, Microphone] = {}
        self._streams: dict[str, tuple[tuple[str, int], Stream]] = {}

    def _microphone(self, identity: str) -> Microphone:
        """The microphone of a speaker; made when first asked for."""
        if identity not in self._microphones:
            self._microphones[identity] = Microphone(self._policy)
        return self._microphones[identity]

    def attach(self, speaker: str, key: Hashable, hearer: Hearer, *, prompt: bool = False) -> None:
        """From now on the hearer is fed from the speaker's microphone; `prompt`: in short frames."""
        microphone = self._microphone(speaker)
        microphone.hearers[key] = hearer
        if prompt:
            microphone.prompt.add(key)

    def detach(self, speaker: str, key: Hashable) -> None:
        """The hearer is fed nothing more."""
        if speaker in self._microphones:
            self._microphones[speaker].hearers.pop(key, None)
            self._microphones[speaker].prompt.discard(key)

    def speaking(self, identity: str) -> bool:
        """Whether a phrase of this speaker lives."""
        microphone = self._microphones.get(identity)
        return microphone is not None and microphone.speaking

    def captures(self, participant: rtc.RemoteParticipant) -> bool:
        """Whether all that a participant says is heard: the microphone is captured, or there is none."""
        return participant.identity in self._streams or _voice(participant) is None

    async def follow(self, wanted: Iterable[str], participants: dict[str, rtc.RemoteParticipant]) -> None:
        """Makes the subscriptions and streams fit: exactly the `wanted` identities are captured."""
        wanted = set(wanted)
        for identity, participant in participants.items():
            publication = _voice(participant) if identity in wanted else None
            await self._fit(identity, participant, publication)
        for identity in [i for i in self._microphones if i not in wanted or i not in participants]:
            await self._drop(identity)
            self._microphones.pop(identity).close()

    async def aclose(self) -> None:
        """Closes every stream and microphone."""
        for identity in list(self._streams):
            await self._drop(identity)
        for microphone in self._microphones.values():
            microphone.close()
        self._microphones.clear()

    async def _fit(
        self,
        identity: str,
        participant: rtc.RemoteParticipant,
        publication: rtc.RemoteTrackPublication | None,
    ) -> None:
        sid = publication.sid if publication is not None and publication.track is not None else None
        frame_ms = self._microphones[identity].frame_ms if identity in self._microphones else FRAME_MS
        running = self._streams.get(identity)
        if running is not None and running[0][0] != sid:
            await self._drop(identity)
            running = None
        for other in participant.track_publications.values():
            if other.kind == rtc.TrackKind.KIND_AUDIO and other is not publication and other.subscribed:
                other.set_subscribed(False)
        if publication is None:
            return
        if not publication.subscribed:
            publication.set_subscribed(True)
        microphone = self._microphone(identity)
        if publication.muted:
            microphone.interrupt()
        if sid is None or publication.track is None or (running is not None and running[0][1] == frame_ms):
            return
        if running is not None:
            # The same track in frames of another length: the old stream ends where the new one begins.
            await running[1].aclose()
        stream = self._open(publication.track, frame_ms, microphone.on_audio)
        self._streams[identity] = ((sid, frame_ms), stream)

    def _open(self, track: rtc.Track, frame_ms: int, on_audio: OnAudio) -> Stream:
        if self._layer is None:
            return PublicStream(track, frame_ms, on_audio, self._spawn)
        return self._layer.open_stream(track, RATE_HZ, frame_ms, on_audio)

    async def _drop(self, identity: str) -> None:
        running = self._streams.pop(identity, None)
        if running is not None:
            await running[1].aclose()
        if identity in self._microphones:
            self._microphones[identity].interrupt()


def _voice(participant: rtc.RemoteParticipant) -> rtc.RemoteTrackPublication | None:
    """The track that carries a participant's voice: the microphone, unmuted before muted, newest last."""
    audio = [p for p in participant.track_publications.values() if p.kind == rtc.TrackKind.KIND_AUDIO]
    if not audio:
        return None
    return max(
        audio,
        key=lambda p: (p.source == rtc.TrackSource.SOURCE_MICROPHONE, not p.muted),
    )
