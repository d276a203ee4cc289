"""Items that a client creates: what they may contain, and what the model makes of it."""

import base64
import binascii
from collections.abc import Collection

import numpy as np

from .appends import decode_audio
from .items import Item
from .state import State
from .wire import ApiError, Event, supported

__all__ = ["item_of"]

_MOST_ID = 32
_PARTS = {
    "user": {"input_text": "text", "input_audio": "audio", "input_image": "image_url"},
    "assistant": {"output_text": "text"},
    "system": {"input_text": "text"},
}
_IMAGES = ("data:image/png;base64,", "data:image/jpeg;base64,")


def item_of(state: State, body: Event, now: float, where: str = "item", calls: Collection[str] = ()) -> Item:
    """An item from what a client sent, checked against the schema already. `calls`: the ids of calls that are
    known besides those of the conversation. Raises ApiError, which names the parameter under `where`."""
    for name in ("id", "call_id", "approval_request_id"):
        value = body.get(name, "")
        if len(value) > _MOST_ID:
            path = f"{where}.{name}"
            message = (
                f"Invalid '{path}': string too long. Expected a string with maximum length {_MOST_ID}, "
                f"but got a string with length {len(value)} instead."
            )
            raise ApiError("string_above_max_length", message, path)
    if body.get("id") == "":
        raise ApiError("invalid_value", f"Invalid '{where}.id': empty string.", f"{where}.id")
    kind = body["type"]
    if kind == "message":
        return _message(state, body, now, where)
    call_id = body.get("call_id")
    if kind == "function_call_output" and not (call_id in calls or state.items.has_call(call_id)):
        message = f"Tool call ID '{call_id}' not found in conversation."
        raise ApiError("invalid_tool_call_id", message, f"{where}.call_id")
    if kind == "mcp_approval_response":
        asked = state.items.find(body["approval_request_id"])
        if asked is None or asked.type != "mcp_approval_request":
            message = f"Approval request '{body['approval_request_id']}' not found in conversation."
            raise ApiError("invalid_approval_request_id", message, f"{where}.approval_request_id")
    status = {} if kind.startswith("mcp_") else {"status": "completed"}
    item = state.new_item("item", {**status, **body}, now, by_client=True)
    if kind == "function_call":
        item.body.setdefault("call_id", state.new_id("call"))
        item.record.call_id = item.body["call_id"]
        item.record.text = f"{body['name']}({body['arguments']})"
    elif kind == "function_call_output":
        item.record.text = body["output"]
    elif kind == "mcp_approval_response":
        item.record.text = "approved" if body["approve"] else "not approved"
    return item


def _message(state: State, body: Event, now: float, where: str) -> Item:
    role = body["role"]
    heard_in = state.configuration.input["format"]
    texts, sounds, content, images = [], [], [], 0
    for place, part in enumerate(body["content"]):
        path = f"{where}.content[{place}]"
        kind, value = _checked(part, role, path)
        if kind == "input_audio":
            pcm = np.frombuffer(decode_audio(value, heard_in, f"{path}.audio"), "<i2").astype(
                np.int16, copy=False
            )
            sounds.append(pcm)
            words = state.written(state.words_in(pcm))
            texts.append(part.get("transcript") or words)
        elif kind == "input_image":
            _check_image(value, f"{path}.image_url")
            images += 1
            texts.append("[image]")
        else:
            texts.append(value)
        content.append({name: inner for name, inner in part.items() if name != "audio"})
    made = {**body, "status": "completed", "content": content}
    item = state.new_item("item", made, now, by_client=True)
    if sounds:
        item.pcm = np.concatenate(sounds)
        item.samples = len(item.pcm)
        item.record.audio_ms = item.audio_ms
    item.record.text, item.images = " ".join(texts), images
    return item


def _checked(part: Event, role: str, path: str) -> tuple[str, str]:
    """A part's type, and the value that it must have. Raises ApiError."""
    takes, kind = _PARTS[role], part.get("type")
    if kind is None:
        message = f"Missing required parameter: '{path}.type'."
        raise ApiError("missing_required_parameter", message, f"{path}.type")
    if kind not in takes:
        message = f"Invalid value: '{kind}'. Supported values are: {supported(list(takes))}."
        raise ApiError("invalid_value", message, f"{path}.type")
    needed = takes[kind]
    if needed not in part:
        message = f"Missing required parameter: '{path}.{needed}'."
        raise ApiError("missing_required_parameter", message, f"{path}.{needed}")
    return kind, part[needed]


def _check_image(url: str, path: str) -> None:
    wanted = f"Invalid '{path}'. Expected a base64-encoded data URI of a PNG or JPEG image"
    head = next((head for head in _IMAGES if url.startswith(head)), None)
    if head is None:
        raise ApiError("invalid_value", f"{wanted}.", path)
    try:
        data = base64.b64decode(url[len(head) :], validate=True)
    except (binascii.Error, ValueError):
        raise ApiError("invalid_value", f"{wanted}, but got invalid base64.", path) from None
    if not data.startswith(b"\x89PNG\r\n\x1a\n" if "png" in head else b"\xff\xd8"):
        raise ApiError("invalid_value", f"{wanted}, but got something else.", path)
