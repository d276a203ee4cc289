"""The media of a worker are cut while its signalling stays: it says so; what comes after is heard once."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .counting import (
    PERIOD_S,
    audible,
    events,
    gets,
    heard_out,
    recordings,
    speech,
    told,
    track_name,
    words_on,
)
from .venue import Venue

FR = track_name("ann", "fr")
CUT_S = 8.0
LAG_S = 4.0
"""From a word to its translation's end at the ear, at most: what is on its way then is lost, too."""


@pytest.fixture(scope="module")
def udp_cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that cuts a process off from UDP, made from the source beside this file."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("it takes a C compiler, on Linux")
    library = tmp_path_factory.mktemp("cut") / "udp_cut.so"
    source = Path(__file__).with_name("udp_cut.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
    return library


@pytest.mark.long
async def test_after_the_media_path_alone_was_cut_every_word_is_heard_once(
    venue: Venue, udp_cut: Path, tmp_path: Path
) -> None:
    flag = tmp_path / "cut"
    said = speech("en", 24, phrase=6, pause_s=1.0)
    async with (
        venue.served(PARLEY_DRAIN_S="0", LD_PRELOAD=str(udp_cut), UDP_CUT=str(flag)) as (_, room),
        venue.join(room, "ann", speaks="en") as ann,
        venue.join(room, "bob", speaks="fr", hears="fr") as bob,
    ):
        await gets(bob, FR)
        ann.say(said.pcm)
        await bob.until(lambda p: any(audible(r) for r in p.recordings), 20)
        flag.touch()
        await asyncio.sleep(CUT_S)
        flag.unlink()
        await heard_out(bob, FR, said, 40)
        found = words_on(bob, FR, said)
        assert found == sorted(set(found)), f"doubled or out of order: {found}"
        lost = [word for word in range(24) if word not in found]
        assert lost, "the path was cut"
        assert lost == list(range(lost[0], lost[-1] + 1)), f"lost in more than one place: {found}"
        assert len(lost) <= (CUT_S + LAG_S) / PERIOD_S, f"lost beyond the cut: {found}"
        dropped = await told(bob, "audio.dropped")
        assert dropped["speaker"] == "ann"
        assert float(str(dropped["detail"]).split()[0]) == pytest.approx(CUT_S, abs=2.0)
        assert len(events(bob, "audio.dropped")) == 1
        assert len(recordings(bob, FR)) == 1, "the connection was never made anew"
        assert len(venue.sessions) == 1, "the session went on"
