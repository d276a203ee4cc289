"""The simulated model's voice: what is said, with a quiet pilot tone that names the language it is said in,
or the voice that says it.

The waveform of the input is kept, so a matched filter on the spoken word finds it again. While it is audible
a tone of -42 dBFS RMS is added, one frequency for each language, 4400 Hz to 6800 Hz in steps of 200 Hz: above
the 4 kHz that a matched filter at 8 kHz looks at, and inside the wide band that Opus keeps for a voice. All
frequencies are multiples of 50 Hz, so that a block of 20 ms holds whole cycles and the phase runs on from
frame to frame. The voices of conversations have the frequencies between, 4500 Hz to 6500 Hz.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "BLOCK",
    "CUSTOM_VOICE",
    "LANGUAGES",
    "MARKER_HZ",
    "SAMPLE_RATE_HZ",
    "VOICES",
    "VOICE_HZ",
    "Pcm",
    "VoiceState",
    "language_of",
    "loud_blocks",
    "speak",
    "voice_of",
]

Pcm = NDArray[np.int16]

SAMPLE_RATE_HZ = 24_000
BLOCK = 480
"""Samples in one block of the gate: 20 ms."""
LANGUAGES = ("es", "pt", "fr", "ja", "ru", "zh", "de", "ko", "hi", "id", "vi", "it", "en")
MARKER_HZ = {language: 4400 + 200 * place for place, language in enumerate(LANGUAGES)}
CUSTOM_VOICE = "custom"
"""Who speaks when the voice is not one of the API's own."""
VOICES = ("alloy", "ash", "ballad", "coral", "echo", "sage", "shimmer", "verse", "marin", "cedar")
VOICE_HZ = {voice: 4500 + 200 * place for place, voice in enumerate((*VOICES, CUSTOM_VOICE))}

LOUD_DBFS = -50.0
HANGOVER_BLOCKS = 3
MARKER_DBFS = -42.0

_FULL_SCALE = 32768.0
_LOUD_POWER = (_FULL_SCALE * 10 ** (LOUD_DBFS / 20)) ** 2
_FADE = (0.5 - 0.5 * np.cos(np.pi * np.arange(BLOCK) / BLOCK)).astype(np.float32)

_WINDOW_S = 0.04
_BIN_HZ = 25
_LEAST_RMS = _FULL_SCALE * 10 ** (-60.0 / 20)
_BELOW_LOUDEST = 10 ** (-25.0 / 20)
_LEAST_SNR_DB = 8.0
_LEAST_MARGIN_DB = 6.0


@dataclass(slots=True)
class VoiceState:
    """What `speak` carries from one frame of a session to the next."""

    hangover: int = 0
    gain: float = 0.0
    language: str | None = None
    audible: bool = False
    """Whether anything was audible in the last frame."""


