"""Which ``response.create`` may be sent when: one response at a time writes the conversation.

waiting ──► sent ──response.created──► active ──response.done──► (next)
   ▲         │ refused: another one is active, or the connection is lost
   └─────────┘
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

_ATTEMPTS = 5

Purpose = Literal["reply", "answer", "resume", "mcp"]


@dataclass(slots=True)
class Request:
    """A response that is asked for."""

    event_id: str
    purpose: Purpose
    """``reply``: the application's; ``answer``: a turn's that the lost server owed; ``resume``: of a reply
    that was cut; ``mcp``: after calls of remote tools."""
    params: dict[str, Any] = field(default_factory=dict)
    """``response`` of the ``response.create``."""
    attempts: int = 0

    def payload(self) -> dict[str, Any]:
        """The ``response.create``. Its id comes back in the response's metadata."""
        metadata = {**self.params.get("metadata", {}), "client_event_id": self.event_id}
        params = {**self.params, "metadata": metadata}
        return {"type": "response.create", "event_id": self.event_id, "response": params}


class Responses:
    """The state of responses on this connection, and the requests that outlive it.

    Attributes:
        active: id of the response being generated.
        cancelling: whether it was asked to stop.
        held: nothing is to be sent yet (remote tools are being listed).
    """

    def __init__(self) -> None:
        self.active: str | None = None
        self.cancelling = False
        self.held = False
        self._busy = False
        self._sent: Request | None = None
        self._waiting: deque[Request] = deque()

    @property
    def idle(self) -> bool:
        """Whether nothing is generated, asked for, or waiting."""
        return self.active is None and self._sent is None and not self._waiting

    @property
    def sent(self) -> Request | None:
        """The request the server has not answered yet."""
        return self._sent

    def ask(self, request: Request, *, first: bool = False) -> None:
        """Want a response; `first`: before those that already wait."""
        if first:
            self._waiting.appendleft(request)
        else:
            self._waiting.append(request)

    def to_send(self) -> Request | None:
        """The request to send now, if one may be sent.

        While the active response is being cancelled one may: the server takes both in order.
        """
        free = self.active is None or self.cancelling
        if self.held or self._busy or self._sent is not None or not free or not self._waiting:
            return None
        self._sent = self._waiting.popleft()
        self._sent.attempts += 1
        return self._sent

    def created(self, response_id: str, event_id: str | None) -> Request | None:
        """``response.created``; returns the request it answers, None if the server began by itself."""
        self.active, self.cancelling = response_id, False
        request = self._sent
        if request is None or request.event_id != event_id:
            return None
        self._sent = None
        return request

    def done(self, response_id: str) -> None:
        """``response.done``."""
        if self.active is None or self.active == response_id:
            self.active, self.cancelling = None, False
        self._busy = False

    def refused(self, event_id: str | None, *, busy: bool) -> Request | None:
        """An error that answers a request. `busy`: a response is active; it is tried again after that one.

        Returns the request if it is given up.
        """
        request = self._sent
        if request is None or request.event_id != event_id:
            return None
        self._sent = None
        if busy and request.attempts < _ATTEMPTS:
            self._waiting.appendleft(request)
            self._busy = True
            return None
        return request

    def free(self) -> None:
        """No ``response.done`` has come although a response was said to be active: try again anyway."""
        self._busy = False

    def interrupted(self) -> None:
        """The user speaks, and the server stops the active response by itself."""
        self.cancelling = self.active is not None

    def cancel(self) -> str | None:
        """The response to cancel, or None: nothing is active, or it is being cancelled already."""
        if self.active is None or self.cancelling:
            return None
        self.cancelling = True
        return self.active

    def withdraw(self, event_id: str) -> bool:
        """Nobody wants this one any more. Returns whether it was sent: its response may still come."""
        if self._sent is not None and self._sent.event_id == event_id:
            self._sent = None
            return True
        for request in self._waiting:
            if request.event_id == event_id:
                self._waiting.remove(request)
                break
        return False

    def lost(self) -> str | None:
        """The connection is gone: what was sent and not answered waits again. Returns the active response."""
        active, self.active = self.active, None
        self.cancelling = self._busy = False
        if self._sent is not None:
            self._waiting.appendleft(self._sent)
            self._sent = None
        return active

    def clear(self) -> list[Request]:
        """Forget everything; returns the requests that will never be answered."""
        requests = [*([self._sent] if self._sent is not None else []), *self._waiting]
        self._waiting.clear()
        self._sent = self.active = None
        return requests
