"""What comes out of a bridge: audio, captions, and how far both are behind the speaker."""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from time import monotonic

from livekit.plugins.openai_realtime.events import (
    ErrorReported,
    InputTranscript,
    OutputAudio,
    OutputTranscript,
    TranslationEvent,
)
from parley.core.feed import Feed
from parley.core.framing import RATE_HZ, seconds
from parley.core.ledger import Ledger
from parley.core.model import BridgeKey
from parley.core.transcript import Segment, Segmenter
from parley.media.level import first_audible
from parley.metrics import Metrics
from parley.ports import AudioOut, Notices, TextKind, TextOut

from .translating import KIND


class Voice:
    """Takes the events of one session after the other, in the order in which they are to be heard.

    Attributes:
        audio: where it is heard; None while nobody hears this bridge.
        lag_s: how far the voice is behind the speaker where it was last heard; 0 before that.
    """

    def __init__(
        self,
        key: BridgeKey,
        text: TextOut,
        notices: Notices,
        metrics: Metrics,
        span: Callable[[str, float], None],
        audio: AudioOut | None,
        prefix: str,
    ) -> None:
        self.audio = audio
        self.lag_s = 0.0
        self._key = key
        self._text = text
        self._notices = notices
        self._metrics = metrics
        self._span = span
        self._segmenters: dict[TextKind, Segmenter] = {
            "translation": Segmenter(f"t-{prefix}"),
            "source": Segmenter(f"s-{prefix}"),
        }
        self._writing: dict[TextKind, Ledger] = {}
        """Whose text came last."""
        self._said_until: dict[TextKind, float] = {"translation": -math.inf, "source": -math.inf}

    def expect(self) -> None:
        """A phrase has begun: there will be something to hear."""
        if self.audio is not None:
            self.audio.expect()

    def phrase_over(self, feed: Feed) -> None:
        """The tail has ended: nothing more is expected until somebody speaks."""
        if self.audio is not None:
            self.audio.release()
        for kind, segmenter in self._segmenters.items():
            self._send(kind, segmenter.flush(), feed)

    def take(self, event: TranslationEvent, feed: Feed, ledger: Ledger) -> None:
        """Lets one event be heard or read; `feed` is told what it answers."""
        now = monotonic()
        match event:
            case OutputAudio(pcm=pcm, elapsed_ms=elapsed_ms):
                self._metrics.received(KIND, seconds(len(pcm)))
                self._play(pcm, elapsed_ms, now, feed, ledger)
            case OutputTranscript(delta=delta, elapsed_ms=elapsed_ms):
                feed.written(now)
                said = feed.spoken(ledger, elapsed_ms, source=False)
                self._write("translation", delta, now, said, feed, ledger)
            case InputTranscript(delta=delta, elapsed_ms=elapsed_ms):
                said = feed.spoken(ledger, elapsed_ms, source=True)
                self._write("source", delta, now, said, feed, ledger)
            case ErrorReported(error=error):
                self._metrics.session_failed(KIND, type(error).__name__)
                self._notices.say(
                    "session.error",
                    speaker=self._key.speaker,
                    language=self._key.language,
                    detail=str(error),
                )
            case _:
                pass

    def _play(self, pcm: bytes, elapsed_ms: int | None, now: float, feed: Feed, ledger: Ledger) -> None:
        first = first_audible(pcm)
        if first is not None:
            waiting_s = self.audio.waiting_s if self.audio is not None else 0.0
            heard_at = now + waiting_s + first / RATE_HZ
            span_s = feed.answered(ledger, now, elapsed_ms, heard_at)
            if span_s is not None:
                self._metrics.ear_voice_span.observe(max(0.0, span_s))
                self._span(self._key.language, max(0.0, span_s))
            if ledger.lag_s is not None:
                self.lag_s = max(0.0, ledger.lag_s)
        if self.audio is not None:
            self.audio.push(pcm)

    def _write(
        self,
        kind: TextKind,
        delta: str,
        now: float,
        said: tuple[float, float] | None,
        feed: Feed,
        ledger: Ledger,
    ) -> None:
        segmenter = self._segmenters[kind]
        if self._writing.get(kind) is not ledger:
            self._writing[kind] = ledger
            segmenter.part()
        self._send(kind, (*segmenter.idle(now), *segmenter.push(delta, now, said)), feed)

    def _send(self, kind: TextKind, segments: Iterable[Segment], feed: Feed) -> None:
        """Segments with the time of the speaker's voice: also of a translation, which is heard later."""
        for segment in segments:
            start_s, end_s = feed.fit(segment.started_s, segment.ended_s, self._said_until[kind])
            if segment.final:
                self._said_until[kind] = end_s
            self._text.send(replace(segment, started_s=start_s, ended_s=end_s), kind)
