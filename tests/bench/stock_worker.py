"""The stock way: LiveKit's own beta `TranslationSession`, one for each participant and foreign language.

Run by `rooms.py` as `python -m livekit.agents start stock_worker.py`. Everything is at its default but
the machine-load function (a busy machine would get no room) and the names of the tracks (to tell them apart).
BENCH_LANGUAGES: the languages of the room, comma-separated; participants say theirs in `parley.speaks`.
"""

import asyncio
import os

from livekit.agents import AgentServer, JobContext
from livekit.agents.beta.translation import TranslationRoomOptions, TranslationSession
from livekit.agents.voice.room_io import AudioOutputOptions

from livekit import rtc
from livekit.plugins.openai_realtime import TranslationModel

server = AgentServer(load_fnc=lambda: 0.0, host="127.0.0.1", port=0)
server.on("worker_registered", lambda *_: print("bench: ready", flush=True))


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Serves one room; the framework closes the sessions with the job."""
    languages = os.environ["BENCH_LANGUAGES"].split(",")
    arrived: asyncio.Queue[rtc.RemoteParticipant] = asyncio.Queue()
    ctx.room.on("participant_connected", arrived.put_nowait)
    await ctx.connect()
    for participant in ctx.room.remote_participants.values():
        arrived.put_nowait(participant)
    seen: set[str] = set()
    sessions = []
    while True:
        speaker = await arrived.get()
        if speaker.identity in seen:
            continue
        seen.add(speaker.identity)
        for language in languages:
            if language == speaker.attributes.get("parley.speaks"):
                continue
            session: TranslationSession = TranslationSession(model=TranslationModel(target_language=language))
            options = TranslationRoomOptions(
                participant_identity=speaker.identity,
                audio_output=AudioOutputOptions(track_name=f"stock:{speaker.identity}:{language}"),
            )
            await session.start(room=ctx.room, room_options=options)
            sessions.append(session)
