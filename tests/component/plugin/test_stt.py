"""Speech to text in LiveKit's own class, against the simulator: the order of events, faults, times."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from livekit.agents import APIConnectionError, APIConnectOptions, APIStatusError, stt, vad
from livekit.agents.metrics import STTMetrics
from livekit.agents.stt import SpeechEvent, SpeechEventType

from livekit import rtc
from livekit.plugins import openai_realtime
from livekit.plugins.openai_realtime import TranscriberPolicy, TranscriptionStream
from livekit.plugins.openai_realtime.options import ConnectOptions
from parley.demo.speech import countable_words
from parley.simulator import Fault, Simulator, SimulatorOptions

DEADLINE_S = 60.0
RATE = 24_000
FRAME_S = 0.02
SOUND_S, GAP_S = 0.24, 0.2
WORD_S = SOUND_S + GAP_S
"""The simulator tells words apart by 160 ms of quiet."""
FAST: dict[str, Any] = {"delay_scale": 0.05, "transcription_delay_s": 0.03, "drain_speed": 100.0}
STARTED, ENDED = SpeechEventType.START_OF_SPEECH, SpeechEventType.END_OF_SPEECH
INTERIM, FINAL = SpeechEventType.INTERIM_TRANSCRIPT, SpeechEventType.FINAL_TRANSCRIPT
USAGE = SpeechEventType.RECOGNITION_USAGE
RETRY = APIConnectOptions(max_retry=5, retry_interval=0.01, timeout=5.0)


def word(number: int) -> np.ndarray:
    """A burst of a pitch that says which word it is, and a pause that ends it."""
    time = np.arange(round(SOUND_S * RATE)) / RATE
    sound = (9000 * np.sin(2 * np.pi * (300 + 25 * number) * time)).astype(np.int16)
    return np.concatenate([sound, quiet(GAP_S)])


def quiet(seconds: float) -> np.ndarray:
    return np.zeros(round(seconds * RATE), np.int16)


def recognised(pcm: np.ndarray) -> list[str]:
    """The word of a burst, by its pitch; what is too short for one is a piece of a word."""
    loud = np.flatnonzero(np.abs(pcm) > 200)
    sound = pcm[loud[0] : loud[-1] + 1].astype(float)
    if len(sound) < 0.2 * RATE:
        return ["cut"]
    spectrum = np.abs(np.fft.rfft(sound, 1 << 17))
    pitch = np.argmax(spectrum) * RATE / (1 << 17)
    return [f"w{round((pitch - 300) / 25)}"]


class LoudVad(vad.VAD):
    """Speech is what is loud, and 0.3 s after it."""

    min_silence_duration = 0.3

    def __init__(self) -> None:
        super().__init__(capabilities=vad.VADCapabilities(update_interval=FRAME_S))

    def stream(self) -> vad.VADStream:
        return LoudVadStream(self)


class LoudVadStream(vad.VADStream):
    """See LoudVad."""

    async def _main_task(self) -> None:
        speaking, silent_s = False, 0.0
        async for frame in self._input_ch:
            if not isinstance(frame, rtc.AudioFrame):
                continue
            loud = bool(np.abs(np.frombuffer(frame.data, np.int16)).max() > 200)
            silent_s = 0.0 if loud else silent_s + frame.duration
            if loud != speaking and (loud or silent_s >= LoudVad.min_silence_duration):
                speaking = loud
                kind = vad.VADEventType.START_OF_SPEECH if loud else vad.VADEventType.END_OF_SPEECH
                self._event_ch.send_nowait(vad.VADEvent(kind, 0, 0.0, 0.0, 0.0))


@asynccontextmanager
async def api(**options: Any) -> AsyncIterator[Simulator]:
    async with Simulator(SimulatorOptions(**{"recognise_word": recognised, **FAST, **options})) as sim:
        yield sim


@asynccontextmanager
async def speech_to_text(sim: Simulator, **more: Any) -> AsyncIterator[openai_realtime.STT]:
    options = {"vad": LoudVad(), "language": "en", **more}
    connect = ConnectOptions(api_key="sk-secret", base_url=sim.base_url, close_timeout_s=0.5)
    async with openai_realtime.STT(connect=connect, **options) as made:
        yield made  # type: ignore[misc]


async def push(stream: stt.RecognizeStream, pcm: np.ndarray, *, speed: float = 4.0) -> None:
    size = round(FRAME_S * RATE)
    for start in range(0, len(pcm), size):
        piece = pcm[start : start + size]
        stream.push_frame(rtc.AudioFrame(piece.tobytes(), RATE, 1, len(piece)))
        await asyncio.sleep(FRAME_S / speed)


async def transcribed(stream: stt.RecognizeStream, pcm: np.ndarray, **how: Any) -> list[SpeechEvent]:
    """Everything the stream says, until its end."""

    async def feed() -> None:
        await push(stream, pcm, **how)
        stream.end_input()

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(feed())
        return await everything(stream)


async def everything(stream: stt.RecognizeStream) -> list[SpeechEvent]:
    """What the stream says until its end. Raises what ends it."""
    async with asyncio.timeout(DEADLINE_S):
        return [event async for event in stream]


def words(events: list[SpeechEvent], kind: SpeechEventType = FINAL) -> list[str]:
    return [name for event in events if event.type is kind for name in event.alternatives[0].text.split()]


def named(first: int, last: int) -> list[str]:
    return [f"w{number}" for number in range(first, last + 1)]


def phrase(first: int, last: int, pause_s: float = 0.6) -> np.ndarray:
    return np.concatenate([*(word(number) for number in range(first, last + 1)), quiet(pause_s)])


def check_events(events: list[SpeechEvent]) -> None:
    """The order that LiveKit's own tests of an STT ask for, and that nothing shown is taken back."""
    speaking = False
    shown: dict[str, str] = {}
    done: list[str] = []
    for event in events:
        if event.type in (STARTED, ENDED):
            assert speaking is (event.type is ENDED)
            speaking = event.type is STARTED
        elif event.type in (INTERIM, FINAL):
            text = event.alternatives[0].text
            assert event.alternatives[0].language.startswith("en")
            assert event.request_id not in done
            assert text.startswith(shown.get(event.request_id, ""))
            shown[event.request_id] = text
            if event.type is FINAL:
                done.append(event.request_id)
    assert not speaking
    assert set(shown) == set(done)


