"""Words are found again after a codec, in noise, through gaps; what is not there is not found."""

from __future__ import annotations

import io

import av
import numpy as np
import pytest

from parley.demo.audio import Pcm, amplitude, noise, resample, to_pcm
from parley.demo.listening import find_words, heard_until
from parley.demo.speech import SAMPLE_RATE_HZ, countable_words, render, script

COUNT = 24
LINES = script({"ann": COUNT})
ANN = countable_words("en", voice=0, count=COUNT)
BOB = countable_words("fr", voice=1, count=COUNT)
TRACK = render(LINES, "ann", ANN)


def through_opus(pcm: Pcm) -> Pcm:
    """Encode and decode at 24 kbit/s; the decoder's own delay is removed by its container."""
    file = io.BytesIO()
    sound = to_pcm(resample(pcm, SAMPLE_RATE_HZ, 48_000))
    with av.open(file, "w", format="ogg") as output:
        encoder = output.add_stream("libopus", rate=48_000, layout="mono")
        encoder.bit_rate = 24_000
        for begin in range(0, len(sound), 960):
            frame = av.AudioFrame.from_ndarray(sound[None, begin : begin + 960], format="s16", layout="mono")
            frame.sample_rate, frame.pts = 48_000, begin
            output.mux(encoder.encode(frame))
        output.mux(encoder.encode(None))
    file.seek(0)
    with av.open(file) as source:
        resampler = av.AudioResampler(format="s16", layout="mono", rate=SAMPLE_RATE_HZ)
        parts = [
            part.to_ndarray()[0] for frame in source.decode(audio=0) for part in resampler.resample(frame)
        ]
    return np.concatenate(parts)


def in_noise(pcm: Pcm, snr_db: float) -> Pcm:
    noise = np.random.default_rng(1).standard_normal(len(pcm), np.float32) * np.float32(
        amplitude(-20 - snr_db)
    )
    return to_pcm(pcm + noise)


def with_gaps(pcm: Pcm) -> Pcm:
    broken = pcm.copy()
    for begin in range(0, len(broken), 3 * SAMPLE_RATE_HZ // 10):
        broken[begin : begin + SAMPLE_RATE_HZ // 50] = 0
    return broken


@pytest.mark.parametrize(
    "received",
    [
        pytest.param(TRACK, id="clean"),
        pytest.param(through_opus(TRACK), id="opus"),
        pytest.param(through_opus(in_noise(TRACK, 10)), id="10 dB SNR"),
        pytest.param(through_opus((TRACK * 0.18).astype(np.int16)), id="15 dB softer"),
        pytest.param(through_opus(with_gaps(TRACK)), id="20 ms gaps"),
    ],
)
def test_every_word_is_found_once_in_order_and_in_its_time(received: Pcm) -> None:
    heard = find_words(received, SAMPLE_RATE_HZ, [*BOB, *ANN])
    assert [item.word_index - COUNT for item in heard] == list(range(COUNT))
    assert [item.start_s for item in heard] == pytest.approx([line.start_s for line in LINES], abs=0.02)


def test_another_rate_gives_the_same() -> None:
    heard = find_words(to_pcm(resample(TRACK, 24_000, 48_000)), 48_000, ANN)
    assert [item.word_index for item in heard] == list(range(COUNT))
    assert [item.start_s for item in heard] == pytest.approx([line.start_s for line in LINES], abs=0.002)


def test_words_of_other_voices_are_not_taken_for_ours() -> None:
    others = countable_words("en", voice=4, count=COUNT)
    assert find_words(through_opus(TRACK), SAMPLE_RATE_HZ, BOB) == []
    heard = find_words(through_opus(TRACK), SAMPLE_RATE_HZ, [*BOB, *others, *ANN])
    assert [item.word_index for item in heard] == list(range(2 * COUNT, 3 * COUNT))


def test_a_word_without_its_first_tenth_is_found_and_without_its_first_quarter_second_not() -> None:
    for cut_ms, most, least in ((100, COUNT, COUNT - 2), (250, 2, 0)):
        cut = TRACK.copy()
        for line in LINES:
            begin = round(line.start_s * SAMPLE_RATE_HZ)
            cut[begin : begin + cut_ms * 24] = 0
        assert least <= len(find_words(cut, SAMPLE_RATE_HZ, ANN)) <= most


def test_a_word_said_twice_is_found_twice() -> None:
    assert len(find_words(np.concatenate([TRACK, TRACK]), SAMPLE_RATE_HZ, ANN)) == 2 * COUNT


def test_silence_noise_and_nothing_hold_no_words() -> None:
    silence = np.zeros(2 * SAMPLE_RATE_HZ, np.int16)
    assert find_words(silence, SAMPLE_RATE_HZ, ANN) == []
    assert find_words(in_noise(silence, 0), SAMPLE_RATE_HZ, ANN) == []
    assert find_words(silence[:0], SAMPLE_RATE_HZ, ANN) == []
    assert find_words(TRACK, SAMPLE_RATE_HZ, []) == []


def test_a_recording_shorter_than_a_word_is_no_error() -> None:
    for milliseconds in (1, 20, 90, 150):
        assert find_words(ANN[0].pcm[: milliseconds * 24], SAMPLE_RATE_HZ, ANN) == []


NOISE = noise(14, SAMPLE_RATE_HZ, seed=2)


@pytest.mark.parametrize("seconds", [0.5, 1.234, 7.77, 13.9])
def test_the_last_sound_heard_of_noise_is_found_whatever_an_ear_puts_after_it(seconds: float) -> None:
    heard = through_opus(NOISE[: round(seconds * SAMPLE_RATE_HZ)])
    for then in (NOISE[:0], np.zeros(2_000, np.int16), heard[-1_200:] // 2, heard[:960]):
        found_s = heard_until(np.concatenate([heard, then]), SAMPLE_RATE_HZ, NOISE, seconds)
        assert found_s == pytest.approx(seconds, abs=0.012)


def test_the_last_sound_is_found_where_an_ear_has_stretched_what_it_had() -> None:
    stretched = np.concatenate([NOISE[:24_000], NOISE[22_560:24_000], NOISE[24_000:48_000]])
    assert heard_until(stretched, SAMPLE_RATE_HZ, NOISE, 2.06) == pytest.approx(2.0, abs=0.005)


def test_nothing_is_found_in_what_is_not_like_it_or_far_from_it() -> None:
    other = np.roll(NOISE, 5 * SAMPLE_RATE_HZ)
    assert heard_until(other[:24_000], SAMPLE_RATE_HZ, NOISE, 1.0) is None
    assert heard_until(NOISE[:24_000], SAMPLE_RATE_HZ, NOISE, 14.5) is None
    assert heard_until(NOISE[:24_000], SAMPLE_RATE_HZ, NOISE, 3.0) is None
    assert heard_until(NOISE[:100], SAMPLE_RATE_HZ, NOISE, 0.0) is None
