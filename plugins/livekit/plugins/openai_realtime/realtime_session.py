"""One conversation with gpt-realtime, as `AgentSession` drives it."""

from __future__ import annotations

from typing import Any

from livekit.agents import llm, utils
from livekit.agents.llm._realtime import openai as stock

from livekit import rtc

from . import turn_events as turns
from .realtime_model import RealtimeModel

_APPEND_MS = 50


class RealtimeSession(stock.RealtimeSession):
    """A running conversation.

    Events beside LiveKit's own: ``turn`` with a `TurnEvent`.
    """

    def __init__(self, model: RealtimeModel, *, turn_detection_disabled: bool = False) -> None:
        self._model = model
        super().__init__(model, turn_detection_disabled=turn_detection_disabled)
        self._heard: dict[str, str] = {}
        self.on("openai_server_event_received", self._on_server_event)

    def push_image(self, data: bytes, detail: str = "auto") -> None:
        """Show the model one picture: a JPEG or PNG."""
        raise NotImplementedError

    def _emit_turn(self, event: turns.TurnEvent) -> None:
        self.emit("turn", event)  # type: ignore[arg-type]

    def _create_session_update_event(self) -> Any:
        session = self._model.options.session()
        if self._instructions is not None:
            session["instructions"] = self._instructions
        return {"type": "session.update", "event_id": utils.shortuuid("session_"), "session": session}

    def _create_tools_update_event(self, tools: list[llm.Tool]) -> dict[str, Any]:
        converted = [tool.model_dump(exclude_none=True) for tool in self._convert_tools_to_oai(tools)]
        remote = [server.payload() for server in self._model.options.mcp]
        session = {"type": "realtime", "tools": [*converted, *remote]}
        return {"type": "session.update", "event_id": utils.shortuuid("tools_"), "session": session}

    def _create_ws_url_and_headers(self) -> tuple[str, dict[str, str]]:
        return self._model.address()

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        for piece in self._resample_audio(frame):
            self._append_audio([piece])

    def _handle_input_audio_buffer_speech_started(self, event: Any) -> None:
        if not self._model.options.reports_speech_only:
            super()._handle_input_audio_buffer_speech_started(event)

    def _handle_input_audio_buffer_speech_stopped(self, event: Any) -> None:
        if not self._model.options.reports_speech_only:
            super()._handle_input_audio_buffer_speech_stopped(event)

    def _on_server_event(self, event: dict[str, Any]) -> None:
        match event["type"]:
            case "input_audio_buffer.speech_started":
                self._emit_turn(turns.TurnStarted(event["item_id"], event["audio_start_ms"]))
            case "input_audio_buffer.speech_stopped":
                self._emit_turn(turns.TurnStopped(event["item_id"], event["audio_end_ms"]))
            case "input_audio_buffer.committed":
                self._emit_turn(turns.TurnCommitted(event["item_id"]))
            case "input_audio_buffer.timeout_triggered":
                self._emit_turn(turns.TurnTimeout(event["item_id"]))
            case "conversation.item.input_audio_transcription.delta":
                text = self._heard.get(event["item_id"], "") + (event.get("delta") or "")
                self._heard[event["item_id"]] = text
                self._emit_turn(turns.TurnTranscribed(event["item_id"], text, False))
            case "conversation.item.input_audio_transcription.completed":
                self._heard.pop(event["item_id"], None)
                usage = turns.read_transcription_usage(event.get("usage"))
                self._emit_turn(turns.TurnTranscribed(event["item_id"], event["transcript"], True, usage))
            case "response.created":
                self._emit_turn(turns.ResponseStarted(event["response"]["id"]))
            case "response.done":
                response = event["response"]
                details = response.get("status_details") or {}
                reason = details.get("reason") or (details.get("error") or {}).get("code")
                usage = turns.read_token_usage(response.get("usage"))
                self._emit_turn(
                    turns.ResponseEnded(response["id"], response.get("status", ""), reason, usage)
                )
            case "rate_limits.updated":
                self._emit_turn(turns.read_rate_limits(event))
