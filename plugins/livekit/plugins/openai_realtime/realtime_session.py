"""One conversation with gpt-realtime, as `AgentSession` drives it."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

from livekit.agents import llm, utils
from livekit.agents.types import NOT_GIVEN, NotGivenOr

from livekit import rtc

from . import session_update
from .errors import RealtimeError
from .link import AudioUpTo, Event
from .log import logger
from .options import SAMPLE_RATE_HZ
from .receiving import OUT_OF_BAND, Receiving
from .replies import Delete, Truncate
from .responses import Request
from .stock import as_plain

if TYPE_CHECKING:
    from .realtime_model import RealtimeModel

_MIN_COMMIT = SAMPLE_RATE_HZ // 10  # the API refuses to commit less than 100 ms
_ITEM_EVENTS = ("conversation.item.create", "conversation.item.delete")
_UNCONFIRMED_MAX = 500
_IMAGES = {b"\xff\xd8\xff": "image/jpeg", b"\x89PNG\r\n\x1a\n": "image/png"}


class RealtimeSession(Receiving):
    """A running conversation, made by `RealtimeModel.session`. It outlives its connections.

    Events beside LiveKit's own: ``turn`` with a `TurnEvent`. LiveKit's ``input_speech_started`` and
    ``input_speech_stopped`` are not told when ``interrupt_response`` is off, because `AgentSession` would
    interrupt the agent; ``turn`` still is.

    Attributes:
        counts: how often something happened that is no error: ``connections_lost``, ``rotations``,
            ``replies_resumed``, ``responses_retried``, ``stalled``, and the API's codes that are swallowed.
    """

    def __init__(self, model: RealtimeModel, *, turn_detection_disabled: bool = False) -> None:
        options = replace(model.options, turn_detection=None) if turn_detection_disabled else model.options
        super().__init__(model, options)

    @property
    def dropped_s(self) -> float:
        """Seconds of the user's audio that no session got, because too much had to wait."""
        return self._log.dropped_s

    @property
    def ended(self) -> bool:
        """Whether it is closed or has failed for good: nothing comes or goes any more."""
        return self._ended

    @property
    def connected(self) -> bool:
        """Whether there is a connection now."""
        return self._link.connected

    # -- the user's side --

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        """Take one frame of the user's audio: int16, any rate; sent at once, 100 ms at most in one event."""
        if self._ended:
            return
        for pcm in self._as_pcm(frame):
            first = self._log.dropped_s == 0.0
            if self._log.push(pcm, keep_s=self._silence_kept_s()) and first:
                logger.warning("there is no connection for the user's audio: dropping the oldest")
        self._link.send(AudioUpTo(self._log.end))
        self._watch_audio()

    def _silence_kept_s(self) -> float | None:
        """Without speech, only what a dead connection may have swallowed is worth keeping."""
        if self._options.turn_detection is None or self._utterances.speaking:
            return None
        return self._model.connect_options.heartbeat_s * 1.5 + 2.0

    def commit_audio(self) -> None:
        """End the user's turn here (``input_audio_buffer.commit``); less than 100 ms is no turn."""
        marks = self._utterances.marks
        if self._log.end - max(self._log.settled, *marks, 0) < _MIN_COMMIT:
            return
        self._utterances.mark(self._log.end)
        self._link.send(AudioUpTo(self._log.end))
        self._link.send({"type": "input_audio_buffer.commit", "event_id": utils.shortuuid("commit_")})

    def clear_audio(self) -> None:
        """Forget the audio that is in no turn yet (``input_audio_buffer.clear``)."""
        self._log.discard(self._utterances.marks[-1] if self._utterances.marks else None)
        self._utterances.silenced()
        self._link.send({"type": "input_audio_buffer.clear"})

    def push_image(self, data: bytes, detail: Literal["auto", "low", "high"] = "auto") -> str:
        """Show the model one picture, JPEG or PNG, as an item of its own. Returns the item's id.

        It is seen with the next response; none is asked for. Raises ValueError for anything else.
        """
        kind = next((name for magic, name in _IMAGES.items() if data.startswith(magic)), None)
        if kind is None:
            raise ValueError("image: given something else, allowed are the bytes of a JPEG or PNG")
        if detail not in ("auto", "low", "high"):
            raise ValueError(f"detail: given {detail!r}, allowed are auto, low, high")
        url = f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
        picture = {"type": "input_image", "image_url": url, "detail": detail}
        item_id = utils.shortuuid("image_")
        item = {"id": item_id, "type": "message", "role": "user", "content": [picture]}
        self.send_event({"type": "conversation.item.create", "item": item})
        return item_id

    def push_video(self, frame: rtc.VideoFrame) -> None:
        """One frame of a video, as `AgentSession` samples it; without a connection it is not kept."""
        if self._link.connected:
            super().push_video(frame)

    # -- the agent's side --

    def generate_reply(
        self,
        *,
        instructions: NotGivenOr[str] = NOT_GIVEN,
        tool_choice: NotGivenOr[llm.ToolChoice] = NOT_GIVEN,
        tools: NotGivenOr[list[llm.Tool]] = NOT_GIVEN,
    ) -> asyncio.Future[llm.GenerationCreatedEvent]:
        """Ask for a response, after the one that is active. It is asked for again if the connection is lost.

        The future fails with LiveKit's RealtimeError if the server refuses, or creates none within
        ``reply_timeout_s`` of being asked. Cancelled: the response is not asked for, or cancelled.
        """
        future: asyncio.Future[llm.GenerationCreatedEvent] = asyncio.get_running_loop().create_future()
        if self._ended:
            future.set_exception(llm.RealtimeError("the session has ended"))
            return future
        request = Request(utils.shortuuid("reply_"), "reply", self._response_params(tool_choice))
        if utils.is_given(tools):
            request.params["tools"] = session_update.all_tools(self._options, self._function_tools(tools))
        if utils.is_given(instructions) and instructions:
            before = self._instructions
            request.params["instructions"] = f"{before}\n{instructions}" if before else instructions
        self._await_response(request.event_id, future)

        def done(future: asyncio.Future[llm.GenerationCreatedEvent]) -> None:
            self._forget_response(request.event_id)
            if future.cancelled() and self._responses.withdraw(request.event_id):
                self._discard_response(request.event_id)
                self._not_after("created")
                self._pump()

        future.add_done_callback(done)
        self._ask(request)
        return future

    def interrupt(self) -> None:
        """Stop the reply that is being generated; nothing is sent if there is none."""
        if self._resuming is not None:
            self._drop_resume()
        if (response_id := self._responses.cancel()) is not None:
            self._link.send({"type": "response.cancel", "response_id": response_id})

    def truncate(
        self,
        *,
        message_id: str,
        modalities: list[Literal["text", "audio"]],
        audio_end_ms: int,
        audio_transcript: NotGivenOr[str] = NOT_GIVEN,
    ) -> None:
        """The user heard a message up to `audio_end_ms` only, as `audio_transcript` has it."""
        heard = audio_transcript if utils.is_given(audio_transcript) else None
        if "audio" not in modalities or self._replies.get(message_id) is None:
            if (message := self._replies.get(message_id)) is not None:
                message.heard = heard
            super().truncate(
                message_id=message_id,
                modalities=modalities,
                audio_end_ms=audio_end_ms,
                audio_transcript=audio_transcript,
            )
            return
        for step in self._replies.truncate(message_id, audio_end_ms, heard):
            if isinstance(step, Truncate):
                cut = {"item_id": step.item_id, "content_index": 0, "audio_end_ms": step.audio_end_ms}
                self._link.send({"type": "conversation.item.truncate", **cut})
            elif isinstance(step, Delete):
                self.send_event({"type": "conversation.item.delete", "item_id": step.item_id})
            elif self._link.connected:
                self._reword(step.message_id, step.text)
        if (message := self._replies.get(message_id)) is not None:
            self._set_text(message_id, message.text)

    def _reword(self, message_id: str, text: str) -> None:
        """Replace an item of text, in its place."""
        ids = [item.id for item in self._items]
        if message_id not in ids:
            return
        place = ids.index(message_id)
        previous = self._last_on_server(ids[place - 1]) if place > 0 else "root"
        content = [{"type": "output_text", "text": text}]
        item = {"id": message_id, "type": "message", "role": "assistant", "content": content}
        self.send_event({"type": "conversation.item.delete", "item_id": message_id})
        self.send_event({"type": "conversation.item.create", "item": item, "previous_item_id": previous})

    # -- settings --

    def update_options(
        self, *, tool_choice: NotGivenOr[llm.ToolChoice | None] = NOT_GIVEN, **more: Any
    ) -> None:
        """Change `ConversationOptions` of the running session, under their names.

        What the server cannot change in a running session comes with a new connection at the next quiet
        moment. Raises ValueError or TypeError for what `ConversationOptions` refuses.
        """
        if isinstance(tool_choice, Mapping) and "function" not in tool_choice:
            more["tool_choice"] = tool_choice
        elif utils.is_given(tool_choice):
            more["tool_choice"] = self._response_params(tool_choice or "auto")["tool_choice"]
        old, self._options = self._options, replace(self._options, **more)
        self._adopt(
            answers_turns=self._options.answers_turns, transcribes=self._options.transcription is not None
        )
        found = session_update.changes(old, self._options)
        if found is None:
            self._link.replace()
        elif found:
            event_id = utils.shortuuid("options_")
            self._link.send({"type": "session.update", "event_id": event_id, "session": found})

    def send_event(self, event: Any) -> None:
        """Send a client event of the API. Items wait for a connection and are sent again until confirmed."""
        plain: Event = as_plain(event)
        kind = plain["type"]
        if kind in _ITEM_EVENTS:
            self._send_item_event(plain)
        elif kind == "response.create":
            params = dict(plain.get("response") or {})
            if params.get("conversation") == "none":
                self._send_out_of_band(plain, params)
                return
            self._ask(Request(plain.get("event_id") or utils.shortuuid("raw_"), "reply", params))
        elif kind == "response.cancel" and "response_id" not in plain:
            self.interrupt()
        elif self._link.connected:
            self._link.send(plain)
        elif kind not in ("session.update", "response.cancel", "conversation.item.truncate"):
            self._others.append(plain)

    def _send_out_of_band(self, event: Event, params: Event) -> None:
        """A response beside the conversation: its events are told raw, and asked for once."""
        params["metadata"] = {**(params.get("metadata") or {}), OUT_OF_BAND: "true"}
        if self._link.connected:
            self._link.send({**event, "response": params})
        else:
            self._others.append({**event, "response": params})

    def _send_item_event(self, event: Event) -> None:
        event.setdefault("event_id", utils.shortuuid("item_"))
        if event["type"] == "conversation.item.create":
            event["item"].setdefault("id", utils.shortuuid("item_"))
        item_id = event["item"]["id"] if "item" in event else event["item_id"]
        self._unconfirmed.pop((event["type"], item_id), None)
        self._unconfirmed[event["type"], item_id] = event
        if len(self._unconfirmed) > _UNCONFIRMED_MAX:
            del self._unconfirmed[next(iter(self._unconfirmed))]
            self.counts["item_events_dropped"] += 1
        self._link.send(event)

    def _create_update_chat_ctx_events(self, chat_ctx: llm.ChatContext) -> Any:
        """LiveKit's changes, for the items there really are on the server."""
        wanted = [item for item in chat_ctx.items if item.id not in self._folded]
        present = {item.id for item in wanted}
        place = 0
        for item in self._items:
            if item.id in self._own and item.id not in present:
                wanted.insert(place, item)
            place = next((i + 1 for i, other in enumerate(wanted) if other.id == item.id), place)
        found: list[Any] = []
        for event in super()._create_update_chat_ctx_events(llm.ChatContext(wanted)):
            if event.type == "conversation.item.delete":
                ids = self._on_server(event.item_id)
                if not ids:
                    self._remove(event.item_id)
                for item_id in ids:
                    more = {"item_id": item_id, "event_id": utils.shortuuid("chat_ctx_delete_")}
                    found.append(event.model_copy(update=more))
            else:
                if event.previous_item_id not in (None, "root"):
                    event.previous_item_id = self._last_on_server(event.previous_item_id)
                found.append(event)
        return found

    def _last_on_server(self, item_id: str) -> str:
        """The last item of what LiveKit calls by one id."""
        return [item_id, *self._on_server(item_id)][-1]

    def _on_server(self, item_id: str) -> list[str]:
        """The items on the server that are one for LiveKit."""
        if item_id in self._theirs:
            return [self._theirs[item_id]]
        return self._replies.server_items(item_id)

    # -- the life of the session --

    async def _main_task(self) -> None:
        try:
            await self._link.run()
        except RealtimeError as exc:
            logger.error("the conversation ends: %s", exc)
            self._give_up(exc)
        except Exception as exc:  # noqa: BLE001 - bulkhead: a callback of the application may raise anything
            logger.exception("the conversation failed")
            self._give_up(exc)
        finally:
            self._release_all("the session has ended")

    def _give_up(self, error: Exception) -> None:
        self._release_all(str(error))
        self._report(error, recoverable=False)

    def _release_all(self, message: str) -> None:
        """End what others wait for, and let go of everything that is kept."""
        self._ended = True
        for name in list(self._timers):
            self._not_after(name)
        self._resuming, self._delayed = None, None
        self._end_generation()
        self._responses.clear()
        self._fail_all_responses(message)
        self._utterances.clear()
        self._log.discard(None)
        self._unconfirmed.clear()
        self._others.clear()

    async def aclose(self) -> None:
        """End the conversation: a running reply ends where it is, the connection is closed.

        Takes ``close_timeout_s`` at most. Cancelled: the connection is cut.
        """
        if self._closing:
            return
        self._closing = self._ended = True
        self._end_generation()
        self._link.close()
        if not self._link.connected:
            self._main_atask.cancel()
        try:
            await asyncio.wait({self._main_atask}, timeout=self._model.connect_options.close_timeout_s + 1.0)
        finally:
            await utils.aio.cancel_and_wait(self._main_atask)
            self._release_all("the session has ended")
            await self._model.release()
