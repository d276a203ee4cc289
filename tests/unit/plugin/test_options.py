"""Settings are checked when they are made, and a secret is in no repr."""

from typing import Any

import pytest

from livekit.plugins.openai_realtime.options import OUTPUT_LANGUAGES, ConnectOptions, TranslationOptions


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("https://api.openai.com/v1", "wss://api.openai.com/v1/realtime/translations?model=m"),
        ("http://127.0.0.1:8765/v1/", "ws://127.0.0.1:8765/v1/realtime/translations?model=m"),
        ("https://eu.api.openai.com/v1", "wss://eu.api.openai.com/v1/realtime/translations?model=m"),
        ("http://[::1]:80", "ws://[::1]:80/realtime/translations?model=m"),
    ],
)
def test_url(base_url: str, url: str) -> None:
    assert (
        ConnectOptions(api_key="k", base_url=base_url).websocket_url("realtime/translations", {"model": "m"})
        == url
    )


def test_query_is_quoted() -> None:
    options = ConnectOptions(api_key="k")
    assert options.websocket_url("p", {"model": "a&b=c"}) == "wss://api.openai.com/v1/p?model=a%26b%3Dc"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("api_key", ""),
        ("api_key", "  "),
        ("api_key", "a\nb"),
        ("base_url", "api.openai.com/v1"),
        ("base_url", "ftp://host/v1"),
        ("base_url", "https://host/v1?x=1"),
        ("connect_timeout_s", 0.0),
        ("close_timeout_s", -1.0),
        ("heartbeat_s", float("nan")),
        ("max_message_bytes", 0),
    ],
)
def test_connect_options_name_the_field(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}: given"):
        ConnectOptions(**{"api_key": "k", field: value})


@pytest.mark.parametrize(("field", "value"), [("model", ""), ("language", " "), ("noise_reduction", "loud")])
def test_translation_options_name_the_field(field: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"^{field}: given"):
        TranslationOptions(**{"model": "m", "language": "es", field: value})


def test_secrets_are_in_no_repr() -> None:
    text = repr(ConnectOptions(api_key="sk-secret", headers={"api-key": "sk-other"}))
    assert "sk-" not in text


def test_thirteen_languages() -> None:
    assert len(set(OUTPUT_LANGUAGES)) == 13
