"""The plugin's model as a voice agent uses it: its turns are reported, who interrupts is decided here."""

import logging
from collections.abc import Callable
from dataclasses import replace

from livekit.agents import AgentSession, llm

from livekit.plugins.openai_realtime import (
    ConversationOptions,
    RealtimeModel,
    RealtimeSession,
    ServerVad,
    TurnEvent,
)
from parley.agents import Conversation

logger = logging.getLogger("parley.voice")


class TurnsModel(RealtimeModel):
    """The plugin's model; the turns of all its sessions go to one place, also after a hand-over."""

    on_turn: Callable[[TurnEvent], None]
    newest: RealtimeSession | None = None

    def session(self, *, turn_detection_disabled: bool = False) -> RealtimeSession:
        session = super().session(turn_detection_disabled=turn_detection_disabled)
        session.on("turn", self.on_turn)
        self.newest = session
        return session

    @property
    def memory(self) -> llm.ChatContext:
        """What was said and heard so far, and what the tools gave, as the API has it."""
        return self.newest.chat_ctx if self.newest is not None else llm.ChatContext.empty()

    async def tell(self, text: str) -> None:
        """Something to know: it makes nobody speak."""
        session = self.newest
        if session is None:
            return
        # The API's session is told, not the Agent: its context lacks a call whose tool still works, and
        # would take it out of the conversation.
        context = session.chat_ctx.copy()
        context.add_message(role="system", content=text)
        try:
            await session.update_chat_ctx(context)
        except llm.RealtimeError as e:
            logger.warning("an agent may not have been told something: %s", e)

    def show(self, image: bytes) -> None:
        """Puts a picture before the model. Raises RuntimeError where there is no session yet."""
        if self.newest is None:
            raise RuntimeError("the conversation has not begun")
        self.newest.push_image(image)


def new_session(
    model: TurnsModel, conversation: Conversation, *, own_vad: bool
) -> "AgentSession[Conversation]":
    """LiveKit's session over the model; with `own_vad` it is told the end of each turn."""
    return AgentSession(
        llm=model,
        vad=None,
        turn_handling={"turn_detection": "manual" if own_vad else "realtime_llm"},
        aec_warmup_duration=None,
        user_away_timeout=None,
        userdata=conversation,
    )


def decided_here(options: ConversationOptions) -> ConversationOptions:
    """Who interrupts is decided by the floor: the API goes on speaking until it is told otherwise."""
    if options.turn_detection is None:
        return options
    return replace(options, turn_detection=replace(options.turn_detection, interrupt_response=False))


def hears_silence(options: ConversationOptions) -> bool:
    """Whether the API must be sent silence all the time: it measures how long nobody speaks."""
    detection = options.turn_detection
    return isinstance(detection, ServerVad) and detection.idle_timeout_ms is not None


def decides_after_s(options: ConversationOptions) -> float:
    """Silence after which the API may take a turn for over, with a margin: it may hear less voice than we."""
    detection = options.turn_detection
    if not isinstance(detection, ServerVad):
        return 0.1
    return max(0.1, (detection.silence_duration_ms or 500) / 1000 - 0.2)
