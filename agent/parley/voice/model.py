"""The plugin's model as a voice agent uses it: its turns are reported, who interrupts is decided here."""

from collections.abc import Callable
from dataclasses import replace

from livekit.plugins.openai_realtime import (
    ConversationOptions,
    RealtimeModel,
    RealtimeSession,
    ServerVad,
    TurnEvent,
)


class TurnsModel(RealtimeModel):
    """The plugin's model; the turns of all its sessions go to one place, also after a hand-over."""

    on_turn: Callable[[TurnEvent], None]
    newest: RealtimeSession | None = None

    def session(self, *, turn_detection_disabled: bool = False) -> RealtimeSession:
        session = super().session(turn_detection_disabled=turn_detection_disabled)
        session.on("turn", self.on_turn)
        self.newest = session
        return session


def decided_here(options: ConversationOptions) -> ConversationOptions:
    """Who interrupts is decided by the floor: the API goes on speaking until it is told otherwise."""
    if options.turn_detection is None:
        return options
    return replace(options, turn_detection=replace(options.turn_detection, interrupt_response=False))


def hears_silence(options: ConversationOptions) -> bool:
    """Whether the API must be sent silence all the time: it measures how long nobody speaks."""
    detection = options.turn_detection
    return isinstance(detection, ServerVad) and detection.idle_timeout_ms is not None
