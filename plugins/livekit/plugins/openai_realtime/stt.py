"""gpt-realtime-whisper as LiveKit's speech-to-text, for `AgentSession` and whatever else takes an STT."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import NoReturn
from weakref import WeakSet

from livekit.agents import LanguageCode, stt, vad
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, APIConnectOptions, NotGivenOr
from livekit.agents.utils import AudioBuffer, combine_frames, is_given, shortuuid
from livekit.local_inference import init_vad

from livekit import rtc

from .api_errors import as_api_error
from .connection import HttpSession, TranscriptionConnection, connect, new_http_session
from .errors import ConnectionLost, RealtimeError
from .hearing import TranscriberPolicy
from .models import TranscriptionModels, connect_from_environment
from .options import SAMPLE_RATE_HZ, ConnectOptions, Delay, NoiseReduction, TranscriptionOptions
from .speech_gate import LocalGate, SpeechGate, VadGate
from .spoken import BYTES_PER_S, Line
from .stt_stream import TranscriptionStream, mono_of
from .transcriber import Append, Leg, Transcriber
from .transcription import TranscriptionProtocol

_PIECE_BYTES = BYTES_PER_S // 2


@dataclass(frozen=True, slots=True, kw_only=True)
class STTOptions:
    """What an `STT` hands to each of its streams."""

    transcription: TranscriptionOptions
    connect: ConnectOptions
    policy: TranscriberPolicy
    silence_s: float
    stall_s: float
    vad: vad.VAD | None

    def gate(self) -> SpeechGate:
        """What decides whether somebody speaks."""
        return VadGate(self.vad) if self.vad is not None else LocalGate(self.silence_s)


class STT(stt.STT[NoReturn]):
    """Speech to text by a transcription session of the Realtime API.

    A stream of it survives the loss of its connection, the end of a session's time and its replacement: what
    was said meanwhile is sent again, so that each word comes once, and no interim words are taken back. Only
    speech is sent, with what came just before it; the model is paid by the minute. Close it with `aclose` (or
    ``async with``).
    """

    def __init__(
        self,
        *,
        model: TranscriptionModels | str = "gpt-realtime-whisper",
        language: str | None = None,
        delay: Delay | None = None,
        prompt: str | None = None,
        keywords: tuple[str, ...] = (),
        noise_reduction: NoiseReduction | None = None,
        vad: vad.VAD | None = None,
        silence_s: float = 0.3,
        policy: TranscriberPolicy | None = None,
        stall_s: float = 10.0,
        api_key: NotGivenOr[str] = NOT_GIVEN,
        base_url: NotGivenOr[str] = NOT_GIVEN,
        connect: ConnectOptions | None = None,
        http_session: HttpSession | None = None,
    ) -> None:
        """
        Args:
            model: name of the model.
            language: what is spoken, ISO 639-1 or BCP 47; None (default): detected.
            delay: how long gpt-realtime-whisper waits before it gives out words; None: the API's default.
            prompt: guides models that take one; gpt-realtime-whisper does not.
            keywords: words to expect, for models that take them; gpt-realtime-whisper does not.
            noise_reduction: ``near_field``, ``far_field`` or None (default).
            vad: decides who speaks instead of the local model. Default: LiveKit's native Silero, inline.
            silence_s: silence that ends an utterance, for the local model.
            policy: where long utterances are cut, and how much audio is kept.
            stall_s: seconds after a commit without a sign of its words; the connection is then replaced.
            api_key: default ``OPENAI_API_KEY``.
            base_url: default ``OPENAI_BASE_URL``, else ``https://api.openai.com/v1``.
            connect: how to reach the API, in all detail, instead of the two.
            http_session: used and left open. Default: one of its own, without a limit on connections.

        Raises:
            ValueError: no API key, or a value that cannot work; the text names it.
        """
        super().__init__(
            capabilities=stt.STTCapabilities(
                streaming=True,
                interim_results=True,
                aligned_transcript="chunk",
                offline_recognize=True,
                manual_flush=True,
            )
        )
        for name, value in (("silence_s", silence_s), ("stall_s", stall_s)):
            if not value > 0:
                raise ValueError(f"{name}: given {value!r}, a number above 0 is needed")
        self._options = STTOptions(
            transcription=TranscriptionOptions(
                model=model,
                language=_iso(language),
                delay=delay,
                prompt=prompt,
                keywords=keywords,
                noise_reduction=noise_reduction,
                logprobs=True,
            ),
            connect=connect if connect is not None else connect_from_environment(api_key, base_url),
            policy=policy if policy is not None else TranscriberPolicy(),
            silence_s=silence_s,
            stall_s=stall_s,
            vad=vad,
        )
        self._given_http = http_session
        self._own_http: HttpSession | None = None
        self._streams: WeakSet[TranscriptionStream] = WeakSet()

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._options.transcription.model

    @property
    def provider(self) -> str:
        """Host the model is reached at."""
        return self._options.connect.host

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> TranscriptionStream:
        """A stream that connects at once. To be called in a running event loop.

        Of `conn_options`, ``max_retry`` failures in a row are survived; words that arrive end a row.
        """
        options = self._with(language, conn_options)
        made = TranscriptionStream(
            self,
            conn_options=conn_options,
            transcription=options.transcription,
            connect_options=options.connect,
            policy=options.policy,
            gate=options.gate(),
            stall_s=options.stall_s,
            http=self._http,
        )
        self._streams.add(made)
        return made

    def update_options(self, *, language: str | None) -> None:
        """Change the language, of running streams, too; None: detected."""
        transcription = replace(self._options.transcription, language=_iso(language))
        self._options = replace(self._options, transcription=transcription)
        for running in list(self._streams):
            running.update_options(language=transcription.language)

    def prewarm(self) -> None:
        """Load the local model of speech, which a first stream would otherwise wait for."""
        if self._options.vad is None:
            init_vad()

    async def aclose(self) -> None:
        """Close all streams, and the HTTP session if it is ours."""
        for running in list(self._streams):
            await running.aclose()
        if self._own_http is not None:
            http, self._own_http = self._own_http, None
            await http.close()

    async def _recognize_impl(
        self,
        buffer: AudioBuffer,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions,
    ) -> stt.SpeechEvent:
        """All of `buffer` is taken for speech. LiveKit's base repeats it as `conn_options` say."""
        options = self._with(language, conn_options)
        pcm = _pcm_of(buffer)
        length_s = len(pcm) / BYTES_PER_S
        # Whoever calls this tries again by itself.
        policy = replace(options.policy, hangover_s=0.0, kept_s=length_s + 1, attempts=1)
        transcriber = Transcriber(policy)
        for start in range(0, len(pcm), _PIECE_BYTES):
            piece = pcm[start : start + _PIECE_BYTES]
            transcriber.hear(piece, (start + len(piece)) / BYTES_PER_S, True)
        transcriber.end()
        protocol = TranscriptionProtocol(options.transcription)
        try:
            async with connect(protocol, options.connect, http=self._http()) as connection:
                lines = await _all_lines(connection, transcriber.begin(), options.stall_s)
        except RealtimeError as exc:
            raise as_api_error(exc) from exc
        found = [line.confidence for line in lines if line.confidence is not None]
        data = stt.SpeechData(
            language=LanguageCode(options.transcription.language or ""),
            text=" ".join(line.text for line in lines),
            start_time=0.0,
            end_time=length_s,
            confidence=sum(found) / len(found) if found else 0.0,
        )
        return stt.SpeechEvent(
            type=stt.SpeechEventType.FINAL_TRANSCRIPT, request_id=shortuuid("stt_"), alternatives=[data]
        )

    def _with(self, language: NotGivenOr[str], conn_options: APIConnectOptions) -> STTOptions:
        options = self._options
        timeout_s = conn_options.timeout or options.connect.connect_timeout_s
        reached = replace(options.connect, connect_timeout_s=timeout_s)
        transcription = options.transcription
        if is_given(language):
            transcription = replace(transcription, language=_iso(language))
        return replace(options, connect=reached, transcription=transcription)

    def _http(self) -> HttpSession:
        if self._given_http is not None:
            return self._given_http
        if self._own_http is None:
            self._own_http = new_http_session()
        return self._own_http


