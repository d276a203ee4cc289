"""All that this plugin takes from the private side of LiveKit's own realtime session, under its own names.

The stock session keeps the mirror of the conversation, the channels a generation is read from, LiveKit's
events and metrics. What it does with a socket is not used. `PRIVATE` names what has to exist.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Any

from livekit.agents import llm, utils
from livekit.agents.llm._realtime import openai as stock
from livekit.agents.llm._realtime import openai_utils
from livekit.agents.types import NOT_GIVEN, NotGivenOr
from openai.types import realtime

from livekit import rtc

from .log import logger
from .options import SAMPLE_RATE_HZ

Event = dict[str, Any]

HANDLERS: dict[str, tuple[str, Any]] = {
    "input_audio_buffer.speech_started": (
        "_handle_input_audio_buffer_speech_started",
        realtime.InputAudioBufferSpeechStartedEvent,
    ),
    "input_audio_buffer.speech_stopped": (
        "_handle_input_audio_buffer_speech_stopped",
        realtime.InputAudioBufferSpeechStoppedEvent,
    ),
    "response.created": ("_handle_response_created", realtime.ResponseCreatedEvent),
    "response.output_item.added": (
        "_handle_response_output_item_added",
        realtime.ResponseOutputItemAddedEvent,
    ),
    "response.output_item.done": (
        "_handle_response_output_item_done",
        realtime.ResponseOutputItemDoneEvent,
    ),
    "response.content_part.added": (
        "_handle_response_content_part_added",
        realtime.ResponseContentPartAddedEvent,
    ),
    "response.done": ("_handle_response_done", realtime.ResponseDoneEvent),
    "conversation.item.added": ("_handle_conversion_item_added", realtime.ConversationItemAdded),
    "conversation.item.deleted": ("_handle_conversion_item_deleted", realtime.ConversationItemDeletedEvent),
    "conversation.item.input_audio_transcription.delta": (
        "_handle_conversion_item_input_audio_transcription_delta",
        realtime.ConversationItemInputAudioTranscriptionDeltaEvent,
    ),
    "conversation.item.input_audio_transcription.completed": (
        "_handle_conversion_item_input_audio_transcription_completed",
        realtime.ConversationItemInputAudioTranscriptionCompletedEvent,
    ),
    "conversation.item.input_audio_transcription.failed": (
        "_handle_conversion_item_input_audio_transcription_failed",
        realtime.ConversationItemInputAudioTranscriptionFailedEvent,
    ),
}
"""Server events whose effect on LiveKit's side is the stock session's: its method, and the event's class."""

PRIVATE = {
    "methods": (
        *(name for name, _ in HANDLERS.values()),
        "_main_task",
        "_create_session_update_event",
        "_create_tools_update_event",
        "_create_update_chat_ctx_events",
        "_create_ws_url_and_headers",
        "_convert_tools_to_oai",
        "_close_current_generation",
        "_handle_response_done_but_not_complete",
        "_resample_audio",
        "_reset_input_turn_state",
        "_report_connection_acquired",
        "_emit_error",
    ),
    "attributes": (
        "_main_atask",
        "_opts",
        "_instructions",
        "_tools",
        "_remote_chat_ctx",
        "_current_generation",
        "_response_created_futures",
        "_discarded_event_ids",
        "_chat_ctx_event_futures",
        "_item_create_future",
        "_item_delete_future",
        "_input_speech_started_at",
        "_capabilities",
    ),
    "generation": ("message_ch", "function_ch", "messages", "_done_fut", "_first_token_timestamp"),
    "message": ("message_id", "text_ch", "audio_ch", "modalities", "audio_transcript"),
}


