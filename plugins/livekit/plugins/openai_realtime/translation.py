"""The translation session of the Realtime API as a synchronous object: messages in, events and messages out.

    CONNECTING   ── session.created: session.update is queued ─────▶ CONFIGURING
    CONFIGURING  ── session.updated: the language is confirmed ────▶ OPEN
    OPEN         ── close(): session.close is queued ──────────────▶ CLOSING
    OPEN         ── session.closed ────────────────────────────────▶ CLOSED
    CLOSING      ── session.closed ────────────────────────────────▶ CLOSED
    any          ── a fatal `error`, any `error` before OPEN, a
                    message out of turn, the end of the socket ────▶ CLOSED, with a `failure`

Until ``session.updated`` the session speaks the server's default language: audio is refused before it. What
ended a session early is in `TranslationProtocol.failure`; after ``session.closed`` it is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from .errors import RequestRejected
from .events import (
    ErrorReported,
    InputTranscript,
    OutputAudio,
    OutputTranscript,
    SessionClosed,
    SessionCreated,
    SessionUpdated,
    TranslationEvent,
    parse,
)
from .options import TranslationOptions
from .session_protocol import UNSET, Moves, SessionProtocol, State, Unset

_DELTAS = frozenset((OutputAudio, OutputTranscript, InputTranscript))


class TranslationProtocol(SessionProtocol[TranslationEvent]):
    """One session of ``/v1/realtime/translations``; see `SessionProtocol`."""

    path: ClassVar[str] = "realtime/translations"
    _append: ClassVar[str] = "session.input_audio_buffer.append"
    _language_param: ClassVar[str] = "session.audio.output.language"
    _early: ClassVar[frozenset[type[Any]]] = _DELTAS
    _server_closes: ClassVar[bool] = True
    _moves: ClassVar[Moves] = {
        State.CONNECTING: {SessionCreated: State.CONFIGURING},
        State.CONFIGURING: {SessionUpdated: State.OPEN},
        State.OPEN: {
            **dict.fromkeys(_DELTAS, State.OPEN),
            SessionUpdated: State.OPEN,
            ErrorReported: State.OPEN,
            SessionClosed: State.CLOSED,
        },
        State.CLOSING: {
            **dict.fromkeys(_DELTAS, State.CLOSING),
            SessionUpdated: State.CLOSING,
            ErrorReported: State.CLOSING,
            SessionClosed: State.CLOSED,
        },
    }

    def __init__(self, options: TranslationOptions) -> None:
        super().__init__()
        self._options = options

    @property
    def query(self) -> Mapping[str, str]:
        """Query of the URL: the model, fixed for the session's life."""
        return {"model": self._options.model}

    def update(self, *, language: str | None = None, transcription_model: str | Unset | None = UNSET) -> None:
        """Queue ``session.update`` for a running session; the next `SessionUpdated` confirms it.

        `language`: the new language, or None to keep it. `transcription_model`: the new one, None to switch
        it off, UNSET to keep it. Nothing is queued if nothing is to change. A refusal arrives as
        `ErrorReported`, and the session goes on in the old language. Raises SessionNotOpen unless the
        session is OPEN.
        """
        self._require_open("an update")
        audio: dict[str, Any] = {}
        if transcription_model is not UNSET:
            audio["input"] = {"transcription": _transcription(transcription_model)}
        if language is not None:
            audio["output"] = {"language": language}
        if audio:
            self._queue_update({"audio": audio}, language)

    def close(self) -> None:
        """Queue ``session.close``, once: the server flushes what it owes and answers ``session.closed``.

        Closing a session that is closing or closed does nothing. One that never opened owes nothing and is
        CLOSED.
        """
        if self.state is State.OPEN:
            self._outbox.append('{"type":"session.close"}')
            self.state = State.CLOSING
        elif self.state is not State.CLOSING:
            self.state = State.CLOSED

    def _parse(self, message: str) -> TranslationEvent:
        return parse(message)

    def _apply(self, event: TranslationEvent) -> RequestRejected | None:
        if isinstance(event, SessionCreated):
            self._queue_update({"audio": self._initial_audio()}, self._options.language)
        elif isinstance(event, SessionUpdated) and (refused := self._confirm(event.language)) is not None:
            if self.state is State.CONFIGURING:
                raise refused
            return refused
        return None

    def _initial_audio(self) -> dict[str, Any]:
        options = self._options
        noise = options.noise_reduction
        return {
            "input": {
                "transcription": _transcription(options.transcription_model),
                "noise_reduction": {"type": noise} if noise is not None else None,
            },
            "output": {"language": options.language},
        }


def _transcription(model: str | None) -> dict[str, str] | None:
    return {"model": model} if model is not None else None
