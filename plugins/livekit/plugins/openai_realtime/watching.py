"""Whether the server still works: what it owes, and for how long it may say nothing.

A connection can live while the session behind it does not: nothing comes, and nothing tells. Then the session
is replaced, and what it owed is asked of the next one.
"""

from __future__ import annotations

import asyncio
from functools import partial

from livekit.agents import utils

from .conversation import Conversation
from .responses import Request

_PROBE = "alive_"
_REMOTE = 10  # times as long may a response take whose remote tools work


def is_probe(event_id: str | None) -> bool:
    """Whether a client event was sent for no other reason than to be answered."""
    return event_id is not None and event_id.startswith(_PROBE)


class Watching(Conversation):
    """Timers over what is owed: a sign of life, the answer to a turn, the rest of a response."""

    def _watch_audio(self) -> None:
        """The user's audio goes out. Noise is answered by nothing, but a session can be asked if it lives."""
        if "audio" not in self._timers and self._link.connected:
            sent_at = asyncio.get_running_loop().time()
            self._after("audio", self._keeping.reply_timeout_s / 2, partial(self._ask_for_life, sent_at))

    def _ask_for_life(self, since: float) -> None:
        self._not_after("audio")
        if self._heard_at >= since:
            return
        event_id = utils.shortuuid(_PROBE)
        self._link.send({"type": "session.update", "event_id": event_id, "session": {"type": "realtime"}})
        self._after("audio", self._keeping.reply_timeout_s / 2, partial(self._without_life, since))

    def _without_life(self, since: float) -> None:
        self._not_after("audio")
        if self._heard_at < since:
            self._stalled("the server says nothing")

    def _watch_turn(self, item_id: str) -> None:
        """A turn was committed that the server answers by itself."""
        detection = self._options.turn_detection
        if detection is not None and detection.interrupt_response:
            # Who interrupts by itself judges turns by itself: to some, no answer is wanted.
            self._after("turn", self._keeping.reply_timeout_s, partial(self._not_answered, item_id))

    def _not_answered(self, item_id: str) -> None:
        if self._utterances.unanswered == item_id and self._responses.idle:
            self._utterances.unanswered = None
            self._ask(Request(utils.shortuuid("answer_"), "answer"))

    def _watch_reply(self) -> None:
        """A response was created."""
        self._after("reply", self._keeping.stall_s, self._look_at_reply)

    def _look_at_reply(self) -> None:
        if self._responses.active is None:
            return
        silent_s = asyncio.get_running_loop().time() - self._reply_at
        left_s = self._keeping.stall_s * (_REMOTE if self._mcp.working else 1) - silent_s
        if left_s > 0:
            self._after("reply", left_s, self._look_at_reply)
        else:
            self._stalled("a response does not go on")

    def _watch_nothing(self) -> None:
        """The connection is gone, and with it what it owed."""
        for name in ("audio", "turn", "reply"):
            self._not_after(name)
