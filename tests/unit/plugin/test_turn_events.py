"""Usage and limits as the API says them."""

from livekit.plugins.openai_realtime import RateLimit, TokenUsage, TranscriptionUsage
from livekit.plugins.openai_realtime.mcp import McpCalls
from livekit.plugins.openai_realtime.turn_events import (
    read_rate_limits,
    read_token_usage,
    read_transcription_usage,
)


def test_tokens_by_kind() -> None:
    usage = read_token_usage(
        {
            "total_tokens": 1000,
            "input_tokens": 700,
            "output_tokens": 300,
            "input_token_details": {
                "cached_tokens": 250,
                "text_tokens": 200,
                "audio_tokens": 400,
                "image_tokens": 100,
                "cached_tokens_details": {"text_tokens": 100, "audio_tokens": 120, "image_tokens": 30},
            },
            "output_token_details": {"text_tokens": 60, "audio_tokens": 240},
        }
    )
    assert usage == TokenUsage(
        input_text=100,
        input_audio=280,
        input_image=70,
        cached_text=100,
        cached_audio=120,
        cached_image=30,
        output_text=60,
        output_audio=240,
    )
    assert usage.total == 1000


def test_usage_with_parts_missing() -> None:
    assert read_token_usage(None) is None
    assert read_token_usage({}) is None
    assert read_token_usage({"input_tokens": 5, "output_tokens": 7}) == TokenUsage(
        input_text=5, output_text=7
    )
    assert read_token_usage({"input_token_details": {"text_tokens": 9, "cached_tokens": 4}}) == TokenUsage(
        input_text=5, cached_text=4
    )
    assert read_token_usage({"input_token_details": "x", "output_tokens": True}) == TokenUsage()


def test_transcription() -> None:
    assert read_transcription_usage({"type": "duration", "seconds": 2.5}) == TranscriptionUsage(seconds=2.5)
    tokens = {"type": "tokens", "input_tokens": 9, "output_tokens": 4}
    assert read_transcription_usage(tokens) == TranscriptionUsage(input_audio=9, output_text=4)
    details = {"input_token_details": {"text_tokens": 2, "audio_tokens": 7}}
    assert read_transcription_usage({**tokens, **details}) == TranscriptionUsage(
        input_text=2, input_audio=7, output_text=4
    )
    assert read_transcription_usage(None) is None


def test_rate_limits() -> None:
    entries = [
        {"name": "tokens", "limit": 10, "remaining": 3, "reset_seconds": 0.5},
        "x",
        {"reset_seconds": 2},
    ]
    assert read_rate_limits({"rate_limits": entries}).limits == (
        RateLimit("tokens", 10, 3, 0.5),
        RateLimit("", 0, 0, 2.0),
    )
    assert read_rate_limits({}).limits == ()


def test_a_response_is_owed_once_all_calls_have_finished() -> None:
    calls = McpCalls(0)
    assert not calls.take_owed()
    calls.started("a")
    calls.started("b")
    calls.finished("a")
    assert not calls.take_owed()
    calls.finished("b")
    assert calls.take_owed()
    assert not calls.take_owed()


def test_a_model_that_spoke_after_its_calls_owes_nothing() -> None:
    calls = McpCalls(0)
    calls.started("a")
    calls.finished("a")
    calls.spoke()
    assert not calls.take_owed()


def test_approvals() -> None:
    calls = McpCalls(2)
    assert calls.listing
    calls.listed()
    assert calls.listing
    calls.stop_waiting()
    assert not calls.listing
    assert calls.asked("ask")
    assert not calls.asked("ask")
    calls.answered("ask", approved=True)
    assert not calls.take_owed()
    calls.started("a")
    calls.finished("a")
    assert calls.take_owed()
    calls.asked("again")
    calls.answered("again", approved=False)
    assert calls.take_owed()
