"""What of a microphone an agent's session is sent: utterances, and the silence that ends them.

quiet ──speech: the pre-roll, then all of it──▶ open ──the turn is over──▶ quiet
"""

from collections.abc import Callable, Sequence

TAIL_S = 10.0
"""Silence that is sent after speech at most, while the API has not said that the turn is over: its semantic
detection waits up to 8 s."""
AFTER_S = 0.5
"""Silence that is still sent once it has."""


class Utterance:
    """One microphone's. `send` is called with what goes to the session.

    `over` is called where Parley's own VAD finds the turns: after `silence_s` without voice. None: the API
    finds them, and `answered` says so. `steady`: silence is sent as well, always.
    """

    def __init__(
        self,
        send: Callable[[bytes], None],
        over: Callable[[], None] | None,
        silence_s: float,
        *,
        steady: bool = False,
    ) -> None:
        self._send = send
        self._over = over
        self._silence_s = silence_s
        self._steady = steady
        self._open = False
        self._voice_at = 0.0
        self._until = 0.0

    @property
    def open(self) -> bool:
        """Whether what the microphone delivers is sent."""
        return self._open

    def hear(self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float) -> None:
        """A frame that arrived at `at`, as the room's microphones deliver it."""
        if voiced_s > 0:
            self._voice_at = at
        if speaking:
            if not self._open and not self._steady:
                for earlier in pre_roll:
                    self._send(earlier)
            self._open = True
            self._until = at + TAIL_S
        if self._open or self._steady:
            self._send(pcm)
        if not self._open:
            return
        if self._over is None:
            self._open = speaking or at < self._until
        elif at - self._voice_at >= self._silence_s:
            self._open = False
            self._over()

    def answered(self, now: float) -> None:
        """The API has taken the turn for over."""
        self._until = min(self._until, now + AFTER_S)
