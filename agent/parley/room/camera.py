"""One picture of what a participant shows: subscribed for it, and unsubscribed again."""

import asyncio
from collections.abc import Mapping

import numpy as np

from livekit import rtc
from parley.agents import Source
from parley.errors import NothingToSeeError
from parley.media.picture import png, shrunk

WITHIN_S = 5.0
"""How long a frame is waited for."""

_SOURCES: Mapping[Source, int] = {
    "camera": rtc.TrackSource.SOURCE_CAMERA,
    "screen_share": rtc.TrackSource.SOURCE_SCREENSHARE,
}


async def picture(room: rtc.Room, identity: str, source: Source) -> bytes:
    """A PNG of what a participant's camera or screen shows now.

    Raises NothingToSeeError where they share none, or nothing came of it in 5 s. Cancelling it unsubscribes.
    """
    participant = room.remote_participants.get(identity)
    shared = participant.track_publications.values() if participant is not None else ()
    publication = next((p for p in shared if p.source == _SOURCES[source] and not p.muted), None)
    if publication is None:
        raise NothingToSeeError(source)
    subscribed = publication.subscribed
    publication.set_subscribed(True)
    try:
        async with asyncio.timeout(WITHIN_S):
            while (track := publication.track) is None:
                await asyncio.sleep(0.02)
            frame = await _first(track)
    except TimeoutError:
        raise NothingToSeeError(source) from None
    finally:
        if not subscribed:
            publication.set_subscribed(False)
    return await asyncio.to_thread(_encoded, frame)


async def _first(track: rtc.Track) -> rtc.VideoFrame:
    stream = rtc.VideoStream(track, format=rtc.VideoBufferType.RGB24, capacity=1)
    try:
        async for event in stream:
            return event.frame
    finally:
        await stream.aclose()
    raise TimeoutError


def _encoded(frame: rtc.VideoFrame) -> bytes:
    pixels = np.frombuffer(frame.data, np.uint8).reshape(frame.height, frame.width, 3)
    return png(shrunk(pixels))