class StockSession(stock.RealtimeSession):
    """The stock session without its socket."""

    # -- what others may listen to --

    def on(self, event: str, callback: Callable[..., Any] | None = None) -> Callable[..., Any]:
        """Listen to one of LiveKit's events, or to ``turn``."""
        return super().on(event, callback)  # type: ignore[arg-type]

    def off(self, event: str, callback: Callable[..., Any]) -> None:
        """Stop listening."""
        super().off(event, callback)  # type: ignore[arg-type]

    def emit(self, event: str, *args: Any) -> None:
        """Tell those who listen; what one of them raises is logged, and concerns nobody else."""
        try:
            super().emit(event, *args)  # type: ignore[arg-type]
        except TypeError:
            logger.exception("a listener of %s failed", event)

    def _handled_by_stock(self, event: Event) -> None:
        if (known := HANDLERS.get(event["type"])) is not None:
            getattr(self, known[0])(known[1].construct(**event))

    def _report(self, error: Exception, *, recoverable: bool) -> None:
        self._emit_error(error, recoverable)

    # -- when the user's turns began: their place in the history, however late their words come --

    def _turn_began(self, item_id: str) -> None:
        """A turn begins now, unless it is known to have begun before."""
        self._input_speech_started_at.setdefault(item_id, time.time())

    def _forget_turns(self, *, but: Container[str]) -> None:
        """A new connection knows nothing of earlier turns, `but` those that are said to it again."""
        began = {item_id: at for item_id, at in self._input_speech_started_at.items() if item_id in but}
        self._reset_input_turn_state()
        self._input_speech_started_at.update(began)

    # -- the mirror of the conversation --

    @property
    def _items(self) -> list[llm.ChatItem]:
        return self._remote_chat_ctx.to_chat_ctx().items

    def _item(self, item_id: str) -> llm.ChatItem | None:
        node = self._remote_chat_ctx.get(item_id)
        return node.item if node is not None else None

    @property
    def _last_item_id(self) -> str | None:
        return self._remote_chat_ctx.tail_id

    def _mirror(self, items: Iterable[llm.ChatItem]) -> None:
        self._remote_chat_ctx = llm.remote_chat_context.RemoteChatContext()
        for item in items:
            self._insert(item)

    def _insert(self, item: llm.ChatItem) -> None:
        """Add an item at the end of the mirror, without telling anybody."""
        if self._item(item.id) is None:
            self._remote_chat_ctx.insert(self._last_item_id, item)

    def _remove(self, item_id: str) -> None:
        with contextlib.suppress(ValueError):
            self._remote_chat_ctx.delete(item_id)

    def _set_text(self, item_id: str, text: str) -> None:
        """What an item says; pictures in it stay."""
        item = self._item(item_id)
        if isinstance(item, llm.ChatMessage):
            others = [part for part in item.content if not isinstance(part, str)]
            item.content = [*others, *([text] if text else [])]

    def _settle_item(self, item_id: str, *, deleted: bool) -> None:
        """The server confirmed an item that somebody may be waiting for."""
        waiting = self._item_delete_future if deleted else self._item_create_future
        future = waiting.pop(item_id, None)
        if future is not None and not future.done():
            future.set_result(None)

    def _refuse_item(self, event_id: str, message: str, *, exists: bool) -> bool:
        """The server refused an item event. Returns whether somebody was waiting for it."""
        future = self._chat_ctx_event_futures.pop(event_id, None)
        if future is None:
            return False
        if not future.done():
            if exists:
                future.set_result(None)
            else:
                future.set_exception(llm.RealtimeError(message))
        return True

    @staticmethod
    def _short_call_id(call_id: str) -> str:
        return openai_utils._shorten_call_id(call_id)

    # -- the generation LiveKit reads --

    @property
    def _generating(self) -> stock._ResponseGeneration | None:
        generation = self._current_generation
        return generation if isinstance(generation, stock._ResponseGeneration) else None

    @property
    def _discarding(self) -> bool:
        return isinstance(self._current_generation, stock._DiscardedGeneration)

    def _end_generation(self) -> None:
        """Close every channel of the generation, as if it had been completed."""
        self._close_current_generation()

    def _end_message(self, message_id: str) -> None:
        """All of it has come: the next message can be played."""
        if (channels := self._channels(message_id)) is not None:
            channels.text_ch.close()
            channels.audio_ch.close()
            if not channels.modalities.done():
                channels.modalities.set_result(self._opts.modalities)

    def _messages_of_generation(self) -> list[str]:
        generation = self._generating
        if generation is None:
            return []
        return list(dict.fromkeys(message.message_id for message in generation.messages.values()))

    def _channels(self, item_id: str) -> stock._MessageGeneration | None:
        generation = self._generating
        return generation.messages.get(item_id) if generation is not None else None

    def _continue_in(self, message_id: str, item_id: str) -> None:
        """What comes for `item_id` belongs to the message that LiveKit is already reading."""
        generation = self._generating
        if generation is not None:
            generation.messages[item_id] = generation.messages[message_id]

    def _write(self, item_id: str, delta: str) -> None:
        if (channels := self._channels(item_id)) is not None:
            with contextlib.suppress(utils.aio.ChanClosed):
                channels.text_ch.send_nowait(delta)

    def _speak(self, item_id: str, pcm: bytes) -> None:
        generation, channels = self._generating, self._channels(item_id)
        if generation is None or channels is None:
            return
        if generation._first_token_timestamp is None:
            generation._first_token_timestamp = time.time()
        if not channels.modalities.done():
            channels.modalities.set_result(["audio", "text"])
        with contextlib.suppress(utils.aio.ChanClosed):
            channels.audio_ch.send_nowait(rtc.AudioFrame(pcm, SAMPLE_RATE_HZ, 1, len(pcm) // 2))

    def _finish_response(self, event: Event) -> None:
        """``response.done``: channels closed, metrics told."""
        generation = self._generating
        self._handled_by_stock(event)
        if generation is not None and generation._done_fut.done():
            # Nobody awaits it here; an exception nobody took would be logged as forgotten.
            generation._done_fut.exception()

    def _handle_response_done_but_not_complete(self, event: realtime.ResponseDoneEvent) -> None:
        """Told by `RealtimeSession` in its own errors."""

    # -- those who wait for a response --

    def _await_response(self, event_id: str, future: asyncio.Future[llm.GenerationCreatedEvent]) -> None:
        self._response_created_futures[event_id] = future

    def _forget_response(self, event_id: str) -> None:
        self._response_created_futures.pop(event_id, None)

    def _discard_response(self, event_id: str) -> None:
        """Its response will be cancelled when it comes, and not be read."""
        self._discarded_event_ids.add(event_id)

    def _fail_response(self, event_id: str, message: str, code: str | None = None) -> None:
        future = self._response_created_futures.pop(event_id, None)
        if future is not None and not future.done():
            future.set_exception(llm.RealtimeError(message, code=code))

    def _fail_all_responses(self, message: str) -> None:
        for event_id in list(self._response_created_futures):
            self._fail_response(event_id, message)

    # -- audio and tools --

    def _as_pcm(self, frame: rtc.AudioFrame) -> Iterator[bytes]:
        """24 kHz mono, whatever the frame is."""
        for piece in self._resample_audio(frame):
            yield bytes(piece.data)

    def _function_tools(self, tools: list[llm.Tool]) -> list[Event]:
        return [tool.model_dump(exclude_none=True) for tool in self._convert_tools_to_oai(tools)]

    def _adopt(self, *, answers_turns: bool, transcribes: bool) -> None:
        """What LiveKit is told of this session follows its options."""
        self._capabilities.turn_detection = answers_turns
        self._capabilities.user_transcription = transcribes

    def _response_params(
        self,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        tools: NotGivenOr[list[llm.Tool]] = NOT_GIVEN,
    ) -> Event:
        params: Event = {}
        if utils.is_given(tool_choice):
            params["tool_choice"] = as_plain(openai_utils.to_oai_tool_choice(tool_choice))
        if utils.is_given(tools):
            params["tools"] = self._function_tools(tools)
        return params


def as_plain(value: Any) -> Any:
    """A pydantic model, or what holds some, as JSON values, without what is null."""
    if hasattr(value, "model_dump"):
        return value.model_dump(by_alias=True, exclude_unset=True, exclude_none=True)
    return value
