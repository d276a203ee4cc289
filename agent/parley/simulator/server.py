"""The simulator's HTTP side: who may connect, to what kind of session, and what is remembered of it.

GET /v1/realtime/translations?model=…   websocket  → `translation.TranslationSession`
GET /v1/realtime?model=…                websocket  → `conversation.ConversationSession`
GET /v1/realtime?intent=transcription   websocket  → `transcription.TranscriptionSession`
/simulator/…, /healthz                  `control`
"""

import asyncio
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable

from aiohttp import web

from .connection import Connection
from .control import add_routes
from .conversation import ConversationSession, is_conversation_model
from .faults import Fault, Faults
from .input_settings import TRANSCRIPTION_MODELS
from .options import SimulatorOptions
from .records import SessionRecord
from .script import Script
from .session import Session
from .transcription import TranscriptionSession
from .translation import MODEL, TranslationSession
from .wire import ApiError, error_body

__all__ = ["Simulator"]

_MOST_FRAME_BYTES = 24 * 1024 * 1024
_CLOSE_S = 2.0
_REFUSED = 4000
_BETA = "The Realtime Beta API is no longer supported. Please use /v1/realtime for the GA API."

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Simulator:
    """A stand-in for the OpenAI Realtime API: `async with Simulator(SimulatorOptions()) as sim:
    sim.base_url`.

    Entering it opens the port (OSError if that fails); leaving it closes every session and the port.
    """

    def __init__(self, options: SimulatorOptions | None = None) -> None:
        self.options = options or SimulatorOptions()
        self.faults = Faults(self._wake)
        self.script = Script.of(self.options.script)
        self._closed_audio_s = 0.0
        self._records: deque[SessionRecord] = deque(maxlen=self.options.records_kept)
        self._connections: set[Connection] = set()
        self._api_keys = self.options.api_keys
        self._runner: web.AppRunner | None = None
        self._port = self.options.port

    async def __aenter__(self) -> "Simulator":
        app = web.Application(middlewares=[_as_json])
        app.router.add_get("/v1/realtime/translations", self._translation)
        app.router.add_get("/v1/realtime", self._conversation)
        add_routes(app, self)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSE_S)
        try:
            await self._runner.setup()
            await web.TCPSite(self._runner, self.options.host, self.options.port).start()
        except BaseException:
            await self._runner.cleanup()
            raise
        self._port = self._runner.addresses[0][1]
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._connections:
            connection.stop()
        if self._runner:
            await self._runner.cleanup()

    @property
    def base_url(self) -> str:
        """`http://host:port/v1`, to be given as OPENAI_BASE_URL."""
        host = f"[{self.options.host}]" if ":" in self.options.host else self.options.host
        return f"http://{host}:{self._port}/v1"

    @property
    def sessions(self) -> list[SessionRecord]:
        """The sessions in the order of their opening, open and closed; the oldest are dropped."""
        return list(self._records)

    @property
    def connections_open(self) -> int:
        """Sessions open now."""
        return sum(connection.session.record.closed_at is None for connection in self._connections)

    @property
    def audio_received_s(self) -> float:
        """Audio appended in all sessions together, in seconds."""
        still = sum(connection.session.record.audio_received_s for connection in self._connections)
        return self._closed_audio_s + still

    def set_api_keys(self, api_keys: Iterable[str] | None) -> None:
        """Accept these keys from now on (None: any); open sessions go on."""
        self._api_keys = None if api_keys is None else frozenset(api_keys)

    def _wake(self) -> None:
        for connection in self._connections:
            connection.wake()

    async def _translation(self, request: web.Request) -> web.StreamResponse:
        return await self._connect(request, "translation")

    async def _conversation(self, request: web.Request) -> web.StreamResponse:
        if "call_id" in request.query:
            message = "The simulator does not simulate sessions attached to a call."
            error = ApiError("not_simulated", message, type="server_error")
            return self._refuse(request) or _response(501, error)
        by_model = "model" in request.query and self.options.url_model == "api"
        is_transcription = request.query.get("intent") == "transcription" and not by_model
        return await self._connect(request, "transcription" if is_transcription else "conversation")

    async def _connect(self, request: web.Request, kind: str) -> web.StreamResponse:
        refusal = self._refuse(request)
        if refusal is not None:
            return refusal
        ws = web.WebSocketResponse(
            compress=False, max_msg_size=_MOST_FRAME_BYTES, timeout=_CLOSE_S, autoclose=False
        )
        if not ws.can_prepare(request):
            message = "This endpoint takes websocket connections only."
            return _response(400, ApiError("websocket_upgrade_required", message))
        await ws.prepare(request)
        transport = request.transport
        if not isinstance(transport, asyncio.Transport):
            return ws
        wrong = _wrong(request, kind)
        if wrong is not None:
            await ws.send_json({"type": "error", "event_id": "event_refused", "error": error_body(wrong)})
            await ws.close(code=_REFUSED, message=f"invalid_request_error.{wrong.code}".encode())
            return ws
        await self._serve(ws, transport, kind, "" if kind == "transcription" else request.query["model"])
        return ws

    async def _serve(
        self, ws: web.WebSocketResponse, transport: asyncio.Transport, kind: str, model: str
    ) -> None:
        now = asyncio.get_running_loop().time()
        record = SessionRecord(f"sess_{secrets.token_hex(12)}", kind, model, now)
        session: Session
        if kind == "translation":
            session = TranslationSession(record, self.options, now, time.time())
        elif kind == "transcription":
            session = TranscriptionSession(record, self.options, now, time.time())
        else:
            session = ConversationSession(record, self.options, now, time.time(), self.script)
        connection = Connection(ws, transport, session, self.faults)
        self._records.append(record)
        self._connections.add(connection)
        try:
            await connection.run(self.options.handshake_s)
        finally:
            self._connections.discard(connection)
            self._closed_audio_s += record.audio_received_s

    def _refuse(self, request: web.Request) -> web.StreamResponse | None:
        """The HTTP refusal of a connect: an armed fault, a key that is not accepted, too many sessions."""
        fault = self.faults.take_refusal()
        if fault is not None:
            return _fault_response(fault)
        scheme, _, key = request.headers.get("Authorization", "").partition(" ")
        key = key.strip()
        if scheme.lower() != "bearer" or not key:
            return _response(401, ApiError("invalid_api_key", "You didn't provide an API key."))
        if self._api_keys is not None and key not in self._api_keys:
            return _response(401, ApiError("invalid_api_key", "Incorrect API key provided."))
        if self.connections_open >= self.options.max_connections:
            error = ApiError("rate_limit_exceeded", "Too many concurrent sessions.", type="rate_limit_error")
            return _response(429, error, retry_after_s=1)
        return None


