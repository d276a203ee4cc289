"""OpenAI's realtime models for LiveKit Agents: conversation for `AgentSession`, and translation.

`RealtimeModel` is a voice agent's ``llm``: `ConversationOptions` say what it is asked to do, `ResumeOptions`
how its conversation outlives connections, and its sessions tell their turns as `TurnEvent`s.

`TranslationModel` is for `TranslationSession`, and `STT` is speech to text for whatever takes one.

Below them, without LiveKit's classes: `connect` gives an `OpenSession` over a WebSocket.
`TranslationProtocol` and `TranscriptionProtocol` are the sessions themselves, without any I/O, and
`Transcriber` is what of somebody's speech is sent and known, across sessions.
"""

from livekit.agents import Plugin

from .connection import Connection, OpenSession, TranscriptionConnection, connect, new_http_session
from .conversation_options import REASONING_EFFORTS, VOICES, ConversationOptions
from .conversation_parts import (
    Prompt,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    Tracing,
    Transcription,
    TurnDetection,
)
from .errors import (
    AuthenticationError,
    ConnectError,
    ConnectionLost,
    ProtocolViolation,
    QuotaError,
    RateLimitError,
    RealtimeError,
    RequestRejected,
    ServerFault,
    SessionExpired,
    SessionNotOpen,
)
from .events import (
    Cleared,
    Committed,
    ErrorReported,
    InputTranscript,
    NotTranscribed,
    OutputAudio,
    OutputTranscript,
    SessionClosed,
    SessionCreated,
    SessionUpdated,
    Transcribed,
    TranscriptionEvent,
    TranscriptionUpdated,
    TranslationEvent,
    Words,
)
from .hearing import TranscriberPolicy
from .log import logger
from .mcp import McpServer
from .model_session import TranslationModelSession
from .models import TranscriptionModels, TranslationModel, TranslationModels
from .options import (
    OUTPUT_LANGUAGES,
    SAMPLE_RATE_HZ,
    ConnectOptions,
    TranscriptionOptions,
    TranslationOptions,
)
from .realtime_model import RealtimeModel
from .realtime_session import RealtimeSession
from .resume import ResumeOptions
from .session_protocol import UNSET, SessionProtocol, State, Unset
from .spoken import Line
from .stt import STT
from .stt_stream import TranscriptionStream
from .transcriber import Append, Commit, Leg, Transcriber
from .transcription import TranscriptionProtocol
from .translation import TranslationProtocol
from .turn_events import (
    RateLimit,
    RateLimits,
    Reconnected,
    Reconnecting,
    ResponseEnded,
    ResponseStarted,
    TokenUsage,
    TranscriptionUsage,
    TurnCommitted,
    TurnEvent,
    TurnStarted,
    TurnStopped,
    TurnTimeout,
    TurnTranscribed,
)
from .version import __version__
from .warm_up import warm_up

__all__ = [
    "OUTPUT_LANGUAGES",
    "REASONING_EFFORTS",
    "SAMPLE_RATE_HZ",
    "STT",
    "UNSET",
    "VOICES",
    "Append",
    "AuthenticationError",
    "Cleared",
    "Commit",
    "Committed",
    "ConnectError",
    "ConnectOptions",
    "Connection",
    "ConnectionLost",
    "ConversationOptions",
    "ErrorReported",
    "InputTranscript",
    "Leg",
    "Line",
    "McpServer",
    "NotTranscribed",
    "OpenSession",
    "OutputAudio",
    "OutputTranscript",
    "Prompt",
    "ProtocolViolation",
    "QuotaError",
    "RateLimit",
    "RateLimitError",
    "RateLimits",
    "RealtimeError",
    "RealtimeModel",
    "RealtimeSession",
    "Reconnected",
    "Reconnecting",
    "RequestRejected",
    "ResponseEnded",
    "ResponseStarted",
    "ResumeOptions",
    "RetentionRatio",
    "SemanticVad",
    "ServerFault",
    "ServerVad",
    "SessionClosed",
    "SessionCreated",
    "SessionExpired",
    "SessionNotOpen",
    "SessionProtocol",
    "SessionUpdated",
    "State",
    "TokenUsage",
    "Tracing",
    "Transcribed",
    "Transcriber",
    "TranscriberPolicy",
    "Transcription",
    "TranscriptionConnection",
    "TranscriptionEvent",
    "TranscriptionModels",
    "TranscriptionOptions",
    "TranscriptionProtocol",
    "TranscriptionStream",
    "TranscriptionUpdated",
    "TranscriptionUsage",
    "TranslationEvent",
    "TranslationModel",
    "TranslationModelSession",
    "TranslationModels",
    "TranslationOptions",
    "TranslationProtocol",
    "TurnCommitted",
    "TurnDetection",
    "TurnEvent",
    "TurnStarted",
    "TurnStopped",
    "TurnTimeout",
    "TurnTranscribed",
    "Unset",
    "Words",
    "__version__",
    "connect",
    "new_http_session",
    "warm_up",
]


class OpenAIRealtimePlugin(Plugin):
    """Makes the package known to the worker (start-up log, preloading in the forkserver)."""

    def __init__(self) -> None:
        super().__init__(__name__, __version__, __package__ or __name__, logger)


Plugin.register_plugin(OpenAIRealtimePlugin())
