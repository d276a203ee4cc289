"""One memory image for the main process and all its jobs.

Importing LiveKit's agent framework takes about 120 MB. The fork server, from which multiprocessing forks
the jobs, is normally a fresh interpreter that imports everything a second time. Here it is forked from
the main process, while that has no threads, no event loop and no LiveKit runtime yet: its pages are
shared, copy-on-write, with the main process and with every job.
"""

import gc
import logging
import multiprocessing.forkserver
import multiprocessing.util
import os
import sys
from collections.abc import Sequence
from typing import Any

logger = logging.getLogger("parley.worker")


def share() -> bool:
    """Starts the fork server as a fork of this process; False where it is left to multiprocessing.

    To be called once everything that jobs need is imported, and before anything starts a thread.
    """
    if not sys.platform.startswith("linux"):
        return False
    util: Any = multiprocessing.util
    launch = getattr(util, "spawnv_passfds", None)
    if launch is None:
        return False
    gc.collect()
    gc.freeze()
    util.spawnv_passfds = _fork
    try:
        multiprocessing.forkserver.ensure_running()
    finally:
        util.spawnv_passfds = launch
    return True


def _fork(path: bytes, args: Sequence[str], passfds: Sequence[int]) -> int:
    """Stands in for multiprocessing's `spawnv_passfds`: the program is `-c CODE` of the interpreter."""
    code = args[-1]
    if args[-2] != "-c" or "multiprocessing.forkserver" not in code:
        return _spawn(path, args, passfds)
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        _close_all_but({0, 1, 2, *passfds})
        logging.getLogger().handlers.clear()  # jobs log through the main process
        exec(code, {"__name__": "__main__"})
        status = 0
    finally:
        os._exit(status)


_spawn = multiprocessing.util.spawnv_passfds


def _close_all_but(keep: set[int]) -> None:
    """As exec would: above all the end of the pipe by which the fork server sees that its parent died."""
    for name in os.listdir("/proc/self/fd"):
        fd = int(name)
        if fd not in keep:
            try:
                os.close(fd)
            except OSError:
                continue  # the directory's own descriptor, closed already
