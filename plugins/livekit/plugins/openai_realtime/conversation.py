"""The conversation behind a session: what it would take to tell all of it to a new connection."""

from __future__ import annotations

import asyncio
import base64
from collections import Counter, deque
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from livekit.agents import llm, utils

from . import replay, session_update
from . import turn_events as turns
from .conversation_options import ConversationOptions
from .errors import ConnectionLost, RealtimeError
from .input_log import InputLog
from .link import AudioUpTo, Event, Hooks, Link, Outgoing
from .log import logger
from .mcp import McpCalls
from .replies import CONTINUE, GO_ON, Message, Replies, Resume, after_cut
from .responses import Request, Responses
from .stock import StockSession
from .utterances import Utterances

if TYPE_CHECKING:
    from .realtime_model import RealtimeModel

_EVENTS_MAX = 500  # events that wait for a connection, besides audio
_AGAIN_BYTES = 96_000  # of a turn said again, in one append: 2 s
_SILENT_ATTEMPTS = 2  # a response asked for on connections that say nothing
_BUSY_S = 2.0  # a response is said to be active, and none is seen to end
_MCP_LIST_S = 10.0  # the first response waits this long for the tools of MCP servers


class Conversation(StockSession):
    """State that outlives connections, and the two moments at which one changes: `_lost` and `_opening`."""

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
        self._folded: set[str] = set()
        self._summary: tuple[frozenset[str], str] | None = None
        # The reply LiveKit reads: how it was asked for, what of it was handed over, how it goes on.
        self._asked: dict[str, Any] = {}
        self._calls = 0
        self._resumed = self._retried = False
        self._resuming: str | None = None
        self._delayed: tuple[asyncio.TimerHandle, Request] | None = None
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._outside: set[str] = set()
        self._answered_since = False
        self._ended = False
        self._met_before = False
        self.counts: Counter[str] = Counter()
        self._link = Link(
            Hooks(
                address=self._create_ws_url_and_headers,
                http=model.http,
                prepare=self._prepare,
                opening=lambda: list(self._opening()),
                opened=self._opened,
                received=self._received,
                sending=lambda event: self.emit("openai_client_event_queued", event),
                lost=self._lost,
                retrying=lambda error: self._report(error, recoverable=True),
                quiet=self._quiet,
            ),
            self._log,
            model.connect_options,
            resume,
        )
        super().__init__(model, turn_detection_disabled=options.turn_detection is None)

    def _received(self, event: Event) -> None:
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
        busy = utterances.speaking or utterances.transcribing or utterances.marks or self._unconfirmed
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
        if not self._answered_since and request.attempts <= _SILENT_ATTEMPTS:
            # Not one event since it was sent: the path is dead, and the next connection asks again.
            self._link.fail(ConnectionLost(reason="the server says nothing"))
            return
        logger.warning("a response was asked for, and none was created")
        if self._responses.withdraw(request.event_id):
            self._discard_response(request.event_id)
        self._give_up_request(request, "generate_reply timed out.")
        self._pump()

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

    # -- the connection is gone --

    def _lost(self, error: RealtimeError | None) -> None:
        self._emit_turn(turns.Reconnecting("rotation" if error is None else error.code or str(error)))
        self.counts["rotations" if error is None else "connections_lost"] += 1
        cancelled = self._responses.cancelling
        if (active := self._responses.lost()) is not None:
            self._emit_turn(turns.ResponseEnded(active, "incomplete", "connection_lost"))
        for name in ("created", "busy", "mcp"):
            self._not_after(name)
        fatal = error is not None and not error.retryable
        self._resume_reply(wanted=not cancelled and not fatal)
        if self._delayed is not None:
            handle, request = self._delayed
            self._delayed = None
            handle.cancel()
            self._responses.ask(request, first=True)
        self._replies.lost()
        self._utterances.lost()
        self._log.restart()
        self._reset_input_turn_state()
        if self._utterances.unanswered is not None and self._options.answers_turns:
            self._utterances.unanswered = None
            self._responses.ask(Request(utils.shortuuid("answer_"), "answer"))

    def _resume_reply(self, *, wanted: bool) -> None:
        """Keep the generation that LiveKit reads open and ask for the rest of it, or end it."""
        if self._resuming is not None:
            return
        if self._generating is None:
            self._end_generation()
            return
        messages = self._spoken_messages()
        how = after_cut(messages, calls=self._calls, resumed=self._resumed) if wanted else Resume.END
        if how is Resume.END:
            self._end_generation()
            return
        if messages and not messages[-1].done:
            messages[-1].cut()
        params = dict(self._asked)
        order = {Resume.CONTINUE: CONTINUE, Resume.GO_ON: GO_ON}.get(how)
        if order is not None:
            before = params.get("instructions") or self._instructions
            params["instructions"] = f"{before}\n\n{order}" if before else order
        self._resumed = True
        self._resuming = utils.shortuuid("resume_")
        self.counts["replies_resumed"] += 1
        self._responses.ask(Request(self._resuming, "resume", params), first=True)

    def _spoken_messages(self) -> list[Message]:
        """The messages of the generation LiveKit reads."""
        known = (self._replies.get(message_id) for message_id in self._messages_of_generation())
        return [message for message in known if message is not None]

    # -- a connection is there --

    async def _prepare(self) -> None:
        """Have the application summarise what is too old, if it wants to."""
        summarise = self._keeping.summarise
        old = self._history().old
        if summarise is None or not old:
            return
        ids = frozenset(item.id for item in old)
        if self._summary is not None and self._summary[0] == ids:
            return
        try:
            async with asyncio.timeout(self._keeping.summarise_timeout_s):
                self._summary = (ids, await summarise(replay.spoken(old)))
        except Exception:  # noqa: BLE001 - bulkhead: the application's code; first sentences do, too
            logger.exception("the history was not summarised")

    def _history(self) -> replay.History:
        for item in self._items:
            if (message := self._replies.get(item.id)) is not None:
                self._set_text(item.id, message.text)
        items = [item for item in self._items if item.id not in self._unfinished]
        return replay.bounded(
            items, most_items=self._keeping.history_items, most_chars=self._keeping.history_chars
        )

    def _opening(self) -> Iterator[Outgoing]:
        """At once: settings, conversation, what was committed, what is asked for, what was said."""
        self._mcp = McpCalls(len(self._options.mcp))
        self._responses.held = self._mcp.listing
        told = list(self._told())
        again = [event for event in told if event["type"] == "input_audio_buffer.append"]
        self._log.resume(sum(len(base64.b64decode(event["audio"])) for event in again) // 2)
        update = self._create_session_update_event()
        detection = update["session"]["audio"]["input"]["turn_detection"]
        if again:
            # Turn detection would find turns of its own in what is said again.
            update["session"]["audio"]["input"]["turn_detection"] = None
        yield update
        yield from told
        if again and detection is not None:
            restored = {"type": "realtime", "audio": {"input": {"turn_detection": detection}}}
            yield {"type": "session.update", "event_id": utils.shortuuid("session_"), "session": restored}
        yield from list(self._others)
        self._others.clear()
        for mark in self._utterances.marks:
            yield AudioUpTo(mark)
            yield {"type": "input_audio_buffer.commit", "event_id": utils.shortuuid("commit_")}
        if (request := self._responses.to_send()) is not None:
            yield self._timed(request)
        yield AudioUpTo(self._log.end)

    def _told(self) -> Iterator[Event]:
        """The conversation as items; afterwards the mirror holds exactly what the server will."""
        self._apply_unconfirmed_deletions()
        history = self._history()
        audio = self._utterances.audio()
        known = {item.id for item in history.kept} | {item.id for item in history.old}
        late: list[llm.ChatItem] = [
            llm.ChatMessage(id=item_id, role="user", content=[]) for item_id in audio if item_id not in known
        ]
        kept = [*self._digest(history.old), *history.kept, *late]
        seeds = replay.seeds(kept, audio, self._short_call_id)
        for names in (self._behind, self._ours, self._theirs):
            names.clear()
        self._unfinished.clear()
        self._mirror(item for item, _ in seeds)
        for _, item in seeds:
            if item["id"] in audio and self._options.transcription is not None:
                yield from self._said_again(item["id"], audio[item["id"]])
            else:
                event_id = utils.shortuuid("seed_")
                yield {"type": "conversation.item.create", "event_id": event_id, "item": item}
        for event in list(self._unconfirmed.values()):
            previous = event.get("previous_item_id")
            if previous not in (None, "root") and self._item(previous) is None:
                event = {name: value for name, value in event.items() if name != "previous_item_id"}
            yield event

    def _said_again(self, item_id: str, pcm: bytes) -> Iterator[Event]:
        """A turn whose words are not known yet: only what goes through the buffer is transcribed."""
        self._utterances.say_again(item_id)
        for start in range(0, len(pcm), _AGAIN_BYTES):
            piece = base64.b64encode(pcm[start : start + _AGAIN_BYTES]).decode("ascii")
            yield {"type": "input_audio_buffer.append", "audio": piece}
        yield {"type": "input_audio_buffer.commit", "event_id": utils.shortuuid("again_")}

    def _digest(self, old: list[llm.ChatItem]) -> list[llm.ChatItem]:
        if not old:
            return []
        ids = frozenset(item.id for item in old)
        summary = self._summary
        text = summary[1] if summary is not None and summary[0] == ids else replay.digest(replay.spoken(old))
        self._folded |= ids - {replay.DIGEST_ID}
        self._own.add(replay.DIGEST_ID)
        return [llm.ChatMessage(id=replay.DIGEST_ID, role="system", content=[text])]

    def _apply_unconfirmed_deletions(self) -> None:
        for key in [key for key in self._unconfirmed if key[0] == "conversation.item.delete"]:
            del self._unconfirmed[key]
            message = self._replies.of_item(key[1])
            ours = message.message_id if message is not None else self._ours.get(key[1], key[1])
            self._remove(ours)
            self._settle_item(key[1], deleted=True)

    def _opened(self, connect_s: float) -> None:
        self._report_connection_acquired(connect_s)
        if self._responses.held:
            self._after("mcp", _MCP_LIST_S, self._mcp_listed_late)
        if self._met_before:
            self._emit_turn(turns.Reconnected())
            self.emit("session_reconnected", llm.RealtimeSessionReconnectedEvent())
        self._met_before = True

    def _mcp_listed_late(self) -> None:
        logger.warning("the tools of an MCP server were not listed in time; going on without them")
        self._mcp.stop_waiting()
        self._responses.held = False
        self._pump()

    def _busy(self) -> None:
        """A response is said to be active: try again after it, or after a while."""

        def again() -> None:
            self._responses.free()
            self._pump()

        self._after("busy", _BUSY_S, again)
