"""What a process holds: sampled again and again, and judged for growth."""

from __future__ import annotations

import asyncio
import gc
import sys
from array import array
from collections import Counter
from collections.abc import Mapping, Sized
from dataclasses import dataclass, field, replace

import numpy as np
import psutil

_OURS = ("parley.", "livekit.plugins.openai_realtime.")
_LEAST = {"RSS, MB": 4.0, "memory blocks": 3_000.0}
"""Growth in half a soak that is not told from chance; of all else `_LEAST_ITEMS`."""
_LEAST_ITEMS = 10.0
_WHOLE = (str, bytes, bytearray, tuple, frozenset, type, np.ndarray)
"""What has a length, and nothing that could pile up in it; what it takes is seen in the memory."""
_SHARE = 0.03
_ERRORS = 3.0
_SIZE = ("people", "tracks", "open sessions")
"""How large the room is: what comes and goes with it does not grow, however the room happens to end."""


def held() -> tuple[Counter[str], Counter[str]]:
    """The product's objects that live, by class, and what is in their collections, by class and attribute."""
    objects: Counter[str] = Counter()
    inside: Counter[str] = Counter()
    for one in gc.get_objects():
        kind = type(one)
        if not str(kind.__module__).startswith(_OURS):
            continue
        objects[kind.__qualname__] += 1
        for name in (*getattr(one, "__dict__", ()), *getattr(kind, "__slots__", ())):
            value = getattr(one, name, None) if name != "__dict__" else None
            if isinstance(value, Sized) and not isinstance(value, _WHOLE):
                inside[f"{kind.__qualname__}.{name}"] += len(value)
    return objects, inside


@dataclass
class Growth:
    """The second half of the samples of one thing, fitted by time and by how large the room was."""

    name: str
    least: float
    most: float
    grown: float
    """By how much with time, in that half."""
    grows: bool


@dataclass
class Samples:
    """Numbers by name, over time."""

    at_s: array[float] = field(default_factory=lambda: array("d"))
    of: dict[str, array[float]] = field(default_factory=dict)
    """Without an object for each number, which would be seen as growth."""

    def take(self, at_s: float, more: dict[str, float]) -> None:
        """Adds what the process holds now, and `more`."""
        gc.collect()
        objects, inside = held()
        now = {
            "RSS, MB": psutil.Process().memory_info().rss / 2**20,
            "memory blocks": float(sys.getallocatedblocks()),
            "tasks": float(len(asyncio.all_tasks())),
            **more,
            **{f"objects {name}": float(number) for name, number in objects.items()},
            **{f"items in {name}": float(number) for name, number in inside.items()},
        }
        for name, value in now.items():
            self.of.setdefault(name, array("d", bytes(8 * len(self.at_s)))).append(value)
        self.at_s.append(at_s)
        for values in self.of.values():
            values.extend([0.0] * (len(self.at_s) - len(values)))

    def growth(self, bounds: Mapping[str, float]) -> list[Growth]:
        """All of them, judged: what grows does so by more than chance, by more than a little, and beyond
        its stated bound where it has one."""
        found = [self._growth(name, values) for name, values in self.of.items()]
        return [replace(g, grows=g.grows and g.most > bounds.get(g.name, -1.0)) for g in found]

    def _growth(self, name: str, values: array[float]) -> Growth:
        half = len(values) // 2
        t, y = np.array(self.at_s[half:]), np.array(values[half:])
        if len(y) < 4:
            return Growth(name, min(values), max(values), 0.0, False)
        t = (t - t[0]) / (t[-1] - t[0])
        size = [np.array(self.of[other][half:]) for other in _SIZE if other in self.of and other != name]
        known = np.column_stack([t, np.ones_like(t), *size])
        fitted = np.linalg.lstsq(known, y, rcond=None)[0]
        slope = fitted[0]
        freedom = max(1, len(y) - known.shape[1])
        variance = float(np.sum(np.square(y - known @ fitted))) / freedom
        noise = float(np.sqrt(variance * np.linalg.pinv(known.T @ known)[0, 0]))
        least = max(_LEAST.get(name, _LEAST_ITEMS), _SHARE * float(y.mean()), _ERRORS * noise)
        return Growth(name, min(values), max(values), float(slope), bool(slope > least))