async def test_two_phrases_in_the_order_that_livekit_asks_for() -> None:
    async with api() as sim, speech_to_text(sim) as made, made.stream(conn_options=RETRY) as stream:
        metrics: list[STTMetrics] = []
        made.on("metrics_collected", metrics.append)
        events = await transcribed(stream, np.concatenate([quiet(0.3), phrase(1, 4), phrase(5, 7)]))
        check_events(events)
        assert words(events) == named(1, 7)
        finals = [event.alternatives[0] for event in events if event.type is FINAL]
        assert finals[0].start_time == pytest.approx(0.3, abs=0.15)
        assert finals[0].end_time == pytest.approx(0.3 + 4 * WORD_S - GAP_S, abs=0.2)
        assert finals[1].start_time == pytest.approx(0.3 + 4 * WORD_S + 0.6, abs=0.15)
        assert 0 < finals[0].confidence < 1
        assert [event.type for event in events if event.type in (STARTED, ENDED)] == [STARTED, ENDED] * 2
        assert words(events, INTERIM)[:1] == ["w1"]
        sent_s = sum(event.recognition_usage.audio_duration for event in events if event.recognition_usage)
        (session,) = sim.sessions
        assert sent_s == pytest.approx(session.audio_received_s)
        assert session.refused == []
        assert sent_s < 7 * WORD_S + 2.0
        assert sum(metric.audio_duration for metric in metrics) == pytest.approx(sent_s)


