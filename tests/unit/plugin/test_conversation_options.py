"""Conversation options: checked when made, and the published schema takes all that they can say."""

import itertools
from typing import Any

import pytest

from livekit.plugins.openai_realtime import (
    ConnectOptions,
    ConversationOptions,
    McpServer,
    Prompt,
    RealtimeModel,
    RetentionRatio,
    SemanticVad,
    ServerVad,
    Tracing,
    Transcription,
)
from livekit.plugins.openai_realtime.session_update import changes, full
from parley.simulator.validation import validate
from parley.simulator.wire import ApiError, schemas

SERVER = McpServer(
    server_label="docs",
    server_url="https://example.com/mcp",
    authorization="token",
    allowed_tools=("search", "read"),
    require_approval={"search": "never", "read": "always"},
    headers={"X-Team": "a"},
    server_description="All the documents",
)
FUNCTION = {"type": "function", "name": "clock", "description": "The time", "parameters": {"type": "object"}}

EACH: list[dict[str, Any]] = [
    {},
    {"model": "gpt-realtime-2.1-mini"},
    {"model": "my-deployment", "reasoning_effort": "xhigh"},
    {"model": "gpt-realtime"},
    {"voice": "cedar"},
    {"voice": {"id": "voice_1"}},
    {"output_modalities": "text"},
    {"prompt": Prompt(id="pmpt_1")},
    {"prompt": Prompt(id="pmpt_1", version="2", variables={"city": "Rome"})},
    *({"reasoning_effort": effort} for effort in ("minimal", "low", "medium", "high", "xhigh")),
    {"turn_detection": None},
    *({"turn_detection": SemanticVad(eagerness=e)} for e in ("low", "medium", "high", "auto")),
    {"turn_detection": SemanticVad(create_response=False, interrupt_response=False)},
    {"turn_detection": ServerVad()},
    {
        "turn_detection": ServerVad(
            threshold=0.4,
            prefix_padding_ms=200,
            silence_duration_ms=400,
            idle_timeout_ms=5000,
            create_response=False,
            interrupt_response=False,
        )
    },
    {"noise_reduction": "near_field"},
    {"noise_reduction": "far_field"},
    {"transcription": None},
    {"transcription": Transcription(model="gpt-realtime-whisper", language="en", delay="low")},
    *({"tool_choice": choice} for choice in ("auto", "none", "required")),
    {"tool_choice": {"type": "function", "name": "clock"}},
    {"tool_choice": {"type": "mcp", "server_label": "docs"}},
    {"parallel_tool_calls": False},
    {"mcp": (SERVER,)},
    {"mcp": (McpServer(server_label="a", server_url="https://example.com", require_approval="never"),)},
    {"truncation": "disabled"},
    {"truncation": RetentionRatio(retention_ratio=0.8)},
    {"truncation": RetentionRatio(retention_ratio=0.0, post_instructions=8000)},
    {"max_output_tokens": 1},
    {"max_output_tokens": 4096},
    {"speed": 0.25},
    {"speed": 1.5},
    {"tracing": "auto"},
    {"tracing": Tracing(workflow_name="w", group_id="g", metadata={"a": 1})},
    {"include": ("item.input_audio_transcription.logprobs",)},
]


def taken(session: dict[str, Any]) -> None:
    validate({"type": "session.update", "session": session}, schemas("conversation")["client"])


def nulls(value: Any, path: str = "") -> list[str]:
    if isinstance(value, dict):
        return [found for name, inner in value.items() for found in nulls(inner, f"{path}.{name}")]
    if isinstance(value, list):
        return [found for inner in value for found in nulls(inner, path)]
    return [path] if value is None else []


@pytest.mark.parametrize("given", EACH, ids=str)
def test_the_schema_takes_each_option(given: dict[str, Any]) -> None:
    session = full(ConversationOptions(**given), "Be brief.", [FUNCTION])
    taken(session)
    assert set(nulls(session)) <= {".audio.input.turn_detection"}


def test_the_schema_takes_all_options_together() -> None:
    everything: dict[str, Any] = {}
    for given in EACH:
        everything.update({name: value for name, value in given.items() if name != "model"})
    everything.update(turn_detection=EACH[18]["turn_detection"], transcription=Transcription(language="en"))
    session = full(ConversationOptions(**everything), "Be brief.", [FUNCTION])
    taken(session)
    kinds = {tool["type"] for tool in session["tools"]}
    assert kinds == {"function", "mcp"}
    assert {"prompt", "reasoning", "tracing", "include", "parallel_tool_calls"} <= set(session)


def test_the_schema_takes_every_change() -> None:
    made = [ConversationOptions(**given) for given in EACH]
    for old, new in itertools.permutations(made, 2):
        found = changes(old, new)
        if found:
            taken(found)