async def _all_lines(connection: TranscriptionConnection, leg: Leg, stall_s: float) -> list[Line]:
    """Send everything, and wait for its words. Raises RealtimeError."""
    loop = asyncio.get_running_loop()
    while (step := leg.take(loop.time())) is not None:
        if isinstance(step, Append):
            await connection.append(step.pcm)
        else:
            await connection.commit(step.event_id)
    lines: list[Line] = []
    await connection.close()
    while True:
        try:
            async with asyncio.timeout(stall_s):
                event = await anext(connection)
        except StopAsyncIteration:
            break
        except TimeoutError as exc:
            raise ConnectionLost(reason=f"no words {stall_s:g} s after they were asked for") from exc
        lines += leg.take_event(event, loop.time())
    for line in lines:
        if line.error is not None:
            raise line.error
    return [line for line in lines if line.final]


def _iso(language: str | None) -> str | None:
    """LiveKit takes names of languages, too (``english``)."""
    return LanguageCode(language).language if language else None


def _pcm_of(buffer: AudioBuffer) -> bytes:
    """int16[n], 24 kHz, mono."""
    frame = combine_frames(buffer)
    mono = mono_of(frame)
    if mono.sample_rate == SAMPLE_RATE_HZ:
        return bytes(mono.data)
    resampler = rtc.AudioResampler(
        mono.sample_rate, SAMPLE_RATE_HZ, num_channels=1, quality=rtc.AudioResamplerQuality.HIGH
    )
    return b"".join(bytes(made.data) for made in (*resampler.push(mono), *resampler.flush()))