async def test_frames_of_another_rate_and_two_channels_are_understood() -> None:
    async with api() as sim, speech_to_text(sim) as made, made.stream(conn_options=RETRY) as stream:
        pcm = np.repeat(phrase(1, 3), 4)  # 48 kHz, both channels alike
        size = 1920

        async def feed() -> None:
            for start in range(0, len(pcm), size):
                piece = pcm[start : start + size]
                stream.push_frame(rtc.AudioFrame(piece.tobytes(), 48_000, 2, len(piece) // 2))
                await asyncio.sleep(0.005)
            stream.end_input()

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(feed())
            events = await everything(stream)
        assert words(events) == named(1, 3)


FAULTS: dict[str, Callable[[float], Fault]] = {
    "drop": lambda at_s: Fault("drop", after_audio_s=at_s),
    "close": lambda at_s: Fault("close", after_audio_s=at_s, close_code=1011),
    "expire": lambda at_s: Fault("expire", after_audio_s=at_s),
    "stall": lambda at_s: Fault("stall", after_audio_s=at_s),
    "error": lambda at_s: Fault("error", after_audio_s=at_s),
    "fail": lambda at_s: Fault("fail", after_audio_s=at_s),
}


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in (1, 2))])
@pytest.mark.parametrize("kind", list(FAULTS))
async def test_each_word_comes_once_whatever_happens_in_the_middle_of_an_utterance(
    kind: str, seed: int
) -> None:
    chance = random.Random(f"{kind} {seed}")
    async with (
        api() as sim,
        speech_to_text(sim, stall_s=1.0) as made,
        made.stream(conn_options=RETRY) as stream,
    ):
        for _ in range(3):
            sim.faults.add(FAULTS[kind](chance.uniform(0.1, 3.0)))
        talk = np.concatenate([phrase(1, 5), phrase(6, 9), phrase(10, 14)])
        events = await transcribed(stream, talk, speed=2.0)
        check_events(events)
        assert words(events) == named(1, 14)
        hit = 3 - sum(left for _, left in sim.faults.waiting())
        assert hit > 0
        assert stream.transcriber.dropped_s == 0


async def test_a_session_is_replaced_before_it_expires_and_nobody_notices() -> None:
    async with (
        api(session_lifetime_s=3.0) as sim,
        speech_to_text(sim) as made,
        made.stream(conn_options=RETRY) as stream,
    ):
        failed: list[Any] = []
        made.on("error", failed.append)
        events = await transcribed(
            stream, np.concatenate([phrase(first, first + 3) for first in range(1, 21, 4)]), speed=1.5
        )
        check_events(events)
        assert words(events) == named(1, 20)
        assert len(sim.sessions) > 1
        assert failed == []


async def test_long_speech_without_a_pause_is_cut_between_words() -> None:
    policy = TranscriberPolicy(soft_s=2.0, most_s=3.0, search_s=0.8)
    async with api() as sim, speech_to_text(sim, policy=policy) as made:
        async with made.stream(conn_options=RETRY) as stream:
            events = await transcribed(stream, phrase(1, 24))
        check_events(events)
        assert words(events) == named(1, 24)
        assert len([event for event in events if event.type is FINAL]) >= 3


async def test_a_flush_ends_the_utterance_at_once() -> None:
    async with api() as sim, speech_to_text(sim) as made, made.stream(conn_options=RETRY) as stream:
        await push(stream, phrase(1, 2, pause_s=0.05))
        stream.flush()
        async with asyncio.timeout(DEADLINE_S):
            while (event := await anext(stream)).type is not FINAL:
                pass
        assert event.alternatives[0].text.split() == ["w1", "w2"]


async def test_a_microphone_that_is_muted_in_a_word_ends_the_utterance() -> None:
    async with api() as sim, speech_to_text(sim) as made, made.stream(conn_options=RETRY) as stream:
        await push(stream, phrase(1, 2, pause_s=0.0))
        async with asyncio.timeout(DEADLINE_S):
            while (event := await anext(stream)).type is not FINAL:
                pass
        assert event.alternatives[0].text.split() == ["w1", "w2"]


async def test_a_language_changes_in_the_running_session() -> None:
    async with api() as sim, speech_to_text(sim) as made, made.stream(conn_options=RETRY) as stream:
        await push(stream, phrase(1, 2))
        made.update_options(language="de-AT")
        events = await transcribed(stream, phrase(3, 4))
        assert words(events) == named(1, 4)
        assert [event.alternatives[0].language for event in events if event.type is FINAL][-1] == "de"
        (session,) = sim.sessions
        assert session.settings["audio"]["input"]["transcription"]["language"] == "de"


