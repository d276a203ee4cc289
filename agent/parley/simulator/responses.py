"""One response as it goes out: events in the API's order, at their times, and its end whenever that is.

    created ─latency▶ output_item.added ─▶ content_part.added ─▶ transcript and audio deltas
      ─▶ output_audio.done ─▶ content_part.done ─▶ output_item.done ─▶ … ─▶ response.done

Audio goes out at `reply_speed` times real time. A transcript delta carries one word, and goes out right
before the audio in which the word begins.
"""

import json
from collections.abc import Iterator
from math import inf

import numpy as np

from .configuration import marker_of, voice_name
from .outputs import Exhausted, Outputs
from .records import ResponseRecord
from .replies import Message, Plan
from .speech import marked, sound_of
from .state import State
from .turns import Approval, Call, McpCall
from .usage import Tokens, text_tokens, usage_of
from .voice import SAMPLE_RATE_HZ
from .wire import Event

__all__ = ["Response"]

_TEXT_STEP_S = 0.05
_ARGUMENTS_DELTA = 24
_ERROR_TYPES = {
    "server_error": "server_error",
    "rate_limit_exceeded": "tokens",
    "inference_rate_limit_exceeded": "invalid_request_error",
    "insufficient_quota": "insufficient_quota",
}


class Response:
    """Performs a plan. `settings` are the session's with the response's own; `billed` are the tokens in, and
    how many of them were cached."""

    def __init__(
        self,
        state: State,
        settings: Event,
        plan: Plan,
        record: ResponseRecord,
        billed: tuple[Tokens, Tokens],
        now: float,
    ) -> None:
        self.record = record
        self.ended = False
        self._state, self._settings, self._plan, self._billed = state, settings, plan, billed
        self._with_audio = settings["output_modalities"] == ["audio"]
        self._outputs = Outputs(state, record, settings, now)
        self._due = now
        self._steps = self._perform()
        state.emit("response.created", response=self._body("in_progress"))

    @property
    def next_due(self) -> float:
        """When to call `tick`; infinity once it has ended."""
        return inf if self.ended else self._due

    @property
    def playback_s(self) -> float:
        """How long the audio that was sent plays."""
        return self._outputs.playback_s

    def tick(self, now: float) -> None:
        """Put out what is due."""
        while not self.ended and self._due <= now:
            self._outputs.now = now
            try:
                self._due += next(self._steps)
            except Exhausted:
                self._end(now, "incomplete", "max_output_tokens")
            except StopIteration:
                self._end(now, "completed", None)

    def cancel(self, now: float, reason: str) -> None:
        """End it now: `turn_detected` or `client_cancelled`. A turn that was not begun comes next."""
        if self._plan.turn is not None and not self._outputs.has_begun:
            self._state.script.put_back(self._plan.turn)
        self._end(now, "cancelled", reason)

    def _perform(self) -> Iterator[float]:
        """The performance: yields how long to wait."""
        plan = self._plan
        yield plan.latency_s
        if plan.failure is not None and (not plan.failure_after_s or not plan.outputs):
            self._fail()
        for place, output in enumerate(plan.outputs):
            if place and not self.ended:
                yield plan.wait_s if place == 1 else 0.0
            if self.ended:
                return
            if isinstance(output, Message):
                yield from self._say(output)
            elif isinstance(output, Call):
                self._call(output)
            elif isinstance(output, Approval):
                self._ask(output)
            else:
                self._call_mcp(output)
        if plan.failure is not None:
            self._fail()

    def _say(self, message: Message) -> Iterator[float]:
        phase = {"phase": message.phase} if self._state.configuration.is_reasoning else {}
        shown = phase if self._state.options.phase_on_added else {}
        body = {"type": "message", "status": "in_progress", "role": "assistant", "content": []}
        item = self._outputs.begin("item", {**body, **shown})
        item.body |= phase
        self._outputs.begin_part()
        if self._with_audio:
            yield from self._voice(message)
        else:
            for segment in message.segments:
                self._outputs.write(segment)
                yield _TEXT_STEP_S
        if not self.ended:
            self._outputs.finish("completed")

    def _voice(self, message: Message) -> Iterator[float]:
        """Send the deltas of one spoken message."""
        sound = marked(sound_of(message.segments), marker_of(self._settings["audio"]["output"]["voice"]))
        starts = np.cumsum([0, *(len(segment.pcm) for segment in message.segments)]).tolist()
        waiting = list(zip(starts, message.segments, strict=False))
        chunk = self._state.options.reply_delta_ms * SAMPLE_RATE_HZ // 1000
        for start in range(0, max(len(sound), 1), chunk):
            piece = sound[start : start + chunk]
            is_last = start + chunk >= len(sound)
            while waiting and (is_last or waiting[0][0] < start + chunk):
                self._outputs.write(waiting.pop(0)[1])
            if len(piece):
                self._outputs.send(piece)
            if self._plan.failure is not None and self.playback_s >= self._plan.failure_after_s:
                return self._fail()
            yield len(piece) / SAMPLE_RATE_HZ / self._state.options.reply_speed
        return None

    def _call(self, call: Call) -> None:
        given, outputs = call.arguments, self._outputs
        arguments = given if isinstance(given, str) else json.dumps(given, ensure_ascii=False)
        outputs.count(Tokens(text=text_tokens(call.name + arguments)))
        call_id = self._state.new_id("call")
        body = {"type": "function_call", "status": "in_progress", "call_id": call_id, "name": call.name}
        item = outputs.begin("item", {**body, "arguments": ""})
        for start in range(0, len(arguments), _ARGUMENTS_DELTA):
            delta = arguments[start : start + _ARGUMENTS_DELTA]
            outputs.emit("response.function_call_arguments.delta", call_id=call_id, delta=delta)
        outputs.emit(
            "response.function_call_arguments.done", call_id=call_id, name=call.name, arguments=arguments
        )
        item.body["arguments"] = arguments
        item.record.text = f"{call.name}({arguments})"
        self.record.calls.append(call.name)
        outputs.finish("completed")

    def _ask(self, approval: Approval) -> None:
        body = {"server_label": approval.server_label, "name": approval.name, "arguments": approval.arguments}
        item = self._outputs.begin("mcpr", {"type": "mcp_approval_request", **body})
        item.record.text, item.approval = f"{approval.name}({approval.arguments})?", approval
        self._outputs.finish(None)

    def _call_mcp(self, call: McpCall) -> None:
        body = {"server_label": call.server_label, "name": call.name, "arguments": ""}
        item = self._outputs.begin("mcp", {"type": "mcp_call", **body})
        where = {"output_index": len(self._outputs.done), "item_id": item.id}
        self._outputs.emit("response.mcp_call_arguments.delta", delta=call.arguments)
        self._outputs.emit("response.mcp_call_arguments.done", arguments=call.arguments)
        self._state.emit("response.mcp_call.in_progress", **where)
        failed = call.output is None
        self._state.emit(f"response.mcp_call.{'failed' if failed else 'completed'}", **where)
        error = {"type": "tool_execution_error", "message": "Simulated failure."}
        item.body |= {
            "arguments": call.arguments,
            **({"error": error} if failed else {"output": call.output}),
        }
        item.record.text = f"{call.name}({call.arguments}): {call.output}"
        self._outputs.finish(None)

    def _fail(self) -> None:
        failure = self._plan.failure
        status = "incomplete" if failure == "content_filter" else "failed"
        self._end(self._outputs.now, status, failure)

    def _end(self, now: float, status: str, reason: str | None) -> None:
        if self.ended:
            return
        self.ended, self._outputs.now = True, now
        self._outputs.stop()
        record, (given, cached), spent = self.record, self._billed, self._outputs.spent
        record.status, record.reason, record.ended_at = status, reason, now
        record.input_tokens, record.cached_tokens = given.total, cached.total
        record.output_tokens = spent.total
        self._state.add_usage(given, cached, spent)
        body = self._body(status) | {"usage": usage_of(given, cached, spent)}
        if status == "failed":
            error = {"type": _ERROR_TYPES[str(reason)], "code": reason}
            body["status_details"] = {"type": status, "error": error}
        elif status != "completed":
            body["status_details"] = {"type": status, "reason": reason}
        self._state.emit("response.done", response=body)

    def _body(self, status: str) -> Event:
        settings, output = self._settings, self._settings["audio"]["output"]
        spoken = {"format": output["format"], "voice": voice_name(output["voice"])}
        where = {"conversation_id": self._state.conversation_id} if self.record.conversation == "auto" else {}
        return {
            "object": "realtime.response",
            "id": self.record.id,
            "status": status,
            "output": list(self._outputs.done),
            **where,
            "output_modalities": settings["output_modalities"],
            "max_output_tokens": settings["max_output_tokens"],
            "audio": {"output": spoken},
            "metadata": self.record.metadata,
        }
