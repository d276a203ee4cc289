"""What the server says, and what follows from it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar

from livekit.agents import llm

from . import turn_events as turns
from .errors import RealtimeError, SessionExpired, from_error_event
from .link import Event
from .log import logger
from .replies import Message
from .replying import Replying
from .watching import is_probe

_LIVEKIT_ITEMS = ("message", "function_call", "function_call_output")
_BENIGN = ("response_cancel_not_active", "input_audio_buffer_commit_empty")
_BUSY = "conversation_already_has_active_response"
OUT_OF_BAND = "out_of_band"
"""In the metadata of a response: it is outside the conversation."""
_REFUSED_TRUNCATION = "already shorter than"


class Receiving(Replying):
    """Which handler takes which event; the user's turns, items and errors."""

    def _received(self, event: Event) -> None:
        if self._closing:
            return
        self._answered_since = True
        self._heard_at = asyncio.get_running_loop().time()
        if "response_id" in event:
            self._reply_at = self._heard_at
        self.emit("openai_server_event_received", event)
        if self._is_out_of_band(event):
            return
        if (handler := self._READERS.get(event["type"])) is not None:
            handler(self, self._by_our_names(event) if self._ours else event)

    def _is_out_of_band(self, event: Event) -> bool:
        """Whether it belongs to a response outside the conversation: for those who asked for it."""
        response = event.get("response")
        response = response if isinstance(response, dict) else {}
        if event["type"] == "response.created":
            metadata = response.get("metadata")
            if isinstance(metadata, dict) and OUT_OF_BAND in metadata:
                self._outside.add(response["id"])
        response_id = event.get("response_id") or response.get("id")
        if response_id not in self._outside:
            return False
        if event["type"] == "response.done":
            self._outside.discard(response_id)
        return True

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
        if self._options.transcription is not None:
            self._turn_began(event["item_id"])
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
        self._committed_at = asyncio.get_running_loop().time()
        known = self._utterances.committed(item_id, owes_response=self._options.answers_turns)
        if known != item_id:
            self._ours[item_id], self._theirs[known] = known, item_id
            return
        if self._options.transcription is not None:
            self._turn_began(item_id)
        if self._options.answers_turns:
            self._watch_turn(item_id)
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
        if (told := self._unconfirmed.pop(("conversation.item.create", item_id), None)) is not None:
            # The server does not repeat everything it was told (a picture, for one).
            event = {**event, "item": {**item, **told["item"]}}
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

    # -- the rest --

    def _on_rate_limits(self, event: Event) -> None:
        self._emit_turn(turns.read_rate_limits(event))

    def _on_error(self, event: Event) -> None:
        body = event.get("error")
        error = from_error_event(body if isinstance(body, dict) else {})
        code, event_id = error.code or "", error.event_id
        if is_probe(event_id):
            return
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
        "conversation.item.done": Replying._on_item_done,
        "conversation.item.deleted": _on_item_deleted,
        "conversation.item.input_audio_transcription.delta": _on_words_heard,
        "conversation.item.input_audio_transcription.completed": _on_transcribed,
        "conversation.item.input_audio_transcription.failed": _on_not_transcribed,
        "response.created": Replying._on_response_created,
        "response.output_item.added": Replying._on_output_item_added,
        "response.output_item.done": Replying._on_output_item_done,
        "response.content_part.added": Replying._on_content_part,
        "response.output_text.delta": Replying._on_text,
        "response.output_audio_transcript.delta": Replying._on_words_spoken,
        "response.output_audio.delta": Replying._on_audio,
        "response.output_audio.done": Replying._on_audio_done,
        "response.done": Replying._on_response_done,
        "mcp_list_tools.completed": Replying._on_listed,
        "mcp_list_tools.failed": Replying._on_listed,
        "response.mcp_call.in_progress": Replying._on_remote_call,
        "response.mcp_call.completed": Replying._on_remote_call,
        "response.mcp_call.failed": Replying._on_remote_call,
        "rate_limits.updated": _on_rate_limits,
        "error": _on_error,
    }
