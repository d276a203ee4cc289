"""What processes cost, read from /proc (Linux): CPU of a whole tree of them, memory, threads by name."""

from __future__ import annotations

import os
import platform
import re
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


@dataclass(frozen=True)
class Memory:
    """Of all processes of a tree together, in MB (10⁶ bytes)."""

    pss: float
    """Proportional: pages that several processes share are counted once."""
    rss: float
    processes: int


def tree(root: int) -> list[int]:
    """`root` and its descendants, those of a fork server included."""
    children: dict[int, list[int]] = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(entry / "stat")):
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_s(root: int) -> float:
    """CPU seconds that the tree has used so far: of those that live and of those that they have reaped."""
    total = 0
    for pid in tree(root):
        if fields := _stat(_PROC / str(pid) / "stat"):
            total += sum(map(int, fields[11:15]))
    return total * _TICK_S


def memory(root: int) -> Memory:
    """What the tree holds now."""
    pss = rss = count = 0
    for pid in tree(root):
        try:
            text = (_PROC / str(pid) / "smaps_rollup").read_text()
        except OSError:
            continue  # it has just ended
        sizes = dict(re.findall(r"^(\w+):\s+(\d+) kB", text, re.MULTILINE))
        if "Pss" in sizes:
            pss, rss, count = pss + int(sizes["Pss"]), rss + int(sizes["Rss"]), count + 1
    return Memory(pss * 1024 / 1e6, rss * 1024 / 1e6, count)


def thread_cpu_s(root: int) -> Counter[str]:
    """CPU seconds so far by thread name, numbers taken off; those of `root` itself are marked `main:`.

    Threads that have ended are missing.
    """
    used: Counter[str] = Counter()
    for pid in tree(root):
        for task in (_PROC / str(pid) / "task").glob("*"):
            if fields := _stat(task / "stat"):
                try:
                    name = (task / "comm").read_text().strip()
                except OSError:
                    continue
                mark = "main:" if pid == root else ""
                used[mark + re.sub(r"[-_ #:]*\d+$", "", name)] += (
                    int(fields[11]) + int(fields[12])
                ) * _TICK_S
    return used


def busy_s() -> float:
    """CPU seconds that all processes of the machine have used so far, and what its host took from it."""
    user, nice, system, _idle, _io, irq, soft, steal, *_ = (
        int(field) for field in (_PROC / "stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + soft + steal) * _TICK_S


class Meter:
    """CPU of one tree from now on."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._began = time.monotonic()
        self._cpu = cpu_s(root)
        self._threads = thread_cpu_s(root)

    def percent(self) -> float:
        """Of one core, since the meter was made."""
        return 100 * (cpu_s(self._root) - self._cpu) / (time.monotonic() - self._began)

    def threads(self) -> dict[str, float]:
        """The same by thread name, the dearest first; what is below 0.05 % is left out."""
        passed = time.monotonic() - self._began
        spent = thread_cpu_s(self._root)
        spent.subtract(self._threads)
        shares = {name: round(100 * s / passed, 2) for name, s in spent.most_common()}
        return {name: share for name, share in shares.items() if share >= 0.05}


def machine() -> str:
    """The machine in one line: processors, memory, kernel, Python."""
    model = re.search(r"model name\s*: (.+)", (_PROC / "cpuinfo").read_text())
    kb = re.search(r"MemTotal:\s+(\d+)", (_PROC / "meminfo").read_text())
    name = model[1] if model else platform.machine()
    gigabytes = f"{int(kb[1]) / 1e6:.0f} GB" if kb else "memory unknown"
    system = f"{platform.system()} {platform.release()}"
    return f"{os.cpu_count()} × {name}, {gigabytes}, {system}, Python {platform.python_version()}"


def _stat(path: Path) -> list[str] | None:
    """The fields of a stat file after the name in brackets: state, parent, …; None if it is gone."""
    try:
        return path.read_text().rpartition(")")[2].split()
    except OSError:
        return None


def own_cpu_s() -> float:
    """CPU seconds that this process has worked so far."""
    times = os.times()
    return times.user + times.system
