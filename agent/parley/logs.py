"""Logging: one line per record, as text or JSON; no secret at any level, no spoken word at info."""

import json
import logging
import sys
import time
from typing import Any

from livekit.plugins.openai_realtime.errors import RealtimeError

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName", "pid"}


class Brief(logging.Filter):
    """What the API refused, or a lost connection, is told in one line: no traceback says more about it."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Takes the traceback out of such a record; lets all records pass."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, RealtimeError):
            record.msg, record.args = f"{record.getMessage()}: {error}", None
            record.exc_info = record.exc_text = None
        return True


def be_brief() -> None:
    """Puts `Brief` on the framework's logger in a job, which formats tracebacks before it sends them."""
    logger = logging.getLogger("livekit.agents")
    if not any(isinstance(present, Brief) for present in logger.filters):
        logger.addFilter(Brief())


def _fields(record: logging.LogRecord) -> dict[str, Any]:
    return {k: v for k, v in vars(record).items() if k not in _STANDARD and not k.startswith("_")}


class TextFormatter(logging.Formatter):
    """Time, level, logger, message, then fields as key=value."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(name)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%SZ")
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        """One line; an exception's traceback follows it."""
        line = super().format(record)
        fields = " ".join(f"{k}={v}" for k, v in _fields(record).items())
        head, newline, rest = line.partition("\n")
        return f"{head} {fields}{newline}{rest}" if fields else line


class JsonFormatter(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON; what JSON has no form for is written as text."""
        body = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
            + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **_fields(record),
        }
        if record.exc_info:
            body["exception"] = self.formatException(record.exc_info)
        return json.dumps(body, default=str, ensure_ascii=False)


def set_up(level: str, form: str) -> None:
    """Sends all records of this process to stderr."""
    handler = logging.StreamHandler(sys.stderr)
    if form == "json":
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in ("parley", "livekit.plugins.openai_realtime"):
        logging.getLogger(name).setLevel(level.upper())
    for name in ("livekit.agents", "livekit"):
        logging.getLogger(name).setLevel(level.upper() if level != "info" else "WARNING")
