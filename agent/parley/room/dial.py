"""Dialling: the plugin's connection behind the bridge's port."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from livekit.plugins.openai_realtime.connection import Connection, connect
from livekit.plugins.openai_realtime.events import TranslationEvent
from livekit.plugins.openai_realtime.options import ConnectOptions, TranslationOptions
from livekit.plugins.openai_realtime.translation import TranslationProtocol


class OpenSession:
    """A `Connection` as the bridges see it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.lifetime_s = connection.expires_at - time.time()
        self.append = connection.append
        self.close = connection.close

    async def update(self, *, transcription_model: str | None) -> None:
        """Switches the transcription of the input on or off (session.update)."""
        await self._connection.update(transcription_model=transcription_model)

    def __aiter__(self) -> AsyncIterator[TranslationEvent]:
        return self._connection


class Dialler:
    """Opens translation sessions over one HTTP session per room."""

    def __init__(self, options: ConnectOptions, http: aiohttp.ClientSession) -> None:
        self._options = options
        self._http = http

    @asynccontextmanager
    async def __call__(self, options: TranslationOptions) -> AsyncIterator[OpenSession]:
        """Connects and configures; raises the plugin's RealtimeError."""
        async with connect(TranslationProtocol(options), self._options, http=self._http) as connection:
            yield OpenSession(connection)
