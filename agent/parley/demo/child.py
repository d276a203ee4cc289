"""Child processes that end with their parent, however the parent ends.

On Linux the kernel is told to kill the child when the thread that started it is gone (`PR_SET_PDEATHSIG`).
Elsewhere, and off the main thread, a watchdog beside the child reads a pipe that only the parent can close.
Both are set up by a launcher that then becomes the child (`exec`): the process id is the child's own, and
nothing runs between fork and exec in a parent that has threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import IO

# argv: parent pid, signal number, command. A parent that died before prctl() is seen by the changed parent
# id.
_BY_KERNEL = """
import ctypes, os, sys
parent, number = int(sys.argv[1]), int(sys.argv[2])
if ctypes.CDLL(None, use_errno=True).prctl(1, number, 0, 0, 0) != 0:
    sys.exit("prctl: " + os.strerror(ctypes.get_errno()))
if os.getppid() != parent:
    sys.exit("the parent is gone")
os.execvp(sys.argv[3], sys.argv[3:])
"""

# argv: file descriptor of the pipe, signal number, command. The watchdog is a child of the command: while
# the command lives, its id is the watchdog's parent id, so that no other process is ever killed in its
# place.
_BY_WATCHDOG = """
import os, select, sys
pipe, number, command = int(sys.argv[1]), int(sys.argv[2]), os.getpid()
if os.fork() == 0:
    null = os.open(os.devnull, os.O_RDWR)
    for stream in range(3):
        os.dup2(null, stream)
    while os.getppid() == command:
        if select.select([pipe], [], [], 0.5)[0]:
            if os.getppid() == command:
                os.kill(command, number)
            break
    os._exit(0)
os.close(pipe)
os.execvp(sys.argv[3], sys.argv[3:])
"""

Stream = int | IO[bytes] | None


@contextlib.asynccontextmanager
async def child_process(
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    stdout: Stream = None,
    stderr: Stream = None,
    stop_timeout_s: float = 10.0,
    death_signal: signal.Signals = signal.SIGKILL,
    watchdog: bool | None = None,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run `argv` in a session of its own until the block is left, and never longer than this process lives.

    A session of its own means that Ctrl-C in a terminal reaches the parent alone, which ends its children
    in order. On leaving: SIGTERM, then after `stop_timeout_s` SIGKILL for the child's whole process group.
    Cancellation cuts the wait short, and the child is killed at once.

    `env` and `cwd`: as for `subprocess`; None is the parent's own. `stdout`, `stderr`: a file, a descriptor,
    `asyncio.subprocess.PIPE` or None (the parent's own). `death_signal`: what the child gets when the
    parent is gone. `watchdog`: None chooses; True and False force the pipe or the kernel.

    Raises FileNotFoundError where the program doesn't exist (its name is looked up on the parent's PATH).
    """
    command = [str(part) for part in argv]
    command[0] = _program(command[0])
    if watchdog is None:
        # The kernel watches the thread that forks, not the process: only the main thread lives as long as
        # that.
        watchdog = sys.platform != "linux" or threading.current_thread() is not threading.main_thread()
    with contextlib.ExitStack() as resources:
        inherited: tuple[int, ...] = ()
        if watchdog:
            pipe, held = os.pipe()
            resources.callback(os.close, held)
            inherited = (pipe,)
            first, program = str(pipe), _BY_WATCHDOG
        else:
            first, program = str(os.getpid()), _BY_KERNEL
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-c", program, first, str(int(death_signal)), *command),
                env=env,
                cwd=cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                start_new_session=True,
                pass_fds=inherited,
            )
        finally:
            for descriptor in inherited:
                os.close(descriptor)
        try:
            yield process
        finally:
            await _stop(process, stop_timeout_s)


def _program(name: str) -> str:
    """The program's full path, found before the launcher starts: so that its absence is an error of the
    caller."""
    found = shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name}: no such program")
    return str(Path(found).absolute())


async def _stop(process: asyncio.subprocess.Process, timeout_s: float) -> None:
    if process.returncode is not None:
        return
    try:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await process.wait()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
