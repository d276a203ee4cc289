"""`parley demo`, as a newcomer types it."""

import asyncio
import json
import os
import re
import signal
import sys
import termios
import wave
from pathlib import Path

import pytest

from .test_readme_agent import written_agent


def _environment() -> dict[str, str]:
    """Nothing of this process's settings, and the command."""
    foreign = ("LIVEKIT_URL", "OPENAI_", "PARLEY_")
    told = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    return told | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


async def demo(directory: Path, *options: str, typed: str = "", timeout_s: float = 280.0) -> tuple[int, str]:
    """Runs it with nothing of this process's settings; returns its exit status and what it showed."""
    environment = _environment()
    log, keys = directory / "screen.txt", directory / "typed.txt"
    keys.write_text(typed, encoding="utf-8")
    with log.open("w") as screen, keys.open() as keyboard:
        process = await asyncio.create_subprocess_exec(
            *("parley", "demo", *options), env=environment, stdin=keyboard, stdout=screen, stderr=screen
        )
        try:
            status = await asyncio.wait_for(process.wait(), timeout_s)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    return status, log.read_text(encoding="utf-8")


@pytest.mark.timeout(300)
async def test_the_demo_delivers_every_word_and_writes_it_down(tmp_path: Path) -> None:
    status, shown = await demo(tmp_path, "--once", "--out", str(tmp_path))
    assert status == 0, shown[-4000:]
    assert "simulat" in shown
    for listener in ("ann", "bruno", "carla"):
        with wave.open(str(tmp_path / f"{listener}-hears.wav")) as heard:
            assert heard.getnframes() / heard.getframerate() > 10
        lines = (tmp_path / f"{listener}-reads.jsonl").read_text(encoding="utf-8").splitlines()
        assert {"simulated" in json.loads(line)["text"] for line in lines} == {True}
        assert (tmp_path / f"{listener}-reads.vtt").read_text(encoding="utf-8").startswith("WEBVTT")
        assert (tmp_path / f"{listener}-reads.srt").read_text(encoding="utf-8").startswith("1\n")


@pytest.mark.timeout(200)
@pytest.mark.long
async def test_in_a_terminal_captions_stand_side_by_side(tmp_path: Path) -> None:
    environment = _environment() | {"TERM": "xterm"}
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (40, 120))
    process = await asyncio.create_subprocess_exec(
        *("parley", "demo", "--out", str(tmp_path)),
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = bytearray()
    loop, beside = asyncio.get_running_loop(), asyncio.Event()

    def read() -> None:
        shown.extend(os.read(ours, 65_536))
        if re.search(r"ann: \[simulated fr\].*ann: \[simulated de\]", _plain(shown[-20_000:])):
            beside.set()

    loop.add_reader(ours, read)
    try:
        await asyncio.wait_for(beside.wait(), 120)
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(60):
            assert await process.wait() == 0
    except TimeoutError:
        raise AssertionError(f"it goes on: {_plain(shown[-3000:])}") from None
    finally:
        loop.remove_reader(ours)
        os.close(ours)
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert re.search(r"\ben +fr +de\b", _plain(shown))


def _plain(shown: bytes | bytearray) -> str:
    """What a terminal was told, without its orders."""
    return re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", bytes(shown).decode("utf-8", "replace"))


@pytest.mark.timeout(200)
@pytest.mark.long
async def test_a_written_conversation_with_a_voice_agent_is_heard_word_by_word(tmp_path: Path) -> None:
    record = tmp_path / "heard.wav"
    options = ("--agent", "--once", "--out", str(tmp_path), "--record", str(record))
    status, shown = await demo(tmp_path, *options, timeout_s=180)
    assert status == 0, shown[-4000:]
    assert "simulated" in shown
    assert len(re.findall(r"^.*: ok$", shown, re.MULTILINE)) == 5
    assert re.search(r"^assistant .* — interrupted$", shown, re.MULTILINE)
    stopped = re.search(r"silent ([0-9.]+) s after the interruption began", shown)
    assert stopped is not None
    assert float(stopped[1]) < 2.0
    bill = re.search(r"^4 turns · .* audio_out [1-9].* · ([0-9.]+) USD", shown, re.MULTILINE)
    assert bill is not None
    assert float(bill[1]) > 0
    with wave.open(str(record)) as heard:
        assert heard.getnframes() / heard.getframerate() > 10
    lines = [json.loads(line) for line in (tmp_path / "you-reads.jsonl").read_text("utf-8").splitlines()]
    assert [line["kind"] for line in lines] == ["agent"] * 9
    assert {line["speaker"] for line in lines if line["speaker"] != "you"} != set()


@pytest.mark.timeout(200)
@pytest.mark.long
async def test_what_is_typed_is_spoken_to_an_agent_of_ones_own(tmp_path: Path) -> None:
    module = tmp_path / "my_agents.py"
    module.write_text(written_agent(), encoding="utf-8")
    typed = 'hello there\norder_status {"number": "7"}\n/quit\nnever said\n'
    options = ("--agent", "support", "--agents", str(module))
    status, shown = await demo(tmp_path, *options, typed=typed, timeout_s=180)
    assert status == 0, shown[-4000:]
    said = re.findall(r"^(?:you|support) .*$", shown, re.MULTILINE)
    assert len(said) == 5, shown
    assert "order_status" in said[0]
    assert sorted(said[1:3]) == ["support  [simulated] hello there", "you      hello there"]
    assert sorted(said[3:]) == [
        "support  [simulated] Order 7 leaves tomorrow.",
        'you      order_status {"number": "7"}',
    ]
    assert re.search(r"^2 turns · .* USD at list prices$", shown, re.MULTILINE)


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (("--agent", "nobody"), "parley: --agent: 'nobody' is not allowed; allowed: assistant"),
        (("--agent", "--agents", "no/where.py"), "parley: agents from no/where.py: there is no such file"),
        (("--record", "x.wav"), "parley: --record: 'x.wav' is not allowed; allowed: beside --agent"),
    ],
)
async def test_a_wrong_option_is_one_line(options: tuple[str, ...], line: str, tmp_path: Path) -> None:
    status, shown = await demo(tmp_path, *options, timeout_s=60)
    assert status == 2
    assert shown.startswith(line)
    assert shown.count("\n") == 1
