"""Around every benchmark: where logs go, tables to the terminal, and what was measured to a file."""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date
from pathlib import Path

from processes import machine
from report import Table


def say(text: str) -> None:
    """To whoever watches; the result is what goes to standard output."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def log_directory(kept: Path | None) -> Iterator[Path]:
    """Where the workers' logs go: `kept`, or a directory that ends with the benchmark."""
    with tempfile.TemporaryDirectory(prefix="parley-bench-logs-") as directory:
        logs = kept or Path(directory)
        logs.mkdir(parents=True, exist_ok=True)
        yield logs


def tell(
    tables: Sequence[Table], *, markdown: bool, path: Path | None, measured: Mapping[str, object]
) -> None:
    """Prints the tables and what they come from; writes all that was `measured` to `path`, if there is one.

    `measured`: JSON values.
    """
    about = {
        "machine": machine(),
        "date": str(date.today()),
        "command": f"python tests/bench/{' '.join((Path(sys.argv[0]).name, *sys.argv[1:]))}",
    }
    print(f"{about['machine']}\n{about['date']}: `{about['command']}`")
    for table in tables:
        print(f"\n{table.markdown() if markdown else table}")
    if path is not None:
        path.write_text(json.dumps({**about, **measured}, indent=1))
