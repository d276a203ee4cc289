"""How much of the machine others take while a test runs: what is lost in such a run proves nothing."""

from __future__ import annotations

import os
import time
from pathlib import Path

FOREIGN_SHARE = 0.2
"""Of all cores, on average over a test, taken by processes that are not the test's."""
_TICKS = os.sysconf("SC_CLK_TCK")


class Contention:
    """Counts from when it is made. On a system without /proc it sees nothing."""

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._busy_s, self._own_s = _busy_s(), _own_s()

    @property
    def share(self) -> float:
        """What others took so far, of all cores: 0 to 1."""
        wall_s = max(0.001, time.monotonic() - self._at) * (os.cpu_count() or 1)
        return max(0.0, (_busy_s() - self._busy_s) - (_own_s() - self._own_s)) / wall_s


def _busy_s() -> float:
    """Seconds that all cores have worked, also for other machines on the same hardware."""
    stat = Path("/proc/stat")
    if not stat.exists():
        return 0.0
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, stat.read_text().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICKS


def _own_s() -> float:
    """Seconds that this process, those that came from it, and their ended children have worked."""
    parents: dict[int, int] = {}
    worked: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # it has just ended
            continue
        parents[int(entry.name)] = int(fields[1])
        worked[int(entry.name)] = sum(map(int, fields[11:15]))
    mine = {os.getpid()}
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in mine} - mine
        grown = bool(more)
        mine |= more
    return sum(worked.get(pid, 0) for pid in mine) / _TICKS
