"""How much of the machine others take while a test runs: what is lost in such a run proves nothing."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FOREIGN_SHARE = 0.2
"""Of all cores, on average over a test, taken by processes that are not the test's."""
STOLEN_SHARE = 0.05
"""Of all cores, taken by other machines on the same hardware: a guest that is alone loses nothing."""
THROTTLED_SHARE = 0.05
"""Of a test's time, in which the control group was held because its quota was spent."""
_TICKS = os.sysconf("SC_CLK_TCK")
_STAT = Path("/proc/stat")
_GROUPS = Path("/sys/fs/cgroup")


@dataclass(frozen=True)
class Group:
    """What the control group of this process has been given and refused, in seconds."""

    used_s: float = 0.0
    throttled_s: float = 0.0


class Contention:
    """Counts from when it is made. On a system without /proc it sees nothing.

    What the test's own processes take excuses nothing, so neither the load nor the pressure of the machine is
    looked at, and no thread's lateness: they tell that cores were short, and not by whose fault.
    """

    def __init__(self) -> None:
        self._at = time.monotonic()
        self._busy_s, self._own_s, self._stolen_s, self._group = _busy_s(), _own_s(), _stolen_s(), group()

    @property
    def share(self) -> float:
        """What others took so far, of all cores: 0 to 1."""
        return max(0.0, (_busy_s() - self._busy_s) - (_own_s() - self._own_s)) / self._cores_s

    @property
    def reasons(self) -> list[str]:
        """What was taken from outside, where it is so much that a missing word proves nothing."""
        found = []
        if (share := self.share) > FOREIGN_SHARE:
            found.append(f"other processes took {share:.0%} of the machine")
        if (stolen := (_stolen_s() - self._stolen_s) / self._cores_s) > STOLEN_SHARE:
            found.append(f"other machines took {stolen:.0%} of this one")
        wall_s, own_s = time.monotonic() - self._at, _own_s() - self._own_s
        return found + held(self._group, group(), own_s, wall_s)

    @property
    def _cores_s(self) -> float:
        return max(0.001, time.monotonic() - self._at) * (os.cpu_count() or 1)


def held(before: Group, after: Group, own_s: float, wall_s: float) -> list[str]:
    """Why a throttled control group excuses a test: others in it had a share of its quota."""
    used_s, throttled_s = after.used_s - before.used_s, after.throttled_s - before.throttled_s
    by_others = (used_s - own_s) / max(0.001, used_s)
    if throttled_s > THROTTLED_SHARE * wall_s and by_others > FOREIGN_SHARE:
        return [f"throttled for {throttled_s:.1f} s, with {by_others:.0%} of the quota used by others"]
    return []


def group(root: Path = _GROUPS, own: Path = Path("/proc/self/cgroup")) -> Group:
    """Of version 2 or 1; nothing where there is none. In a container the own group may be the root."""
    if not own.exists():
        return Group()
    for line in own.read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        for inside in (path.lstrip("/"), ""):
            place = root / controllers / inside
            if (place / "cpu.stat").exists():
                return _read(place, (place, root / "cpuacct" / inside))
    return Group()


def _read(place: Path, accounts: Sequence[Path]) -> Group:
    rows = (line.split() for line in (place / "cpu.stat").read_text().splitlines())
    stat = {name: int(value) for name, value in rows}
    if "usage_usec" in stat:
        return Group(stat["usage_usec"] / 1e6, stat.get("throttled_usec", 0) / 1e6)
    used_ns = [int(usage.read_text()) for a in accounts if (usage := a / "cpuacct.usage").exists()]
    return Group(used_ns[0] / 1e9 if used_ns else 0.0, stat.get("throttled_time", 0) / 1e9)


def _stolen_s() -> float:
    """Seconds in which a core had work and other machines on the same hardware had the core."""
    return int(_STAT.read_text().split()[8]) / _TICKS if _STAT.exists() else 0.0


def _busy_s() -> float:
    """Seconds that all cores have worked, also for other machines on the same hardware."""
    if not _STAT.exists():
        return 0.0
    user, nice, system, _idle, _wait, irq, softirq, steal = map(int, _STAT.read_text().split()[1:9])
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
