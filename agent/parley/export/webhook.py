"""A webhook: posts JSON, signed by Standard Webhooks, again and again within a bound.

The receiver finds `webhook-id` (the same at every try, to tell doubles by), `webhook-timestamp` and
`webhook-signature`, and needs no code of Parley's: https://www.standardwebhooks.com.
"""

import asyncio
import base64
import hashlib
import hmac
import random
import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic, time
from typing import Any

import aiohttp

from parley.core.retry import RetryPolicy
from parley.errors import WebhookError

from .formats import dumped, iso

AGAIN = frozenset({408, 425, 429})
"""Of the refusals, those that may be another answer later; errors of the server (5xx) always may."""


@dataclass(frozen=True, slots=True)
class WebhookPolicy:
    """Where to, and within which bounds."""

    url: str
    secret: str = field(repr=False)
    connect_s: float = 3.0
    try_s: float = 5.0
    """How long one try may take."""
    total_s: float = 20.0
    """How long all of them may take, with the waits between them."""
    retry: RetryPolicy = field(default_factory=lambda: RetryPolicy(first_s=0.5, most_s=5.0))


async def send(http: aiohttp.ClientSession, policy: WebhookPolicy, kind: str, data: dict[str, Any]) -> int:
    """Posts an event of this kind; like `post`."""
    body = dumped({"type": kind, "timestamp": iso(datetime.now(UTC)), "data": data})
    return await post(http, policy, f"msg_{secrets.token_hex(12)}", body)


async def post(http: aiohttp.ClientSession, policy: WebhookPolicy, message_id: str, body: str) -> int:
    """Posts `body` until it is taken (2xx); returns the number of tries.

    Raises WebhookError once it was refused for good, or when `total_s` is over. Cancelling it gives it up.
    """
    deadline = monotonic() + policy.total_s
    tries = 0
    failure = ""
    while (left_s := deadline - monotonic()) > 0:
        tries += 1
        asked_s: float | None = None
        try:
            async with asyncio.timeout(left_s):
                status, asked_s = await _once(http, policy, message_id, body)
        except (aiohttp.ClientError, TimeoutError) as e:
            failure = str(e) or type(e).__name__
        else:
            if 200 <= status < 300:
                return tries
            failure = f"status {status}"
            if status < 500 and status not in AGAIN:
                break
        wait_s = policy.retry.delay_s(tries, retryable=True, jitter=random.random(), asked_s=asked_s)
        if monotonic() + wait_s >= deadline:
            break
        await asyncio.sleep(wait_s)
    raise WebhookError(failure, tries)


def signature(secret: str, message_id: str, at_s: int, body: str) -> str:
    """Signature of version 1 (HMAC-SHA256) of what is posted at `at_s` (Unix time, s).

    `secret` is base64, with or without `whsec_` before it. Raises ValueError if it is not.
    """
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    digest = hmac.digest(key, f"{message_id}.{at_s}.{body}".encode(), hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}"


async def _once(
    http: aiohttp.ClientSession, policy: WebhookPolicy, message_id: str, body: str
) -> tuple[int, float | None]:
    """One try; returns the status, and how long the receiver asks to wait. No redirect is followed."""
    now = int(time())
    headers = {
        "content-type": "application/json",
        "webhook-id": message_id,
        "webhook-timestamp": str(now),
        "webhook-signature": signature(policy.secret, message_id, now, body),
    }
    timeout = aiohttp.ClientTimeout(total=policy.try_s, sock_connect=policy.connect_s)
    async with http.post(
        policy.url, data=body.encode(), headers=headers, timeout=timeout, allow_redirects=False
    ) as response:
        asked = response.headers.get("retry-after", "")
        return response.status, float(asked) if asked.isascii() and asked.isdigit() else None
