"""Redaction: a function of the user's that sees each line before it is written or sent anywhere."""

import importlib
import logging
from collections.abc import Callable
from dataclasses import replace

from parley.core.minutes import Line
from parley.errors import SettingsError

logger = logging.getLogger("parley.export")

Hook = Callable[[str, str, str], str | None]
"""Is given a line's text, its speaker and its language; returns the text to keep, or None: the line goes."""

SETTING = "PARLEY_EXPORT__REDACT"


def load(name: str) -> Hook | None:
    """The function that `module:function` names; None for an empty name. Raises SettingsError."""
    if not name:
        return None
    module_name, _, path = name.partition(":")
    try:
        found: object = importlib.import_module(module_name)
        for part in path.split("."):
            found = getattr(found, part)
    except Exception as e:  # noqa: BLE001 - bulkhead: a module of the user's
        needed = f"module:function that can be imported ({type(e).__name__}: {e})"
        raise SettingsError(SETTING, name, needed) from None
    if not path or not callable(found):
        raise SettingsError(SETTING, name, "module:function, of a function")
    hook: Hook = found
    return hook


class Redaction:
    """The hook of one room. What it fails on is kept by nobody."""

    def __init__(self, hook: Hook | None, failed: Callable[[str], None]) -> None:
        """`failed` is told of the first failure, without a word of the line."""
        self._hook = hook
        self._failed = failed
        self.failures = 0

    def __call__(self, line: Line) -> Line | None:
        """The line as it may be kept; None: not at all."""
        if self._hook is None:
            return line
        try:
            text = self._hook(line.text, line.speaker, line.language)
        except Exception as e:  # noqa: BLE001 - bulkhead: a function of the user's
            self._fail(type(e).__name__)
            return None
        if text is None:
            return None
        if not isinstance(text, str):
            self._fail(f"it returned {type(text).__name__}")
            return None
        return replace(line, text=text) if text.strip() else None

    def _fail(self, why: str) -> None:
        self.failures += 1
        if self.failures == 1:
            self._failed(
                f"the redaction failed ({why}): what it fails on is left out of transcripts and notes"
            )
