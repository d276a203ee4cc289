"""µ-law and A-law: the levels of the standard, and a session that speaks them."""

import base64

import numpy as np
import pytest

from parley.simulator.g711 import decode, encode


@pytest.mark.parametrize(
    ("law", "codes", "values"),
    [
        ("pcmu", [0x00, 0x80, 0xFF, 0x7F], [-32124, 32124, 0, 0]),
        ("pcma", [0x2A, 0xAA, 0xD5, 0x55], [-32256, 32256, 8, -8]),
    ],
)
def test_the_ends_of_the_scale(law, codes, values):
    for code, value in zip(codes, values, strict=True):
        assert decode(bytes([code]), law).tolist() == [value] * 3


@pytest.mark.parametrize("law", ["pcmu", "pcma"])
def test_there_and_back(law, sound):
    tone, _ = sound
    pcm = tone(200)
    back = decode(encode(pcm, law), law)
    assert len(back) == len(pcm)
    error = back[3:-3].astype(int) - pcm[3:-3]
    assert np.sqrt(np.mean(np.square(error))) < 0.05 * np.sqrt(np.mean(np.square(pcm.astype(int))))


@pytest.mark.parametrize("law", ["pcmu", "pcma"])
def test_a_turn_by_telephone(talk, sound, law):
    tone, quiet = sound
    driver = talk(recognise=lambda _: ["alpha"])
    telephone = {"format": {"type": f"audio/{law}"}}
    driver.update(audio={"input": telephone, "output": telephone})
    spoken = np.concatenate([quiet(300), tone(400), quiet(800)])
    driver.send("input_audio_buffer.append", audio=base64.b64encode(encode(spoken, law)).decode())
    driver.run(10)
    (response,) = driver.record.responses
    assert response.text == "[simulated] alpha"
    assert driver.record.audio_received_s == pytest.approx(1.5)
    sent = b"".join(base64.b64decode(e["delta"]) for e in driver.all("response.output_audio.delta"))
    assert len(sent) == response.audio_ms * 8
    heard = decode(sent, law).astype(int)
    assert np.sqrt(np.mean(np.square(heard[2400:7200]))) == pytest.approx(3277, rel=0.1)
    assert driver.record.refused == []
