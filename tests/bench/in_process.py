"""Benchmarks of one process on in-process tracks: each measurement in a process of its own, in turn."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TypeVar

from result import say
from workers import HERE, simulated_api

from parley.demo.child import child_process

_CHILD_S = 120.0


@dataclass(frozen=True, kw_only=True)
class Found:
    """What every measurement says."""

    mode: str
    size: int
    cpu: float
    """Of the process, in % of one core."""
    others: float
    """Of everything else on the machine, the simulator included."""
    delivered: float | None
    """Of the microphones' audio, in %."""
    lag_p99: float
    """By how much a timer was late, ms."""
    lag_most: float
    blocked: int
    """Times it was late by more than 50 ms."""


AnyFound = TypeVar("AnyFound", bound=Found)


def parser_of(
    about: str | None, sizes: str, what: str, seconds: float, modes: Sequence[str]
) -> argparse.ArgumentParser:
    """The options that all of them have, with these defaults; `what` the sizes count."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", default=sizes, help=f"{what} (%(default)s)")
    parser.add_argument("--seconds", type=float, default=seconds, help="of each measurement (%(default)s)")
    parser.add_argument("--modes", default=",".join(modes), help="which (%(default)s)")
    parser.add_argument("--json", type=Path, help="write everything that was measured to this file")
    parser.add_argument("--markdown", action="store_true", help="a table for the README")
    return parser


async def in_child(
    script: str, mode: str, *numbers: float, api: str = "simulated_api.py", **env: str
) -> dict[str, float]:
    """What `script` prints of one measurement, beside a simulated API. Raises RuntimeError where it fails.

    `mode`, `numbers`: its arguments; the last are the seconds that it measures. `env`: what the API is told.
    """
    with tempfile.TemporaryDirectory(prefix="parley-bench-") as directory:
        async with simulated_api(Path(directory), api, **env) as simulator:
            argv = [sys.executable, str(HERE / script), mode, *map(str, numbers), simulator.base_url]
            async with (
                asyncio.timeout(_CHILD_S + numbers[-1]),
                child_process(argv, stdout=asyncio.subprocess.PIPE) as process,
            ):
                output, _ = await process.communicate()
    if process.returncode:
        raise RuntimeError(f"{script} {mode} {numbers} ended with status {process.returncode}")
    said: dict[str, float] = json.loads(output.splitlines()[-1])
    return said


async def in_turn(
    args: argparse.Namespace, measure: Callable[[str, int], Awaitable[AnyFound]]
) -> list[AnyFound]:
    """All modes in turn for each size."""
    results: list[AnyFound] = []
    for size in map(int, args.sizes.split(",")):
        for mode in args.modes.split(","):
            found = await measure(mode, size)
            say(str(found))
            results.append(found)
    return results


def base_of(results: list[AnyFound]) -> dict[int, float]:
    """What the stand-ins cost by themselves, by size."""
    return {result.size: result.cpu for result in results if result.mode == "base"}


def as_json(results: list[AnyFound]) -> dict[str, object]:
    """As `result.tell` takes it."""
    return {"results": [asdict(result) for result in results]}
