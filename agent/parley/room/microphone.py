"""One speaker's microphone: VAD, gate, and all that listen to it."""

from collections import deque
from collections.abc import Callable, Hashable, Sequence
from typing import Protocol

import numpy as np

from parley.core.framing import seconds
from parley.media.gate import GatePolicy, PhraseGate
from parley.media.mix import Mixer, mixed
from parley.media.vad import SpeechProbability

from .native import OnAudio

FRAME_MS = 50
"""Audio is taken from LiveKit in frames of this length, a quarter of a frame of the model: longer ones cost
less, but where a phrase begins, what is left of the frame is heard as delay."""
WINDOW_MS = 32
"""The same for a microphone whose voice must stop an agent at once: what the model decides on, no more, no
less. Shorter frames are not decided earlier, and cost more."""
PROMPT_MS = 20
"""The same for a microphone that is played or mixed as it comes."""


class Hearer(Protocol):
    """Whoever is fed from a microphone: a translation bridge, a voice agent."""

    def hear(
        self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float = 0.0
    ) -> float | None:
        """A frame of PCM16 mono 24 kHz that arrived at `at`, of which `voiced_s` seconds are voice.

        `speaking`: a phrase lives; `pre_roll`: what was captured just before. Returns for how many seconds
        the next frame may wait for others; None: not at all.
        """


class MixedIn:
    """One microphone of several that an agent hears."""

    def __init__(self, identity: str, mixer: Mixer, agent: Hearer) -> None:
        self._identity = identity
        self._mixer = mixer
        self._agent = agent

    def hear(
        self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float = 0.0
    ) -> None:
        """See Hearer."""
        frame = self._mixer.push(self._identity, pcm)
        self._agent.hear(frame or b"", at, speaking, (), voiced_s)


MISSING_FRAMES = 2
"""Frames of a shared screen without one of the microphone: then they go on without it."""
MOST_WAITING = 8
"""Frames of a shared screen that wait for the microphone's; beyond it the oldest is dropped: two tracks of
one participant do not drift apart that far in a meeting."""


class Blend:
    """The sound of a shared screen under the microphone, which keeps the time and waits for nothing."""

    def __init__(self, deliver: OnAudio) -> None:
        self._deliver = deliver
        self._waiting: deque[bytes] = deque(maxlen=MOST_WAITING)
        self._alone = MISSING_FRAMES

    def microphone(self, pcm: bytes, at: float) -> float | None:
        """A frame of the microphone; see OnAudio."""
        self._alone = 0
        return self._deliver(mixed([pcm, self._waiting.popleft()]) if self._waiting else pcm, at)

    def screen(self, pcm: bytes, at: float) -> None:
        """A frame of the screen's sound."""
        self._alone += 1
        self._waiting.append(pcm)
        while self._alone > MISSING_FRAMES and self._waiting:
            self._deliver(self._waiting.popleft(), at)

    def clear(self) -> None:
        """One of the two has ended, or comes in other frames."""
        self._waiting.clear()
        self._alone = MISSING_FRAMES


class Microphone:
    """What one speaker says, to all that listen to it."""

    def __init__(self, policy: GatePolicy, spoke: Callable[[float], None] = lambda voiced_s: None) -> None:
        """`spoke`: told of each frame how many seconds of voice are in it."""
        self.hearers: dict[Hashable, Hearer] = {}
        self.lengths: dict[Hashable, int] = {}
        """How long frames may be for each of them, in ms."""
        self.silenced = False
        """Whether the speaker has withdrawn consent: nobody hears anything."""
        self.blend = Blend(self.on_audio)
        self.heard_at = 0.0
        """When the last frame came (monotonic, s)."""
        self._spoke = spoke
        self._gate = PhraseGate(policy)
        self._speech = SpeechProbability()
        self._closed = False

    @property
    def speaking(self) -> bool:
        """Whether a phrase lives."""
        return self._gate.open

    @property
    def recent(self) -> tuple[bytes, ...]:
        """What it has delivered just now: the newest frames, oldest first."""
        return self._gate.pre_roll

    @property
    def frame_ms(self) -> int:
        """The length of frames that is needed now."""
        return min(self.lengths.values(), default=FRAME_MS)

    def on_audio(self, pcm: bytes, at: float) -> float | None:
        """One frame of PCM16 mono 24 kHz that arrived at `at`; see OnAudio."""
        if self._closed or self.silenced:
            return None
        self.heard_at = at
        speaking = self._gate.decide(self._speech.push(np.frombuffer(pcm, dtype=np.int16)))
        if self._gate.voiced_s:
            self._spoke(self._gate.voiced_s)
        pre_roll = self._gate.pre_roll
        patience_s = [
            hearer.hear(pcm, at, speaking, pre_roll, self._gate.voiced_s) or 0.0
            for hearer in self.hearers.values()
        ]
        self._gate.remember(pcm, seconds(len(pcm)))
        return min(patience_s, default=None)

    def interrupt(self) -> None:
        """Muted, or the track is gone: the phrase is over, nothing from before is kept."""
        self._gate.end()

    def close(self) -> None:
        """Releases the VAD."""
        self._closed = True
        self._speech.close()
