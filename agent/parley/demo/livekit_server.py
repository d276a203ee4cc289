"""A real livekit-server on the loopback interface, with ports and keys of its own, for as long as a block
lasts."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import site
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from livekit import api

from .child import child_process
from .livekit_binary import LiveKitServerUnavailable, Report, livekit_binary, quiet

__all__ = ["LiveKitServer", "LiveKitServerUnavailable", "find_config", "livekit_server"]

_ATTEMPTS = 5
_POLL_S = 0.05
_STOP_S = 0.5


@dataclass(frozen=True)
class LiveKitServer:
    """A running server: what a client needs to reach it."""

    url: str
    """For rtc clients: `ws://127.0.0.1:PORT`."""
    http_url: str
    """For the server API and the health check: `http://127.0.0.1:PORT`."""
    api_key: str
    api_secret: str = field(repr=False)
    pid: int
    version: str
    """As the program says it, e.g. `1.13.5`."""
    log_path: Path
    """What the server wrote: JSON lines."""
    metrics_url: str
    """The server's own Prometheus metrics."""


@dataclass(frozen=True)
class _Ports:
    http: int
    rtc_tcp: int
    rtc_udp: int
    metrics: int


class _PortTaken(Exception):
    """Somebody else got one of the chosen ports first."""


def find_config() -> Path:
    """The project's livekit.yaml: of the checkout, else where the wheel put it.

    Raises LiveKitServerUnavailable where there is neither.
    """
    root = Path(__file__).resolve().parents[3]
    shared = Path("share", "parley", "livekit.yaml")
    places = [Path(sys.prefix, shared), Path(site.getuserbase(), shared)]
    if (root / "pyproject.toml").is_file():
        places.insert(0, root / "livekit.yaml")
    for place in places:
        if place.is_file():
            return place
    raise LiveKitServerUnavailable(
        f"livekit.yaml is missing: not at {' or '.join(map(str, places))}; reinstall livekit-parley"
    )


@contextlib.asynccontextmanager
async def livekit_server(
    *,
    config: Path | None = None,
    binary: Path | None = None,
    keys: tuple[str, str] | None = None,
    log_path: Path | None = None,
    report: Report = quiet,
    start_timeout_s: float = 20.0,
) -> AsyncIterator[LiveKitServer]:
    """Run the real livekit-server until the block is left, or until this process is gone, however it goes.

    `config`: a livekit.yaml; None takes the project's own. Ports are replaced by free ones, keys by `keys`
    (key, secret of at least 32 characters) or a fresh pair; so any number of servers run side by side.
    `binary`: None finds or builds one (`livekit_binary`), `report` then gets the progress. `log_path`: the
    server's output, appended; None keeps it in a temporary file.

    Raises LiveKitServerUnavailable: no program, or it ended or gave no answer within `start_timeout_s`
    seconds; the message has its last words. The server has stopped when the block is left, also on
    cancellation.
    """
    program = binary or await livekit_binary(report=report)
    configuration = config or find_config()
    pair = keys or (f"parley{secrets.token_hex(4)}", secrets.token_hex(32))
    version = await _version(program)
    async with contextlib.AsyncExitStack() as resources:
        if log_path is None:
            directory = resources.enter_context(tempfile.TemporaryDirectory(prefix="parley-livekit-"))
            log_path = Path(directory, "livekit-server.log")
        for attempt in range(1, _ATTEMPTS + 1):
            ports = _free_ports()
            start = _running(program, configuration, ports, pair, log_path, version, start_timeout_s)
            try:
                server = await resources.enter_async_context(start)
            except _PortTaken as error:
                if attempt == _ATTEMPTS:
                    raise LiveKitServerUnavailable(f"livekit-server found no free port: {error}") from error
            else:
                break
        yield server


