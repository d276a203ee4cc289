"""The conversation behind a session: its state, and the responses that are asked for."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from livekit.agents import llm, utils

from . import session_update
from . import turn_events as turns
from .conversation_options import ConversationOptions
from .errors import ConnectionLost
from .input_log import InputLog
from .link import Event, Hooks, Link
from .log import logger
from .mcp import McpCalls
from .replies import Replies
from .responses import Request, Responses
from .stock import StockSession
from .utterances import Utterances

if TYPE_CHECKING:
    from .realtime_model import RealtimeModel

_EVENTS_MAX = 500  # events that wait for a connection, besides audio
_SILENT_ATTEMPTS = 2  # a response asked for on connections that say nothing
_FORGOTTEN = 1  # likewise, where it says other things
_TRANSCRIBED_S = 10.0  # a transcript that takes longer is not waited for
_BUSY_S = 2.0  # a response is said to be active, and none is seen to end


class Conversation(StockSession):
    """State that outlives connections, and the responses that are asked for."""

    def __init__(self, model: RealtimeModel, options: ConversationOptions) -> None:
        resume = model.resume
        self._model = model
        self._options = options
        self._keeping = resume
        self._log = InputLog(kept_max_s=resume.utterance_max_s, unsent_max_s=resume.queue_max_s)
        self._utterances = Utterances(self._log, kept_max_s=resume.utterance_max_s)
        self._responses = Responses()
        self._replies = Replies()
        self._mcp = McpCalls(0)
        # Item events the server has not confirmed, and others that wait for a connection.
        self._unconfirmed: dict[tuple[str, str], Event] = {}
        self._others: deque[Event] = deque(maxlen=_EVENTS_MAX)
        # Items on the server that are none for LiveKit, each with the item of the mirror it stands behind.
        self._behind: dict[str, str | None] = {}
        # The user's turns that have another id on this connection: the server's → ours, and back.
        self._ours: dict[str, str] = {}
        self._theirs: dict[str, str] = {}
        self._unfinished: set[str] = set()
        # Items that only this plugin put there, those they stand for, and a summary made in advance.
        self._own: set[str] = set()
        self._notes: list[tuple[str | None, llm.ChatItem]] = []
        self._folded: set[str] = set()
        self._summary: tuple[frozenset[str], str] | None = None
        # The reply LiveKit reads: how it was asked for, what of it was handed over, how it goes on.
        self._asked: dict[str, Any] = {}
        self._calls = 0
        self._resumed = self._retried = False
        self._resuming: str | None = None
        self._reply_at = self._committed_at = self._heard_at = 0.0
        self._delayed: tuple[asyncio.TimerHandle, Request] | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._outside: set[str] = set()
        self._answered_since = False
        self._ended = False
        self._met_before = False
        self.counts: Counter[str] = Counter()
        self._link = Link(self._hooks(), self._log, model.connect_options, resume)
        super().__init__(model, turn_detection_disabled=options.turn_detection is None)

    def _hooks(self) -> Hooks:
        """What the link asks of the conversation."""
        raise NotImplementedError

    def _emit_turn(self, event: turns.TurnEvent) -> None:
        self.emit("turn", event)

    def _create_ws_url_and_headers(self) -> tuple[str, dict[str, str]]:
        return self._model.address()

    def _create_session_update_event(self) -> Any:
        functions = self._function_tools(self._tools.flatten())
        session = session_update.full(self._options, self._instructions, functions)
        return {"type": "session.update", "event_id": utils.shortuuid("session_"), "session": session}

    def _create_tools_update_event(self, tools: list[llm.Tool]) -> dict[str, Any]:
        known = session_update.all_tools(self._options, self._function_tools(tools))
        session = {"type": "realtime", "tools": known}
        return {"type": "session.update", "event_id": utils.shortuuid("tools_"), "session": session}

    def _quiet(self) -> bool:
        utterances = self._utterances
        fresh = asyncio.get_running_loop().time() - self._committed_at < _TRANSCRIBED_S
        writing = fresh and utterances.transcribing and self._options.transcription is not None
        busy = utterances.speaking or writing or utterances.marks or self._unconfirmed
        return self._responses.idle and self._generating is None and not busy and not self._log.unsent_s

    # -- responses --

    def _ask(self, request: Request, *, first: bool = False) -> None:
        self._responses.ask(request, first=first)
        self._pump()

    def _pump(self) -> None:
        """Send the next ``response.create`` if it is its time."""
        if self._link.connected and (request := self._responses.to_send()) is not None:
            self._link.send(self._timed(request))

    def _timed(self, request: Request) -> Event:
        self._answered_since = False
        self._after("created", self._keeping.reply_timeout_s, lambda: self._unanswered(request))
        return request.payload()

    def _unanswered(self, request: Request) -> None:
        if request.attempts <= (_FORGOTTEN if self._answered_since else _SILENT_ATTEMPTS):
            # The session is dead, or has forgotten it: the next one asks again.
            self._stalled("no response was created" if self._answered_since else "the server says nothing")
            return
        logger.warning("a response was asked for, and none was created")
        if self._responses.withdraw(request.event_id):
            self._discard_response(request.event_id)
        self._give_up_request(request, "generate_reply timed out.")
        self._pump()

    def _stalled(self, reason: str) -> None:
        """The session does not work any more, whatever its connection does: another one takes its place."""
        self.counts["stalled"] += 1
        self._link.fail(ConnectionLost(reason=reason))

    def _give_up_request(self, request: Request, message: str, code: str | None = None) -> None:
        self._fail_response(request.event_id, message, code)
        if request.event_id == self._resuming:
            self._resuming = None
            self._end_generation()

    def _drop_resume(self) -> None:
        """The reply that waits for its continuation is not wanted any more."""
        event_id, self._resuming = self._resuming, None
        if self._delayed is not None:
            self._delayed[0].cancel()
            self._delayed = None
        if event_id is not None and self._responses.withdraw(event_id):
            self._discard_response(event_id)
        self._end_generation()

    def _after(self, name: str, delay_s: float, then: Any) -> None:
        """Do something later, instead of what was to be done later under this name."""
        self._not_after(name)
        self._timers[name] = asyncio.get_running_loop().call_later(delay_s, then)

    def _not_after(self, name: str) -> None:
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()

    def _busy(self) -> None:
        """A response is said to be active: try again after it, or after a while."""

        def again() -> None:
            self._responses.free()
            self._pump()

        self._after("busy", _BUSY_S, again)
