"""The translation bridge: one speaker's phrases into one language, as audio and text.

hear ──▶ Feed ──take──▶ Leg ──append──▶ session     (a session opens when there is something to send, closes
           ▲             │                          when the speaker has been quiet, and hands over to the
           │ answered    ▼                          next one, between two words, when it is near its end)
         Voice ──▶ AudioOut, TextOut
"""

import asyncio
import random
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from time import monotonic

from livekit.plugins.openai_realtime.errors import RealtimeError, ServerFault
from livekit.plugins.openai_realtime.events import ErrorReported, TranslationEvent
from livekit.plugins.openai_realtime.options import TranslationOptions
from parley.core.feed import Feed, FeedPolicy
from parley.core.framing import RATE_HZ, seconds
from parley.core.model import BridgeSpec
from parley.core.retry import RetryPolicy
from parley.core.seam import WINDOW_S, Seam
from parley.core.stall import StallPolicy
from parley.media.level import levels
from parley.ports import AudioOut, Dial, Session

from .health import STABLE_S
from .relay import Relay
from .surroundings import Surroundings
from .translating import KIND, Translating
from .voice import Voice


@dataclass(frozen=True, slots=True)
class BridgePolicy:
    """What a translation bridge is told by the settings."""

    model: str
    transcription_model: str
    noise_reduction: str | None = None
    idle_s: float = 30.0
    rotate_s: float = 60.0
    """When less than this is left of a session, or a quarter of its life, the next one is opened."""
    last_s: float = 5.0
    """When less than this is left, or a twentieth, it is closed although there is no other."""
    seam_s: float = WINDOW_S
    """How long a place between two words is looked for when the next session is open."""
    close_s: float = 10.0
    """How long the rest of a session is waited for after session.close."""
    feed: FeedPolicy = field(default_factory=FeedPolicy)
    retry: RetryPolicy = field(default_factory=lambda: RetryPolicy(most_s=2.0))
    """For a bridge alone; the breaker spares an API that is failing for all."""
    stall: StallPolicy = field(default_factory=StallPolicy)


