"""The marker through a real Opus encoder and decoder, at the bit rates of a voice."""

import av
import numpy as np
import pytest

from parley.simulator import LANGUAGES, language_of, speak
from parley.simulator.voice import VoiceState

DELAY = 312
"""Opus' look-ahead at 48 kHz, in samples."""


def syllable(pitch):
    time = np.arange(9600) / 24_000
    phase = 2 * np.pi * np.cumsum(pitch * (1 + 0.1 * np.sin(2 * np.pi * 3 * time))) / 24_000
    voice = sum(np.sin(n * phase + n) / n**1.3 for n in range(1, int(7000 / pitch)))
    voice = voice + np.random.default_rng(1).normal(0, 0.02, len(time))
    return (voice * (3277 / np.sqrt(np.mean(voice**2)))).astype(np.int16)


def doubled(pcm):
    spectrum = np.fft.rfft(pcm.astype(float))
    wide = np.fft.irfft(np.pad(spectrum, (0, len(spectrum) - 1)), 2 * len(pcm)) * 2
    return np.clip(np.rint(wide), -32768, 32767).astype(np.int16)


def through_opus(pcm, bit_rate):
    """`int16[n]` at 48 kHz there and back."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    encoder.bit_rate = bit_rate
    encoder.options = {"application": "voip", "frame_duration": "20"}
    encoder.open()
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = 48_000, "mono"
    out = []
    for start in range(0, len(pcm), 960):
        frame = av.AudioFrame.from_ndarray(pcm[None, start : start + 960], "s16", "mono")
        frame.sample_rate, frame.pts = 48_000, start
        out += [heard.to_ndarray()[0] for packet in encoder.encode(frame) for heard in decoder.decode(packet)]
    samples = np.concatenate(out)
    return samples if samples.dtype == np.int16 else (np.clip(samples, -1, 1) * 32767).astype(np.int16)


@pytest.mark.parametrize("bit_rate", [24_000, 48_000])
def test_every_language_survives_opus(bit_rate):
    for language in LANGUAGES:
        state = VoiceState()
        parts = [part for pitch in (90, 130, 210) for part in (syllable(pitch), np.zeros(4800, np.int16))]
        spoken = [speak(part, language, state) for part in parts]
        heard = through_opus(doubled(np.concatenate(spoken)), bit_rate)
        for place in range(3):
            start = DELAY + place * 28_800
            assert language_of(heard[start : start + 19_200], 48_000) == language
            excerpts = (heard[at : at + 4800] for at in range(start + 960, start + 17_000, 4800))
            assert {language_of(excerpt, 48_000) for excerpt in excerpts} <= {language, None}
