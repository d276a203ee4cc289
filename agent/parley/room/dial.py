"""Dialling: the plugin's connection behind the bridge's port."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from livekit.plugins.openai_realtime.connection import Connection, TranscriptionConnection, connect
from livekit.plugins.openai_realtime.events import ErrorReported, TranscriptionEvent, TranslationEvent
from livekit.plugins.openai_realtime.options import ConnectOptions, TranscriptionOptions, TranslationOptions
from livekit.plugins.openai_realtime.transcription import TranscriptionProtocol
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


class OpenTranscription:
    """A `TranscriptionConnection` as the bridges see it."""

    def __init__(self, connection: TranscriptionConnection) -> None:
        self._connection = connection
        self.lifetime_s = connection.expires_at - time.time()
        self.append = connection.append
        self.commit = connection.commit
        self.close = connection.close

    def __aiter__(self) -> AsyncIterator[TranscriptionEvent | ErrorReported]:
        return self._connection


class Dialler:
    """Opens sessions over one HTTP session per room."""

    def __init__(self, options: ConnectOptions, http: aiohttp.ClientSession) -> None:
        self._options = options
        self._http = http

    @asynccontextmanager
    async def __call__(self, options: TranslationOptions) -> AsyncIterator[OpenSession]:
        """Connects and configures; raises the plugin's RealtimeError."""
        async with connect(TranslationProtocol(options), self._options, http=self._http) as connection:
            yield OpenSession(connection)

    @asynccontextmanager
    async def listen(self, options: TranscriptionOptions) -> AsyncIterator[OpenTranscription]:
        """The same for a transcription session."""
        async with connect(TranscriptionProtocol(options), self._options, http=self._http) as connection:
            yield OpenTranscription(connection)
