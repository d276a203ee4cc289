"""A worker without Parley: LiveKit's own TranslationSession with the plugin's TranslationModel."""

from __future__ import annotations

import os

from livekit.agents import AgentServer, JobContext, cli
from livekit.agents.beta.translation import TranslationSession

from livekit.plugins.openai_realtime import TranslationModel


async def entrypoint(ctx: JobContext) -> None:
    """Translates the first microphone of the room into French."""
    session = TranslationSession(model=TranslationModel(target_language="fr"))
    await session.start(room=ctx.room)


server = AgentServer(
    load_fnc=lambda _: 0.0, num_idle_processes=1, host="127.0.0.1", port=int(os.environ["STOCK_PORT"])
)
server.rtc_session(entrypoint, agent_name=os.environ["PARLEY_AGENT_NAME"])

if __name__ == "__main__":
    cli.run_app(server)
