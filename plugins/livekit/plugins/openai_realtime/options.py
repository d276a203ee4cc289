"""Settings of a connection and of a translation session: frozen values, checked when they are made."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

DEFAULT_BASE_URL = "https://api.openai.com/v1"

OUTPUT_LANGUAGES = ("es", "pt", "fr", "ja", "ru", "zh", "de", "ko", "hi", "id", "vi", "it", "en")
"""The languages gpt-realtime-translate speaks, ISO 639-1. The server decides; this list is for menus."""

SAMPLE_RATE_HZ = 24_000
"""Rate of all PCM16 mono audio to and from the API."""

NoiseReduction = Literal["near_field", "far_field"]
Delay = Literal["minimal", "low", "medium", "high", "xhigh"]
DELAYS: tuple[Delay, ...] = ("minimal", "low", "medium", "high", "xhigh")

WHISPER = "gpt-realtime-whisper"
_NO_PROMPT = (WHISPER, "gpt-4o-transcribe-diarize")
_TAKE_KEYWORDS = ("gpt-transcribe", "gpt-live-transcribe")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z0-9]+)*", re.IGNORECASE | re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConnectOptions:
    """How to reach the API. Raises ValueError, naming the field, for a value that cannot work."""

    api_key: str = field(repr=False)
    """API key or ephemeral secret, sent as ``Authorization: Bearer``. No default: the caller reads it."""
    base_url: str = DEFAULT_BASE_URL
    """As the openai package takes it: ``http(s)://host[:port]/v1``. http is for gateways and stand-ins."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """More headers of the upgrade (``OpenAI-Safety-Identifier``, ``api-key``); they win. Default none."""
    connect_timeout_s: float = 10.0
    """Seconds for TCP, TLS, upgrade, ``session.created`` and ``session.updated`` together; 2 s is normal."""
    close_timeout_s: float = 5.0
    """Seconds at most for the closing handshake when the connection is left; the socket is cut after that."""
    heartbeat_s: float = 15.0
    """Seconds without any data before a ping is sent; half of it without an answer and the connection is
    lost. 15 finds a dead path in under 23 s and keeps most proxies from dropping an idle socket (60 s)."""
    max_message_bytes: int = 16 * 1024 * 1024
    """Largest message accepted. 16 MiB is above the API's own 15 MiB for audio."""

    def __post_init__(self) -> None:
        if not self.api_key.strip():
            raise ValueError("api_key: given an empty string, an API key is needed")
        if not self.api_key.strip().isprintable():
            raise ValueError("api_key: given a text with a line break or control character inside")
        url = urlsplit(self.base_url)
        if url.scheme not in ("http", "https") or not url.hostname or url.query or url.fragment:
            raise ValueError(
                f"base_url: given {self.base_url!r}, allowed is http(s)://host[:port]/path without a query"
            )
        for name in ("connect_timeout_s", "close_timeout_s", "heartbeat_s", "max_message_bytes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name}: given {getattr(self, name)!r}, a number above 0 is needed")

    @property
    def host(self) -> str:
        """Host name of ``base_url``, for labels."""
        return urlsplit(self.base_url).hostname or ""

    def websocket_url(self, path: str, query: Mapping[str, str]) -> str:
        """The ``ws(s)://`` URL of `path` (``realtime/translations``) under ``base_url``."""
        url = urlsplit(self.base_url)
        scheme = "wss" if url.scheme == "https" else "ws"
        return urlunsplit((scheme, url.netloc, f"{url.path.rstrip('/')}/{path}", urlencode(query), ""))


@dataclass(frozen=True, slots=True, kw_only=True)
class TranslationOptions:
    """What one translation session is asked to do. Raises ValueError, naming the field."""

    model: str
    """Model name, for example ``gpt-realtime-translate``: part of the URL, fixed for the session's life."""
    language: str
    """Language to speak, one of `OUTPUT_LANGUAGES` today. Not checked here: the server's list may grow."""
    transcription_model: str | None = None
    """Model that also transcribes the source (``gpt-realtime-whisper``), or None (the default)."""
    noise_reduction: NoiseReduction | None = None
    """``near_field`` for a headset, ``far_field`` for a room; None (the default) leaves the audio alone."""

    def __post_init__(self) -> None:
        for name in ("model", "language"):
            if not getattr(self, name).strip():
                raise ValueError(f"{name}: given an empty string, a name is needed")
        _check_noise_reduction(self.noise_reduction)


def takes_prompt(model: str) -> bool:
    """Whether a transcription model takes a text that guides it."""
    return model not in _NO_PROMPT


def takes_keywords(model: str) -> bool:
    """Whether a transcription model takes words to expect."""
    return model in _TAKE_KEYWORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class TranscriptionOptions:
    """What one transcription session is asked to do. Raises ValueError, naming the field."""

    model: str = WHISPER
    """Model name. It has to be one that turns speech into text as it comes, and works without server VAD."""
    language: str | None = None
    """What is spoken, which makes it better and faster: ISO 639-1, or BCP 47, of which the language is kept
    (``pt-BR``: ``pt``). None (the default): detected."""
    delay: Delay | None = None
    """How long gpt-realtime-whisper waits before it gives out words: later is more accurate. None (the
    default): the server's own."""
    prompt: str | None = None
    """Text that guides the model, for those that take one; gpt-realtime-whisper takes none. Default none."""
    keywords: tuple[str, ...] = ()
    """Names and words to expect, for those that take them: gpt-transcribe, gpt-live-transcribe; not
    gpt-realtime-whisper. Default none."""
    noise_reduction: NoiseReduction | None = None
    """``near_field`` for a headset, ``far_field`` for a room; None (the default) leaves the audio alone."""
    logprobs: bool = False
    """Whether to ask how sure the model is: `Transcribed.confidence`."""

    def __post_init__(self) -> None:
        if not self.model.strip():
            raise ValueError("model: given an empty string, a name is needed")
        if self.language is not None:
            if not _LANGUAGE.fullmatch(self.language):
                raise ValueError(
                    f"language: given {self.language!r}, ISO 639-1 (de) or BCP 47 (de-AT) is needed"
                )
            object.__setattr__(self, "language", self.language.partition("-")[0].lower())
        if self.delay is not None:
            if self.delay not in DELAYS:
                raise ValueError(f"delay: given {self.delay!r}, allowed are {', '.join(DELAYS)}, None")
            self._require(self.model == WHISPER, "delay", f"only {WHISPER} has one")
        if self.prompt is not None:
            self._require(self.model not in _NO_PROMPT, "prompt", "this model takes none")
        if self.keywords:
            self._require(
                self.model in _TAKE_KEYWORDS, "keywords", f"only {' and '.join(_TAKE_KEYWORDS)} take them"
            )
        _check_noise_reduction(self.noise_reduction)

    def _require(self, fits: bool, name: str, why: str) -> None:
        if not fits:
            raise ValueError(f"{name}: given for model {self.model!r}, {why}")


def _check_noise_reduction(given: NoiseReduction | None) -> None:
    if given not in (None, "near_field", "far_field"):
        raise ValueError(f"noise_reduction: given {given!r}, allowed are near_field, far_field, None")
