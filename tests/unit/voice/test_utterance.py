"""What of a microphone is sent, in which pieces, and when."""

from dataclasses import dataclass, field

import pytest

from parley.core.framing import BYTES_PER_S
from parley.voice.utterance import AFTER_S, GATHER_S, PIECE_S, TAIL_S, Utterance

FRAME_S = 0.02
FRAME_BYTES = round(FRAME_S * BYTES_PER_S)
PRE_ROLL = [b"\1" * FRAME_BYTES] * 20


@dataclass
class Microphone:
    """Frames of 20 ms, one after the other; what was sent is kept with its time."""

    own_vad: bool = False
    steady: bool = False
    at: float = 100.0
    spoken: int = 0
    sent: list[tuple[float, bytes]] = field(default_factory=list)
    turns: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        over = (lambda: self.turns.append(len(self.pcm))) if self.own_vad else None
        keep = lambda pcm: self.sent.append((round(self.at, 3), pcm))  # noqa: E731
        self.utterance = Utterance(keep, over, 0.5, steady=self.steady, decides_after_s=0.3)

    def hears(self, seconds: float, *, voice: bool, speaking: bool = True) -> list[float]:
        """The times at which something was sent meanwhile."""
        before = len(self.sent)
        for _ in range(round(seconds / FRAME_S)):
            self.at += FRAME_S
            self.spoken += 1
            pcm = self.spoken.to_bytes(2, "little") * (FRAME_BYTES // 2)
            self.utterance.hear(pcm, self.at, speaking, PRE_ROLL, FRAME_S if voice else 0.0)
        return [at for at, _ in self.sent[before:]]

    @property
    def pcm(self) -> bytes:
        return b"".join(pcm for _, pcm in self.sent)


def test_an_onset_and_what_was_before_it_are_sent_at_once() -> None:
    microphone = Microphone()
    assert len(microphone.hears(0.2, voice=True)) == 10
    assert microphone.sent[0][1].startswith(b"".join(PRE_ROLL))


def test_inside_speech_pieces_are_sent() -> None:
    microphone = Microphone()
    microphone.hears(0.4, voice=True)
    times = microphone.hears(1.0, voice=True)
    assert len(times) == round(1.0 / PIECE_S)


def test_the_silence_in_which_a_turn_may_end_is_sent_at_once() -> None:
    microphone = Microphone()
    microphone.hears(1.0, voice=True)
    assert len(microphone.hears(0.28, voice=False)) < 5
    assert len(microphone.hears(0.4, voice=False, speaking=False)) >= 19
    microphone.utterance.answered(microphone.at)
    assert len(microphone.hears(0.4, voice=False, speaking=False)) == 4


def test_the_next_turn_in_what_follows_a_turn_is_an_onset_again() -> None:
    microphone = Microphone()
    microphone.hears(1.0, voice=True)
    microphone.hears(0.6, voice=False)
    microphone.utterance.answered(microphone.at)
    microphone.hears(0.3, voice=False)
    assert len(microphone.hears(0.2, voice=True)) == 10


@pytest.mark.parametrize("answered", [False, True])
def test_every_frame_is_sent_once_and_in_order(answered: bool) -> None:
    microphone = Microphone()
    microphone.hears(0.76, voice=True)
    microphone.hears(0.5, voice=False)
    tail_s = AFTER_S if answered else TAIL_S
    if answered:
        microphone.utterance.answered(microphone.at)
    microphone.hears(tail_s + 1, voice=False, speaking=False)
    sent = microphone.pcm.removeprefix(b"".join(PRE_ROLL))
    frames = [int.from_bytes(sent[i : i + 2], "little") for i in range(0, len(sent), FRAME_BYTES)]
    assert frames == list(range(1, len(frames) + 1))
    assert not microphone.utterance.open
    assert len(frames) * FRAME_S == pytest.approx(0.76 + 0.5 + tail_s, abs=0.05)


def test_a_turn_that_is_found_here_is_sent_whole_before_it_is_over() -> None:
    microphone = Microphone(own_vad=True)
    microphone.hears(0.5, voice=True)
    microphone.hears(0.6, voice=False, speaking=False)
    assert microphone.turns == [len(microphone.pcm)]
    assert len(microphone.pcm) == pytest.approx((20 + 50) * FRAME_BYTES, abs=FRAME_BYTES)
    assert not microphone.utterance.open


def test_silence_is_sent_too_where_the_api_measures_it() -> None:
    microphone = Microphone(steady=True)
    microphone.utterance.answered(microphone.at)
    assert len(microphone.hears(1.0, voice=False, speaking=False)) == 10
    assert len(microphone.pcm) == 50 * FRAME_BYTES


@pytest.mark.parametrize("own_vad", [False, True])
def test_frames_may_wait_for_each_other_only_where_nothing_hangs_on_them(own_vad: bool) -> None:
    microphone = Microphone(own_vad=own_vad)
    patient = lambda: microphone.utterance.patient(microphone.at)  # noqa: E731
    microphone.hears(0.5, voice=False, speaking=False)
    assert patient(), "nobody speaks"
    microphone.hears(0.2, voice=True)
    assert patient() is own_vad, "the API finds the onset of a turn"
    microphone.hears(0.6, voice=True)
    assert patient()
    decides_s = 0.5 if own_vad else 0.3
    microphone.hears(decides_s - GATHER_S - FRAME_S, voice=False)
    assert patient(), "what waits comes before anything is decided"
    microphone.hears(2 * FRAME_S, voice=False)
    assert not patient(), "the turn is about to be over"
    microphone.utterance.answered(microphone.at)
    assert patient() is not own_vad
