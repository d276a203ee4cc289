"""The text model: `POST /v1/responses` and `POST /v1/chat/completions`, as far as meeting notes need them.

Nothing is thought: the answer says that it is simulated, counts the lines and words of what it was given, and
names the first and the last of them, so that the same input has the same answer:

    [simulated notes] 3 lines, 12 words. First: ann: good morning. Last: bob: see you.

A parameter that the API does not know is refused; one that is not simulated (streams, tools, …): HTTP 501.
"""

import asyncio
import re
import secrets
import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from .options import SimulatorOptions
from .usage import text_tokens
from .wire import ApiError, Event, error_body, named, supported

__all__ = ["TextRecord", "add_text_routes"]

_NO_TEXT_MODEL = re.compile("realtime|transcri|translat|whisper|tts|audio|image|embedding|gpt-live")
_SHARED = (
    *("model", "temperature", "top_p", "metadata", "store", "user", "safety_identifier", "prompt_cache_key"),
    *("prompt_cache_options", "prompt_cache_retention", "service_tier", "parallel_tool_calls"),
)
_SHARED_NOT_SIMULATED = ("stream", "stream_options", "tools", "tool_choice", "moderation", "top_logprobs")
_ROLES = ("user", "assistant", "system", "developer")
_LEAST_OUTPUT_TOKENS = 16
_NAMED_CHARS = 80
_TEXT_KEPT = 65_536

Refuse = Callable[[web.Request], web.StreamResponse | None]


@dataclass(frozen=True, slots=True)
class TextRecord:
    """One request to the text model that was answered."""

    path: str
    at: float
    """The event loop's clock, in seconds."""
    model: str
    instructions: str
    input: str
    """The text that was given, its last 65536 characters; lines of messages follow each other."""
    answer: str
    input_tokens: int
    output_tokens: int
    is_cut: bool
    """Whether the answer ran into the bound that the request set."""
    settings: dict[str, Any]
    """What else the request said."""


@dataclass(frozen=True, slots=True)
class _Api:
    """What one of the two APIs calls things."""

    path: str
    text: str
    most_tokens: tuple[str, ...]
    taken: tuple[str, ...]
    not_simulated: tuple[str, ...]


_RESPONSES = _Api(
    "/v1/responses",
    "input",
    ("max_output_tokens",),
    ("instructions", "reasoning", "text", "truncation", "include"),
    (
        *("background", "background_options", "conversation", "previous_response_id", "prompt", "image"),
        *("max_tool_calls", "access_programs", "context_management"),
    ),
)
_CHAT = _Api(
    "/v1/chat/completions",
    "messages",
    ("max_completion_tokens", "max_tokens"),
    (
        *("frequency_penalty", "presence_penalty", "reasoning_effort", "verbosity", "seed", "stop"),
        "response_format",
    ),
    (
        *("n", "logprobs", "logit_bias", "functions", "function_call", "modalities"),
        *("audio", "prediction", "web_search_options"),
    ),
)


def add_text_routes(
    app: web.Application, options: SimulatorOptions, records: deque[TextRecord], refuse: Refuse
) -> None:
    """Add the two routes; `refuse` gives the HTTP refusal of a request by its key, or by a fault."""

    def route(api: _Api) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def answer(request: web.Request) -> web.StreamResponse:
            refusal = refuse(request)
            if refusal is not None:
                return refusal
            try:
                body = await _body(request)
                record = _answered(api, body, options)
            except ApiError as error:
                return _refused(error)
            await asyncio.sleep(options.text_latency_s)
            records.append(record)
            return web.json_response((_response if api is _RESPONSES else _completion)(record))

        return answer

    for api in (_RESPONSES, _CHAT):
        app.router.add_post(api.path, route(api))


async def _body(request: web.Request) -> Event:
    try:
        body = await request.json()
    except ValueError:
        message = "We could not parse the JSON body of your request."
        raise ApiError("invalid_json", message) from None
    if not isinstance(body, dict):
        raise ApiError("invalid_type", f"Expected a JSON object, but got {named(body)} instead.")
    return {name: value for name, value in body.items() if value is not None}


def _answered(api: _Api, body: Event, options: SimulatorOptions) -> TextRecord:
    """The answer to a request. Raises ApiError."""
    _check_parameters(api, body)
    model = _text(body, "model")
    if _NO_TEXT_MODEL.search(model):
        raise ApiError("model_not_found", f"The requested model '{model[:100]}' does not exist.", "model")
    if api.text not in body:
        raise _missing(api.text)
    given = body[api.text]
    messages = [{"role": "user", "content": given}] if isinstance(given, str) and api is _RESPONSES else given
    lines = _messages(messages, api.text)
    orders = [_text(body, "instructions")] if "instructions" in body else []
    instructions = "\n".join([*orders, *(text for role, text in lines if role in ("system", "developer"))])
    asked = "\n".join(text for role, text in lines if role in ("user", "assistant"))
    if not asked.strip():
        raise ApiError("invalid_value", f"Invalid '{api.text}': there is no text to answer.", api.text)
    input_tokens = text_tokens(instructions) + text_tokens(asked)
    if input_tokens > options.text_context_tokens:
        message = "Your input exceeds the context window of this model. Please adjust your input."
        raise ApiError("context_length_exceeded", message, api.text)
    most = _most_tokens(api, body)
    whole = _notes(asked)
    answer = whole if most is None else whole[: most * 4]
    settings = {name: value for name, value in body.items() if name not in (api.text, "instructions")}
    now = asyncio.get_running_loop().time()
    return TextRecord(
        *(api.path, now, model, instructions, asked[-_TEXT_KEPT:], answer, input_tokens),
        *(text_tokens(answer), answer != whole, settings),
    )


