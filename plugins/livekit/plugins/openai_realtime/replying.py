"""The agent's replies: from the server's events into the streams LiveKit reads, and remote tools."""

from __future__ import annotations

import re

from livekit.agents import utils

from . import events
from . import turn_events as turns
from .continuing import Continuing
from .errors import RateLimitError, RealtimeError, ServerFault, from_error_event
from .link import Event
from .log import logger
from .replies import Message
from .responses import Request

_RETRY_MAX_S = 20.0  # longer than this the failure is told instead
_RETRY_S = 0.5  # where the server asks for nothing
_ASKED = re.compile(r"try again in ([0-9.]+)\s*(ms|s)\b", re.IGNORECASE)


class Replying(Continuing):
    """Handlers of ``response.*`` and ``mcp_*`` events."""

    def _on_response_created(self, event: Event) -> None:
        response = event["response"]
        metadata = response.get("metadata")
        event_id = metadata.get("client_event_id") if isinstance(metadata, dict) else None
        request = self._responses.created(response["id"], event_id)
        if request is not None:
            self._not_after("created")
        self._utterances.unanswered = None
        self._watch_reply()
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
            self._replies.begin(item["id"]).phase = item.get("phase")
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

    def _on_audio_done(self, event: Event) -> None:
        if (message := self._replies.of_item(event["item_id"])) is not None:
            self._release(message)
            message.done = True

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
                message.done, message.phase = True, item.get("phase") or message.phase
            self._mcp.spoke()
        elif item["type"] == "function_call":
            self._calls += 1 if self._generating is not None else 0
            self._mcp.spoke()
        elif item["type"] == "mcp_approval_request":
            self._on_approval_request(item)
        elif item["type"] == "mcp_call":
            self._note(item)
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
        elif event["item"]["type"] == "mcp_call":
            self._note(event["item"])

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
