"""What a room leaves behind: its summary goes where the settings say, within a bound, whatever happens."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp

from parley.errors import WebhookError
from parley.metrics import Metrics
from parley.ports import Notices

from .files import file_name, write
from .formats import dumped, iso
from .webhook import WebhookPolicy, send

logger = logging.getLogger("parley.export")

WRITE_S = 5.0
"""How long writing the file is waited for."""


@dataclass(frozen=True, slots=True)
class ExportPolicy:
    """Where summaries go; None: not there."""

    directory: Path | None = None
    webhook: WebhookPolicy | None = None

    @property
    def wanted(self) -> bool:
        """Whether they go anywhere."""
        return self.directory is not None or self.webhook is not None


class Leaving:
    """Hands a room's summary over."""

    def __init__(
        self,
        policy: ExportPolicy,
        http: aiohttp.ClientSession,
        metrics: Metrics,
        notices: Notices,
        version: str,
    ) -> None:
        self._policy = policy
        self._http = http
        self._metrics = metrics
        self._notices = notices
        self._version = version

    async def leave(self, summary: dict[str, Any]) -> None:
        """Writes and posts a summary (`core.summary.Record.summary`) with its times; never raises.

        Returns within `WRITE_S` or the webhook's `total_s`, whichever is more.
        """
        if not self._policy.wanted:
            return
        ended_at = datetime.now(UTC)
        told = {
            "parley": self._version,
            "began_at": iso(ended_at - timedelta(seconds=summary["duration_s"])),
            "ended_at": iso(ended_at),
            **summary,
        }
        async with asyncio.TaskGroup() as group:
            if self._policy.directory is not None:
                group.create_task(self._write(self._policy.directory, told, ended_at), name="summary file")
            if self._policy.webhook is not None:
                group.create_task(self._post(self._policy.webhook, told), name="summary webhook")

    async def _write(self, directory: Path, told: dict[str, Any], ended_at: datetime) -> None:
        name = file_name(told["room"], ended_at)
        body = dumped(told, indent=1)
        try:
            async with asyncio.timeout(WRITE_S):
                path = await asyncio.to_thread(partial(write, directory, name, body.encode()))
        except TimeoutError:
            self._failed("directory", f"no answer of the file system within {WRITE_S:g} s")
        except OSError as e:
            self._failed("directory", f"{e.strerror or type(e).__name__}: {directory}")
        else:
            self._metrics.exported("directory", done=True)
            logger.info("the room's summary was written", extra={"detail": str(path)})

    async def _post(self, webhook: WebhookPolicy, told: dict[str, Any]) -> None:
        began = monotonic()
        try:
            tries = await send(self._http, webhook, "room.summary", told)
        except WebhookError as e:
            self._failed("webhook", str(e))
        else:
            self._metrics.exported("webhook", done=True)
            detail = f"{tries} {'try' if tries == 1 else 'tries'}, {monotonic() - began:.1f} s"
            logger.info("the room's summary was posted", extra={"detail": detail})

    def _failed(self, to: str, why: str) -> None:
        self._metrics.exported(to, done=False)
        logger.error("the room's summary was lost on its way to its %s: %s", to, why)
        self._notices.say("export.failed", speaker=None, language=None, detail=f"summary, to its {to}: {why}")