def _notes(text: str) -> str:
    lines = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    first, last = lines[0][:_NAMED_CHARS], lines[-1][:_NAMED_CHARS]
    count = sum(len(line.split()) for line in lines)
    return f"[simulated notes] {len(lines)} lines, {count} words. First: {first}. Last: {last}."


def _check_parameters(api: _Api, body: Mapping[str, Any]) -> None:
    for name, value in body.items():
        if name in (api.text, *_SHARED, *api.taken, *api.most_tokens) or value is False:
            continue
        if name in (*_SHARED_NOT_SIMULATED, *api.not_simulated):
            message = f"The simulator does not simulate '{name}'."
            raise ApiError("not_simulated", message, name, type="server_error")
        raise ApiError("unknown_parameter", f"Unknown parameter: '{name[:100]}'.", name[:100])


def _most_tokens(api: _Api, body: Mapping[str, Any]) -> int | None:
    """The bound on the output that the request sets. Raises ApiError."""
    for name in api.most_tokens:
        if name not in body:
            continue
        most = body[name]
        if not isinstance(most, int) or isinstance(most, bool):
            raise _wrong_type(name, "an integer", most)
        if most < _LEAST_OUTPUT_TOKENS:
            message = (
                f"Invalid '{name}': integer below minimum value. Expected a value >= {_LEAST_OUTPUT_TOKENS}, "
                f"but got {most} instead."
            )
            raise ApiError("integer_below_min_value", message, name)
        return most
    return None


def _messages(given: Any, param: str) -> list[tuple[str, str]]:
    """The role and the text of each message. Raises ApiError."""
    if not isinstance(given, list):
        raise _wrong_type(param, "an array of messages", given)
    if not given:
        message = f"Invalid '{param}': empty array. Expected an array with minimum length 1."
        raise ApiError("empty_array", message, param)
    found = []
    for place, message in enumerate(given):
        where = f"{param}[{place}]"
        if not isinstance(message, dict):
            raise _wrong_type(where, "an object", message)
        for name in ("role", "content"):
            if name not in message:
                raise _missing(f"{where}.{name}")
        if message["role"] not in _ROLES:
            shown = f"Invalid value: '{str(message['role'])[:100]}'. Supported values are: "
            raise ApiError("invalid_value", f"{shown}{supported(list(_ROLES))}.", f"{where}.role")
        found.append((message["role"], _content(message["content"], f"{where}.content")))
    return found


def _content(given: Any, where: str) -> str:
    """A message's text, which may be in parts. Raises ApiError."""
    if isinstance(given, str):
        return given
    if not isinstance(given, list):
        raise _wrong_type(where, "a string or an array", given)
    texts = []
    for place, part in enumerate(given):
        if not isinstance(part, dict) or not isinstance(part.get("text"), str):
            message = f"Invalid value: '{where}[{place}]' is no text. The simulated model takes text only."
            raise ApiError("invalid_value", message, f"{where}[{place}]")
        texts.append(part["text"])
    return "\n".join(texts)


def _text(body: Mapping[str, Any], name: str) -> str:
    if name not in body or body[name] == "":
        raise _missing(name)
    if not isinstance(body[name], str):
        raise _wrong_type(name, "a string", body[name])
    return str(body[name])


def _missing(name: str) -> ApiError:
    return ApiError("missing_required_parameter", f"Missing required parameter: '{name}'.", name)


def _wrong_type(name: str, wanted: str, given: Any) -> ApiError:
    message = f"Invalid type for '{name}': expected {wanted}, but got {named(given)} instead."
    return ApiError("invalid_type", message, name)


def _refused(error: ApiError) -> web.Response:
    body = error_body(error)
    del body["event_id"]
    status = {"not_simulated": 501, "model_not_found": 404}.get(error.code, 400)
    return web.json_response({"error": body}, status=status)


def _response(record: TextRecord) -> Event:
    """The body of `/v1/responses`."""
    status = "incomplete" if record.is_cut else "completed"
    content = {"type": "output_text", "text": record.answer, "annotations": [], "logprobs": []}
    message = {"id": f"msg_{secrets.token_hex(12)}", "type": "message", "role": "assistant", "status": status}
    settings = record.settings
    return {
        "id": f"resp_{secrets.token_hex(12)}",
        "object": "response",
        "created_at": int(time.time()),
        "status": status,
        "error": None,
        "incomplete_details": {"reason": "max_output_tokens"} if record.is_cut else None,
        "instructions": record.instructions or None,
        "model": record.model,
        "output": [{**message, "content": [content]}],
        "parallel_tool_calls": True,
        "temperature": settings.get("temperature", 1.0),
        "top_p": settings.get("top_p", 1.0),
        "tool_choice": "auto",
        "tools": [],
        "metadata": settings.get("metadata", {}),
        "max_output_tokens": settings.get("max_output_tokens"),
        "store": settings.get("store", True),
        "usage": {
            "input_tokens": record.input_tokens,
            "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "output_tokens": record.output_tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": record.input_tokens + record.output_tokens,
        },
    }


def _completion(record: TextRecord) -> Event:
    """The body of `/v1/chat/completions`."""
    message: Event = {"role": "assistant", "content": record.answer, "refusal": None, "annotations": []}
    reason = "length" if record.is_cut else "stop"
    return {
        "id": f"chatcmpl-{secrets.token_hex(12)}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": record.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reason}],
        "usage": {
            "prompt_tokens": record.input_tokens,
            "completion_tokens": record.output_tokens,
            "total_tokens": record.input_tokens + record.output_tokens,
        },
    }