class TranslationBridge(Relay[Translating]):
    """`hear` feeds it, `run` works until `finish` was called and everything said has come out."""

    def __init__(
        self,
        spec: BridgeSpec,
        policy: BridgePolicy,
        around: Surroundings,
        dial: Dial,
        audio: AudioOut | None,
    ) -> None:
        super().__init__(KIND, spec, policy, policy.feed.buffer_s, "translation goes on", around)
        self._policy = policy
        self._dial = dial
        self._feed = Feed(policy.feed)
        self._seam: Seam | None = None
        self._parted = False
        self._voice = Voice(
            spec.key,
            around.text,
            around.notices,
            around.metrics,
            around.span,
            audio,
            f"{spec.key.language}-{random.randrange(1 << 32):08x}",
        )

    @property
    def audio(self) -> AudioOut | None:
        """None while nobody hears this bridge: then it is for readers."""
        return self._voice.audio

    @audio.setter
    def audio(self, audio: AudioOut | None) -> None:
        self._voice.audio = audio

    @property
    def live(self) -> bool:
        """Whether a phrase or its tail is being worked on."""
        return self._feed.live or self._feed.waiting_s > 0

    @property
    def speaking(self) -> bool:
        """Whether the speaker is in the middle of a phrase."""
        return self._feed.speaking

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that wait for a session."""
        return self._feed.waiting_s

    @property
    def lag_s(self) -> float:
        """How far the voice at the ear was behind the speaker when it was last heard; 0 before that."""
        return self._voice.lag_s

    def hear(
        self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float = 0.0
    ) -> None:
        """What the speaker's microphone delivered. Called on the loop; never blocks."""
        if self._finishing:
            return
        was_live = self._feed.live
        if self._feed.hear(pcm, at, speaking, pre_roll, voiced_s):
            self._wake.set()
        if self._feed.live and not was_live:
            self._voice.expect()
        if self._seam is not None and self._seam.hear(levels(pcm, RATE_HZ // 100), at):
            self._part(between_words=not self._seam.over(at))

    def change(self, spec: BridgeSpec) -> None:
        """Other listeners or readers."""
        self.spec = spec
        self._wake.set()

    def finish(self) -> None:
        """No more audio is taken; `run` returns when the rest has come out."""
        if not self._finishing:
            self._finishing = True
            self._feed.end_input(monotonic())
            self._wake.set()

    async def run(self) -> None:
        """See Relay; returns when all of it was played."""
        await super().run()
        if self.audio is not None:
            self.audio.release()
            await self.audio.played()

    # Sessions

    @property
    def _due(self) -> bool:
        return self._feed.waiting_s > 0 and (self._feed.live or self._finishing)

    @property
    def _working(self) -> bool:
        return self._feed.live

    @property
    def _dropped_s(self) -> float:
        return self._feed.dropped_s

    def _make(self) -> Translating:
        policy = self._policy
        options = TranslationOptions(
            model=policy.model,
            language=self.spec.key.language,
            transcription_model=policy.transcription_model if self.spec.source_readers else None,
            noise_reduction=policy.noise_reduction,  # type: ignore[arg-type]
        )
        return Translating(options, self._take, self._wake.set, policy.close_s, policy.stall)

    def _opening(self, leg: Translating) -> AbstractAsyncContextManager[Session]:
        return self._dial(leg.options)

    def _begin(self, leg: Translating) -> None:
        if not self._legs:
            self._feed.forget(monotonic())
            self._health.recovered(self._feed.dropped_s)
        leg.ledger = self._feed.begin_session()

    def _take(self, leg: Translating, event: TranslationEvent) -> None:
        """What a session says is heard when all of the session before it was."""
        if isinstance(event, ErrorReported) and isinstance(event.error, ServerFault):
            self._distrust(leg)
        if not self._legs or leg is not self._legs[0]:
            leg.held.append(event)
        elif leg.ledger is not None:
            self._voice.take(event, self._feed, leg.ledger)
            self._feed.alive(leg.ledger)
            leg.span_s = self._feed.span_s

    def _ended(self, leg: Translating) -> None:
        """All of it was said: the next one may be heard."""
        if leg.ledger is not None:
            self._feed.end_session(leg.ledger)
        super()._ended(leg)
        if not self._legs:
            self._voice.phrase_over(self._feed)
            return
        following = self._legs[0]
        while following.held and following.ledger is not None:
            self._voice.take(following.held.popleft(), self._feed, following.ledger)

    # Sending

    async def _send(self, leg: Translating, group: asyncio.TaskGroup) -> Translating | None:
        """Feeds a session until it should end, then asks it to; returns the one to feed from now on."""
        while True:
            now = monotonic()
            await self._keep_transcribing(leg)
            frame = self._feed.take(now)
            if frame is not None:
                if leg.account is None or not leg.account.spend(seconds(len(frame.pcm))):
                    self._feed.give_up()  # nobody pays for what waits
                    self.finish()
                    break
                await leg.append(frame)
                sent = monotonic()
                self.usd += self._around.metrics.sent(KIND, self._policy.model, seconds(len(frame.pcm)))
                self._around.metrics.ingress.observe(max(0.0, sent - frame.captured_at))
                self._quiet_since = sent
                continue
            if self._feed.tick(now):
                self._voice.phrase_over(self._feed)
                if self._feed.doubtful:
                    leg.doubt()
            if self._feed.live:
                self._quiet_since = now
            if self._finishing or self._parted or now - self._quiet_since >= self._policy.idle_s:
                break
            if not self._rotate(leg, now, group):
                break
            await self._pause(self._look_again(leg, now))
        following, parted = self._next, self._parted
        if parted:
            self._next = None
        else:
            self._unprepare()
        self._parted, self._seam = False, None
        await leg.close()
        return following if parted else None

    def _rotate(self, leg: Translating, now: float, group: asyncio.TaskGroup) -> bool:
        """Prepares the handover to the next session; returns whether this one may go on."""
        left = leg.ends_at - now
        if self._prepared(leg, now, group) is None:
            return left >= self._last_s(leg)
        if not self._feed.live:
            self._part(between_words=True)
        elif self._seam is None:
            self._seam = Seam(now, min(self._policy.seam_s, max(0.0, left - self._last_s(leg))))
        elif self._seam.over(now):
            self._part(between_words=False)
        return True

    def _part(self, *, between_words: bool) -> None:
        """What was heard so far is for this session, what comes now for the next.

        The frame in the making is filled up with silence only where there is silence.
        """
        if between_words:
            self._feed.part()
        self._parted = True
        self._seam = None
        self._wake.set()

    def _distrust(self, leg: Translating) -> None:
        """A session that reports a fault of its server is replaced while it still works, if it is not new."""
        now = monotonic()
        if now - leg.opened_at >= STABLE_S:
            leg.replace_at = now
            self._wake.set()

    async def _keep_transcribing(self, leg: Translating) -> None:
        wanted = bool(self.spec.source_readers)
        if wanted != leg.transcribing:
            await leg.transcribe(self._policy.transcription_model if wanted else None)

    # Failing

    def _cut_off(self) -> None:
        self._seam = None
        self._parted = False
        self._feed.cut_off()

    def _give_up(self, error: RealtimeError) -> None:
        self._feed.give_up()
