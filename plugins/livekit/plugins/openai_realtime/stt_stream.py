"""One stream of speech to text: audio in, words out, over as many connections as it takes.

    frames ──► gate (who speaks) ──► Transcriber ──► sender ──► connection ──► Transcriber ──► events
                                          └── a connection is lost, or replaced before it expires ──┘

A connection is replaced by opening the next one beside it: what the old one has begun it finishes.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import numpy as np
from livekit.agents import LanguageCode, stt
from livekit.agents.types import APIConnectOptions
from livekit.agents.utils import shortuuid

from livekit import rtc

from .api_errors import as_api_error
from .connection import HttpSession, TranscriptionConnection, connect
from .errors import ConnectionLost, RealtimeError, first_of
from .events import ErrorReported, Transcribed, TranscriptionEvent
from .hearing import TranscriberPolicy
from .log import logger
from .options import SAMPLE_RATE_HZ, ConnectOptions, TranscriptionOptions
from .resume import ResumeOptions, RetryBudget, rotation
from .speech_gate import SpeechGate
from .spoken import BYTES_PER_S, Line
from .transcriber import Append, Leg, Transcriber
from .transcription import COMMIT_EMPTY, TranscriptionProtocol, refuses_commit

_PRE_ROLL_BYTES = BYTES_PER_S * 2 // 5
_SILENT_S = 0.5  # no frame for this long: the microphone is muted or gone
_LOOK_S = 0.25
_BACKOFF_S = 0.5
_NEXT_RETRY_S = 5.0


class _Finished(Exception):
    """All that was said is known, and no more will be said; or a connection has nothing left to do."""


class TranscriptionStream(stt.RecognizeStream):
    """See `STT.stream`. Times of its events are seconds of audio pushed.

    Attributes:
        transcriber: what is known of each utterance; to be read, not driven.
    """

    def __init__(
        self,
        parent: stt.STT[Any],
        *,
        conn_options: APIConnectOptions,
        transcription: TranscriptionOptions,
        connect_options: ConnectOptions,
        policy: TranscriberPolicy,
        gate: SpeechGate,
        stall_s: float,
        http: Callable[[], HttpSession],
    ) -> None:
        super().__init__(stt=parent, conn_options=conn_options, sample_rate=SAMPLE_RATE_HZ)
        self.transcriber = Transcriber(
            replace(policy, hangover_s=gate.hangover_s), prefix=f"{shortuuid('stt_')}_"
        )
        self._transcription = transcription
        self._connect_options = connect_options
        self._gate = gate
        self._stall_s = stall_s
        self._http = http
        self._heard_bytes = 0
        self._pre_roll: deque[bytes] = deque()
        self._speaking = False
        self._ended = False
        self._feeding: Leg | None = None
        self._failure: RealtimeError | None = None
        self._worked = False
        self._unreported_s = 0.0
        self._next = asyncio.Event()
        self._wakes: set[asyncio.Event] = set()

    def update_options(self, *, language: str | None) -> None:
        """Change the language (ISO 639-1) from here on; None: detected."""
        self._transcription = replace(self._transcription, language=language)
        self._wake()

    def push_frame(self, frame: rtc.AudioFrame) -> None:
        """Take one frame: int16, any rate and number of channels."""
        super().push_frame(mono_of(frame))

    # -- the task --

    async def _run(self) -> None:
        """Until all is known after the end of input. Raises APIError for what is not retried."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._gate.run())
                tasks.create_task(self._listen())
                tasks.create_task(self._connections(tasks))
        except BaseExceptionGroup as group:
            reason = first_of(group)
            if isinstance(reason, RealtimeError):
                raise as_api_error(reason, retryable=False) from reason
            if not isinstance(reason, _Finished):
                raise
        finally:
            self._report_usage()
            await self._gate.aclose()

    async def _listen(self) -> None:
        """Frames into utterances. A microphone that falls silent without a word ends one, too."""
        while True:
            try:
                async with asyncio.timeout(_SILENT_S if self.transcriber.live else None):
                    data = await anext(self._input_ch)
            except TimeoutError:
                self._set_speaking(False)
                self._end_utterance()
                continue
            except StopAsyncIteration:
                break
            if isinstance(data, rtc.AudioFrame):
                self._hear(bytes(data.data.cast("b")))
            else:
                self._end_utterance()
        self._set_speaking(False)
        self._end_utterance()
        self._ended = True
        self._finish_if_done()

    def _hear(self, pcm: bytes) -> None:
        self._heard_bytes += len(pcm)
        speaking = self._gate.push(pcm)
        self._set_speaking(speaking)
        at = self._heard_bytes / BYTES_PER_S
        dropped_s = self.transcriber.dropped_s
        pre_roll = () if self.transcriber.live else tuple(self._pre_roll)
        if self.transcriber.hear(pcm, at, speaking, pre_roll):
            self._wake()
        if self.transcriber.dropped_s > dropped_s:
            self._tell(self.transcriber.finals())
        self._pre_roll.append(pcm)
        while sum(map(len, self._pre_roll)) > _PRE_ROLL_BYTES:
            self._pre_roll.popleft()

    def _end_utterance(self) -> None:
        if self.transcriber.end():
            self._pre_roll.clear()
            self._wake()

    def _finish_if_done(self) -> None:
        if self._ended and not self.transcriber.owed:
            raise _Finished

    # -- connections --

    async def _connections(self, tasks: asyncio.TaskGroup) -> None:
        """One after the other, the next one beside the last where that is planned."""
        options = self._conn_options
        budget = RetryBudget(
            ResumeOptions(
                retries=options.max_retry, backoff_s=min(_BACKOFF_S, max(options.retry_interval, 0.01))
            )
        )
        loop = asyncio.get_running_loop()
        first = True
        while True:
            self._next.clear()
            tasks.create_task(self._converse())
            await self._next.wait()
            failure, self._failure = self._failure, None
            if failure is None:
                continue
            if failure.retryable and self._feeding is not None and not self._feeding.over:
                logger.warning("transcription: the next connection did not open: %s", failure)
                await self._lost_within(_NEXT_RETRY_S)
                continue
            # Words that came are what a connection is for: a new row of failures begins.
            lived_s = float("inf") if self._worked else 0.0
            first, self._worked = first or self._worked, False
            wait_s = budget.failed(failure, lived_s=lived_s, now=loop.time(), chance=random.random())
            if wait_s is None:
                raise failure
            logger.warning("transcription: %s (going on)", failure)
            self._emit_error(as_api_error(failure), recoverable=True)
            await asyncio.sleep(wait_s if first else max(wait_s, options.retry_interval))
            first = False

    async def _lost_within(self, most_s: float) -> None:
        """Wait so long, or until the connection that is in use is lost."""
        self._next.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(most_s):
                await self._next.wait()
        self._failure = None

    async def _converse(self) -> None:
        """One connection, until it is lost, or has nothing to do because another one has taken over."""
        leg: Leg | None = None
        asked_at = time.perf_counter()
        protocol = TranscriptionProtocol(self._transcription)
        language = self._transcription.language
        try:
            async with connect(protocol, self._connect_options, http=self._http()) as connection:
                self._report_connection_acquired(time.perf_counter() - asked_at, False)
                leg = self._feeding = self.transcriber.begin()
                self._wake()
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._send(connection, leg, language))
                    tasks.create_task(self._watch(connection, leg))
                    await self._receive(connection, leg)
        except RealtimeError as exc:
            self._lost(leg, exc)
        except BaseExceptionGroup as group:
            reason = first_of(group)
            if isinstance(reason, RealtimeError):
                self._lost(leg, reason)
            elif not isinstance(reason, _Finished) or (self._ended and not self.transcriber.owed):
                raise reason from group

    def _lost(self, leg: Leg | None, error: RealtimeError) -> None:
        if leg is not None:
            self._tell(leg.lost())
        if leg is self._feeding or leg is None:
            self._failure = error
            self._next.set()
        self._wake()
        self._finish_if_done()

    async def _send(self, connection: TranscriptionConnection, leg: Leg, language: str | None) -> None:
        """What is due, as it comes. Raises _Finished when another connection has taken over."""
        loop = asyncio.get_running_loop()
        wake = asyncio.Event()
        self._wakes.add(wake)
        try:
            while not leg.done:
                wake.clear()
                if language != self._transcription.language:
                    language = self._transcription.language
                    await connection.update(language=language)
                while (step := leg.take(loop.time())) is not None:
                    if isinstance(step, Append):
                        self._unreported_s += len(step.pcm) / BYTES_PER_S
                        await connection.append(step.pcm)
                    else:
                        await connection.commit(step.event_id)
                if not leg.done:
                    await wake.wait()
            raise _Finished
        finally:
            self._wakes.discard(wake)

    async def _receive(self, connection: TranscriptionConnection, leg: Leg) -> None:
        """Raises what ends the connection, or _Finished when all is known."""
        loop = asyncio.get_running_loop()
        async for event in connection:
            if isinstance(event, ErrorReported):
                self._on_error(event.error)
            self._tell(leg.take_event(event, loop.time()))
            self._on_event(event)
            self._finish_if_done()
        raise ConnectionLost(reason="the server closed the session")

    async def _watch(self, connection: TranscriptionConnection, leg: Leg) -> None:
        """Replace the connection before it expires, and when it does not answer."""
        loop = asyncio.get_running_loop()
        due = rotation(connection.expires_at, time.time())
        replace_at = loop.time() + due[0] if due is not None else float("inf")
        while True:
            await asyncio.sleep(_LOOK_S)
            now = loop.time()
            if now >= replace_at and leg is self._feeding:
                replace_at = float("inf")
                self._next.set()
            since = leg.waiting_since
            if since is not None and now - since >= self._stall_s:
                raise ConnectionLost(reason=f"no words {self._stall_s:g} s after they were asked for")

    # -- what comes out --

    def _on_event(self, event: TranscriptionEvent | ErrorReported) -> None:
        if isinstance(event, Transcribed):
            self._worked = True
            self._report_usage()
            self._wake()

    def _on_error(self, error: RealtimeError) -> None:
        if error.code == COMMIT_EMPTY:
            return
        if refuses_commit(error):
            raise ConnectionLost(reason=f"a commit was refused: {error}")
        logger.warning("transcription: the server reported an error: %s", error)
        self._emit_error(as_api_error(error), recoverable=True)

    def _tell(self, lines: list[Line]) -> None:
        for line in lines:
            if line.error is not None:
                lasted_s = line.ended_at - line.started_at
                logger.warning("transcription: words of %.1f s are missing: %s", lasted_s, line.error)
                self._emit_error(as_api_error(line.error), recoverable=True)
            if not line.text:
                continue
            kind = (
                stt.SpeechEventType.FINAL_TRANSCRIPT if line.final else stt.SpeechEventType.INTERIM_TRANSCRIPT
            )
            data = stt.SpeechData(
                language=LanguageCode(self._transcription.language or ""),
                text=line.text,
                start_time=line.started_at + self.start_time_offset,
                end_time=line.ended_at + self.start_time_offset,
                confidence=line.confidence or 0.0,
            )
            self._event_ch.send_nowait(stt.SpeechEvent(type=kind, request_id=line.id, alternatives=[data]))

    def _set_speaking(self, speaking: bool) -> None:
        if speaking == self._speaking:
            return
        self._speaking = speaking
        now = time.time()
        if speaking:
            event = stt.SpeechEvent(type=stt.SpeechEventType.START_OF_SPEECH, speech_start_time=now)
        else:
            ended_at = now - self._gate.hangover_s
            event = stt.SpeechEvent(type=stt.SpeechEventType.END_OF_SPEECH, speech_end_time=ended_at)
        self._event_ch.send_nowait(event)

    def _report_usage(self) -> None:
        """Seconds of audio sent since the last time, on whatever connection: they are what is paid."""
        if self._unreported_s <= 0:
            return
        usage = stt.RecognitionUsage(audio_duration=self._unreported_s)
        self._unreported_s = 0.0
        self._event_ch.send_nowait(
            stt.SpeechEvent(type=stt.SpeechEventType.RECOGNITION_USAGE, recognition_usage=usage)
        )

    def _wake(self) -> None:
        for wake in self._wakes:
            wake.set()


def mono_of(frame: rtc.AudioFrame) -> rtc.AudioFrame:
    """The frame with all its channels in one."""
    if frame.num_channels == 1:
        return frame
    samples = np.frombuffer(bytes(frame.data.cast("b")), dtype="<i2").reshape(-1, frame.num_channels)
    pcm = samples.mean(axis=1).astype("<i2").tobytes()
    return rtc.AudioFrame(pcm, frame.sample_rate, 1, frame.samples_per_channel)