def loud_blocks(pcm: Pcm) -> NDArray[np.bool_]:
    """Which blocks of 20 ms are louder than -50 dBFS RMS: `bool[ceil(n / 480)]` for `int16[n]` at 24 kHz."""
    blocks = -(-len(pcm) // BLOCK)
    power = np.zeros(blocks * BLOCK, np.float32)
    power[: len(pcm)] = pcm
    np.square(power, out=power)
    loud: NDArray[np.bool_] = power.reshape(blocks, BLOCK).mean(axis=1) >= _LOUD_POWER
    return loud


def speak(pcm: Pcm, language: str, state: VoiceState, loud: NDArray[np.bool_] | None = None) -> Pcm:
    """Say `int16[n]` mono at 24 kHz in `language` (or in one of `VOICE_HZ`): the same samples, marked while
    they are audible.

    Returns `int16[n]`; `state.audible` says whether anything in it can be heard. n is a multiple of 480, so
    that the tone runs on; `loud` is `loud_blocks(pcm)` where the caller has it already. Raises KeyError for a
    language that is not spoken.
    """
    tone = _tone(language)
    gate = _gate(loud_blocks(pcm) if loud is None else loud, state)
    before = np.concatenate(([state.gain], gate[:-1]))
    former, state.language, state.gain = state.language, language, float(gate[-1])
    state.audible = bool(gate.any() or before[0])
    if not state.audible:
        return pcm
    if former not in (None, language) and before[0]:
        before[0] = 0.0
    envelope = before[:, None] + (gate - before)[:, None] * _FADE
    mixed = pcm + (envelope * tone).reshape(-1)[: len(pcm)]
    spoken: Pcm = np.clip(np.rint(mixed), -32768, 32767).astype(np.int16)
    return spoken


def language_of(pcm: Pcm, sample_rate: int = SAMPLE_RATE_HZ) -> str | None:
    """The language whose marker sounds in `int16[n]` mono, or None if unsure; 100 ms of speech are enough.

    `sample_rate` is 24000 or 48000. Only the loud part counts, in windows of 40 ms that are judged one by
    one, so that neither a sibilant nor a jump of the phase decides. Raises ValueError for any other rate.
    """
    return _marked(pcm, sample_rate, MARKER_HZ)


def voice_of(pcm: Pcm, sample_rate: int = SAMPLE_RATE_HZ) -> str | None:
    """The voice of a conversation whose marker sounds in `int16[n]` mono (one of `VOICE_HZ`), or None if
    unsure; as `language_of`."""
    return _marked(pcm, sample_rate, VOICE_HZ)


def _marked(pcm: Pcm, sample_rate: int, marker_hz: Mapping[str, int]) -> str | None:
    if sample_rate not in (24_000, 48_000):
        raise ValueError(f"sample_rate: got {sample_rate}, allowed: 24000, 48000")
    size = round(sample_rate * _WINDOW_S)
    if len(pcm) < size:
        return None
    windows = np.lib.stride_tricks.sliding_window_view(pcm, size)[:: size // 2].astype(np.float32)
    rms = np.sqrt(np.mean(np.square(windows), axis=1))
    windows = windows[rms >= max(_LEAST_RMS, float(rms.max()) * _BELOW_LOUDEST)]
    if not len(windows):
        return None
    power = np.square(np.abs(np.fft.rfft(windows * np.hanning(size).astype(np.float32), axis=1)))
    snr, level = _marker_levels(power, list(marker_hz.values()))
    order = np.argsort(level)
    best, second = int(order[-1]), int(order[-2])
    if snr[best] < _LEAST_SNR_DB or level[best] - level[second] < _LEAST_MARGIN_DB:
        return None
    return list(marker_hz)[best]


def _gate(loud: NDArray[np.bool_], state: VoiceState) -> NDArray[np.float32]:
    """Hold the gate open for the hangover after each loud block."""
    gate = np.zeros(len(loud), np.float32)
    for place, is_loud in enumerate(loud.tolist()):
        state.hangover = HANGOVER_BLOCKS + 1 if is_loud else max(state.hangover - 1, 0)
        gate[place] = state.hangover > 0
    return gate


@cache
def _tone(language: str) -> NDArray[np.float32]:
    """One block of a language's marker: `float32[480]`."""
    amplitude = _FULL_SCALE * 10 ** (MARKER_DBFS / 20) * np.sqrt(2)
    phase = 2 * np.pi * (MARKER_HZ | VOICE_HZ)[language] * np.arange(BLOCK) / SAMPLE_RATE_HZ
    tone: NDArray[np.float32] = (amplitude * np.sin(phase)).astype(np.float32)
    return tone


def _marker_levels(
    power: NDArray[np.float32], marker_hz: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Medians over `power[w, bins]` for each marker, in dB: its tone above its surroundings, and its
    level."""
    bins = np.array(marker_hz) // _BIN_HZ
    tone = sum(power[:, bins + offset] for offset in (-1, 0, 1)) + 1e-6
    around = sum(power[:, bins + offset] for offset in (-4, -3, 3, 4)) * 0.75 + 1e-6
    snr = 10 * np.log10(np.median(tone / around, axis=0))
    level = 10 * np.log10(np.median(tone, axis=0))
    return snr, level