@contextlib.asynccontextmanager
async def _running(
    program: Path,
    config: Path,
    ports: _Ports,
    keys: tuple[str, str],
    log_path: Path,
    version: str,
    timeout_s: float,
) -> AsyncIterator[LiveKitServer]:
    """One start on given ports. Raises _PortTaken and LiveKitServerUnavailable."""
    argv: list[str | Path] = [
        *(program, "--config", config, "--port", str(ports.http), "--udp-port", str(ports.rtc_udp)),
        *("--rtc.tcp_port", str(ports.rtc_tcp), "--prometheus.port", str(ports.metrics)),
    ]
    with log_path.open("ab") as log:
        begin = log.tell()
        # Asked to stop, the server first waits for participants to leave; nobody's call depends on this one.
        running = child_process(
            argv, env=_environ(os.environ, keys), stdout=log, stderr=log, stop_timeout_s=_STOP_S
        )
        async with running as process:
            server = LiveKitServer(
                url=f"ws://127.0.0.1:{ports.http}",
                http_url=f"http://127.0.0.1:{ports.http}",
                api_key=keys[0],
                api_secret=keys[1],
                pid=process.pid,
                version=version,
                log_path=log_path,
                metrics_url=f"http://127.0.0.1:{ports.metrics}/metrics",
            )
            try:
                async with asyncio.timeout(timeout_s):
                    await _healthy(server, process)
            except TimeoutError:
                raise LiveKitServerUnavailable(
                    f"livekit-server gave no answer within {timeout_s:g} s: {_last_words(log_path, begin)}"
                ) from None
            except _Died:
                words = _last_words(log_path, begin)
                if "address already in use" in words:
                    raise _PortTaken(words) from None
                raise LiveKitServerUnavailable(
                    f"livekit-server ended with status {process.returncode}: {words}"
                ) from None
            yield server


class _Died(Exception):
    """The server process ended before it served."""


async def _healthy(server: LiveKitServer, process: asyncio.subprocess.Process) -> None:
    """Wait until the server answers OK and knows our keys, which no other server on a port lost to it
    would."""
    timeout = aiohttp.ClientTimeout(total=2.0)
    async with (
        aiohttp.ClientSession(timeout=timeout) as http,
        api.LiveKitAPI(server.http_url, server.api_key, server.api_secret, session=http) as livekit,
    ):
        while process.returncode is None:
            with contextlib.suppress(aiohttp.ClientError, TimeoutError, api.TwirpError):
                async with http.get(server.http_url) as response:
                    answer = await response.text()
                if answer.strip() == "OK":
                    await livekit.room.list_rooms(api.ListRoomsRequest())
                    return
            await asyncio.sleep(_POLL_S)
    raise _Died


async def _version(program: Path) -> str:
    async with child_process(
        [program, "--version"], stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    ) as process:
        output, _ = await process.communicate()
    match = re.search(rb"version v?(\S+)", output)
    if match is None:
        words = " ".join(output.decode(errors="replace").split())[:200]
        raise LiveKitServerUnavailable(f"{program} is no livekit-server: it answered {words!r} to --version")
    return match[1].decode()


def _environ(environ: Mapping[str, str], keys: tuple[str, str]) -> dict[str, str]:
    """The environment without what the server itself reads from it and prefers to its configuration."""
    foreign = ("LIVEKIT_", "REDIS_", "NODE_IP", "UDP_PORT")
    ours = {name: value for name, value in environ.items() if not name.startswith(foreign)}
    return ours | {"LIVEKIT_KEYS": f"{keys[0]}: {keys[1]}"}


def _free_ports() -> _Ports:
    """Ports that are free now, all different; held together while choosing so that no two are the same."""
    kinds = (socket.SOCK_STREAM, socket.SOCK_STREAM, socket.SOCK_DGRAM, socket.SOCK_STREAM)
    with contextlib.ExitStack() as held:
        ports: list[int] = []
        for kind in kinds:
            probe = held.enter_context(socket.socket(socket.AF_INET, kind))
            # The server's TCP media port listens on every interface.
            probe.bind(("0.0.0.0" if len(ports) == 1 else "127.0.0.1", 0))
            ports.append(int(probe.getsockname()[1]))
    return _Ports(http=ports[0], rtc_tcp=ports[1], rtc_udp=ports[2], metrics=ports[3])


def _last_words(log_path: Path, begin: int, lines: int = 3) -> str:
    """The end of the log since byte `begin`, in one line of at most 600 characters."""
    with log_path.open("rb") as log:
        log.seek(begin)
        text = log.read().decode(errors="replace")
    last = [line.strip() for line in text.splitlines() if line.strip()][-lines:]
    return " | ".join(last)[-600:] or "it wrote nothing"
