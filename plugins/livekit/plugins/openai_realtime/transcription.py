"""The transcription session of the Realtime API as a synchronous object: messages in, events and messages
out.

    CONNECTING   ── session.created: session.update is queued ─────▶ CONFIGURING
    CONFIGURING  ── session.updated: the settings are confirmed ───▶ OPEN
    OPEN         ── close() while transcripts are owed ────────────▶ CLOSING
    OPEN         ── close() while none is owed ────────────────────▶ CLOSED
    CLOSING      ── the last transcript that is owed ──────────────▶ CLOSED
    any          ── a fatal `error`, any `error` before OPEN, a
                    message out of turn, the end of the socket ────▶ CLOSED, with a `failure`

A new session has the server's own turn detection: it is switched off, and audio is refused before that is
confirmed. A session of this kind has no message for its end: it is over when all that was committed is
transcribed, and then the socket is closed. What was appended and not committed has no transcript.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar

from .errors import RealtimeError, RequestRejected
from .events import (
    Cleared,
    Committed,
    ErrorReported,
    NotTranscribed,
    SessionCreated,
    Transcribed,
    TranscriptionEvent,
    TranscriptionUpdated,
    Unknown,
    Words,
    parse_transcription,
)
from .options import SAMPLE_RATE_HZ, TranscriptionOptions
from .session_protocol import UNSET, Moves, SessionProtocol, State, Unset

COMMIT_EMPTY = "input_audio_buffer_commit_empty"
"""Code of the error for a commit of less than 100 ms."""

_LOGPROBS = "item.input_audio_transcription.logprobs"
_EVENTS = frozenset((Committed, Cleared, Words, Transcribed, NotTranscribed))


def refuses_commit(error: RealtimeError) -> bool:
    """Whether a commit was refused whose audio is still in the server's buffer, in the way of what follows:
    only a new session helps."""
    return error.code != COMMIT_EMPTY and "commit" in (error.event_id or "")


class TranscriptionProtocol(SessionProtocol[TranscriptionEvent]):
    """One session of ``/v1/realtime?intent=transcription``; see `SessionProtocol`."""

    path: ClassVar[str] = "realtime"
    _append: ClassVar[str] = "input_audio_buffer.append"
    _language_param: ClassVar[str] = "session.audio.input.transcription.language"
    _early: ClassVar[frozenset[type[Any]]] = frozenset()
    _server_closes: ClassVar[bool] = False
    _moves: ClassVar[Moves] = {
        State.CONNECTING: {SessionCreated: State.CONFIGURING},
        State.CONFIGURING: {TranscriptionUpdated: State.OPEN},
        **{
            state: {
                **dict.fromkeys(_EVENTS, state),
                TranscriptionUpdated: state,
                ErrorReported: state,
            }
            for state in (State.OPEN, State.CLOSING)
        },
    }

    def __init__(self, options: TranscriptionOptions) -> None:
        super().__init__()
        self._options = options
        self._commits: deque[str] = deque()
        self._commits_sent = 0
        self._items: set[str] = set()

    @property
    def query(self) -> Mapping[str, str]:
        """Query of the URL: the kind of session; the model is a setting."""
        return {"intent": "transcription"}

    @property
    def owed(self) -> int:
        """Transcripts that are still to come: of commits, confirmed or not."""
        return len(self._commits) + len(self._items)

    def commit(self, event_id: str | None = None) -> None:
        """Queue ``input_audio_buffer.commit``: `Committed` follows, then `Transcribed` or `NotTranscribed`.

        At least 100 ms have to be appended since the last one, else an `ErrorReported` follows instead, with
        `event_id`. Raises SessionNotOpen unless the session is OPEN.
        """
        self._require_open("a commit")
        self._commits_sent += 1
        event_id = event_id if event_id is not None else f"commit_{self._commits_sent}"
        self._commits.append(event_id)
        self._queue("input_audio_buffer.commit", event_id=event_id)

    def clear(self) -> None:
        """Queue ``input_audio_buffer.clear``: what was appended since the last commit is forgotten."""
        self._require_open("a clear")
        self._queue("input_audio_buffer.clear")

    def update(self, *, language: str | Unset | None = UNSET) -> None:
        """Queue ``session.update`` for a running session; the next `TranscriptionUpdated` confirms it.

        `language`: the new one, None to have it detected, UNSET to keep it. A refusal arrives as
        `ErrorReported`, and the session goes on in the old language. Raises SessionNotOpen unless the
        session is OPEN, and ValueError like `TranscriptionOptions`.
        """
        self._require_open("an update")
        if not isinstance(language, Unset):
            self._options = replace(self._options, language=language)
            self._queue_update(self._session(), self._options.language)

    def close(self) -> None:
        """Take no more audio. The session is over when all that is owed has come; if none is, at once."""
        if self.state is State.OPEN:
            self.state = State.CLOSING
        if self.state is not State.CLOSING or not self.owed:
            self.state = State.CLOSED

    def _parse(self, message: str) -> TranscriptionEvent:
        return parse_transcription(message)

    def _receive(
        self, event: TranscriptionEvent | ErrorReported | Unknown
    ) -> list[TranscriptionEvent | ErrorReported]:
        events = super()._receive(event)
        if self.state is State.CLOSING and not self.owed:
            self.state = State.CLOSED
        return events

    def _apply(self, event: TranscriptionEvent) -> RequestRejected | None:
        match event:
            case SessionCreated():
                self._queue_update(self._session(), self._options.language)
            case TranscriptionUpdated():
                return self._on_updated(event)
            case Committed(item_id):
                if self._commits:
                    self._commits.popleft()
                self._items.add(item_id)
            case Transcribed(item_id) | NotTranscribed(item_id):
                self._items.discard(item_id)
        return None

    def _refused(self, error: RealtimeError) -> None:
        super()._refused(error)
        if error.event_id in self._commits:
            self._commits.remove(error.event_id or "")
        elif error.event_id is None and error.code == COMMIT_EMPTY and self._commits:
            self._commits.popleft()

    def _on_updated(self, event: TranscriptionUpdated) -> RequestRejected | None:
        refused: RequestRejected | None = None
        if event.turn_detection is not None:
            refused = _not_confirmed("turn_detection", None, event.turn_detection)
        elif event.model is not None and not event.model.startswith(self._options.model):
            refused = _not_confirmed("transcription.model", self._options.model, event.model)
        named = event.language
        if named is None and self._updates:
            named = self._updates[0][1]
        complaint = self._confirm(named)
        refused = refused or complaint
        if refused is not None and self.state is State.CONFIGURING:
            raise refused
        return refused

    def _session(self) -> dict[str, Any]:
        options = self._options
        transcription = {
            "model": options.model,
            "language": options.language,
            "delay": options.delay,
            "prompt": options.prompt,
            "keywords": list(options.keywords) or None,
        }
        given = {key: value for key, value in transcription.items() if value is not None}
        noise = options.noise_reduction
        return {
            "type": "transcription",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": SAMPLE_RATE_HZ},
                    "transcription": given,
                    **({"noise_reduction": {"type": noise}} if noise is not None else {}),
                    "turn_detection": None,
                }
            },
            **({"include": [_LOGPROBS]} if options.logprobs else {}),
        }


def _not_confirmed(setting: str, asked: str | None, given: str) -> RequestRejected:
    return RequestRejected(
        f"asked for {setting} {asked!r}, the session has {given!r}",
        code=f"{setting.rpartition('.')[2]}_not_confirmed",
        param=f"session.audio.input.{setting}",
    )
