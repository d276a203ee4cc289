"""Captions the stock way: one `AgentSession` with `openai.STT` for each speaker, all in the room's job.

Run by `captions.py` as `python -m livekit.agents start stock_captions.py`. It does what LiveKit's example of
a transcriber for several people does, with `gpt-realtime-whisper`. Everything is at its default but the
machine-load function (a busy machine would get no room), and that readers, who do not say what language
they speak, get no session.
"""

import asyncio

from livekit.agents import Agent, AgentServer, AgentSession, AutoSubscribe, JobContext, StopResponse, llm
from livekit.agents.voice.room_io import RoomOptions

from livekit import rtc
from livekit.plugins import openai

server = AgentServer(load_fnc=lambda: 0.0, host="127.0.0.1", port=0)
server.on("worker_registered", lambda *_: print("bench: ready", flush=True))


class Transcriber(Agent):
    """Writes down what one person says, and answers nothing."""

    def __init__(self, language: str) -> None:
        super().__init__(
            instructions="not needed", stt=openai.STT(model="gpt-realtime-whisper", language=language)
        )

    async def on_user_turn_completed(self, turn_ctx: llm.ChatContext, new_message: llm.ChatMessage) -> None:
        """No answer."""
        raise StopResponse


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Serves one room; the framework closes the sessions with the job."""
    arrived: asyncio.Queue[rtc.RemoteParticipant] = asyncio.Queue()
    ctx.room.on("participant_connected", arrived.put_nowait)
    await ctx.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY)
    for participant in ctx.room.remote_participants.values():
        arrived.put_nowait(participant)
    seen: set[str] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            speaker = await arrived.get()
            language = speaker.attributes.get("parley.speaks")
            if language and speaker.identity not in seen:
                seen.add(speaker.identity)
                group.create_task(_begin(ctx.room, speaker.identity, language))


async def _begin(room: rtc.Room, identity: str, language: str) -> None:
    session: AgentSession[None] = AgentSession()
    options = RoomOptions(
        audio_input=True,
        text_output=True,
        audio_output=False,
        text_input=False,
        participant_identity=identity,
    )
    await session.start(Transcriber(language), room=room, room_options=options)