def test_what_the_schema_is_for() -> None:
    session = full(ConversationOptions(), None, [])
    session["audio"]["input"]["noise_reduction"] = None
    with pytest.raises(ApiError):
        taken(session)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("model", ""),
        ("voice", ""),
        ("voice", {"id": ""}),
        ("voice", {"name": "x"}),
        ("output_modalities", "video"),
        ("prompt", "pmpt_1"),
        ("reasoning_effort", "extreme"),
        ("turn_detection", "server_vad"),
        ("noise_reduction", "loud"),
        ("transcription", "gpt-realtime-whisper"),
        ("tool_choice", "maybe"),
        ("tool_choice", {"type": "function"}),
        ("parallel_tool_calls", "yes"),
        ("mcp", (SERVER, SERVER)),
        ("truncation", "never"),
        ("max_output_tokens", 0),
        ("max_output_tokens", 4097),
        ("max_output_tokens", True),
        ("max_output_tokens", 1.5),
        ("speed", 0.2),
        ("speed", float("nan")),
        ("speed", "fast"),
        ("tracing", "manual"),
        ("include", ("everything",)),
        ("base_url", "api.openai.com"),
        ("safety_identifier", " "),
    ],
)
def test_a_bad_value_is_named(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^{field}: given .*"):
        ConversationOptions(**{field: value})


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (SemanticVad, "eagerness", "eager"),
        (SemanticVad, "create_response", None),
        (ServerVad, "threshold", 1.1),
        (ServerVad, "prefix_padding_ms", -1),
        (ServerVad, "silence_duration_ms", 0.5),
        (ServerVad, "idle_timeout_ms", 4999),
        (ServerVad, "idle_timeout_ms", 30_001),
        (RetentionRatio, "retention_ratio", 1.1),
        (Transcription, "model", ""),
        (Transcription, "language", ""),
        (Transcription, "delay", "long"),
        (Prompt, "id", ""),
        (Prompt, "variables", {"a": 1}),
        (McpServer, "server_label", ""),
        (McpServer, "server_url", "example.com"),
        (McpServer, "require_approval", "sometimes"),
        (McpServer, "require_approval", {"search": "sometimes"}),
    ],
)
def test_a_bad_part_is_named(kind: Any, field: str, value: Any) -> None:
    needed = {
        RetentionRatio: {"retention_ratio": 0.5},
        Prompt: {"id": "p"},
        McpServer: {"server_label": "a", "server_url": "https://example.com"},
    }.get(kind, {})
    with pytest.raises(ValueError, match=rf"{field}.*: given "):
        kind(**{**needed, field: value})


def test_what_only_reasoning_models_take() -> None:
    assert full(ConversationOptions(), None, [])["parallel_tool_calls"] is True
    assert "parallel_tool_calls" not in full(ConversationOptions(model="gpt-realtime"), None, [])
    assert "parallel_tool_calls" not in full(ConversationOptions(model="a-deployment"), None, [])
    for field, value in (("reasoning_effort", "low"), ("parallel_tool_calls", True)):
        with pytest.raises(ValueError, match=f"^{field}: given .* gpt-realtime"):
            ConversationOptions(**{"model": "gpt-realtime-mini", field: value})


def test_defaults() -> None:
    options = ConversationOptions()
    assert (options.model, options.voice) == ("gpt-realtime-2.1", "marin")
    assert options.transcription == Transcription(model="gpt-realtime-whisper")
    assert options.answers_turns
    assert not options.reports_speech_only


def test_secrets_are_in_no_repr() -> None:
    options = ConversationOptions(mcp=(SERVER,), extra_headers={"api-key": "sk-secret"})
    assert "token" not in repr(options.mcp)
    assert "sk-secret" not in repr(options)


def test_approval_tool_by_tool() -> None:
    assert SERVER.payload()["require_approval"] == {
        "always": {"tool_names": ["read"]},
        "never": {"tool_names": ["search"]},
    }


@pytest.mark.parametrize(
    ("base_url", "extra", "url", "headers"),
    [
        (None, {}, "wss://api.openai.com/v1/realtime?model=gpt-realtime-2.1", {"Authorization": "Bearer k"}),
        (
            "https://eu.api.openai.com/v1",
            {},
            "wss://eu.api.openai.com/v1/realtime?model=gpt-realtime-2.1",
            {"Authorization": "Bearer k"},
        ),
        (
            "https://res.openai.azure.com/openai/v1",
            {},
            "wss://res.openai.azure.com/openai/v1/realtime?model=gpt-realtime-2.1",
            {"api-key": "k"},
        ),
        (
            "https://res.openai.azure.com/openai/v1",
            {"Authorization": "Bearer entra"},
            "wss://res.openai.azure.com/openai/v1/realtime?model=gpt-realtime-2.1",
            {"Authorization": "Bearer entra"},
        ),
        (
            "http://gateway:8080/proxy/v1",
            {"X-Key": "g"},
            "ws://gateway:8080/proxy/v1/realtime?model=gpt-realtime-2.1",
            {"Authorization": "Bearer k", "X-Key": "g"},
        ),
    ],
)
def test_where_and_with_what_it_connects(
    base_url: str | None, extra: dict[str, str], url: str, headers: dict[str, str]
) -> None:
    options = ConversationOptions(base_url=base_url, extra_headers=extra)
    assert RealtimeModel(options, connect=ConnectOptions(api_key="k")).address() == (url, headers)


def test_a_change_that_no_update_can_make_needs_another_session() -> None:
    plain = ConversationOptions()
    assert changes(plain, plain) == {}
    assert changes(ConversationOptions(noise_reduction="near_field"), plain) is None
    assert changes(ConversationOptions(transcription=None), plain) is not None
    assert changes(plain, ConversationOptions(transcription=None)) is None
    assert changes(plain, ConversationOptions(model="gpt-realtime-2")) is None
    manual = changes(plain, ConversationOptions(turn_detection=None))
    assert manual == {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