def _wrong(request: web.Request, kind: str) -> ApiError | None:
    """What is wrong with a connect that the API says in an error event, before it closes the socket."""
    if "OpenAI-Beta" in request.headers:
        return ApiError("beta_api_shape_disabled", _BETA)
    if request.query.get("intent", "transcription") != "transcription" or (
        "intent" in request.query and kind == "translation"
    ):
        return ApiError("unknown_parameter", "Unknown parameter: 'intent'.", "intent")
    if kind == "transcription":
        return None
    model = request.query.get("model")
    if not model:
        return ApiError("missing_model", "You must provide a model parameter.", "model")
    if kind == "translation":
        if not model.startswith(MODEL):
            return ApiError("invalid_model", f'Model "{model[:100]}" is not a translation model.', "model")
    elif not is_conversation_model(model):
        return _wrong_model(model[:100])
    return None


def _wrong_model(model: str) -> ApiError:
    """The refusal of a model that holds no conversations."""
    for others, what in (((MODEL,), "translation"), (TRANSCRIPTION_MODELS, "transcription")):
        if model.startswith(others):
            message = f'Model "{model}" is a {what} model and cannot be used as the realtime session model.'
            return ApiError("invalid_model", message, "model")
    message = f"The model `{model}` does not exist or you do not have access to it."
    return ApiError("model_not_found", message, "model")


def _response(status: int, error: ApiError, retry_after_s: float | None = None) -> web.Response:
    body = error_body(error)
    del body["event_id"]
    headers = {} if retry_after_s is None else {"Retry-After": f"{retry_after_s:g}"}
    return web.json_response({"error": body}, status=status, headers=headers)


def _fault_response(fault: Fault) -> web.Response:
    code, message = fault.error
    kind = "server_error" if fault.status >= 500 else "invalid_request_error"
    return _response(fault.status, ApiError(code, message, type=kind), fault.retry_after_s)


@web.middleware
async def _as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """HTTP errors in the API's JSON."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        message = f"Invalid URL ({request.method} {request.path})"
        return _response(
            error.status, ApiError("unknown_url" if error.status == 404 else "invalid_method", message)
        )
