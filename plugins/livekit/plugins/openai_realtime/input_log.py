"""The user's audio of one conversation, in order, across connections.

    pushed ─────────────────────────────────────────────►
    │ settled: in an item,   │ sent: on this connection,  │ not sent yet
    │ or given up            │ in no item yet             │

Positions are samples since the first one pushed and mean the same on every connection. A new connection
begins again at the end of what is settled: so nothing is lost, and nothing is said twice.
"""

from __future__ import annotations

from .options import SAMPLE_RATE_HZ

_BYTES = 2
_PER_MS = SAMPLE_RATE_HZ // 1000


class InputLog:
    """Bounded audio: int16[n] little endian, 24 kHz, mono.

    Attributes:
        end: position after the last sample pushed.
        sent: position of the next sample to send on this connection.
        settled: everything before it is never sent again.
        dropped_s: seconds that no session got, because a bound was reached.
    """

    def __init__(self, *, kept_max_s: float, unsent_max_s: float) -> None:
        self._kept_max = round(kept_max_s * SAMPLE_RATE_HZ)
        self._unsent_max = round(unsent_max_s * SAMPLE_RATE_HZ)
        self._allowed = self._unsent_max
        self._pcm = bytearray()
        self._base = 0
        self._origin = 0
        self.end = 0
        self.sent = 0
        self.settled = 0
        self.dropped_s = 0.0

    @property
    def unsent_s(self) -> float:
        """Seconds waiting to be sent."""
        return (self.end - self.sent) / SAMPLE_RATE_HZ

    def push(self, pcm: bytes | bytearray | memoryview, *, keep_s: float | None = None) -> bool:
        """Add audio. `keep_s`: of what was sent, all before this much is known to be no speech.

        Returns whether audio was dropped: too much waits to be sent.
        """
        self._pcm += pcm
        self.end = self._base + len(self._pcm) // _BYTES
        if keep_s is not None:
            self.settle(self.sent - round(keep_s * SAMPLE_RATE_HZ))
        self._forget(self.sent - self._kept_max)
        excess = self.end - self.sent - self._allowed
        if excess <= 0:
            return False
        self.dropped_s += excess / SAMPLE_RATE_HZ
        self.sent += excess
        self.settle(self.sent)
        return True

    def take(self, up_to: int, most: int) -> bytes:
        """The next audio to send: at most `most` samples, none beyond `up_to`. Empty: all of it is sent."""
        start = max(self.sent, self._base)
        stop = max(start, min(start + most, up_to, self.end))
        self.sent = stop
        return bytes(self._pcm[(start - self._base) * _BYTES : (stop - self._base) * _BYTES])

    def settle(self, position: int) -> None:
        """Everything before `position` is in an item of the conversation, or given up."""
        self.settled = max(self.settled, min(position, self.end))
        self._forget(min(self.settled, self.sent))

    def discard(self, after: int | None) -> None:
        """Give up the audio that is in no item; with `after`, what comes before it is still due."""
        if after is None or after <= self.sent:
            self.sent = self.end
            self.settle(self.end)
        else:
            del self._pcm[(after - self._base) * _BYTES :]
            self.end = after

    def at(self, session_ms: int) -> int:
        """The position of a moment on the connection's own clock of appended audio."""
        return self._origin + session_ms * _PER_MS

    def cut(self, start: int, end: int) -> bytes:
        """The audio between two positions, as far as it is still there."""
        low, high = (max(0, position - self._base) * _BYTES for position in (start, end))
        return bytes(self._pcm[low:high])

    def restart(self) -> None:
        """The connection is gone: what was sent on it and is in no item has to be sent again."""
        self.dropped_s += max(0, self._base - self.settled) / SAMPLE_RATE_HZ
        self.settle(self._base)
        self.sent = self.settled
        self._origin = self.sent
        self._allowed = self.end - self.sent + self._unsent_max

    def resume(self, before: int = 0) -> None:
        """A connection is there. `before`: samples appended on it before those of this log."""
        self._origin = self.sent - before
        self._allowed = max(self._unsent_max, self.end - self.sent)

    def _forget(self, position: int) -> None:
        if position > self._base:
            del self._pcm[: (position - self._base) * _BYTES]
            self._base = position
