"""The order in which livekit-server is looked for, and the sentences where it isn't found."""

from __future__ import annotations

from pathlib import Path

import pytest

from parley.demo.livekit_binary import (
    VERSION,
    LiveKitServerUnavailable,
    cache_dir,
    cached_binary,
    installed_binary,
)
from parley.demo.livekit_server import _environ, _free_ports, find_config


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def test_named_program_comes_first(tmp_path: Path) -> None:
    named = executable(tmp_path / "named" / "server")
    on_path = executable(tmp_path / "bin" / "livekit-server")
    environ = {"LIVEKIT_SERVER_BIN": str(named), "PATH": str(on_path.parent), "HOME": str(tmp_path)}
    assert installed_binary(environ) == named


def test_path_comes_before_cache_and_cache_last(tmp_path: Path) -> None:
    environ = {
        "PATH": str(tmp_path / "bin"),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "HOME": str(tmp_path),
    }
    assert installed_binary(environ) is None
    kept = executable(cached_binary(environ))
    assert installed_binary(environ) == kept
    on_path = executable(tmp_path / "bin" / "livekit-server")
    assert installed_binary(environ) == on_path


@pytest.mark.parametrize(("mode", "says"), [(None, "no such file"), (0o644, "not executable")])
def test_named_program_that_cannot_run_is_one_line(tmp_path: Path, mode: int | None, says: str) -> None:
    path = tmp_path / "server"
    if mode is not None:
        path.write_text("")
        path.chmod(mode)
    with pytest.raises(LiveKitServerUnavailable, match=says) as caught:
        installed_binary({"LIVEKIT_SERVER_BIN": str(path), "PATH": ""})
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_cache_follows_xdg_unless_relative(tmp_path: Path) -> None:
    environ = {"HOME": "/home/ann", "XDG_CACHE_HOME": str(tmp_path)}
    assert cache_dir(environ) == tmp_path / "parley" / "livekit-server"
    assert cache_dir(environ | {"XDG_CACHE_HOME": "relative"}).is_relative_to("/home/ann")
    assert VERSION in cached_binary(environ).parts


def test_configuration_of_the_checkout_holds_no_secret() -> None:
    lines = [line.split("#")[0] for line in find_config().read_text().splitlines()]
    assert "port: 7880" in lines
    assert not [line for line in lines if line.startswith(("keys", "key_file", "webhook"))]


def test_server_environment_holds_our_keys_and_nothing_that_overrides_the_configuration() -> None:
    foreign = {
        "LIVEKIT_CONFIG": "x",
        "LIVEKIT_KEYS": "a: b",
        "REDIS_HOST": "r",
        "UDP_PORT": "1",
        "NODE_IP": "9",
    }
    assert _environ(foreign | {"PATH": "/bin"}, ("key", "secret")) == {
        "PATH": "/bin",
        "LIVEKIT_KEYS": "key: secret",
    }


def test_free_ports_differ() -> None:
    ports = _free_ports()
    assert len({ports.http, ports.rtc_tcp, ports.rtc_udp, ports.metrics}) == 4
