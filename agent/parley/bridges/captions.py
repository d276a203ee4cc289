"""The captions bridge: what one speaker says, written down in their own words.

hear ──▶ Transcriber ──take──▶ Ear ──append, commit──▶ session     (an utterance is committed at a pause; the
              │                 │                                   next session takes over between two)
              ◀─────events──────┘
              └──lines──▶ TextOut
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from time import monotonic

from livekit.plugins.openai_realtime.errors import RealtimeError
from livekit.plugins.openai_realtime.events import ErrorReported
from livekit.plugins.openai_realtime.hearing import TranscriberPolicy
from livekit.plugins.openai_realtime.options import TranscriptionOptions
from livekit.plugins.openai_realtime.spoken import Line
from livekit.plugins.openai_realtime.transcriber import Append, Commit, Transcriber
from parley.core.framing import seconds
from parley.core.model import BridgeSpec
from parley.core.retry import RetryPolicy
from parley.core.transcript import Segment
from parley.ports import AudioOut, Listening

from .ear import KIND, Ear, Heard
from .relay import TICK_S, Relay
from .surroundings import Surroundings

MISSING_S = 0.3
"""A microphone that delivers nothing for this long within a phrase counts as silent."""

Hints = Callable[[TranscriptionOptions, str], TranscriptionOptions]
"""Tells a session what is known of a speaker, given by identity."""
Listen = Callable[[TranscriptionOptions], AbstractAsyncContextManager[Listening]]


def utterances(hangover_s: float = 0.0) -> TranscriberPolicy:
    """Lines of a length that can be read; at most 30 s are kept until their words are known.

    `hangover_s`: how long the gate takes a pause for speech.
    """
    return TranscriberPolicy(hangover_s=hangover_s, soft_s=6.0, most_s=12.0, kept_s=30.0)


@dataclass(frozen=True, slots=True)
class CaptionsPolicy:
    """What a captions bridge is told by the settings."""

    session: TranscriptionOptions = field(default_factory=TranscriptionOptions)
    """What every session is asked to do."""
    idle_s: float = 60.0
    rotate_s: float = 60.0
    """When less than this is left of a session, or a quarter of its life, the next one is opened; if that
    can be, not later than a longest utterance before its end."""
    last_s: float = 5.0
    """When less than this is left, or a twentieth, it is fed no more although there is no other."""
    answer_s: float = 10.0
    """How long a session that owes words may say nothing."""
    utterances: TranscriberPolicy = field(default_factory=utterances)
    retry: RetryPolicy = field(default_factory=lambda: RetryPolicy(most_s=2.0))
    """For a bridge alone; the breaker spares an API that is failing for all."""


class CaptionsBridge(Relay[Ear]):
    """`hear` feeds it, `run` works until `finish` was called and all that was said is written down."""

    def __init__(
        self,
        spec: BridgeSpec,
        policy: CaptionsPolicy,
        around: Surroundings,
        listen: Listen,
        hints: Hints,
    ) -> None:
        super().__init__(KIND, spec, policy, policy.utterances.kept_s, "captions go on", around)
        self.audio: AudioOut | None = None
        self.lag_s = 0.0
        self._policy = policy
        self._listen = listen
        self._hints = hints
        self._words = Transcriber(policy.utterances, prefix=f"s-{random.randrange(1 << 32):08x}-")
        self._ticking = False
        """Whether time is looked at every `TICK_S`: then nobody has to be woken for each frame."""
        self._speaking = False
        self._heard_at = 0.0

    @property
    def live(self) -> bool:
        """Whether an utterance, or its last words, are being worked on."""
        return self._words.live or self._words.owed > 0

    @property
    def speaking(self) -> bool:
        """Whether the speaker is in the middle of a phrase."""
        return self._speaking

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that wait for a session."""
        return self._words.waiting_s

    def hear(
        self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float = 0.0
    ) -> None:
        """What the speaker's microphone delivered. Called on the loop; never blocks."""
        if self._finishing:
            return
        self._speaking, self._heard_at = speaking, at
        if self._words.hear(pcm, at, speaking, pre_roll):
            self._wake_ears()
            if not self._ticking:
                self._wake.set()

    def change(self, spec: BridgeSpec) -> None:
        """Other readers."""
        self.spec = spec

    def finish(self) -> None:
        """No more audio is taken; `run` returns when the rest is written down."""
        if not self._finishing:
            self._finishing = True
            self._speaking = False
            self._words.end()
            self._wake_all()

    # Sessions

    @property
    def _due(self) -> bool:
        return self._words.waiting_s > 0

    @property
    def _working(self) -> bool:
        return self.live

    @property
    def _dropped_s(self) -> float:
        return self._words.dropped_s

    def _make(self) -> Ear:
        options = self._hints(self._policy.session, self.spec.key.speaker)
        return Ear(options, self._take, self._wake_all, self._policy.answer_s)

    def _opening(self, leg: Ear) -> AbstractAsyncContextManager[Listening]:
        return self._listen(leg.options)

    def _begin(self, leg: Ear) -> None:
        self._health.recovered(self._words.dropped_s)
        leg.share = self._words.begin()

    def _ended(self, leg: Ear) -> None:
        if leg.share is not None:
            self._write(leg.share.lost())  # it owes nothing, unless it ended too early
        super()._ended(leg)

    def _cut_off(self) -> None:
        for ear in self._legs:
            if ear.share is not None:
                self._write(ear.share.lost())

    def _give_up(self, error: RealtimeError) -> None:
        self._write(self._words.give_up(error))

    def _take(self, ear: Ear, event: Heard) -> None:
        if isinstance(event, ErrorReported):
            self._around.metrics.session_failed(KIND, type(event.error).__name__)
            self._say("session.error", str(event.error))
        if ear.share is not None:
            self._write(ear.share.take_event(event, monotonic()))
        if ear.share is not None and ear.share.done:
            ear.wake.set()

    def _write(self, lines: Iterable[Line]) -> None:
        for line in lines:
            if line.text:
                segment = Segment(line.id, line.text, line.final, line.started_at, line.ended_at)
                self._around.text.send(segment, "source")
            if line.error is not None:
                what = "the end of something" if line.text else "something"
                self._say("session.error", f"{what} that was said could not be written down: {line.error}")

    # Sending

    async def _send(self, leg: Ear, group: asyncio.TaskGroup) -> Ear | None:
        group.create_task(self._feed(leg), name="feed")
        return await self._tend(leg, group)

    async def _feed(self, ear: Ear) -> None:
        """Sends a session its share, until another one has taken over or it retires; then closes it."""
        assert ear.share is not None
        while not ear.share.done:
            match ear.share.take(monotonic()):
                case Append(pcm):
                    if not self._pay(ear, pcm):
                        break
                    await ear.append(pcm)
                    self._sent(pcm)
                case Commit(event_id):
                    await ear.commit(event_id)
                case None:
                    if ear.retiring:
                        break
                    ear.wake.clear()
                    await ear.wake.wait()
        await ear.close()

    async def _tend(self, ear: Ear, group: asyncio.TaskGroup) -> Ear | None:
        """Returns the session that takes over from this one, or None when it retires."""
        while True:
            now = monotonic()
            if self._speaking and now - self._heard_at >= MISSING_S:
                self._speaking = False  # the microphone is muted, or gone
                self._words.end()
                self._wake_all()
            if self.live or self.waiting_s:
                self._quiet_since = now
            if self._finishing or now - self._quiet_since >= self._policy.idle_s:
                break
            if (following := self._prepared(ear, now, group)) is not None:
                self._next = None
                return following
            if now >= ear.ends_at - self._last_s(ear):
                break
            await self._pause(self._look_again(ear, now))
        self._unprepare()
        ear.retiring = True
        ear.wake.set()
        return None

    def _pay(self, ear: Ear, pcm: bytes) -> bool:
        if ear.account is not None and ear.account.spend(seconds(len(pcm))):
            return True
        self._write(self._words.give_up(RealtimeError("nobody pays for it")))
        self.finish()
        return False

    def _sent(self, pcm: bytes) -> None:
        metrics = self._around.metrics
        self.usd += metrics.sent(KIND, self._policy.session.model, seconds(len(pcm)))
        metrics.ingress.observe(max(0.0, monotonic() - self._heard_at) + self._words.waiting_s)

    def _ahead_s(self, life_s: float) -> float:
        utterance_s = self._policy.utterances.most_s + self._policy.answer_s
        return max(super()._ahead_s(life_s), min(utterance_s, life_s / 2))

    def _wake_all(self) -> None:
        self._wake.set()
        self._wake_ears()

    def _wake_ears(self) -> None:
        for ear in self._legs:
            ear.wake.set()

    async def _pause(self, most_s: float) -> None:
        self._ticking = most_s <= TICK_S
        try:
            await super()._pause(most_s)
        finally:
            self._ticking = False

    def _say(self, event: str, detail: str) -> None:
        key = self.spec.key
        self._around.notices.say(event, speaker=key.speaker, language=key.language, detail=detail)
