"""What an agent can be registered with, what of it reaches the API, and what is refused by what words."""

from typing import Any

import pytest

from livekit.plugins.openai_realtime.conversation_options import (
    ConversationOptions,
    Prompt,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    Transcription,
)
from livekit.plugins.openai_realtime.mcp import McpServer
from parley.agents.options import OPTIONS, AgentOptions, read_options
from parley.config import VoiceAgent
from parley.errors import AgentOptionError, UnknownAgentOptionError

STOCK = VoiceAgent()


def session(defaults: VoiceAgent = STOCK, **options: Any) -> ConversationOptions:
    return read_options("support", options).conversation(defaults)


def test_nothing_given_is_the_defaults() -> None:
    options = read_options("support", {})
    assert options.own == AgentOptions()
    assert options.own.backchannels
    assert options.conversation(STOCK) == ConversationOptions(
        model="gpt-realtime-2.1",
        voice="marin",
        reasoning_effort="low",
        transcription=Transcription(model="gpt-realtime-whisper"),
        turn_detection=SemanticVad(eagerness="auto"),
    )


EVERY: dict[str, Any] = {
    "audience": "room",
    "greeting": "Say hello.",
    "disclosure": "I am an AI assistant.",
    "idle_s": None,
    "idle_goodbye_s": 5,
    "interruptions": False,
    "false_interruption_s": None,
    "backchannels": ("aha", "d'accord"),
    "tool_timeout_s": 2.5,
    "slow_tool_s": None,
    "approve_mcp": print,
    "mode": "hybrid",
    "usd": 0.5,
    "model": "gpt-realtime-2",
    "voice": {"id": "voice_1"},
    "prompt": Prompt(id="pmpt_1"),
    "reasoning_effort": "high",
    "turn_detection": ServerVad(threshold=0.7),
    "noise_reduction": "far_field",
    "transcription": None,
    "tool_choice": "required",
    "parallel_tool_calls": False,
    "mcp": (McpServer(server_label="crm", server_url="https://mcp.example.com"),),
    "truncation": RetentionRatio(retention_ratio=0.8),
    "max_output_tokens": 500,
    "speed": 1.1,
    "tracing": "auto",
    "include": ("item.input_audio_transcription.logprobs",),
    "base_url": "https://eu.example.com/v1",
    "extra_headers": {"x-team": "support"},
    "safety_identifier": "hash",
}


def test_this_list_is_complete() -> None:
    assert set(EVERY) == set(OPTIONS)


@pytest.mark.parametrize("name", EVERY)
def test_every_option_arrives(name: str) -> None:
    options = read_options("support", {name: EVERY[name]})
    where = options.own if name in AgentOptions.model_fields else options.conversation(STOCK)
    assert getattr(where, name) == EVERY[name]


def test_all_of_them_together() -> None:
    options = read_options("support", EVERY)
    assert options.conversation(STOCK).output_modalities == "audio"
    assert options.conversation(STOCK).turn_detection is None, "it hears nobody"
    assert options.own.usd == 0.5


def test_an_agents_own_options_hold_over_the_workers() -> None:
    worker = VoiceAgent(
        model="gpt-realtime-2", voice="cedar", noise_reduction="near_field", max_output_tokens=99
    )
    given = session(worker, voice="ash", max_output_tokens=7)
    assert (given.model, given.voice, given.max_output_tokens) == ("gpt-realtime-2", "ash", 7)
    assert given.noise_reduction == "near_field"


@pytest.mark.parametrize(
    ("worker", "expected"),
    [
        (VoiceAgent(turn_detection="semantic_vad", eagerness="high"), SemanticVad(eagerness="high")),
        (VoiceAgent(turn_detection="server_vad", silence_ms=700), ServerVad(silence_duration_ms=700)),
        (VoiceAgent(turn_detection="vad"), None),
    ],
)
def test_the_workers_turn_detection(worker: VoiceAgent, expected: object) -> None:
    assert session(worker).turn_detection == expected
    assert session(VoiceAgent(eagerness=worker.eagerness, silence_ms=worker.silence_ms),
                   turn_detection=worker.turn_detection).turn_detection == expected  # fmt: skip


def test_short_forms() -> None:
    given = session(transcription="gpt-live-transcribe", prompt="pmpt_1", turn_detection="vad")
    assert given.transcription == Transcription(model="gpt-live-transcribe")
    assert given.prompt == Prompt(id="pmpt_1")
    assert given.turn_detection is None


