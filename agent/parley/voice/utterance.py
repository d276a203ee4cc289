"""What of a microphone an agent's session is sent: utterances, and the silence that ends them.

quiet ──speech: the pre-roll, then all of it──▶ open ──the turn is over──▶ quiet
"""

from collections.abc import Callable, Sequence

from parley.core.framing import BYTES_PER_S

TAIL_S = 10.0
"""Silence that is sent after speech at most, while the API has not said that the turn is over: its semantic
detection waits up to 8 s."""
AFTER_S = 0.5
"""Silence that is still sent once it has."""
PIECE_S = 0.1
"""What is sent at a time where nothing hangs on it: inside speech, and after the turn."""
ONSET_S = 0.3
"""From the first voice on, every frame is sent as it comes: the API finds the turn in it."""
PAUSE_S = 0.2
"""Voice after so much of none is an onset again."""
GATHER_S = 0.06
"""How long audio may wait for more of it before it is heard here, where nothing hangs on it: three frames of
a microphone, as long as a piece."""
_PIECE_BYTES = round(PIECE_S * BYTES_PER_S)


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
        steady: bool = False,
        decides_after_s: float = PIECE_S,
    ) -> None:
        """`decides_after_s`: silence after which the API may find the turn over with any frame."""
        self._send = send
        self._over = over
        self._silence_s = silence_s
        self._steady = steady
        self._decides_after_s = decides_after_s
        self._held = bytearray()
        self._open = False
        self._answered = False
        self._voice_at = 0.0
        self._onset_until = 0.0
        self._until = 0.0

    @property
    def open(self) -> bool:
        """Whether what the microphone delivers is sent."""
        return self._open

    def hear(self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float) -> None:
        """A frame that arrived at `at`, as the room's microphones deliver it."""
        if voiced_s > 0:
            if at - self._voice_at > PAUSE_S:
                self._onset_until = at + ONSET_S
                self._answered = False
            self._voice_at = at
        if speaking:
            if not self._open and not self._steady:
                self._held += b"".join(pre_roll)
            self._open = True
            self._until = at + TAIL_S
        if self._open or self._steady:
            self._held += pcm
            if self._urgent(at) or len(self._held) >= _PIECE_BYTES:
                self._flush()
        if not self._open:
            return
        if self._over is None:
            self._open = speaking or at < self._until
            if not self._open and not self._steady:
                self._flush()
        elif at - self._voice_at >= self._silence_s:
            self._open = False
            self._flush()
            self._over()

    def _urgent(self, at: float) -> bool:
        """Whether the API may decide something by this very frame."""
        if self._over is not None:
            return False
        silent_s = at - self._voice_at
        return at < self._onset_until or (silent_s >= self._decides_after_s and not self._answered)

    def patient(self, at: float) -> bool:
        """Whether what comes in the next `GATHER_S` may come together: nothing is decided by it."""
        if not self._open:
            return True
        silent_s = at - self._voice_at + GATHER_S
        if self._over is not None:
            return silent_s < self._silence_s
        return at >= self._onset_until and (self._answered or silent_s < self._decides_after_s)

    def _flush(self) -> None:
        if self._held:
            self._send(bytes(self._held))
            self._held.clear()

    def answered(self, now: float) -> None:
        """The API has taken the turn for over."""
        self._answered = True
        self._until = min(self._until, now + AFTER_S)
