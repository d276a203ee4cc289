"""When speech begins and when a turn is over, on the audio's own time."""

import numpy as np
import pytest

from parley.simulator.turn_detection import TurnDetector, levels_dbfs

SERVER = {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300, "silence_duration_ms": 500}


def semantic(eagerness):
    return TurnDetector({"type": "semantic_vad", "eagerness": eagerness})


def marks(detector, levels):
    found, at = [], 0
    while at < len(levels):
        taken, kind = detector.push(levels[at:])
        at += taken
        if kind is not None:
            found.append((kind, at * 20))
    return found


def loud(ms, dbfs=-20.0):
    return [dbfs] * (ms // 20)


def quiet(ms):
    return [-65.0] * (ms // 20)


def varied(ms):
    return [-15.0 - 10 * (place % 5 == 0) for place in range(ms // 20)]


def test_levels_are_those_of_blocks_of_20_ms(sound):
    tone, quiet_sound = sound
    levels = levels_dbfs(np.concatenate([tone(40), quiet_sound(50)]))
    assert levels == pytest.approx([-20, -20, -65, -65], abs=2)


def test_speech_starts_after_60_ms_and_stops_after_the_silence():
    found = marks(TurnDetector(SERVER), [*quiet(200), *loud(400), *quiet(1000), *loud(100), *quiet(600)])
    assert found == [("started", 260), ("stopped", 1100), ("started", 1660), ("stopped", 2200)]


def test_clicks_and_pauses_within_speech_are_nothing():
    assert marks(TurnDetector(SERVER), [*quiet(100), *loud(40), *quiet(100), *loud(40), *quiet(600)]) == []
    speech = [*loud(200), *quiet(480), *loud(200), *quiet(480)]
    assert marks(TurnDetector(SERVER), speech) == [("started", 60)]


@pytest.mark.parametrize(
    ("threshold", "dbfs", "hears"),
    [(0.5, -41, False), (0.5, -39, True), (0.9, -30, False), (0.9, -20, True), (0.1, -50, True)],
)
def test_a_higher_threshold_needs_louder_speech(threshold, dbfs, hears):
    detector = TurnDetector({**SERVER, "threshold": threshold})
    assert bool(marks(detector, loud(200, dbfs))) is hears


@pytest.mark.parametrize(
    ("eagerness", "most_ms"), [("low", 8000), ("auto", 4000), ("medium", 4000), ("high", 2000)]
)
def test_semantic_detection_waits_less_for_what_sounds_finished(eagerness, most_ms):
    finished = marks(semantic(eagerness), [*varied(1000), *quiet(9000)])
    assert finished[1] == ("stopped", 1000 + most_ms // 8 // 20 * 20 + (20 if most_ms // 8 % 20 else 0))
    drawn_out = marks(semantic(eagerness), [*varied(1000), *quiet(100), *loud(800), *quiet(9000)])
    assert drawn_out[1] == ("stopped", 1900 + most_ms)


def test_a_detector_that_is_reset_hears_a_new_beginning():
    detector = TurnDetector(SERVER)
    marks(detector, loud(200))
    assert detector.speaking
    detector.reset()
    assert not detector.speaking
    assert marks(detector, loud(100)) == [("started", 60)]
