"""A transcription session over a real websocket, without LiveKit's classes."""

import pytest

from component.plugin.test_stt import WORD_S, api, phrase
from livekit.plugins.openai_realtime import (
    Cleared,
    Committed,
    RequestRejected,
    SessionCreated,
    State,
    Transcribed,
    TranscriptionConnection,
    TranscriptionOptions,
    TranscriptionProtocol,
    TranscriptionUpdated,
    Words,
    connect,
)
from livekit.plugins.openai_realtime.options import ConnectOptions


async def test_what_was_cleared_is_not_transcribed_and_a_close_waits_for_what_was_committed() -> None:
    async with api() as sim:
        options = ConnectOptions(api_key="k", base_url=sim.base_url)
        protocol = TranscriptionProtocol(TranscriptionOptions(language="en", delay="minimal"))
        async with connect(protocol, options) as connection:
            assert isinstance(connection, TranscriptionConnection)
            await connection.append(phrase(1, 2, 0.0).tobytes())
            await connection.clear()
            await connection.append(phrase(3, 5, 0.2).tobytes())
            await connection.update(language="fr")
            await connection.commit("mine")
            assert await connection.aclose(5.0)
            events = [event async for event in connection]
        assert protocol.state is State.CLOSED
        assert protocol.failure is None
        kinds = [type(event) for event in events if not isinstance(event, Words)]
        assert kinds == [
            *(SessionCreated, TranscriptionUpdated),
            *(Cleared, TranscriptionUpdated, Committed, Transcribed),
        ]
        final = events[-1]
        assert isinstance(final, Transcribed)
        assert final.transcript.split() == ["w3", "w4", "w5"]
        assert final.usage is not None
        assert final.usage.seconds == pytest.approx(3 * WORD_S + 0.2, abs=0.01)
        assert sim.sessions[0].refused == []


async def test_a_model_that_the_api_does_not_know_is_refused() -> None:
    async with api() as sim:
        options = ConnectOptions(api_key="k", base_url=sim.base_url)
        protocol = TranscriptionProtocol(TranscriptionOptions(model="gpt-imaginary"))
        with pytest.raises(RequestRejected):
            async with connect(protocol, options):
                pass
