"""gpt-realtime in LiveKit's own class, for `AgentSession`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit
from weakref import WeakSet

from livekit.agents.llm._realtime import openai as stock
from livekit.agents.types import APIConnectOptions
from openai.types import realtime
from openai.types.realtime.realtime_audio_input_turn_detection import SemanticVad as StockSemanticVad
from openai.types.realtime.realtime_audio_input_turn_detection import ServerVad as StockServerVad

from .connection import HttpSession, new_http_session
from .conversation_options import ConversationOptions
from .conversation_parts import SemanticVad, TurnDetection
from .models import connect_from_environment
from .options import ConnectOptions
from .resume import ResumeOptions

if TYPE_CHECKING:
    from .realtime_session import RealtimeSession

ApproveMcp = Callable[[str, str, str], bool | Awaitable[bool]]
ConnectGate = Callable[[], AbstractAsyncContextManager[object]]

_AZURE = (".openai.azure.com", ".cognitiveservices.azure.com", ".services.ai.azure.com")


class RealtimeModel(stock.RealtimeModel):
    """A voice agent's model, over ``/v1/realtime``.

    For `AgentSession(llm=RealtimeModel())`, or alone: `session` gives a session that connects at once.
    Close it with `aclose` (or ``async with``).
    """

    def __init__(
        self,
        options: ConversationOptions | None = None,
        *,
        connect: ConnectOptions | None = None,
        http_session: HttpSession | None = None,
        resume: ResumeOptions | None = None,
        approve_mcp: ApproveMcp | None = None,
        connect_gate: ConnectGate | None = None,
    ) -> None:
        """
        Args:
            options: what the session is asked to do; default `ConversationOptions()`.
            connect: how to reach the API; default from ``OPENAI_API_KEY`` and ``OPENAI_BASE_URL``.
            http_session: used and left open. Default: one of its own, without a limit on connections.
            resume: what is kept for the next connection and how often one is tried; default
                `ResumeOptions()`.
            approve_mcp: asked with (server_label, tool, arguments) whether a remote tool may be called.
                Default: it may not.
            connect_gate: makes what stands around each attempt to connect, up to ``session.created``, of
                the next connection up to its socket. Entering it may wait; a `RealtimeError` it raises is
                the attempt's failure, and it is left with what the attempt raised. Default: none.

        Raises:
            ValueError: no API key, or a value that cannot work; the text names it.
        """
        self.options = options if options is not None else ConversationOptions()
        self.connect_options = connect if connect is not None else connect_from_environment()
        self.resume = resume if resume is not None else ResumeOptions()
        self.approve_mcp = approve_mcp
        self.connect_gate: ConnectGate = connect_gate if connect_gate is not None else nullcontext
        detection = _stock_detection(self.options.turn_detection)
        super().__init__(
            model=self.options.model,
            voice=self.options.voice if isinstance(self.options.voice, str) else self.options.voice["id"],
            modalities=["audio", "text"] if self.options.output_modalities == "audio" else ["text"],
            input_audio_transcription=_stock_transcription(self.options),
            turn_detection=detection,
            speed=self.options.speed,
            api_key=self.connect_options.api_key,
            base_url=self.options.base_url or self.connect_options.base_url,
            max_session_duration=None,
            conn_options=APIConnectOptions(timeout=self.connect_options.connect_timeout_s),
        )
        # Set by an environment variable of Azure's older API, whose dialect is not spoken here.
        self._opts.is_azure, self._opts.api_version = False, None
        self._made: WeakSet[RealtimeSession] = WeakSet()
        self._given_http = http_session
        self._own_http: HttpSession | None = None

    @property
    def provider(self) -> str:
        """Host the model is reached at."""
        return urlsplit(self._opts.base_url).hostname or ""

    def session(self, *, turn_detection_disabled: bool = False) -> RealtimeSession:
        """A session that connects at once. To be called in a running event loop."""
        from .realtime_session import RealtimeSession

        session = RealtimeSession(self, turn_detection_disabled=turn_detection_disabled)
        self._sessions.add(session)
        self._made.add(session)
        return session

    def update_options(self, **changes: Any) -> None:
        """Change `ConversationOptions` of this model and of its running sessions, under their names."""
        self.options = replace(self.options, **changes)
        for session in list(self._made):
            session.update_options(**changes)

    def address(self) -> tuple[str, dict[str, str]]:
        """URL and headers of the upgrade."""
        connect = self.connect_options
        base_url = self.options.base_url or connect.base_url
        reached = ConnectOptions(api_key=connect.api_key, base_url=base_url)
        key = connect.api_key.strip()
        named = {name.lower() for name in (*connect.headers, *self.options.extra_headers)}
        headers: dict[str, str] = {}
        if reached.host.endswith(_AZURE) and "authorization" not in named:
            headers["api-key"] = key
        else:
            headers["Authorization"] = f"Bearer {key}"
        headers.update(connect.headers)
        headers.update(self.options.headers())
        return reached.websocket_url("realtime", {"model": self.options.model}), headers

    def http(self) -> HttpSession:
        """The HTTP session that sockets are opened with."""
        if self._given_http is not None:
            return self._given_http
        if self._own_http is None:
            self._own_http = new_http_session()
        return self._own_http

    def _ensure_http_session(self) -> HttpSession:
        return self.http()

    async def release(self) -> None:
        """A session has ended: without another one the HTTP session, if it is ours, is closed."""
        if self._own_http is not None and all(session.ended for session in self._made):
            http, self._own_http = self._own_http, None
            await http.close()

    async def aclose(self) -> None:
        """Close all sessions, and the HTTP session if it is ours."""
        for session in list(self._made):
            await session.aclose()
        await self.release()


def _stock_detection(detection: TurnDetection | None) -> StockSemanticVad | StockServerVad | None:
    if detection is None:
        return None
    kind = StockSemanticVad if isinstance(detection, SemanticVad) else StockServerVad
    return kind.model_validate(detection.payload())


def _stock_transcription(options: ConversationOptions) -> realtime.AudioTranscription | None:
    if options.transcription is None:
        return None
    return realtime.AudioTranscription.model_validate(options.transcription.payload())