async def test_recognition_of_a_buffer() -> None:
    async with api() as sim, speech_to_text(sim) as made:
        pcm = phrase(1, 6)
        frame = rtc.AudioFrame(pcm.tobytes(), RATE, 1, len(pcm))
        event = await made.recognize(frame, conn_options=RETRY, language="english")
        assert event.type is FINAL
        assert event.alternatives[0].text.split() == named(1, 6)
        sim.faults.add(Fault("drop", after_audio_s=0.5))
        again = await made.recognize([frame, frame], conn_options=RETRY)
        assert again.alternatives[0].text.split() == named(1, 6) * 2
        silence = rtc.AudioFrame(quiet(0.5).tobytes(), RATE, 1, RATE // 2)
        assert (await made.recognize(silence, conn_options=RETRY)).alternatives[0].text == ""


async def test_a_key_that_is_refused_ends_the_stream_and_is_not_told(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with api(api_keys=frozenset({"another"})) as sim, speech_to_text(sim) as made:
        failed: list[Any] = []
        made.on("error", failed.append)
        async with made.stream(conn_options=RETRY) as stream:
            with pytest.raises(APIStatusError) as caught:
                await everything(stream)
        assert caught.value.status_code == 401
        assert not caught.value.retryable
        assert [error.recoverable for error in failed] == [False]
        assert "sk-secret" not in caplog.text + repr(caught.value) + str(failed)


async def test_a_server_that_cannot_be_reached_is_tried_again_so_often_as_asked() -> None:
    async with api() as sim, speech_to_text(sim) as made:
        for _ in range(9):
            sim.faults.add(Fault("refuse", status=503))
        failed: list[Any] = []
        made.on("error", failed.append)
        options = APIConnectOptions(max_retry=2, retry_interval=0.01, timeout=5.0)
        async with made.stream(conn_options=options) as stream:
            with pytest.raises((APIConnectionError, APIStatusError)):
                await everything(stream)
        assert [error.recoverable for error in failed] == [True, True, False]
        assert sum(left for _, left in sim.faults.waiting()) == 6


async def test_what_it_is_and_what_it_can() -> None:
    async with api() as sim, speech_to_text(sim) as made:
        assert (made.model, made.provider) == ("gpt-realtime-whisper", "127.0.0.1")
        assert made.capabilities.streaming
        assert made.capabilities.interim_results
        made.prewarm()
        stream = made.stream()
        assert isinstance(stream, TranscriptionStream)
        await stream.aclose()
    with pytest.raises(ValueError, match="keywords"):
        openai_realtime.STT(api_key="k", keywords=("Parley",))
    with pytest.raises(ValueError, match="silence_s"):
        openai_realtime.STT(api_key="k", silence_s=0)


async def test_words_that_are_really_spoken_pass_the_local_model_of_speech() -> None:
    spoken = countable_words("en", voice=0, count=4)
    parts = [part for spoken_word in spoken for part in (spoken_word.pcm, quiet(1.0))]
    async with (
        api(recognise_word=None) as sim,
        speech_to_text(sim, vad=None) as made,
        made.stream(conn_options=RETRY) as stream,
    ):
        events = await transcribed(stream, np.concatenate([quiet(0.5), *parts]))
        check_events(events)
        assert [event.type for event in events if event.type in (STARTED, ENDED)] == [STARTED, ENDED] * 4
        finals = [event.alternatives[0] for event in events if event.type is FINAL]
        assert [final.text for final in finals] == [
            f"[simulated source] word-{number}." for number in range(1, 5)
        ]
        starts_s = np.cumsum([0.5, *(len(spoken_word.pcm) / RATE + 1.0 for spoken_word in spoken[:-1])])
        assert np.allclose([final.start_time for final in finals], starts_s, atol=0.3)
        ends_s = starts_s + [len(spoken_word.pcm) / RATE for spoken_word in spoken]
        assert np.allclose([final.end_time for final in finals], ends_s, atol=0.3)
