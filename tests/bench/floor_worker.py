"""The native floor: a worker that receives every microphone of the room and does nothing with it.

Run by `rooms.py`. It is a Parley worker without Parley: the same job process and the same demultiplexer at
100 ms, so what it costs is what LiveKit's native side costs for receiving alone.
"""

import asyncio

from livekit.agents import AgentServer, AutoSubscribe, JobContext

from livekit import rtc
from parley.core.framing import RATE_HZ
from parley.room.microphone import FRAME_MS
from parley.room.native import native_layer

server = AgentServer(load_fnc=lambda: 0.0, host="127.0.0.1", port=0, num_idle_processes=1)
server.on("worker_registered", lambda *_: print("bench: ready", flush=True))


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Serves one room until it is gone."""
    layer = native_layer(asyncio.get_running_loop())
    if layer is None:
        raise RuntimeError("the livekit package is not as expected: there is no floor to be measured")
    ended = asyncio.Event()

    def subscribe(publication: rtc.RemoteTrackPublication, _: object = None) -> None:
        if publication.kind == rtc.TrackKind.KIND_AUDIO:
            publication.set_subscribed(True)

    def receive(track: rtc.Track, *_: object) -> None:
        layer.open_stream(track, RATE_HZ, FRAME_MS, lambda pcm, at: None)

    ctx.room.on("track_published", subscribe)
    ctx.room.on("track_subscribed", receive)
    ctx.room.on("disconnected", lambda *_: ended.set())
    await ctx.connect(auto_subscribe=AutoSubscribe.SUBSCRIBE_NONE)
    for participant in ctx.room.remote_participants.values():
        for publication in participant.track_publications.values():
            subscribe(publication)
    await ended.wait()
