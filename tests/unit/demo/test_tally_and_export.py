"""Recordings in time, the count of words, and the files written of them."""

from __future__ import annotations

import io
import time
import wave

import numpy as np
import pytest

from parley.core.minutes import Line
from parley.demo.export import lines_of, mixed, to_wav
from parley.demo.recording import Caption, Place, Recording, place_of
from parley.demo.speech import countable_words, render, script
from parley.demo.tally import Found, Spoken, find_all, tally

FRENCH = Place("ann", "fr")
SPOKEN = [Spoken("ann", word, 10.0 + word) for word in range(4)]


def recorded(frames: list[np.ndarray], arrivals: list[float], name: str = "parley:ann:fr") -> Recording:
    recording = Recording(name, "TR_1", "worker", from_agent=True)
    for frame, arrived_s in zip(frames, arrivals, strict=True):
        recording.add(frame, arrived_s)
    return recording


def test_the_time_of_a_sample_is_the_least_late_one_around_it() -> None:
    frames = [np.zeros(2400, np.int16)] * 4
    recording = recorded(frames, [5.10, 5.35, 5.30, 5.48])
    assert recording.start_time == pytest.approx(5.0)
    assert recording.time_of(0.25) == pytest.approx(5.25)
    assert recording.duration_s == pytest.approx(0.4)


def test_an_empty_recording_has_no_time() -> None:
    with pytest.raises(ValueError, match="nothing was received"):
        _ = recorded([], []).start_time


@pytest.mark.parametrize(
    ("name", "from_agent", "place"),
    [
        ("parley:ann:fr", True, Place("ann", "fr")),
        ("parley:sip:+49:30:zh", True, Place("sip:+49:30", "zh")),
        ("parley-agent:ann", True, None),
        ("microphone", False, Place("bob", "original")),
    ],
)
def test_a_track_says_what_it_carries(name: str, from_agent: bool, place: Place | None) -> None:
    assert place_of(Recording(name, "TR_1", "bob", from_agent=from_agent)) == place


def test_all_words_in_place_are_perfect() -> None:
    found = [Found("ann", word, FRENCH, 13.0 + word) for word in range(4)]
    (row,) = tally("bob", SPOKEN, found, {"ann": FRENCH})
    assert row.perfect
    assert (row.spoken, row.heard, row.span_s(50)) == (4, 4, 3.0)


def test_each_kind_of_fault_is_counted() -> None:
    found = [
        Found("ann", 1, FRENCH, 13.0),
        Found("ann", 0, FRENCH, 14.0),
        Found("ann", 0, FRENCH, 15.0),
        Found("ann", 2, Place("ann", "de"), 15.0),
        Found("ann", 2, Place("bob", "original"), 15.0),
        Found("ann", 2, Place("ann", "original"), 15.0),
    ]
    (row,) = tally("bob", SPOKEN, found, {"ann": FRENCH})
    assert not row.perfect
    assert (row.heard, row.doubled, row.out_of_order, row.wrong_place) == (2, 1, 1, 2)
    assert row.missing == (2, 3)


def test_nothing_heard_has_no_span() -> None:
    (row,) = tally("bob", SPOKEN, [], {"ann": FRENCH})
    assert row.missing == (0, 1, 2, 3)
    assert row.span_s(95) is None


def test_words_are_found_in_a_recording_with_their_speaker_and_time() -> None:
    words = {name: countable_words("en", voice=voice, count=3) for voice, name in enumerate(("ann", "bob"))}
    track = render(script({"bob": 3}), "bob", words["bob"])
    frames = [track[begin : begin + 2400] for begin in range(0, len(track), 2400)]
    ends = np.cumsum([len(frame) for frame in frames]) / 24_000
    found = find_all([recorded(frames, list(100.0 + ends), "parley:bob:fr")], words)
    assert [(item.speaker, item.word, item.place) for item in found] == [
        ("bob", word, Place("bob", "fr")) for word in range(3)
    ]
    assert [item.at_s for item in found] == pytest.approx([100.0, 100.83, 101.66], abs=0.01)


def test_tracks_are_mixed_on_the_common_clock_without_clipping() -> None:
    loud = np.full(2400, 30_000, np.int16)
    first, second = recorded([loud], [1.1]), recorded([loud], [1.15])
    total = mixed([first, second, recorded([], [])])
    assert len(total) == 3600
    assert total[0] == pytest.approx(32767 / 2, abs=1)
    assert total[1800] == 32767
    assert len(mixed([])) == 0


def test_wav_is_what_it_says() -> None:
    with wave.open(io.BytesIO(to_wav(np.arange(5, dtype=np.int16)))) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth(), file.getnframes()) == (
            *(24_000, 1, 2),
            5,
        )


def caption(text: str, at_s: float, segment: str, *, final: bool) -> Caption:
    attributes = {"lk.segment_id": segment, "language": "fr", "parley.kind": "translation"}
    attributes["lk.transcription_final"] = "true" if final else "false"
    return Caption("ann", at_s, attributes, text, at_s + 0.5, complete=True)


def test_the_final_version_of_a_segment_is_kept_from_its_first_moment() -> None:
    captions = [
        caption("Bonj", 11.0, "s1", final=False),
        caption("Bonjour", 12.0, "s1", final=True),
        caption("Bon", 12.5, "s1", final=False),
        caption("  ", 12.6, "s2", final=True),
    ]
    assert lines_of(captions, origin_s=10.0) == [Line("s1", "ann", "fr", "translation", 1.0, 2.5, "Bonjour")]


def test_a_segment_that_tells_when_it_was_spoken_has_that_time() -> None:
    spoken = caption("Bonjour", 12.0, "s1", final=True)
    ahead_s = time.time() - time.monotonic()
    spoken.attributes |= {"parley.start": f"{10.5 + ahead_s:.3f}", "parley.end": f"{11.25 + ahead_s:.3f}"}
    (line,) = lines_of([spoken], origin_s=10.0)
    assert (line.start_s, line.end_s) == pytest.approx((0.5, 1.25), abs=0.01)
