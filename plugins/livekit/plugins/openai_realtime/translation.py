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

import base64
import json
from collections import Counter, deque
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, Final

from .errors import ConnectionLost, ProtocolViolation, RealtimeError, RequestRejected, SessionNotOpen
from .events import (
    ErrorReported,
    InputTranscript,
    OutputAudio,
    OutputTranscript,
    SessionClosed,
    SessionCreated,
    SessionUpdated,
    TranslationEvent,
    Unknown,
    parse,
)
from .options import TranslationOptions

NORMAL_CLOSURE: Final = 1000


class State(Enum):
    """Where a session stands; the module docstring has the diagram."""

    CONNECTING = auto()
    CONFIGURING = auto()
    OPEN = auto()
    CLOSING = auto()
    CLOSED = auto()


class Unset(Enum):
    """The type of `UNSET`: leave a setting as it is, where None means "switch it off"."""

    UNSET = auto()


UNSET: Final = Unset.UNSET

_DELTAS: Mapping[type[TranslationEvent], None] = dict.fromkeys(
    (OutputAudio, OutputTranscript, InputTranscript)
)

_MOVES: Mapping[State, Mapping[type[TranslationEvent], State]] = {
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
"""(state, event) → state. An error before OPEN ends the session; any other pair that is not here is a
violation.
"""


class TranslationProtocol:
    """One session of ``/v1/realtime/translations``, from ``session.created`` to ``session.closed``.

    Use it once. The caller moves text both ways: `receive_text` for each message of the server, then
    `data_to_send` for what to send. Nothing here waits, blocks or knows the time, and no method may be called
    from two threads at once.

    Attributes:
        state: where the session stands.
        failure: why it ended early; None while it lives and after a proper end.
        created: the server's ``session.created``, None before it.
        language: the language the server has confirmed, None before OPEN.
        ignored: messages dropped by type: unknown ones, and deltas that came before the session was OPEN.
    """

    path: Final = "realtime/translations"

    def __init__(self, options: TranslationOptions) -> None:
        self.state = State.CONNECTING
        self.failure: RealtimeError | None = None
        self.created: SessionCreated | None = None
        self.language: str | None = None
        self.ignored: Counter[str] = Counter()
        self._options = options
        self._outbox: list[str] = []
        self._updates: deque[tuple[str, str | None]] = deque()
        self._updates_sent = 0
        self._last_error: RealtimeError | None = None

    @property
    def query(self) -> Mapping[str, str]:
        """Query of the URL: the model, fixed for the session's life."""
        return {"model": self._options.model}

    def data_to_send(self) -> list[str]:
        """The text messages to send now, in order; each is handed out once."""
        messages, self._outbox = self._outbox, []
        return messages

    # -- from the application --

    def append(self, pcm: bytes | bytearray | memoryview) -> None:
        """Queue ``session.input_audio_buffer.append``.

        `pcm` is int16[n] little endian, 24 kHz, mono; an empty one is ignored. A gap between two appends
        does not exist for the model: silence has to be appended too. Raises ValueError for half a sample and
        SessionNotOpen unless the session is OPEN.
        """
        self._require_open("audio")
        if len(pcm) % 2:
            raise ValueError(f"pcm: given {len(pcm)} bytes, PCM16 has an even number of them")
        if pcm:
            # Base64 needs no JSON escaping, so the message needs no encoder.
            audio = base64.b64encode(pcm).decode("ascii")
            self._outbox.append(f'{{"type":"session.input_audio_buffer.append","audio":"{audio}"}}')

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
            self._queue_update(audio, language)

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

    # -- from the server --

    def receive_text(self, message: str) -> list[TranslationEvent]:
        """Take one message; returns what it means to the application, in order.

        Never raises: what ends the session (a malformed message, one out of turn, a fatal error, a language
        that is not the one asked for) sets `failure` and CLOSED. After CLOSED every message is ignored.
        """
        if self.state is State.CLOSED:
            return []
        try:
            return self._receive(parse(message))
        except RealtimeError as exc:
            self._fail(exc)
            return []

    def receive_eof(self, close_code: int | None = None, reason: str = "") -> None:
        """The socket has ended: with the server's close frame, or with None when it just broke.

        The session is CLOSED. It is a proper end after ``session.closed``, or if the server closes normally
        (1000) when asked to close. Otherwise `failure` is the error reported just before, else
        ConnectionLost.
        """
        if self.state is State.CLOSED:
            return
        if self.state is State.CLOSING and close_code == NORMAL_CLOSURE:
            self.state = State.CLOSED
            return
        self._fail(self._last_error or ConnectionLost(close_code=close_code, reason=reason))

    # -- inside --

    def _receive(self, event: TranslationEvent) -> list[TranslationEvent]:
        if isinstance(event, Unknown):
            self.ignored[event.type] += 1
            return []
        if isinstance(event, ErrorReported):
            self._on_error(event.error)
            return [event]
        before = self.state
        if type(event) in _DELTAS and before in (State.CONNECTING, State.CONFIGURING):
            self.ignored[type(event).__name__] += 1
            return []
        after = _MOVES[before].get(type(event))
        if after is None:
            raise ProtocolViolation(f"{type(event).__name__} while {before.name}")
        self._last_error = None
        if isinstance(event, SessionUpdated) and (refused := self._confirm(event)) is not None:
            if before is State.CONFIGURING:
                raise refused
            return [event, ErrorReported(refused)]
        self.state = after
        if isinstance(event, SessionCreated):
            self.created = event
            self._queue_update(self._initial_audio(), self._options.language)
        return [event]

    def _on_error(self, error: RealtimeError) -> None:
        if error.fatal_to_session or ErrorReported not in _MOVES[self.state]:
            raise error
        self._last_error = error
        if error.event_id is not None:
            self._updates = deque(update for update in self._updates if update[0] != error.event_id)

    def _confirm(self, event: SessionUpdated) -> RequestRejected | None:
        """Take the language now in force; returns the complaint if it is not one that was asked for.

        An update refused without naming our event stays in the queue: a later confirmation passes over it.
        """
        self.language = event.language
        asked = [language for _, language in self._updates]
        for index, language in enumerate(asked):
            if language is None or language == event.language:
                for _ in range(index + 1):
                    self._updates.popleft()
                return None
        if not asked:
            return None
        self._updates.popleft()
        return RequestRejected(
            f"asked for language {asked[0]!r}, the session speaks {event.language!r}",
            code="language_not_confirmed",
            param="session.audio.output.language",
        )

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

    def _queue_update(self, audio: dict[str, Any], language: str | None) -> None:
        self._updates_sent += 1
        event_id = f"update_{self._updates_sent}"
        self._updates.append((event_id, language))
        self._outbox.append(
            json.dumps({"type": "session.update", "event_id": event_id, "session": {"audio": audio}})
        )

    def _require_open(self, what: str) -> None:
        if self.state is not State.OPEN:
            raise SessionNotOpen(f"{what} cannot be sent: the session is {self.state.name}") from self.failure

    def _fail(self, error: RealtimeError) -> None:
        self.failure = error
        self.state = State.CLOSED


def _transcription(model: str | None) -> dict[str, str] | None:
    return {"model": model} if model is not None else None
