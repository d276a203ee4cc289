"""What the server says, and what follows from it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

from livekit.agents import llm, utils

from . import events
from . import turn_events as turns
from .conversation import Conversation
from .errors import RateLimitError, RealtimeError, ServerFault, SessionExpired, from_error_event
from .link import Event
from .log import logger
from .replies import Message
from .responses import Request

_LIVEKIT_ITEMS = ("message", "function_call", "function_call_output")
_BENIGN = ("response_cancel_not_active", "input_audio_buffer_commit_empty")
_BUSY = "conversation_already_has_active_response"
_RETRY_MAX_S = 20.0  # longer than this the failure is told instead
_RETRY_S = 0.5  # where the server asks for nothing
_ASKED = re.compile(r"try again in ([0-9.]+)\s*(ms|s)\b", re.IGNORECASE)
_REFUSED_TRUNCATION = "already shorter than"


class Receiving(Conversation):
    """Handlers of server events."""

    def _received(self, event: Event) -> None:
        if self._closing:
            return
        self.emit("openai_server_event_received", event)
        if (handler := self._READERS.get(event["type"])) is not None:
            handler(self, self._by_our_names(event) if self._ours else event)

    def _by_our_names(self, event: Event) -> Event:
        """The event with the ids under which LiveKit knows the user's turns."""
        renamed: Event = {
            name: self._ours[event[name]]
            for name in ("item_id", "previous_item_id")
            if event.get(name) in self._ours
        }
        item = event.get("item")
        if isinstance(item, dict) and item.get("id") in self._ours:
            renamed["item"] = {**item, "id": self._ours[item["id"]]}
        return {**event, **renamed}

    # -- the user's turns --

    def _on_speech_started(self, event: Event) -> None:
        self._utterances.started(event["item_id"], event.get("audio_start_ms") or 0)
        if (detection := self._options.turn_detection) is not None and detection.interrupt_response:
            self._responses.interrupted()
        if not self._options.reports_speech_only:
            self._handled_by_stock(event)
        self._emit_turn(turns.TurnStarted(event["item_id"], event.get("audio_start_ms") or 0))

    def _on_speech_stopped(self, event: Event) -> None:
        self._utterances.stopped(event["item_id"], event.get("audio_end_ms") or 0)
        if not self._options.reports_speech_only:
            self._handled_by_stock(event)
        self._emit_turn(turns.TurnStopped(event["item_id"], event.get("audio_end_ms") or 0))

    def _on_committed(self, event: Event) -> None:
        item_id = event["item_id"]
        known = self._utterances.committed(item_id, owes_response=self._options.answers_turns)
        if known != item_id:
            self._ours[item_id], self._theirs[known] = known, item_id
            return
        self._emit_turn(turns.TurnCommitted(item_id))

    def _on_timeout(self, event: Event) -> None:
        self._emit_turn(turns.TurnTimeout(event["item_id"]))

    def _on_words_heard(self, event: Event) -> None:
        if not event.get("delta"):
            return
        text = self._utterances.heard(event["item_id"], event["delta"])
        self._handled_by_stock(event)
        self._emit_turn(turns.TurnTranscribed(event["item_id"], text, False))

    def _on_transcribed(self, event: Event) -> None:
        item_id, text = event["item_id"], event.get("transcript") or ""
        self._utterances.transcribed(item_id)
        self._handled_by_stock({**event, "transcript": text})
        usage = turns.read_transcription_usage(event.get("usage"))
        self._emit_turn(turns.TurnTranscribed(item_id, text, True, usage))

    def _on_not_transcribed(self, event: Event) -> None:
        """What was understood so far is all there is."""
        self.counts["transcription_failed"] += 1
        text = self._utterances.transcribed(event["item_id"])
        self._handled_by_stock(event)
        if text:
            self._set_text(event["item_id"], text)
            self._emit_turn(turns.TurnTranscribed(event["item_id"], text, True))

    # -- items of the conversation --

    def _on_item_added(self, event: Event) -> None:
        item = event["item"]
        item_id = item["id"]
        previous = self._known(event.get("previous_item_id"))
        self._unconfirmed.pop(("conversation.item.create", item_id), None)
        if item["type"] not in _LIVEKIT_ITEMS:
            self._behind[item_id] = previous
            return
        message = self._part_of_a_message(item)
        if message is not None:
            self._behind[item_id] = message.message_id
            self._insert(llm.ChatMessage(id=message.message_id, role="assistant", content=[]))
        elif self._item(item_id) is None:
            self._handled_by_stock({**event, "previous_item_id": previous})
        self._settle_item(item_id, deleted=False)

    def _part_of_a_message(self, item: Event) -> Message | None:
        """The message that an item continues, if it is not a message of its own."""
        item_id = item["id"]
        message = self._replies.of_item(item_id)
        if message is None and item.get("role") == "assistant" and item.get("status") == "in_progress":
            message = self._cut_message()
            if message is not None:
                self._go_on_in(message, item_id)
        return message if message is not None and message.message_id != item_id else None

    def _known(self, item_id: str | None) -> str | None:
        """The item of the mirror that stands for one of the server; the last one for an unknown one."""
        while item_id is not None and self._item(item_id) is None:
            if item_id not in self._behind:
                return self._last_item_id
            item_id = self._behind[item_id]
        return item_id

    def _on_item_deleted(self, event: Event) -> None:
        item_id: str = event["item_id"]
        theirs = self._theirs.get(item_id, item_id)
        self._unconfirmed.pop(("conversation.item.delete", theirs), None)
        self._utterances.deleted(item_id)
        self._settle_item(theirs, deleted=True)
        owner = self._behind.pop(item_id, None)
        left = self._replies.server_items(owner) if owner is not None else []
        if owner is not None and (not left or left == [item_id]):
            # The last of what was one message for LiveKit.
            self._remove(owner)
            self._settle_item(owner, deleted=True)
        if self._item(item_id) is not None:
            self._handled_by_stock(event)
        self._settle_item(item_id, deleted=True)

    # -- the agent's replies --

    def _on_response_created(self, event: Event) -> None:
        response = event["response"]
        metadata = response.get("metadata")
        event_id = metadata.get("client_event_id") if isinstance(metadata, dict) else None
        request = self._responses.created(response["id"], event_id)
        if request is not None:
            self._not_after("created")
        self._utterances.unanswered = None
        self._emit_turn(turns.ResponseStarted(response["id"]))
        if event_id is not None and event_id == self._resuming and self._generating is not None:
            self._resuming = None
            return
        if self._generating is not None and event_id not in self._discarded_event_ids:
            self._drop_resume()
        self._asked = request.params if request is not None else {}
        self._calls, self._resumed, self._retried = 0, False, False
        self._handled_by_stock(event)

    def _on_output_item_added(self, event: Event) -> None:
        item = event["item"]
        if item["type"] == "function_call":
            self._unfinished.add(item["id"])
        if self._generating is None:
            return
        if item["type"] == "message":
            if (known := self._replies.of_item(item["id"])) is not None and known.message_id != item["id"]:
                return
            if (message := self._cut_message()) is not None:
                self._go_on_in(message, item["id"])
                return
            self._replies.begin(item["id"])
        self._handled_by_stock(event)

    def _cut_message(self) -> Message | None:
        """The message LiveKit is reading that waits for its continuation."""
        messages = self._spoken_messages()
        last = messages[-1] if messages else None
        return last if last is not None and last.live is None and not last.done else None

    def _go_on_in(self, message: Message, item_id: str) -> None:
        self._replies.extend(message, item_id)
        self._continue_in(message.message_id, item_id)

    def _on_content_part(self, event: Event) -> None:
        if self._channels(event["item_id"]) is not None:
            self._handled_by_stock(event)

    def _on_text(self, event: Event) -> None:
        message = self._replies.of_item(event["item_id"])
        if message is not None and event.get("delta") and (new := message.pass_on(event["delta"])):
            self._write(event["item_id"], new)

    def _on_words_spoken(self, event: Event) -> None:
        message = self._replies.of_item(event["item_id"])
        if message is not None and event.get("delta"):
            message.held.append(event["delta"])

    def _on_audio(self, event: Event) -> None:
        message = self._replies.of_item(event["item_id"])
        if message is None or self._channels(event["item_id"]) is None:
            return
        pcm = events.read_pcm16(event["delta"])
        self._release(message, audio=len(pcm) // 2)
        if message.parts:
            message.parts[-1].samples += len(pcm) // 2
        self._speak(event["item_id"], pcm)

    def _release(self, message: Message, *, audio: int = 0) -> None:
        """Pass on the words that belong to audio that is here, or comes with them."""
        held, message.held = message.held, []
        for delta in held:
            if new := message.pass_on(delta, audio=audio):
                self._write(message.message_id, new)

    def _on_output_item_done(self, event: Event) -> None:
        item = event["item"]
        self._unfinished.discard(item["id"])
        if item["type"] == "message":
            if (message := self._replies.of_item(item["id"])) is not None:
                self._release(message)
                message.done = True
            self._mcp.spoke()
        elif item["type"] == "function_call":
            self._calls += 1 if self._generating is not None else 0
            self._mcp.spoke()
        elif item["type"] == "mcp_approval_request":
            self._on_approval_request(item)
        if item["type"] != "message" or self._generating is None or self._channels(item["id"]) is not None:
            self._handled_by_stock(event)

    def _on_response_done(self, event: Event) -> None:
        response = event["response"]
        ours = self._responses.active in (None, response["id"])
        self._responses.done(response["id"])
        self._not_after("busy")
        status = response.get("status") or ""
        details = response.get("status_details")
        details = details if isinstance(details, dict) else {}
        failure = details.get("error") if isinstance(details.get("error"), dict) else None
        reason = details.get("reason") or (failure.get("code") or failure.get("type") if failure else None)
        usage = turns.read_token_usage(response.get("usage"))
        self._emit_turn(turns.ResponseEnded(response["id"], status, reason, usage))
        error = from_error_event(failure or {}) if status == "failed" else None
        if error is not None and ours and self._ask_again(error):
            return
        if ours:
            self._finish(event)
        if error is not None:
            if error.fatal_to_session and not error.retryable:
                raise error
            self._report(error, recoverable=True)
        if status != "completed":
            self._mcp.take_owed()
        self._after_remote_calls()
        self._pump()

    def _finish(self, event: Event) -> None:
        """The reply is whole: LiveKit's streams end, the mirror says what was said."""
        messages = self._spoken_messages()
        for message in messages:
            self._release(message)
            message.done = True
        self._finish_response(event)
        for message in messages:
            self._set_text(message.message_id, message.text)

    def _ask_again(self, error: RealtimeError) -> bool:
        """A response failed before anything of it was heard: once, ask for it again."""
        messages = self._spoken_messages()
        heard = self._calls or any(message.text or message.samples for message in messages)
        wait_s = self._asked_wait_s(error)
        if not isinstance(error, (ServerFault, RateLimitError)) or wait_s > _RETRY_MAX_S:
            return False
        if heard or self._retried or self._generating is None:
            return False
        for message in messages:
            for part in message.parts:
                self.send_event({"type": "conversation.item.delete", "item_id": part.item_id})
            message.parts, message.held, message.done = [], [], False
        request = Request(utils.shortuuid("again_"), "resume", dict(self._asked))
        self._retried, self._resuming = True, request.event_id
        self.counts["responses_retried"] += 1

        def again() -> None:
            self._delayed = None
            self._ask(request, first=True)

        self._after("again", wait_s, again)
        self._delayed = (self._timers["again"], request)
        return True

    @staticmethod
    def _asked_wait_s(error: RealtimeError) -> float:
        if error.retry_after_s is not None:
            return error.retry_after_s
        if (asked := _ASKED.search(error.message)) is None:
            return _RETRY_S
        try:
            return float(asked[1]) * (0.001 if asked[2].lower() == "ms" else 1.0)
        except ValueError:
            return _RETRY_S

    # -- remote tools --

    def _on_listed(self, event: Event) -> None:
        self._mcp.listed()
        if not event["type"].endswith("completed"):
            logger.warning("the tools of an MCP server could not be listed")
        if not self._mcp.listing and self._responses.held:
            self._responses.held = False
            self._not_after("mcp")
            self._pump()

    def _on_remote_call(self, event: Event) -> None:
        if event["type"].endswith("in_progress"):
            self._mcp.started(event["item_id"])
            return
        self._mcp.finished(event["item_id"])
        if event["type"].endswith("failed"):
            self.counts["mcp_calls_failed"] += 1
        self._after_remote_calls()

    def _after_remote_calls(self) -> None:
        if self._responses.idle and self._mcp.take_owed():
            self._ask(Request(utils.shortuuid("mcp_"), "mcp"))

    def _on_item_done(self, event: Event) -> None:
        if event["item"]["type"] == "mcp_approval_request":
            self._on_approval_request(event["item"])

    def _on_approval_request(self, item: Event) -> None:
        if self._mcp.asked(item["id"]):
            self._link.spawn(lambda: self._approve(item))

    async def _approve(self, item: Event) -> None:
        approve = False
        if (policy := self._model.approve_mcp) is None:
            logger.warning("a call of %s was refused: there is no approve_mcp", item.get("name"))
        else:
            try:
                answer = policy(item["server_label"], item["name"], item["arguments"])
                approve = bool(answer if isinstance(answer, bool) else await answer)
            except Exception:  # noqa: BLE001 - bulkhead: the application's code; a call is not made unasked
                logger.exception("approve_mcp failed: the call is refused")
        answer_item = {
            "id": utils.shortuuid("approval_"),
            "type": "mcp_approval_response",
            "approval_request_id": item["id"],
            "approve": approve,
        }
        self._link.send({"type": "conversation.item.create", "item": answer_item})
        self._mcp.answered(item["id"], approved=approve)
        self._after_remote_calls()

    # -- the rest --

    def _on_rate_limits(self, event: Event) -> None:
        self._emit_turn(turns.read_rate_limits(event))

    def _on_error(self, event: Event) -> None:
        body = event.get("error")
        error = from_error_event(body if isinstance(body, dict) else {})
        code, event_id = error.code or "", error.event_id
        if error.fatal_to_session and (isinstance(error, SessionExpired) or not error.retryable):
            raise error
        if code in _BENIGN or _REFUSED_TRUNCATION in error.message:
            self.counts[code] += 1
            if code == "input_audio_buffer_commit_empty":
                self._commit_refused(event_id or "")
            return
        if code == _BUSY:
            self.counts[code] += 1
        sent = self._responses.sent
        given_up = self._responses.refused(event_id, busy=code == _BUSY)
        if given_up is not None:
            self._give_up_request(given_up, error.message, error.code)
        elif sent is not None and self._responses.sent is None:
            self._not_after("created")
            self._busy()
            return
        elif code == _BUSY:
            return
        if event_id is not None and self._on_item_refused(event_id, error):
            return
        logger.warning("the server reported an error: %s", error)
        self._report(error, recoverable=True)
        self._pump()

    def _commit_refused(self, event_id: str) -> None:
        if not event_id.startswith("again_"):
            self._utterances.unmark()
        elif (item_id := self._utterances.not_again()) is not None:
            self._remove(item_id)

    def _on_item_refused(self, event_id: str, error: RealtimeError) -> bool:
        exists = error.code == "item_create_duplicate_item_id"
        for key, event in list(self._unconfirmed.items()):
            if event.get("event_id") == event_id:
                del self._unconfirmed[key]
        waited_for = self._refuse_item(event_id, error.message, exists=exists)
        if event_id.startswith("seed_"):
            logger.warning("an item of the conversation could not be told again: %s", error)
        return waited_for or event_id.startswith("seed_") or exists

    _READERS: ClassVar[dict[str, Callable[[Any, Event], None]]] = {
        "input_audio_buffer.speech_started": _on_speech_started,
        "input_audio_buffer.speech_stopped": _on_speech_stopped,
        "input_audio_buffer.committed": _on_committed,
        "input_audio_buffer.timeout_triggered": _on_timeout,
        "conversation.item.added": _on_item_added,
        "conversation.item.done": _on_item_done,
        "conversation.item.deleted": _on_item_deleted,
        "conversation.item.input_audio_transcription.delta": _on_words_heard,
        "conversation.item.input_audio_transcription.completed": _on_transcribed,
        "conversation.item.input_audio_transcription.failed": _on_not_transcribed,
        "response.created": _on_response_created,
        "response.output_item.added": _on_output_item_added,
        "response.output_item.done": _on_output_item_done,
        "response.content_part.added": _on_content_part,
        "response.output_text.delta": _on_text,
        "response.output_audio_transcript.delta": _on_words_spoken,
        "response.output_audio.delta": _on_audio,
        "response.done": _on_response_done,
        "mcp_list_tools.completed": _on_listed,
        "mcp_list_tools.failed": _on_listed,
        "response.mcp_call.in_progress": _on_remote_call,
        "response.mcp_call.completed": _on_remote_call,
        "response.mcp_call.failed": _on_remote_call,
        "rate_limits.updated": _on_rate_limits,
        "error": _on_error,
    }
