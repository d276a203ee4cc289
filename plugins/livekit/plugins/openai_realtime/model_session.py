"""One run of the translation model for LiveKit's `TranslationSession`: frames in, frames and transcripts out.

One task owns everything: it opens a session, feeds it and reads it, opens another before it expires,
which it feeds from then on (the first one's tail comes out before anything of the second), and tries
again with back-off when it fails. `push_audio` and the rest only touch bounded buffers.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn

import aiohttp
from livekit.agents.beta import translation as beta
from livekit.agents.types import APIConnectOptions
from livekit.agents.utils import aio

from livekit import rtc

from . import events
from .audio_input import APPEND_MS, InputAudio
from .audio_output import OutputAudio
from .connection import Connection, connect
from .errors import ConnectionLost, RealtimeError, RequestRejected, first_of
from .log import logger
from .options import ConnectOptions, TranslationOptions
from .pause import pause
from .quiet import rms
from .segments import Segment
from .translation import TranslationProtocol

_INPUT_MAX_S = 30.0  # outlives a rotation or a few attempts to reconnect
_OUTPUT_MAX_S = 120.0  # a tail arrives faster than it is played
_GAP_S = 0.5  # no frame for this long: the microphone is muted or gone, not late
_SILENCE_MAX_S = 10.0  # silence sent after the last frame, so that all that was said comes out
_SEGMENT_IDLE_S = 1.0  # no delta for this long ends a transcript segment
_STABLE_S = 10.0  # a session that lived this long gives a full budget of retries back
_BACKOFF_MAX_S = 30.0
_ROTATE_BEFORE_S = 60.0  # before expires_at; at most a tenth of the session's life
_LATEST_S = 5.0  # before expires_at: a session that could not be replaced is ended in time for its tail
_PART_S = 2.0  # how long a pause is waited for when another session is open
_QUIET_RMS = 300.0  # of int16


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """What a `TranslationModel` hands to each of its sessions."""

    connect: ConnectOptions
    translation: TranslationOptions
    retry: APIConnectOptions
    """``max_retry`` failures in a row are retried, the first after about ``retry_interval`` seconds, then
    doubling.
    """
    drain_timeout_s: float
    """Seconds to wait for ``session.closed`` after ``session.close``."""
    http: Callable[[], aiohttp.ClientSession]
    """The HTTP session to connect with; called in the running loop."""


def backoff_s(attempt: int, interval_s: float, retry_after_s: float | None, chance: float) -> float:
    """Seconds before retry number `attempt` (1, 2, …).

    Doubling, capped at 30, spread by `chance` (0 ≤ chance < 1) over three quarters to the whole of that;
    never less than the server asked for.
    """
    nominal_s = min(interval_s * 2.0 ** min(attempt - 1, 10), _BACKOFF_MAX_S)
    return max(nominal_s * (0.75 + 0.25 * chance), retry_after_s or 0.0)


def rotate_in_s(expires_at: int, unix_now: float) -> float | None:
    """Seconds until a session should be replaced; None if its expiry lies in the past (a clock is wrong)."""
    left_s = expires_at - unix_now
    return left_s - min(_ROTATE_BEFORE_S, left_s * 0.1) if left_s > 0 else None


class _Leg:
    """One session of several that follow each other."""

    def __init__(self, language: str, opened: asyncio.Future[Connection]) -> None:
        self.language = language
        self.opened = opened
        self.over = asyncio.Event()
        """All that it said has been taken."""
        self.replaced = False
        self.task: asyncio.Task[None]


class TranslationModelSession(beta.TranslationModelSession[NoReturn]):
    """Audio in with `push_audio`, translated audio out of `audio_stream`, the rest as events.

    Events: ``output_transcript`` carries deltas (a final one has no text: it only ends the segment, because
    what the runtime captures is appended); ``input_transcript`` carries the whole segment so far and,
    final, the whole segment. ``error`` is recoverable while the session goes on or is opened again. What
    was sent to a connection that then broke is not sent again.

    LiveKit's `TranslationSession.aclose` stops reading `audio_stream` before it closes this session: to
    hear the tail, await `drain` (or `TranslationModel.drain`) first.
    """

    def __init__(self, model: beta.TranslationModel, settings: SessionSettings) -> None:
        super().__init__(model)
        self._settings = settings
        self._language = settings.translation.language
        self._asked = self._language
        self._input = InputAudio(_INPUT_MAX_S)
        self._output = OutputAudio(_OUTPUT_MAX_S)
        self._heard = Segment()
        self._said = Segment()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._stopping = False
        self._wake = asyncio.Event()
        self._silence_left_s = 0.0
        self._quiet = True
        self._opened_at: float | None = None
        self._loop = asyncio.get_running_loop()
        # session() is synchronous, so the task cannot live in a TaskGroup: this object owns it
        # and aclose() ends it.
        self._task = self._loop.create_task(self._run(), name="openai_realtime.TranslationModelSession")

    @property
    def audio_stream(self) -> AsyncIterator[beta.TranslatedAudioFrame | beta.OutputSpeechStopped]:
        """The translation, 24 kHz mono, in frames of any length; ends with `aclose` or an unrecoverable
        error.
        """
        return self._stream()

    @property
    def dropped_s(self) -> tuple[float, float]:
        """Seconds of audio dropped because a buffer was full: (speech not sent, translation not read)."""
        return self._input.dropped_s, self._output.dropped_s

    def push_audio(self, frame: rtc.AudioFrame) -> None:
        """Take one frame of speech: int16, any rate and number of channels. At most 30 s wait to be sent."""
        if self._stopping:
            return
        if self._input.dropped_s == 0.0 and self._input.push(frame):
            logger.warning("speech is pushed faster than it can be sent: dropping the oldest")
        elif self._input.dropped_s > 0.0:
            self._input.push(frame)
        self._wake.set()

    def clear_audio(self) -> None:
        """Drop the translation that was received and not read yet."""
        self._output.clear()

    def update_options(self, *, target_language: str) -> None:
        """Retarget the running session; a refusal is a recoverable ``error``, and the old language stays."""
        self._language = target_language
        self._wake.set()

    async def drain(self) -> None:
        """Take no more speech, get all its translation, and wait until it has been read from `audio_stream`.

        Waits at most ``drain_timeout_s`` for the model and as long again for the reader. The stream stays
        open until `aclose`, so that the runtime ends the last segment by itself. Cancelled: draining goes
        on without the caller.
        """
        self._stop()
        await asyncio.wait({self._task}, timeout=self._settings.drain_timeout_s)
        try:
            async with asyncio.timeout(self._settings.drain_timeout_s):
                await self._output.wait_empty()
        except TimeoutError:
            logger.warning("the translation was not read to its end")

    async def aclose(self) -> None:
        """Send ``session.close``, wait ``drain_timeout_s`` at most for ``session.closed``, end
        `audio_stream`.

        What arrives meanwhile goes into `audio_stream`. Cancelled: the connection is closed without the rest.
        """
        self._closing = True
        self._stop()
        try:
            await asyncio.wait({self._task}, timeout=self._settings.drain_timeout_s)
        finally:
            self._output.close()
            await aio.cancel_and_wait(self._task)

    # -- the task --

    def _stop(self) -> None:
        self._stopping = True
        self._wake.set()
        if self._opened_at is None and self._input.buffered_s == 0:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            await self._run_sessions()
        except RealtimeError as exc:
            self._report(exc, recoverable=False)
            self._output.close()
        except Exception as exc:  # noqa: BLE001 - bulkhead: a callback of the application may raise anything
            logger.exception("translation session failed")
            self._report(exc, recoverable=False)
            self._output.close()
        finally:
            self._end_heard()
            self._end_said()

    async def _run_sessions(self) -> None:
        """Sessions, one after the other, until stopped. Raises the failure that is not retried."""
        failures = 0
        while True:
            self._opened_at = None
            try:
                await self._run_session()
                failures = 0
            except RealtimeError as exc:
                lived_s = self._loop.time() - self._opened_at if self._opened_at is not None else 0.0
                failures = 1 if lived_s >= _STABLE_S else failures + 1
                if self._stopping or not exc.retryable or failures > self._settings.retry.max_retry:
                    raise
                self._report(exc, recoverable=True)
                self._opened_at = None
                wait_s = backoff_s(
                    failures, self._settings.retry.retry_interval, exc.retry_after_s, random.random()
                )
                await pause(wait_s, self._wake, lambda: self._stopping)
            if self._stopping and self._input.buffered_s == 0:
                return

    async def _run_session(self) -> None:
        """Sessions that replace each other without a gap, until stopped. Raises what ended one early."""
        try:
            async with asyncio.TaskGroup() as tasks:
                await self._feed_sessions(tasks)
        except BaseExceptionGroup as group:
            raise first_of(group) from group

    async def _feed_sessions(self, tasks: asyncio.TaskGroup) -> None:
        """Feeds the newest session that is open; then ``session.close`` and all that is owed."""
        leg = self._open(tasks, None)
        connection = await leg.opened
        self._opened_at, failures = connection.opened_at, 0
        replace_at, latest = self._times(connection)
        while not await self._send(connection, replace_at):
            following = self._open(tasks, leg)
            stopped = await self._send(connection, latest, partial(self._may_part, following))
            if stopped or not following.opened.done():
                following.task.cancel()
                break
            if (error := following.opened.exception()) is not None:
                assert isinstance(error, RealtimeError)
                failures += 1
                self._report(error, recoverable=True)
                interval_s = self._settings.retry.retry_interval
                wait_s = backoff_s(failures, interval_s, error.retry_after_s, random.random())
                replace_at = self._loop.time() + wait_s
                if latest is not None and replace_at >= latest:
                    break
                continue
            leg.replaced = True
            tasks.create_task(connection.aclose(self._settings.drain_timeout_s))
            leg, connection = following, following.opened.result()
            self._opened_at, self._asked, failures = connection.opened_at, leg.language, 0
            replace_at, latest = self._times(connection)
        await connection.aclose(self._settings.drain_timeout_s)

    def _times(self, connection: Connection) -> tuple[float | None, float | None]:
        """When a session should be replaced, and when it must end even if no other one is open."""
        now, unix_now = self._loop.time(), time.time()
        rotate_s = rotate_in_s(connection.expires_at, unix_now)
        if rotate_s is None:
            return None, None
        return now + rotate_s, now + max(rotate_s, connection.expires_at - unix_now - _LATEST_S)

    def _open(self, tasks: asyncio.TaskGroup, before: _Leg | None) -> _Leg:
        if before is None:
            self._asked = self._language
        leg = _Leg(self._language, self._loop.create_future())
        leg.task = tasks.create_task(self._live(leg, before))
        return leg

    async def _live(self, leg: _Leg, before: _Leg | None) -> None:
        """One session: its events follow all of those of the one before it."""
        protocol = TranslationProtocol(replace(self._settings.translation, language=leg.language))
        try:
            async with connect(protocol, self._settings.connect, http=self._settings.http()) as connection:
                leg.opened.set_result(connection)
                self._wake.set()
                if before is not None:
                    await before.over.wait()
                await self._receive(connection)
                if not connection.closing:
                    raise ConnectionLost(reason="the server closed the session")
        except RealtimeError as error:
            if not leg.opened.done():
                leg.opened.set_exception(error)
                self._wake.set()
            elif leg.replaced:
                self._report(error, recoverable=True)
            else:
                raise
        finally:
            leg.over.set()

    def _may_part(self, leg: _Leg) -> bool:
        """Whether what comes may go to the session that replaces this one: in a pause, if one comes soon."""
        if not leg.opened.done() or leg.opened.exception() is not None:
            return leg.opened.done()
        return self._quiet or self._loop.time() >= leg.opened.result().opened_at + _PART_S

    async def _send(
        self, connection: Connection, until: float | None, over: Callable[[], bool] = lambda: False
    ) -> bool:
        """Audio as it comes, silence after it, language changes: until then, or until it is `over`.

        Returns whether there is nothing more to send.
        """
        while (until is None or self._loop.time() < until) and not over():
            if self._language != self._asked:
                self._asked = self._language
                await connection.update(language=self._language)
            block = self._input.pop()
            if block is not None:
                self._silence_left_s = _SILENCE_MAX_S
            elif self._stopping:
                if self._input.buffered_s > 0:
                    await connection.append(self._input.pop_padded())
                return True
            elif not await self._woken(until, self._silence_left_s):
                if self._input.buffered_s > 0:
                    self._silence_left_s = _SILENCE_MAX_S
                block = self._input.pop_padded()
                self._silence_left_s -= APPEND_MS / 1000
            if block is not None:
                self._quiet = rms(block) < _QUIET_RMS
                await connection.append(block)
        return False

    async def _woken(self, deadline: float | None, silence_left_s: float) -> bool:
        """Wait for something to do; False if it is time to send silence instead."""
        self._wake.clear()
        pad_at: float | None = None
        if self._input.buffered_s > 0 or silence_left_s > 0:
            already_padding = 0 < silence_left_s < _SILENCE_MAX_S
            pad_at = self._loop.time() + (APPEND_MS / 1000 if already_padding else _GAP_S)
        limits = [limit for limit in (deadline, pad_at) if limit is not None]
        try:
            async with asyncio.timeout_at(min(limits, default=None)):
                await self._wake.wait()
        except TimeoutError:
            return pad_at is None or self._loop.time() < pad_at
        return True

    async def _receive(self, connection: Connection) -> None:
        async for event in connection:
            match event:
                case events.OutputAudio(pcm, sample_rate):
                    self._on_audio(pcm, sample_rate)
                case events.OutputTranscript(delta):
                    if self._said.push(delta) is not None:
                        self._emit_said("", is_final=True)
                    self._emit_said(delta, is_final=False)
                    self._after_idle("said", self._end_said)
                case events.InputTranscript(delta):
                    if (heard := self._heard.push(delta)) is not None:
                        self._emit_heard(heard, is_final=True)
                    self._emit_heard(self._heard.text, is_final=False)
                    self._after_idle("heard", self._end_heard)
                case events.ErrorReported(error):
                    if isinstance(error, RequestRejected) and connection.protocol.language is not None:
                        self._language = self._asked = connection.protocol.language
                    self._report(error, recoverable=True)

    # -- what goes out --

    async def _stream(self) -> AsyncIterator[beta.TranslatedAudioFrame | beta.OutputSpeechStopped]:
        async for frame in self._output:
            yield beta.TranslatedAudioFrame(frame=frame, language=self._asked)

    def _on_audio(self, pcm: bytes, sample_rate_hz: int) -> None:
        if not pcm:
            return
        first = self._output.dropped_s == 0.0
        if self._output.push(rtc.AudioFrame(pcm, sample_rate_hz, 1, len(pcm) // 2)) and first:
            logger.warning("the translation is not read: dropping the oldest")

    def _emit_said(self, text: str, *, is_final: bool) -> None:
        self.emit("output_transcript", beta.OutputTranscript(text, is_final, language=self._asked))

    def _emit_heard(self, text: str, *, is_final: bool) -> None:
        self.emit("input_transcript", beta.InputTranscript(text, is_final))

    def _end_said(self) -> None:
        if (timer := self._timers.pop("said", None)) is not None:
            timer.cancel()
        if self._said.finish() is not None:
            self._emit_said("", is_final=True)

    def _end_heard(self) -> None:
        if (timer := self._timers.pop("heard", None)) is not None:
            timer.cancel()
        if (text := self._heard.finish()) is not None:
            self._emit_heard(text, is_final=True)

    def _after_idle(self, name: str, end: Callable[[], None]) -> None:
        if (timer := self._timers.pop(name, None)) is not None:
            timer.cancel()
        self._timers[name] = self._loop.call_later(_SEGMENT_IDLE_S, end)

    def _report(self, error: Exception, *, recoverable: bool) -> None:
        logger.warning("translation: %s (%s)", error, "going on" if recoverable else "giving up")
        label = self._translation_model.label
        self.emit(
            "error",
            beta.TranslationModelError(
                timestamp=time.time(), label=label, error=error, recoverable=recoverable
            ),
        )
