"""Files to participants, over byte streams."""

import asyncio
import logging
from collections.abc import Mapping

from livekit import rtc

logger = logging.getLogger("parley.room")

SEND_S = 60.0
"""How long one may take to be sent."""


async def send_file(
    room: rtc.Room, topic: str, to: str, name: str, mime_type: str, attributes: Mapping[str, str], body: bytes
) -> None:
    """Sends a file to one participant; what fails is logged."""
    try:
        async with asyncio.timeout(SEND_S):
            writer = await room.local_participant.stream_bytes(
                name,
                total_size=len(body),
                mime_type=mime_type,
                attributes=dict(attributes),
                destination_identities=[to],
                topic=topic,
            )
            await writer.write(body)
            await writer.aclose()
    except (rtc.StreamError, ConnectionError, TimeoutError) as e:
        logger.warning("a file on %s could not be sent: %s", topic, e or type(e).__name__)
