"""`parley simulator` as a process."""

import asyncio
import signal
import sys
from types import SimpleNamespace

import pytest

CODE = """
import argparse, sys
from parley.simulator.command import add_arguments, run
parser = argparse.ArgumentParser()
add_arguments(parser)
sys.exit(run(parser.parse_args()))
"""


async def start(*arguments):
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", CODE, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def test_a_transcription_behind_a_gateway(connect):
    process = await start("--port", "0", "--url-model", "ignored", "--delay-scale", "0.5")
    async with asyncio.timeout(30):
        url = (await process.stdout.readline()).decode().split()[1]
        query = "intent=transcription&model=gpt-realtime-whisper"
        client = await connect(SimpleNamespace(base_url=url), query, path="/realtime")
        assert (await client.until("session.created"))["session"]["type"] == "transcription"
        await client.ws.close()
        process.terminate()
        await process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_one_line_when_ready_and_status_0_at_the_end(number, http):
    process = await start("--port", "0")
    async with asyncio.timeout(30):
        line = (await process.stdout.readline()).decode()
        assert line.startswith("simulator: http://127.0.0.1:")
        assert line.endswith("/v1 (simulated, no OpenAI)\n")
        url = line.split()[1].removesuffix("/v1")
        async with http.get(f"{url}/healthz") as response:
            assert response.status == 200
        process.send_signal(number)
        out, err = await process.communicate()
    assert (process.returncode, out, err) == (0, b"", b"")


async def test_a_port_that_is_taken_is_one_line_and_status_1():
    first = await start("--port", "0")
    async with asyncio.timeout(30):
        port = (await first.stdout.readline()).decode().split("/v1")[0].rpartition(":")[2]
        second = await start("--port", port)
        _, err = await second.communicate()
        first.terminate()
        await first.communicate()
    assert second.returncode == 1
    assert err.decode().count("\n") == 1
    assert port in err.decode()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "script: got "),
        ("nope", "script: got no JSON in "),
        ("{}", "script: got dict, allowed: a list of turns"),
        ('[{"says": "x"}]', "says: got 'x', allowed fields: "),
    ],
)
async def test_a_bad_script_is_one_line_and_status_2(tmp_path, text, words):
    path = tmp_path / "script.json"
    if text is not None:
        path.write_text(text)
    process = await start("--script", str(path))
    async with asyncio.timeout(30):
        _, err = await process.communicate()
    assert process.returncode == 2
    assert err.decode().startswith(words)
    assert err.count(b"\n") == 1


async def test_a_script_is_served(tmp_path, http):
    path = tmp_path / "script.json"
    path.write_text('[{"say": "one"}]')
    process = await start("--port", "0", "--script", str(path))
    async with asyncio.timeout(30):
        url = (await process.stdout.readline()).decode().split()[1].removesuffix("/v1")
        async with http.get(f"{url}/simulator/script") as response:
            assert [turn["say"] for turn in (await response.json())["turns"]] == ["one"]
        process.terminate()
        await process.communicate()
    assert process.returncode == 0


async def test_a_bad_value_is_one_line_and_status_2():
    process = await start("--model-lag-s", "-1")
    async with asyncio.timeout(30):
        _, err = await process.communicate()
    assert process.returncode == 2
    assert err == b"model_lag_s: got -1.0, allowed: 0 to 60\n"
