"""Who speaks, as the local model says."""

import numpy as np

from livekit.plugins.openai_realtime.speech_gate import LocalGate
from parley.demo.speech import countable_words

RATE = 24_000
FRAME = 480


class Judged:
    """A model that says of each window what the test wants."""

    def __init__(self, *probabilities: float) -> None:
        self._probabilities = list(probabilities)
        self.windows = 0

    def predict(self, window: np.ndarray) -> float:
        assert window.dtype == np.int16
        assert len(window) == 512
        self.windows += 1
        return self._probabilities.pop(0) if self._probabilities else 0.0

    def close(self) -> None:
        pass


def states(*probabilities: float, silence_s: float = 0.096) -> list[bool]:
    """Whether somebody speaks, after each window."""
    gate = LocalGate(silence_s)
    model = Judged(*probabilities)
    gate._model = model  # type: ignore[assignment]
    found: list[bool] = []
    while len(found) < len(probabilities):
        before = model.windows
        speaking = gate.push(bytes(2 * FRAME))
        if model.windows > before:
            found.append(speaking)
    return found


def test_one_sure_window_begins_speech_and_a_doubtful_one_does_not() -> None:
    assert states(0.95) == [True]
    assert states(0.6) == [False]
    assert states(0.6, 0.1, 0.6) == [False, False, True]


def test_speech_ends_after_its_silence_and_not_in_a_shorter_pause() -> None:
    assert states(0.95, 0.1, 0.1, 0.4, 0.1, 0.1, 0.1) == [True] * 6 + [False]


async def test_silence_is_no_speech_to_the_native_model() -> None:
    gate = LocalGate(0.3)
    assert not any(gate.push(bytes(2 * FRAME)) for _ in range(100))
    await gate.aclose()


def noise(seconds: float) -> np.ndarray:
    return (np.random.default_rng(1).standard_normal(round(seconds * RATE)) * 18).astype(np.int16)


async def test_each_spoken_word_is_speech_once_and_the_pause_after_it_is_not() -> None:
    gate = LocalGate(0.3)
    gap = noise(1.6)
    words = countable_words("en", voice=0, count=6)
    pcm = np.concatenate([gap, *(part for word in words for part in (word.pcm, gap))])
    changes, was = [], False
    for start in range(0, len(pcm) - FRAME + 1, FRAME):
        speaking = gate.push(pcm[start : start + FRAME].tobytes())
        if speaking != was:
            changes.append((start + FRAME) / RATE)
        was = speaking
    await gate.aclose()
    assert len(changes) == 12
    begins, ends = [1.6], []
    for word in words:
        ends.append(begins[-1] + len(word.pcm) / RATE)
        begins.append(ends[-1] + 1.6)
    assert np.allclose(changes[::2], begins[:-1], atol=0.3)
    assert np.allclose(changes[1::2], np.array(ends) + gate.hangover_s, atol=0.3)
