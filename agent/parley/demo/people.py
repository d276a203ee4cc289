"""A person in a room: a real client that speaks by a microphone, listens to tracks and reads captions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import timedelta
from typing import Any

import numpy as np

from livekit import api, rtc

from .audio import Pcm
from .microphone import Microphone, Stall
from .recording import Caption, Recording
from .speech import SAMPLE_RATE_HZ

_FRAME_MS = 100
_CLOSE_S = 2.0
_MOST_CAPTIONS = 10_000
_MOST_EVENTS = 1_000

Hears = Callable[[str, str], bool]
"""Whether a track is wanted: (track name, publisher's identity) → yes or no."""


def access_token(
    key: str,
    secret: str,
    room: str,
    identity: str,
    *,
    attributes: Mapping[str, str] | None = None,
    ttl: timedelta = timedelta(hours=6),
) -> str:
    """A token with which `identity` may join `room`, speak, listen and change its own attributes."""
    grants = api.VideoGrants(room_join=True, room=room, can_update_own_metadata=True)
    token = api.AccessToken(key, secret).with_identity(identity).with_name(identity).with_grants(grants)
    return token.with_attributes(dict(attributes or {})).with_ttl(ttl).to_jwt()


class Person:
    """Somebody in a room. Use `Person.join`.

    About ten in one process is the limit of two cores; `auto_subscribe=False` with `hears` keeps it light.
    """

    def __init__(self, identity: str, *, hears: Hears | None, auto_subscribe: bool, record: bool) -> None:
        self.identity = identity
        self.room = rtc.Room()
        self.microphone: Microphone | None = None
        self.recordings: list[Recording] = []
        self.captions: deque[Caption] = deque(maxlen=_MOST_CAPTIONS)
        self.events: deque[dict[str, Any]] = deque(maxlen=_MOST_EVENTS)
        self._hears = hears
        self._auto_subscribe = auto_subscribe
        self._record = record
        self._tasks: asyncio.TaskGroup | None = None
        self._feeding: asyncio.Task[None] | None = None
        self._listening: dict[str, asyncio.Task[None]] = {}
        self._leaving = False
        self._changed = asyncio.Event()

    @classmethod
    @contextlib.asynccontextmanager
    async def join(
        cls,
        url: str,
        key: str,
        secret: str,
        room: str,
        identity: str,
        *,
        attributes: Mapping[str, str] | None = None,
        auto_subscribe: bool = True,
        hears: Hears | None = None,
        microphone: bool = True,
        record: bool = True,
    ) -> AsyncIterator[Person]:
        """Be in `room` as `identity` until the block is left; the microphone is on, and says nothing yet.

        `attributes`: of the participant, e.g. `{"parley.hears": "fr"}`. `hears`: which tracks to record,
        None for all; with `auto_subscribe=False` no others are subscribed either. `record=False`: subscribe
        and keep no sound.

        Raises livekit.rtc.ConnectError. An error of a stream ends the block with an ExceptionGroup.
        """
        person = cls(identity, hears=hears, auto_subscribe=auto_subscribe, record=record)
        token = access_token(key, secret, room, identity, attributes=attributes)
        failure: Exception | None = None
        try:
            async with asyncio.TaskGroup() as person._tasks:
                try:
                    await person._enter(url, token, microphone)
                    yield person
                except Exception as error:
                    failure = error
                    raise
                finally:
                    await person._leave()
        except BaseExceptionGroup:
            # An error of the block itself leaves it as it was raised.
            if failure is not None:
                raise failure from None
            raise

    @property
    def stalls(self) -> list[Stall]:
        """When the microphone ran dry; not empty: the run proves nothing."""
        return self.microphone.stalls if self.microphone else []

    @property
    def speaking(self) -> bool:
        """Whether the person is saying something, or is about to."""
        return bool(self.microphone and self.microphone.speaking)

    def say(self, pcm: Pcm, at_s: float | None = None) -> float:
        """Say `int16[n]`, mono at 24 kHz; returns the moment of its first sample (monotonic, s). See
        `Microphone.say`."""
        if self.microphone is None:
            raise RuntimeError(f"{self.identity} has no microphone")
        return self.microphone.say(pcm, at_s)

    async def quiet(self) -> None:
        """Wait until all that was given to `say` has been said."""
        if self.microphone:
            await self.microphone.quiet()

    async def until(self, condition: Callable[[Person], bool], timeout_s: float) -> None:
        """Wait until `condition(person)` holds, looked at whenever sound, text or a track arrives.

        Raises TimeoutError after `timeout_s` seconds.
        """
        async with asyncio.timeout(timeout_s):
            while not condition(self):
                await self._changed.wait()

    async def _enter(self, url: str, token: str, microphone: bool) -> None:
        self._listen_for_events()
        await self.room.connect(url, token, rtc.RoomOptions(auto_subscribe=self._auto_subscribe))
        if not self._auto_subscribe:
            for participant in self.room.remote_participants.values():
                for publication in participant.track_publications.values():
                    self._on_published(publication, participant)
        if microphone:
            await self.open_microphone()

    async def open_microphone(self) -> rtc.LocalTrackPublication:
        """Publishes a microphone, for who came without one; returns its track."""
        self.microphone = Microphone()
        track = rtc.LocalAudioTrack.create_audio_track("microphone", self.microphone.source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, dtx=False)
        published = await self.room.local_participant.publish_track(track, options)
        self._feeding = self._start(self.microphone.run(), "microphone")
        return published

    async def _leave(self) -> None:
        self._leaving = True
        ending = list(self._listening.values()) + ([self._feeding] if self._feeding else [])
        for task in ending:
            task.cancel()
        await asyncio.gather(*ending, return_exceptions=True)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(5 * _CLOSE_S):
                await self.room.disconnect()
        if self.microphone:
            await self.microphone.source.aclose()

    def _listen_for_events(self) -> None:
        self.room.on("track_published", self._on_published)
        self.room.on("track_subscribed", self._on_subscribed)
        self.room.on("track_unsubscribed", lambda track, *_: self._on_gone(track.sid))
        self.room.on("track_unpublished", lambda publication, _: self._on_gone(publication.sid))
        self.room.register_text_stream_handler("lk.transcription", self._on_caption)
        self.room.register_text_stream_handler("parley.events", self._on_event)

    def _start(self, work: Any, name: str) -> asyncio.Task[None]:
        assert self._tasks is not None
        task: asyncio.Task[None] = self._tasks.create_task(work, name=f"{name} of {self.identity}")
        return task

    def _wanted(self, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant) -> bool:
        if publication.kind != rtc.TrackKind.KIND_AUDIO:
            return False
        return self._hears is None or self._hears(publication.name, participant.identity)

    def _on_published(
        self, publication: rtc.RemoteTrackPublication, participant: rtc.RemoteParticipant
    ) -> None:
        if not self._auto_subscribe and self._wanted(publication, participant):
            publication.set_subscribed(True)

    def _on_subscribed(
        self,
        track: rtc.Track,
        publication: rtc.RemoteTrackPublication,
        participant: rtc.RemoteParticipant,
    ) -> None:
        if self._leaving or not self._record or not self._wanted(publication, participant):
            return
        self._on_gone(track.sid)
        from_agent = participant.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT
        recording = Recording(publication.name, track.sid, participant.identity, from_agent=from_agent)
        self.recordings.append(recording)
        self._listening[track.sid] = self._start(self._hear(track, recording), f"ear for {track.sid}")
        self._tell()

    def _on_gone(self, track_sid: str) -> None:
        task = self._listening.pop(track_sid, None)
        if task:
            task.cancel()

    async def _hear(self, track: rtc.Track, recording: Recording) -> None:
        stream = rtc.AudioStream(track, sample_rate=SAMPLE_RATE_HZ, num_channels=1, frame_size_ms=_FRAME_MS)
        try:
            async for event in stream:
                recording.add(np.frombuffer(event.frame.data, np.int16).copy(), time.monotonic())
                self._tell()
        finally:
            recording.ended = True
            self._tell()
            # A stream that is left open goes on costing, also after its track is gone.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await stream.aclose()

    def _on_caption(self, reader: rtc.TextStreamReader, sender: str) -> None:
        if self._leaving:
            return
        caption = Caption(sender, time.monotonic(), dict(reader.info.attributes or {}))
        self.captions.append(caption)
        self._start(self._read(reader, caption), "caption")

    async def _read(self, reader: rtc.TextStreamReader, caption: Caption) -> None:
        # A stream that breaks off is a caption that never completes.
        with contextlib.suppress(rtc.StreamError):
            async for chunk in reader:
                caption.text += chunk
                caption.updated_s = time.monotonic()
                self._tell()
            caption.attributes.update(reader.info.attributes or {})
            caption.complete = True
        self._tell()

    def _on_event(self, reader: rtc.TextStreamReader, _sender: str) -> None:
        if not self._leaving:
            self._start(self._read_event(reader), "event")

    async def _read_event(self, reader: rtc.TextStreamReader) -> None:
        with contextlib.suppress(rtc.StreamError):
            self.events.append(json.loads(await reader.read_all()))
        self._tell()

    def _tell(self) -> None:
        """Wake those who wait in `until`; the next wait is for the next change."""
        self._changed.set()
        self._changed = asyncio.Event()
