"""Building livekit-server once, with a stand-in for Go on the PATH."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

import parley.demo.livekit_binary as livekit_binary_module
from parley.demo.livekit_binary import LiveKitServerUnavailable, cached_binary, find_go, livekit_binary

GO = """#!/bin/sh
here=$(dirname "$0")
if [ "$1" = version ]; then echo "go version go{version}.3 linux/amd64"; exit 0; fi
echo "$@ toolchain=$GOTOOLCHAIN" >> "$here/calls"
echo "go: downloading github.com/pion/webrtc/v4 v4.1.0"
echo "github.com/pion/webrtc/v4"
while [ -e "$here/hold" ]; do sleep 0.02; done
if [ -e "$here/fail" ]; then echo "dial tcp: lookup proxy: no such host"; exit 1; fi
printf '#!/bin/sh\\n' > "$GOBIN/server"
chmod +x "$GOBIN/server"
"""


@pytest.fixture(autouse=True)
def no_packaged_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(livekit_binary_module.importlib.util, "find_spec", lambda _name: None)


def with_go(tmp_path: Path, version: str = "1.26") -> dict[str, str]:
    program = tmp_path / "bin" / "go"
    program.parent.mkdir(exist_ok=True)
    program.write_text(GO.replace("{version}", version))
    program.chmod(0o755)
    path = f"{program.parent}:/usr/bin:/bin"
    return {"PATH": path, "XDG_CACHE_HOME": str(tmp_path / "cache"), "HOME": str(tmp_path)}


def calls(tmp_path: Path) -> list[str]:
    return (tmp_path / "bin" / "calls").read_text().splitlines()


async def test_built_once_and_kept(tmp_path: Path) -> None:
    environ = with_go(tmp_path)
    reports: list[str] = []
    (cached_binary(environ).parent / "building-killed").mkdir(parents=True)
    path = await livekit_binary(environ=environ, report=reports.append)
    assert path == cached_binary(environ)
    assert os.access(path, os.X_OK)
    assert calls(tmp_path) == [
        "install -v github.com/livekit/livekit-server/cmd/server@v1.13.5 toolchain=local"
    ]
    assert any("1 modules, 1 packages" in line for line in reports)
    assert await livekit_binary(environ=environ) == path
    assert len(calls(tmp_path)) == 1
    assert [entry.name for entry in path.parent.iterdir() if entry.is_dir()] == []


async def test_two_at_once_build_once(tmp_path: Path) -> None:
    environ = with_go(tmp_path)
    hold = tmp_path / "bin" / "hold"
    hold.touch()

    def second_waits(line: str) -> None:
        if "another process" in line:
            hold.unlink(missing_ok=True)

    async with asyncio.timeout(20):
        paths = await asyncio.gather(
            livekit_binary(environ=environ, report=second_waits),
            livekit_binary(environ=environ, report=second_waits),
        )
    assert paths[0] == paths[1]
    assert len(calls(tmp_path)) == 1


async def test_a_build_that_fails_says_why_in_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    environ = with_go(tmp_path)
    (tmp_path / "bin" / "fail").touch()
    with pytest.raises(LiveKitServerUnavailable, match="no such host") as caught:
        await livekit_binary(environ=environ)
    assert "\n" not in str(caught.value)
    assert "LIVEKIT_SERVER_BIN" in str(caught.value)
    assert [entry.name for entry in cached_binary(environ).parent.iterdir()] == ["build.lock"]


async def test_a_cancelled_build_leaves_nothing_and_frees_the_lock(tmp_path: Path) -> None:
    environ = with_go(tmp_path)
    hold = tmp_path / "bin" / "hold"
    hold.touch()
    building = asyncio.Event()

    def report(line: str) -> None:
        if "1 packages" in line:
            building.set()

    task = asyncio.create_task(livekit_binary(environ=environ, report=report))
    async with asyncio.timeout(20):
        await building.wait()
        task.cancel()
        await asyncio.wait([task])
    assert [entry.name for entry in cached_binary(environ).parent.iterdir()] == ["build.lock"]
    hold.unlink()
    async with asyncio.timeout(20):
        await livekit_binary(environ=environ)


async def test_no_go_is_one_line_that_says_what_to_install(tmp_path: Path) -> None:
    environ = {"PATH": "/nowhere", "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)}
    with pytest.raises(LiveKitServerUnavailable, match="livekit-parley\\[demo\\]") as caught:
        await livekit_binary(environ=environ)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("version", "toolchain"), [("1.22", "auto"), ("1.27", "local")])
async def test_an_older_go_may_fetch_its_toolchain_a_new_one_may_not(
    tmp_path: Path, version: str, toolchain: str
) -> None:
    await livekit_binary(environ=with_go(tmp_path, version))
    assert calls(tmp_path)[0].endswith(f"toolchain={toolchain}")


async def test_a_go_too_old_to_fetch_a_toolchain_is_none(tmp_path: Path) -> None:
    assert await find_go(with_go(tmp_path, "1.18")) is None
