"""Transcript segments end where sentences end, and nothing is added to or lost from the text."""

import pytest

from livekit.plugins.openai_realtime.segments import Segment


@pytest.mark.parametrize(
    ("deltas", "segments"),
    [
        (["Hello", " there.", " How", " are you?", " Fine"], ["Hello there.", " How are you?", " Fine"]),
        (["It is 3.", "5 euros."], ["It is 3.5 euros."]),
        (["Yes. ", "No"], ["Yes. ", "No"]),
        (["«Oui.»", " Non"], ["«Oui.»", " Non"]),
        (["こんにちは。", "元気"], ["こんにちは。", "元気"]),
        (["", ""], []),
        (["..."], ["..."]),
    ],
)
def test_segments(deltas: list[str], segments: list[str]) -> None:
    segment = Segment()
    ended = [segment.push(delta) for delta in deltas] + [segment.finish()]
    assert [text for text in ended if text is not None] == segments
    assert "".join(segments) == "".join(deltas)
    assert segment.finish() is None
