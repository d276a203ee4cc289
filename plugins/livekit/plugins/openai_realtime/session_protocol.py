"""What every kind of realtime session has in common, as a synchronous object without any I/O.

A kind of session says which events it reads, in which state each may come, and what follows from it; here are
the order, the outbox, errors, the end, and the check that the server does what it was asked to do.
"""

from __future__ import annotations

import base64
import json
from abc import ABC, abstractmethod
from collections import Counter, deque
from collections.abc import Mapping
from enum import Enum, auto
from typing import Any, ClassVar, Final, Generic, TypeVar

from .errors import ConnectionLost, ProtocolViolation, RealtimeError, RequestRejected, SessionNotOpen
from .events import ErrorReported, SessionCreated, Unknown

NORMAL_CLOSURE: Final = 1000


class State(Enum):
    """Where a session stands."""

    CONNECTING = auto()
    CONFIGURING = auto()
    OPEN = auto()
    CLOSING = auto()
    CLOSED = auto()


class Unset(Enum):
    """The type of `UNSET`: leave a setting as it is, where None means "switch it off"."""

    UNSET = auto()


UNSET: Final = Unset.UNSET

Moves = Mapping[State, Mapping[type[Any], State]]
EventT = TypeVar("EventT")


class SessionProtocol(ABC, Generic[EventT]):
    """One session, from ``session.created`` to its end.

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

    path: ClassVar[str]
    """Path of the URL, under ``base_url``."""
    _append: ClassVar[str]
    """``type`` of the client event that carries audio."""
    _language_param: ClassVar[str]
    """Where in the session's settings the language stands."""
    _moves: ClassVar[Moves]
    """(state, event) → state. An error before OPEN ends the session; any other pair that is not here is a
    violation."""
    _early: ClassVar[frozenset[type[Any]]]
    """Events that are ignored, not refused, before the session is OPEN."""
    _server_closes: ClassVar[bool]
    """Whether a normal close of the server is a proper end while CLOSING."""

    def __init__(self) -> None:
        self.state = State.CONNECTING
        self.failure: RealtimeError | None = None
        self.created: SessionCreated | None = None
        self.language: str | None = None
        self.ignored: Counter[str] = Counter()
        self._outbox: list[str] = []
        self._updates: deque[tuple[str, str | None]] = deque()
        self._updates_sent = 0
        self._last_error: RealtimeError | None = None

    @property
    @abstractmethod
    def query(self) -> Mapping[str, str]:
        """Query of the URL."""

    @abstractmethod
    def close(self) -> None:
        """Ask for what is still owed, and for the end."""

    def data_to_send(self) -> list[str]:
        """The text messages to send now, in order; each is handed out once."""
        messages, self._outbox = self._outbox, []
        return messages

    # -- from the application --

    def append(self, pcm: bytes | bytearray | memoryview) -> None:
        """Queue an append of audio.

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
            self._outbox.append(f'{{"type":"{self._append}","audio":"{audio}"}}')

    # -- from the server --

    def receive_text(self, message: str) -> list[EventT | ErrorReported]:
        """Take one message; returns what it means to the application, in order.

        Never raises: what ends the session (a malformed message, one out of turn, a fatal error, a setting
        that is not the one asked for) sets `failure` and CLOSED. After CLOSED every message is ignored.
        """
        if self.state is State.CLOSED:
            return []
        try:
            return self._receive(self._parse(message))
        except RealtimeError as exc:
            self._fail(exc)
            return []

    def receive_eof(self, close_code: int | None = None, reason: str = "") -> None:
        """The socket has ended: with the server's close frame, or with None when it just broke.

        The session is CLOSED. It is a proper end after the session's own end, and for a session that the
        server closes also if it does so normally (1000) when asked to. Otherwise `failure` is the error
        reported just before, else ConnectionLost.
        """
        if self.state is State.CLOSED:
            return
        if self._server_closes and self.state is State.CLOSING and close_code == NORMAL_CLOSURE:
            self.state = State.CLOSED
            return
        self._fail(self._last_error or ConnectionLost(close_code=close_code, reason=reason))

    # -- for a kind of session --

    @abstractmethod
    def _parse(self, message: str) -> EventT | ErrorReported | Unknown:
        """The event in a message. Raises ProtocolViolation."""

    @abstractmethod
    def _apply(self, event: EventT) -> RequestRejected | None:
        """What follows from an event that may come now; returns a complaint for the application, if any.

        Raises what ends the session. `state` is still the one before the event.
        """

    def _refused(self, error: RealtimeError) -> None:
        """An ``error`` that the session survives."""
        if error.event_id is not None:
            self._updates = deque(update for update in self._updates if update[0] != error.event_id)

    def _queue(self, kind: str, **fields: Any) -> None:
        self._outbox.append(json.dumps({"type": kind, **fields}))

    def _queue_update(self, session: Mapping[str, Any], language: str | None) -> None:
        self._updates_sent += 1
        event_id = f"update_{self._updates_sent}"
        self._updates.append((event_id, language))
        self._queue("session.update", event_id=event_id, session=session)

    def _confirm(self, language: str | None) -> RequestRejected | None:
        """Take the language now in force; returns the complaint if it is not one that was asked for.

        An update refused without naming our event stays in the queue: a later confirmation passes over it.
        """
        self.language = language
        asked = [update[1] for update in self._updates]
        for index, wanted in enumerate(asked):
            if wanted is None or wanted == language:
                for _ in range(index + 1):
                    self._updates.popleft()
                return None
        if not asked:
            return None
        self._updates.popleft()
        return RequestRejected(
            f"asked for language {asked[0]!r}, the session speaks {language!r}",
            code="language_not_confirmed",
            param=self._language_param,
        )

    def _require_open(self, what: str) -> None:
        if self.state is not State.OPEN:
            raise SessionNotOpen(f"{what} cannot be sent: the session is {self.state.name}") from self.failure

    # -- inside --

    def _receive(self, event: EventT | ErrorReported | Unknown) -> list[EventT | ErrorReported]:
        if isinstance(event, Unknown):
            self.ignored[event.type] += 1
            return []
        if isinstance(event, ErrorReported):
            self._on_error(event.error)
            return [event]
        before = self.state
        if type(event) in self._early and before in (State.CONNECTING, State.CONFIGURING):
            self.ignored[type(event).__name__] += 1
            return []
        after = self._moves[before].get(type(event))
        if after is None:
            raise ProtocolViolation(f"{type(event).__name__} while {before.name}")
        self._last_error = None
        if isinstance(event, SessionCreated):
            self.created = event
        complaint = self._apply(event)
        self.state = after
        return [event] if complaint is None else [event, ErrorReported(complaint)]

    def _on_error(self, error: RealtimeError) -> None:
        if error.fatal_to_session or ErrorReported not in self._moves[self.state]:
            raise error
        self._last_error = error
        self._refused(error)

    def _fail(self, error: RealtimeError) -> None:
        self.failure = error
        self.state = State.CLOSED
