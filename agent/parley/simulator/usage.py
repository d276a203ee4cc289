"""Tokens: what each item weighs, what a response is billed, and what of it was cached.

Audio of the user is a token for each 100 ms, of the model for each 50 ms; text a token for every four
characters; an image 85 tokens in low detail, otherwise 765. The whole context is billed for each response;
what it has in common with the context of the last one, from its beginning, was cached.
"""

from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass

from .items import Item
from .wire import Event

__all__ = ["Cache", "Tokens", "audio_tokens", "text_tokens", "tokens_of", "transcription_usage", "usage_of"]

_IMAGE = 765
_IMAGE_LOW = 85


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens by kind."""

    text: int = 0
    audio: int = 0
    image: int = 0

    def __add__(self, other: "Tokens") -> "Tokens":
        return Tokens(self.text + other.text, self.audio + other.audio, self.image + other.image)

    @property
    def total(self) -> int:
        """All of them."""
        return sum(astuple(self))


def text_tokens(text: str) -> int:
    """The tokens of a text."""
    return -(-len(text) // 4)


def audio_tokens(ms: float, *, is_output: bool) -> int:
    """The tokens of a piece of audio."""
    each_ms = 50 if is_output else 100
    return -(-round(ms) // each_ms)


def tokens_of(item: Item) -> Tokens:
    """What an item of the context weighs."""
    content = item.body.get("content", ())
    images = [part for part in content if part["type"] == "input_image"]
    image = sum(_IMAGE_LOW if part.get("detail") == "low" else _IMAGE for part in images)
    if item.samples:
        audio = audio_tokens(item.audio_ms, is_output=item.record.role == "assistant")
        text = sum(text_tokens(part.get("text", "")) for part in content)
        return Tokens(text, audio, image)
    return Tokens(text_tokens(item.record.text), 0, image)


class Cache:
    """What the last response's context began with."""

    def __init__(self) -> None:
        self._prefix: list[tuple[str, Tokens]] = []

    def bill(self, head: str, items: Sequence[Item]) -> tuple[Tokens, Tokens]:
        """Tokens in, and how many of them were cached; `head` is the instructions and the tools."""
        context = [(head, Tokens(text_tokens(head))), *((item.id, tokens_of(item)) for item in items)]
        same = 0
        while same < min(len(context), len(self._prefix)) and context[same] == self._prefix[same]:
            same += 1
        self._prefix = context
        return _sum(tokens for _, tokens in context), _sum(tokens for _, tokens in context[:same])


def usage_of(given: Tokens, cached: Tokens, out: Tokens) -> Event:
    """The `usage` of a response."""
    return {
        "total_tokens": given.total + out.total,
        "input_tokens": given.total,
        "output_tokens": out.total,
        "input_token_details": {
            "text_tokens": given.text,
            "audio_tokens": given.audio,
            "image_tokens": given.image,
            "cached_tokens": cached.total,
            "cached_tokens_details": {
                "text_tokens": cached.text,
                "audio_tokens": cached.audio,
                "image_tokens": cached.image,
            },
        },
        "output_token_details": {"text_tokens": out.text, "audio_tokens": out.audio},
    }


def transcription_usage(model: str, seconds: float, text: str) -> Event:
    """The `usage` of a transcription: by duration for whisper models, otherwise by tokens."""
    if "whisper" in model:
        return {"type": "duration", "seconds": round(seconds, 3)}
    audio, out = audio_tokens(seconds * 1000, is_output=False), text_tokens(text)
    return {
        "type": "tokens",
        "input_tokens": audio,
        "input_token_details": {"text_tokens": 0, "audio_tokens": audio},
        "output_tokens": out,
        "total_tokens": audio + out,
    }


def _sum(tokens: Iterable[Tokens]) -> Tokens:
    total = Tokens()
    for one in tokens:
        total += one
    return total
