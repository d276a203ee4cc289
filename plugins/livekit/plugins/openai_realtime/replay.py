"""A conversation as the items that tell it to a new session: bounded, in order, as text where it can be."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from livekit.agents import llm

DIGEST_ID = "digest_of_history"
_DIGEST_CHARS = 8_000
_LINE_CHARS = 160
_SYSTEM_CHARS = 8_000
_IMAGE_CHARS = 4_000_000
_DIGEST_HEAD = "What was said before, in short:"

Item = dict[str, Any]


def text_of(item: llm.ChatItem) -> str:
    """The words of an item; for a call its name and arguments, for an output the output."""
    if item.type == "message":
        return "\n".join(part for part in item.content if isinstance(part, str))
    if item.type == "function_call":
        return f"{item.name}({item.arguments})"
    if item.type == "function_call_output":
        return item.output
    return ""


def role_of(item: llm.ChatItem) -> str:
    """``user``, ``assistant``, ``system``, ``call`` or ``output``."""
    if item.type == "message":
        return "system" if item.role == "developer" else item.role
    return {"function_call": "call", "function_call_output": "output"}.get(item.type, "")


@dataclass(frozen=True, slots=True)
class History:
    """A conversation cut to its bounds."""

    old: list[llm.ChatItem]
    """Too old: to be summarised."""
    kept: list[llm.ChatItem]
    """To be told as it was."""


def bounded(items: Sequence[llm.ChatItem], *, most_items: int, most_chars: int) -> History:
    """The newest items within both bounds.

    An output never stands without its call, a call that still waits for its output is always kept, and so
    are the newest words of the system, which are orders and not history.
    """
    start, chars = len(items), 0
    while start > 0 and len(items) - start < most_items:
        chars += len(text_of(items[start - 1]))
        if chars > most_chars and start < len(items):
            break
        start -= 1
    answered = {item.call_id for item in items if item.type == "function_call_output"}
    known = {item.call_id for item in items[start:] if item.type == "function_call"}
    old: list[llm.ChatItem] = []
    kept: list[llm.ChatItem] = []
    orders = 0
    for item in reversed(items[:start]):
        is_order = role_of(item) == "system" and item.id != DIGEST_ID
        orders += len(text_of(item)) if is_order else 0
        waits = item.type == "function_call" and item.call_id not in answered
        (kept if waits or (is_order and orders <= _SYSTEM_CHARS) else old).append(item)
    old.reverse()
    kept.reverse()
    for item in items[start:]:
        orphan = item.type == "function_call_output" and item.call_id not in known
        (old if orphan else kept).append(item)
    if old and (digests := [item for item in kept if item.id == DIGEST_ID]):
        # There is one digest, and it is the first thing told.
        kept = [item for item in kept if item.id != DIGEST_ID]
        old = digests + old
    return History(old, kept)


def spoken(items: Iterable[llm.ChatItem]) -> list[tuple[str, str]]:
    """(role, text) of every item that says something."""
    return [(role_of(item), text) for item in items if (text := text_of(item).strip())]


def digest(lines: Sequence[tuple[str, str]]) -> str:
    """A plain summary: the first sentence of everything that was said, the newest last, bounded."""
    chosen: list[str] = []
    left = _DIGEST_CHARS
    for role, text in reversed(lines):
        whole = text.startswith(_DIGEST_HEAD)
        line = text[: left // 2].removeprefix(_DIGEST_HEAD).strip() if whole else _first_sentence(text)
        line = line if whole else f"- {role}: {line}"
        left -= len(line) + 1
        if left < 0:
            break
        chosen.append(line)
    return "\n".join((_DIGEST_HEAD, *reversed(chosen)))


def _first_sentence(text: str) -> str:
    flat = " ".join(text.split())
    ends = [end for mark in (". ", "! ", "? ", "。") if (end := flat.find(mark)) > 0]
    flat = flat[: min(ends) + 1] if ends else flat
    return flat if len(flat) <= _LINE_CHARS else flat[: _LINE_CHARS - 1] + "…"


def seeds(
    items: Sequence[llm.ChatItem],
    audio: Mapping[str, bytes],
    shorten: Callable[[str], str],
) -> list[tuple[llm.ChatItem, Item]]:
    """Each item that can be told, with its ``item`` of a ``conversation.item.create``.

    `audio`: PCM16 of user items whose words are not known. `shorten`: makes a call id fit. Of pictures the
    newest are told, within 4 MB; an item of which nothing is known is left out.
    """
    told: list[tuple[llm.ChatItem, Item]] = []
    left = _IMAGE_CHARS
    for item in reversed(items):
        images = _images(item)
        left -= sum(len(image["image_url"]) for image in images)
        seed = _seed(item, audio.get(item.id), images if left >= 0 else [], shorten)
        if seed is not None:
            told.append((item, {"id": item.id, **seed}))
    told.reverse()
    return told


def _seed(
    item: llm.ChatItem, pcm: bytes | None, images: list[Item], shorten: Callable[[str], str]
) -> Item | None:
    if item.type == "function_call":
        called = {"name": item.name, "arguments": item.arguments or "{}"}
        return {"type": "function_call", "call_id": shorten(item.call_id), **called}
    if item.type == "function_call_output":
        return {"type": "function_call_output", "call_id": shorten(item.call_id), "output": item.output}
    if item.type != "message":
        return None
    role = role_of(item)
    kind = "output_text" if role == "assistant" else "input_text"
    text = text_of(item)
    content: list[Item] = [{"type": kind, "text": text}] if text.strip() else []
    if role == "user":
        content += images
        if not text.strip() and pcm:
            content.append({"type": "input_audio", "audio": base64.b64encode(pcm).decode("ascii")})
    return {"type": "message", "role": role, "content": content} if content else None


def _images(item: llm.ChatItem) -> list[Item]:
    if item.type != "message" or item.role != "user":
        return []
    return [
        {"type": "input_image", "image_url": part.image}
        for part in item.content
        if isinstance(part, llm.ImageContent) and isinstance(part.image, str)
    ]
