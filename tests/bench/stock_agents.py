"""Voice agents the stock way: one `AgentSession` with `RoomIO` for each participant, all in the room's job.

Run by `agents.py` as `python -m livekit.agents start stock_agents.py`. Everything is at its default but the
machine-load function (a busy machine would get no room), the names of the tracks (to tell them apart) and
the model and turn detection, which are the same for both sides.
"""

import asyncio
import os

from livekit.agents import Agent, AgentServer, AgentSession, JobContext
from livekit.agents.voice.room_io import AudioOutputOptions, RoomOptions
from openai.types.realtime.realtime_audio_input_turn_detection import ServerVad

from livekit import rtc

try:
    from livekit.plugins.openai.realtime import RealtimeModel  # type: ignore[import-not-found, unused-ignore]
except ImportError:  # the plugin's module only re-exports it
    from livekit.agents.llm._realtime.openai import RealtimeModel

server = AgentServer(load_fnc=lambda: 0.0, host="127.0.0.1", port=0)
server.on("worker_registered", lambda *_: print("bench: ready", flush=True))


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    """Serves one room; the framework closes the sessions with the job."""
    arrived: asyncio.Queue[rtc.RemoteParticipant] = asyncio.Queue()
    ctx.room.on("participant_connected", arrived.put_nowait)
    await ctx.connect()
    for participant in ctx.room.remote_participants.values():
        arrived.put_nowait(participant)
    seen: set[str] = set()
    async with asyncio.TaskGroup() as group:
        while True:
            identity = (await arrived.get()).identity
            if identity not in seen:
                seen.add(identity)
                group.create_task(_begin(ctx.room, identity))


async def _begin(room: rtc.Room, identity: str) -> None:
    silence_ms = int(os.environ["BENCH_SILENCE_MS"])
    turns = ServerVad(
        type="server_vad",
        threshold=0.5,
        prefix_padding_ms=300,
        silence_duration_ms=silence_ms,
        create_response=True,
        interrupt_response=True,
    )
    model = RealtimeModel(model=os.environ["BENCH_MODEL"], turn_detection=turns)
    session: AgentSession[None] = AgentSession(llm=model)
    options = RoomOptions(
        participant_identity=identity, audio_output=AudioOutputOptions(track_name=f"stock-agent:{identity}")
    )
    agent = Agent(instructions=f"You talk to <{identity}>.")
    await session.start(agent, room=room, room_options=options)
    session.generate_reply(instructions="Greet the participant.")
