"""The translation bridge: one speaker's phrases into one language, as audio and text.

hear ──▶ Feed ──take──▶ session.append          (a session opens when there is something to send,
           ▲                  │                   closes when the speaker has been quiet, and is
           │ answered         ▼                   replaced when it is lost or near its end)
         events ──▶ AudioOut, TextOut
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from time import monotonic

from livekit.plugins.openai_realtime.errors import ConnectionLost, RealtimeError
from livekit.plugins.openai_realtime.events import (
    ErrorReported,
    InputTranscript,
    OutputAudio,
    OutputTranscript,
    SessionClosed,
    TranslationEvent,
)
from livekit.plugins.openai_realtime.options import TranslationOptions
from parley.core.accounts import Account
from parley.core.feed import Feed, FeedPolicy
from parley.core.framing import seconds
from parley.core.model import BridgeSpec
from parley.core.retry import RetryPolicy
from parley.core.transcript import Segmenter
from parley.media.level import audible
from parley.metrics import Metrics
from parley.ports import AudioOut, Dial, Notices, Session, TextKind, TextOut

from .credential import Credential

KIND = "translation"
TICK_S = 0.1
"""How often time is looked at while a phrase or its tail lives."""
STABLE_S = 10.0
"""A session that lived this long resets the count of failures."""


@dataclass(frozen=True, slots=True)
class BridgePolicy:
    """What a translation bridge is told by the settings."""

    model: str
    transcription_model: str
    noise_reduction: str | None = None
    idle_s: float = 30.0
    rotate_s: float = 60.0
    """A session is replaced at a pause when less than this is left of it, in any case at a quarter of it."""
    close_s: float = 10.0
    """How long the rest of a session is waited for after session.close."""
    feed: FeedPolicy = field(default_factory=FeedPolicy)
    retry: RetryPolicy = field(default_factory=RetryPolicy)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """The ports of a bridge."""

    dial: Dial
    text: TextOut
    notices: Notices
    metrics: Metrics
    credential: Credential
    account: "OpenAccount"
    span: Callable[[str, float], None] = lambda language, span_s: None
    """Told the ear-voice span of each phrase, with its language."""


OpenAccount = Callable[[Callable[[], BridgeSpec]], Account]
"""Opens the account of one session, for whom the bridge is at each moment."""


class TranslationBridge:
    """`hear` feeds it, `run` works until `finish` was called and everything said has come out."""

    def __init__(
        self, spec: BridgeSpec, policy: BridgePolicy, around: Surroundings, audio: AudioOut | None
    ) -> None:
        self.spec = spec
        self.audio = audio
        """None while nobody hears this bridge: then it is for readers."""
        self._policy = policy
        self._around = around
        self._feed = Feed(policy.feed)
        self._wake = asyncio.Event()
        self._finishing = False
        self._transcribing = False
        self._failures = 0
        self._announced = False
        self._onset_at: float | None = None
        self._reported_drop_s = 0.0
        self.usd = 0.0
        """What its sessions cost so far, at list prices."""
        prefix = f"{spec.key.language}-{random.randrange(1 << 32):08x}"
        self._segmenters: dict[TextKind, Segmenter] = {
            "translation": Segmenter(f"t-{prefix}"),
            "source": Segmenter(f"s-{prefix}"),
        }

    @property
    def live(self) -> bool:
        """Whether a phrase or its tail is being worked on."""
        return self._feed.live or self._feed.waiting_s > 0

    @property
    def waiting_s(self) -> float:
        """Seconds of audio that wait for a session."""
        return self._feed.waiting_s

    def hear(
        self, pcm: bytes, at: float, speaking: bool, pre_roll: Sequence[bytes], voiced_s: float = 0.0
    ) -> None:
        """What the speaker's microphone delivered. Called on the loop; never blocks."""
        if self._finishing:
            return
        was_live = self._feed.live
        if self._feed.hear(pcm, at, speaking, pre_roll):
            self._wake.set()
        if self._feed.live and not was_live:
            self._onset_at = at - seconds(len(pcm))  # where in this frame is not known
            if self.audio is not None:
                self.audio.expect()

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
        """Works until finished. Cancelling it closes the session at once: its tail is lost."""
        while True:
            if not self._feed.waiting_s or (not self._feed.live and not self._finishing):
                if self._finishing:
                    break
                self._wake.clear()
                await self._wake.wait()
                continue
            lost: RealtimeError | None = None
            try:
                await self._serve()
            except* RealtimeError as failed:
                lost = _first(failed)
            if lost is not None:
                _pass_on_cancellation()
                await self._failed(lost)
        if self.audio is not None:
            self.audio.release()
            await self.audio.played()

    async def _serve(self) -> None:
        """One session, from connecting to session.closed."""
        started = monotonic()
        policy = self._policy
        self._transcribing = bool(self.spec.source_readers)
        options = TranslationOptions(
            model=policy.model,
            language=self.spec.key.language,
            transcription_model=policy.transcription_model if self._transcribing else None,
            noise_reduction=policy.noise_reduction,  # type: ignore[arg-type]
        )
        metrics = self._around.metrics
        async with AsyncExitStack() as stack:
            async with self._around.credential.attempt():
                session = await stack.enter_async_context(self._around.dial(options))
            metrics.connected(KIND, monotonic() - started)
            stack.enter_context(metrics.session(KIND))
            account = self._around.account(lambda: self.spec)
            stack.callback(account.close)
            self._feed.begin_session()
            self._feed.forget(monotonic())
            self._recovered()
            async with asyncio.TaskGroup() as group:
                sender = group.create_task(self._send(session, account), name="translation send")
                await self._receive(session)
                sender.cancel()
        if monotonic() - started >= STABLE_S:
            self._failures = 0

    # Sending

    async def _send(self, session: Session, account: Account) -> None:
        """Feeds the session until it should end, then asks it to."""
        quiet_since = monotonic()
        until = monotonic() + session.lifetime_s
        while True:
            now = monotonic()
            frame = self._feed.take(now)
            if frame is not None:
                if not account.spend(seconds(len(frame.pcm))):
                    self._feed = Feed(self._policy.feed)  # nobody pays for what waits
                    self.finish()
                    break
                await session.append(frame.pcm)
                sent = monotonic()
                self.usd += self._around.metrics.sent(KIND, self._policy.model, seconds(len(frame.pcm)))
                self._around.metrics.ingress.observe(max(0.0, sent - frame.captured_at))
                quiet_since = sent
                continue
            if self._feed.tick(now):
                self._phrase_over()
            if self._feed.live:
                quiet_since = now
            left = until - now
            rotate = left < self._policy.rotate_s and not self._feed.live
            if self._finishing or rotate or left < self._policy.rotate_s / 4:
                break
            if now - quiet_since >= self._policy.idle_s:
                break
            await self._keep_transcribing(session)
            await self._pause(TICK_S if self._feed.live else quiet_since + self._policy.idle_s - now)
        await session.close()
        await asyncio.sleep(self._policy.close_s)
        raise ConnectionLost(reason=f"no session.closed within {self._policy.close_s:g} s of session.close")

    async def _pause(self, most_s: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(max(0.01, most_s)):
                await self._wake.wait()
        except TimeoutError:
            pass  # the time is up: that is what was waited for

    async def _keep_transcribing(self, session: Session) -> None:
        wanted = bool(self.spec.source_readers)
        if wanted != self._transcribing:
            self._transcribing = wanted
            await session.update(transcription_model=self._policy.transcription_model if wanted else None)

    def _phrase_over(self) -> None:
        """The tail has ended: nothing more is expected until somebody speaks."""
        if self.audio is not None:
            self.audio.release()
        for kind, segmenter in self._segmenters.items():
            for segment in segmenter.flush():
                self._around.text.send(segment, kind)

    # Receiving

    async def _receive(self, session: Session) -> None:
        async for event in session:
            if self._take(event, monotonic()):
                break
        self._phrase_over()

    def _take(self, event: TranslationEvent, now: float) -> bool:
        """Handles one event; returns whether the session is over."""
        metrics = self._around.metrics
        match event:
            case OutputAudio(pcm=pcm, elapsed_ms=elapsed_ms):
                metrics.received(KIND, seconds(len(pcm)))
                if audible(pcm):
                    self._feed.answered(now, elapsed_ms)
                    if self._onset_at is not None:
                        metrics.ear_voice_span.observe(now - self._onset_at)
                        self._around.span(self.spec.key.language, now - self._onset_at)
                        self._onset_at = None
                if self.audio is not None:
                    self.audio.push(pcm)
            case OutputTranscript(delta=delta):
                self._feed.answered(now, None)
                self._write("translation", delta, now)
            case InputTranscript(delta=delta):
                self._write("source", delta, now)
            case ErrorReported(error=error):
                metrics.session_failed(KIND, type(error).__name__)
                self._around.notices.say(
                    "session.error",
                    speaker=self.spec.key.speaker,
                    language=self.spec.key.language,
                    detail=str(error),
                )
            case SessionClosed():
                return True
            case _:
                pass
        return False

    def _write(self, kind: TextKind, delta: str, now: float) -> None:
        segmenter = self._segmenters[kind]
        for segment in (*segmenter.idle(now), *segmenter.push(delta, now)):
            self._around.text.send(segment, kind)

    # Failing

    async def _failed(self, error: RealtimeError) -> None:
        """Records a lost or refused session and waits until it may be tried again."""
        self._feed.cut_off()
        self._failures += 1
        self._around.metrics.session_failed(KIND, type(error).__name__)
        key = self.spec.key
        if not self._announced:
            self._announced = True
            self._around.notices.say(
                "session.failed", speaker=key.speaker, language=key.language, detail=str(error)
            )
        self._report_dropped()
        wait = self._policy.retry.delay_s(
            self._failures,
            retryable=error.retryable or self._around.credential.refused,
            jitter=random.random(),
            asked_s=error.retry_after_s,
        )
        await asyncio.sleep(min(wait, 1.0) if self._finishing else wait)
        if self._finishing and (not error.retryable or self._failures > 3):
            self._feed = Feed(self._policy.feed)

    def _recovered(self) -> None:
        self._report_dropped()
        if self._announced:
            self._announced = False
            key = self.spec.key
            self._around.notices.say(
                "session.recovered", speaker=key.speaker, language=key.language, detail="translation goes on"
            )

    def _report_dropped(self) -> None:
        dropped = self._feed.dropped_s - self._reported_drop_s
        if dropped <= 0:
            return
        self._reported_drop_s = self._feed.dropped_s
        self._around.metrics.dropped("session", dropped)
        key = self.spec.key
        self._around.notices.say(
            "audio.dropped",
            speaker=key.speaker,
            language=key.language,
            detail=f"{dropped:.1f} s of speech older than {self._policy.feed.buffer_s:g} s",
        )


def _pass_on_cancellation() -> None:
    """A task group that failed when it was cancelled tells of the failure alone (Python before 3.13)."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def _first(group: BaseExceptionGroup[RealtimeError]) -> RealtimeError:
    leaf: BaseException = group
    while isinstance(leaf, BaseExceptionGroup):
        leaf = leaf.exceptions[0]
    assert isinstance(leaf, RealtimeError)
    return leaf