def test_worker_settings_as_the_plugin_takes_them() -> None:
    given = session(VoiceAgent(transcription_model="", tracing=True, base_url="https://eu.example.com/v1"))
    assert (given.transcription, given.tracing) == (None, "auto")
    assert given.base_url == "https://eu.example.com/v1"


def test_a_model_that_does_not_reason_gets_no_effort_it_did_not_ask_for() -> None:
    assert session(model="gpt-realtime").reasoning_effort is None
    assert session(VoiceAgent(model="gpt-realtime")).reasoning_effort is None


@pytest.mark.parametrize(
    ("wrong", "nearest"),
    [
        ("voise", "voice"),
        ("greetings", "greeting"),
        ("turn_detect", "turn_detection"),
        ("idle", "idle_s"),
        ("timeout_s", "tool_timeout_s"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest(wrong: str, nearest: str) -> None:
    with pytest.raises(UnknownAgentOptionError) as caught:
        read_options("support", {wrong: 1})
    assert (caught.value.agent, caught.value.option, caught.value.allowed) == ("support", wrong, nearest)
    assert str(caught.value) == f"agent 'support': there is no option {wrong}; the nearest one is {nearest}"


@pytest.mark.parametrize(
    ("options", "option", "given", "allowed"),
    [
        ({"audience": "all"}, "audience", "'all'", "'participant' or 'room'"),
        ({"greeting": " "}, "greeting", "' '", "a text that is not empty, or None"),
        ({"greeting": 3}, "greeting", "3", "a valid string"),
        ({"idle_s": 0}, "idle_s", "0", "greater than 0"),
        ({"idle_s": "30"}, "idle_s", "'30'", "a valid number"),
        ({"idle_s": float("inf")}, "idle_s", "inf", "a finite number"),
        ({"interruptions": "no"}, "interruptions", "'no'", "a valid boolean"),
        (
            {"backchannels": ("I see",)},
            "backchannels",
            "('I see',)",
            "single words in lower case, not 'I see'",
        ),
        ({"usd": -1}, "usd", "-1", "greater than 0"),
        ({"mode": "text"}, "mode", "'text'", "'audio' or 'hybrid'"),
        ({"voice": ""}, "voice", "''", "a text that is not empty"),
        ({"voice": ["x"]}, "voice", "['x']", "str | Mapping[str, str]"),
        ({"speed": 9}, "speed", "9", "a number from 0.25 to 1.5"),
        ({"reasoning_effort": "most"}, "reasoning_effort", "'most'", "minimal, low, medium, high, xhigh"),
        (
            {"model": "gpt-realtime", "reasoning_effort": "low"},
            "reasoning_effort",
            "'low'",
            "None for gpt-realtime",
        ),
        (
            {"turn_detection": "vadd"},
            "turn_detection",
            "'vadd'",
            "semantic_vad, server_vad, vad, a SemanticVad, a ServerVad, None",
        ),
        ({"transcription": 3}, "transcription", "3", "Transcription, None"),
        ({"mcp": 5}, "mcp", "5", "tuple[McpServer, ...]"),
        ({"tool_choice": "always, please"}, "tool_choice", "'always, please'", "auto, none, required"),
        ({"base_url": "ws://x"}, "base_url", "'ws://x'", "http(s)://host[:port]/path without a query"),
        (
            {"output_modalities": "text"},
            "output_modalities",
            "'text'",
            "nothing: an agent speaks",
        ),
        ({"max_output_tokens": 5000}, "max_output_tokens", "5000", "an integer from 1 to 4096"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_given_and_what_is_allowed(
    options: dict[str, Any], option: str, given: str, allowed: str
) -> None:
    with pytest.raises(AgentOptionError) as caught:
        read_options("support", options)
    error = caught.value
    assert (error.agent, error.option, error.given, error.allowed) == ("support", option, given, allowed)
    assert "\n" not in str(error)


def test_a_long_value_is_shown_in_part() -> None:
    with pytest.raises(AgentOptionError) as caught:
        read_options("support", {"reasoning_effort": "x" * 10_000})
    assert len(str(caught.value)) < 200


def test_options_cannot_be_changed() -> None:
    options = read_options("support", {"voice": "ash"})
    with pytest.raises(ValueError, match="frozen"):
        options.own.greeting = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        options.session["voice"] = "x"  # type: ignore[index]
