"""OpenAI's realtime models in LiveKit's own classes."""

from __future__ import annotations

import os
from typing import Literal
from weakref import WeakSet

import aiohttp
from livekit.agents.beta import translation as beta
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, APIConnectOptions, NotGivenOr
from livekit.agents.utils import is_given

from .connection import new_http_session
from .model_session import SessionSettings, TranslationModelSession
from .options import DEFAULT_BASE_URL, ConnectOptions, NoiseReduction, TranslationOptions

TranslationModels = Literal["gpt-realtime-translate"]
TranscriptionModels = Literal["gpt-realtime-whisper"]


def connect_from_environment(
    api_key: NotGivenOr[str] = NOT_GIVEN,
    base_url: NotGivenOr[str] = NOT_GIVEN,
    *,
    connect_timeout_s: float = 10.0,
) -> ConnectOptions:
    """What is given, else ``OPENAI_API_KEY`` and ``OPENAI_BASE_URL``. Raises ValueError without a key."""
    key = api_key if is_given(api_key) else os.environ.get("OPENAI_API_KEY", "")
    if not key:
        raise ValueError("api_key: not given, and OPENAI_API_KEY is not set")
    url = base_url if is_given(base_url) else os.environ.get("OPENAI_BASE_URL") or DEFAULT_BASE_URL
    return ConnectOptions(api_key=key, base_url=url, connect_timeout_s=connect_timeout_s)


class TranslationModel(beta.TranslationModel):
    """Speech-to-speech translation with ``/v1/realtime/translations``.

    For `livekit.agents.beta.translation.TranslationSession`, or alone: `session` gives a running session at
    once. The source language is detected; voice and tone follow the speaker. Close it with `aclose` (or
    ``async with``).
    """

    def __init__(
        self,
        *,
        target_language: str,
        model: TranslationModels | str = "gpt-realtime-translate",
        api_key: NotGivenOr[str] = NOT_GIVEN,
        base_url: NotGivenOr[str] = NOT_GIVEN,
        transcription_model: TranscriptionModels | str | None = None,
        noise_reduction: NoiseReduction | None = None,
        drain_timeout_s: float = 10.0,
        http_session: aiohttp.ClientSession | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> None:
        """
        Args:
            target_language: language to speak, one of `OUTPUT_LANGUAGES`.
            model: name of the model.
            api_key: default ``OPENAI_API_KEY``.
            base_url: default ``OPENAI_BASE_URL``, else ``https://api.openai.com/v1``.
            transcription_model: also transcribe what is heard, with this model; None (default): do not.
            noise_reduction: ``near_field``, ``far_field`` or None (default).
            drain_timeout_s: seconds to wait at the end for what is still being translated; a tail of about
                4 s is normal.
            http_session: used and left open. Default: one of its own, without a limit on connections.
            conn_options: ``timeout`` for a connection to be ready, ``max_retry`` and ``retry_interval``
                after a failure.

        Raises:
            ValueError: no API key, or a value that cannot work; the text names it.
        """
        super().__init__(
            capabilities=beta.TranslationCapabilities(
                input_transcription=transcription_model is not None,
                output_transcription=True,
                turn_reporting=False,
                output_segmentation=False,
                retargetable=True,
            ),
            target_language=target_language,
        )
        self._connect_options = connect_from_environment(
            api_key, base_url, connect_timeout_s=conn_options.timeout
        )
        self._model = model
        self._transcription_model = transcription_model
        self._noise_reduction = noise_reduction
        self._translation_options()
        self._drain_timeout_s = drain_timeout_s
        self._conn_options = conn_options
        self._http = http_session
        self._own_http: aiohttp.ClientSession | None = None
        self._sessions: WeakSet[TranslationModelSession] = WeakSet()

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._model

    @property
    def provider(self) -> str:
        """Host the model is reached at."""
        return self._connect_options.host

    def session(self) -> TranslationModelSession:
        """A session that connects at once, in the language set now. To be called in a running event loop."""
        settings = SessionSettings(
            connect=self._connect_options,
            translation=self._translation_options(),
            retry=self._conn_options,
            drain_timeout_s=self._drain_timeout_s,
            http=self._http_session,
        )
        session = TranslationModelSession(self, settings)
        self._sessions.add(session)
        return session

    async def drain(self) -> None:
        """`TranslationModelSession.drain` for every session: call it before `TranslationSession.aclose`.

        Without it the runtime stops reading first, and the last seconds of translation are not heard.
        """
        for session in list(self._sessions):
            await session.drain()

    async def aclose(self) -> None:
        """Close all sessions, and the HTTP session if it is ours."""
        for session in list(self._sessions):
            await session.aclose()
        if self._own_http is not None:
            await self._own_http.close()
            self._own_http = None

    def _translation_options(self) -> TranslationOptions:
        return TranslationOptions(
            model=self._model,
            language=self._target_language,
            transcription_model=self._transcription_model,
            noise_reduction=self._noise_reduction,
        )

    def _http_session(self) -> aiohttp.ClientSession:
        if self._http is not None:
            return self._http
        if self._own_http is None:
            self._own_http = new_http_session()
        return self._own_http
