"""`parley demo --once`, as a newcomer types it."""

import asyncio
import json
import os
import sys
import wave
from pathlib import Path

import pytest


@pytest.mark.timeout(300)
async def test_the_demo_delivers_every_word_and_writes_it_down(tmp_path: Path) -> None:
    environment = {
        k: v for k, v in os.environ.items() if not k.startswith(("LIVEKIT_URL", "OPENAI_", "PARLEY_"))
    }
    log = tmp_path / "screen.txt"
    with log.open("w") as screen:
        demo = await asyncio.create_subprocess_exec(
            *("parley", "demo", "--once", "--out", str(tmp_path)),
            env=environment | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            stdout=screen,
            stderr=screen,
        )
        try:
            status = await asyncio.wait_for(demo.wait(), 280)
        finally:
            if demo.returncode is None:
                demo.kill()
                await demo.wait()
    shown = log.read_text(encoding="utf-8")
    assert status == 0, shown[-4000:]
    assert "simulat" in shown
    for listener in ("ann", "bruno", "carla"):
        with wave.open(str(tmp_path / f"{listener}-hears.wav")) as heard:
            assert heard.getnframes() / heard.getframerate() > 10
        lines = (tmp_path / f"{listener}-reads.jsonl").read_text(encoding="utf-8").splitlines()
        assert {"simulated" in json.loads(line)["text"] for line in lines} == {True}
        assert (tmp_path / f"{listener}-reads.vtt").read_text(encoding="utf-8").startswith("WEBVTT")
        assert (tmp_path / f"{listener}-reads.srt").read_text(encoding="utf-8").startswith("1\n")
